"""One run: match, check, plan, execute, reduce.

May import: everything but cli, leaderboard and report.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fhpt_eval.errors import InputError, ResultError, UnavailableError
from fhpt_eval.evaluation import fingerprint, reduce
from fhpt_eval.evaluation.chunk import Recipe, Task, UnreadableError, compute
from fhpt_eval.evaluation.executors import Executor
from fhpt_eval.evaluation.partial import Partial
from fhpt_eval.evaluation.plan import CheckedPair, Chunk, split, survey
from fhpt_eval.evaluation.problems import refuse
from fhpt_eval.evaluation.progress import Progress
from fhpt_eval.evaluation.store import FolderStore, MemoryStore, Store
from fhpt_eval.matching import match_pairs
from fhpt_eval.pairs import Folders, Matching, Problem, groups_of
from fhpt_eval.protocol import Entry, Protocol, digest_of
from fhpt_eval.result import Excluded, ProtocolRecord, Provenance, Result, Score, TestSet, Timing
from fhpt_eval.storage import check_writable


@dataclass(frozen=True)
class ChunkJob:
    """What an executor runs on each chunk: compute what the store lacks, and keep it."""

    recipe: Recipe
    store: Store

    def __call__(self, chunk: Chunk) -> bool:
        """Return whether everything was in the store already."""
        address = chunk_address(chunk)
        stored = self.store.load(address)
        have = stored.yields if stored else {}
        lacking = tuple(task for task in self.recipe.tasks if task.address not in have)
        if stored and not lacking:
            return True
        partial = compute(chunk, Recipe(lacking, self.recipe.device))
        yields = {**have, **partial.yields}
        kept = Partial(partial.keys, partial.generated, partial.ground_truth, yields)
        self.store.save(address, kept)
        return False


def chunk_address(chunk: Chunk) -> str:
    """Return the content address of a chunk's partial: what makes its pixels, and their order."""
    return digest_of(
        {
            "format": fingerprint.FORMAT,
            "decoder": fingerprint.decoder(),
            "pairs": [pair.identity for pair in chunk.pairs],
        }
    )


@dataclass
class _Executed:
    """What was executed: the pairs that were left, their chunks, and how many were in the store."""

    pairs: list[CheckedPair]
    problems: list[Problem]
    chunks: tuple[Chunk, ...]
    reused: int


@dataclass(frozen=True)
class Run:
    """One evaluation, from folders to a result; see :func:`fhpt_eval.evaluate`."""

    folders: Folders
    match: str
    pairs_csv: Path | None
    protocol: Protocol
    entries: tuple[Entry, ...]
    asked: frozenset[str]
    method: str
    out: Path | None
    device: str
    executor: Executor
    allow_missing: bool
    progress: Progress

    def go(self) -> Result:
        """Run, and write the result where ``out`` says so."""
        start = time.monotonic()
        if self.out is not None:
            claim(self.out, self.method)
        matching = self._match()
        preparations = tuple(dict.fromkeys(entry.steps for entry in self.entries))
        pairs, found = survey(matching, preparations, self.executor.workers, self.progress)
        problems = [*matching.problems, *found]
        self._check(pairs, problems)
        available, unavailable = self._availability(pairs)
        tasks = [self._task(entry) for entry in available]
        store: Store = FolderStore(self.out / "partials") if self.out else MemoryStore()
        # Two names for equal settings are one task.
        recipe = Recipe(tuple({task.address: task for task in tasks}.values()), self.device)
        done = self._execute(pairs, problems, ChunkJob(recipe, store))
        addressed = [(task.address, entry) for task, entry in zip(tasks, available, strict=True)]
        reduced = reduce.merge((_stored(store, chunk) for chunk in done.chunks), addressed)
        groups = groups_of([pair.pair for pair in done.pairs])
        scores = reduce.scores(reduced, available, groups, matching.expected)
        for entry, reason in unavailable:
            scores |= reduce.unavailable(entry, reason)
        timing = Timing(
            seconds=round(time.monotonic() - start, 3),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            workers=self.executor.workers,
            chunks=len(done.chunks),
            chunks_reused=done.reused,
        )
        provenance = self._provenance(reduced, matching, done.problems, len(set(groups)))
        result = self._result(reduced, self._in_order(scores), provenance, timing)
        if self.out is not None:
            result.save(self.out)
        return result

    def _match(self) -> Matching:
        """Match the pairs; source images are looked at only if a metric needs them."""
        folders = self.folders
        matching = match_pairs(folders, rule=self.match, pairs_csv=self.pairs_csv)
        self.progress.say(matching.describe())
        if folders.is_one_folder and not folders.is_strip_only:
            self.progress.say(
                "Note: --pred and --gt are one folder, so each image is compared with itself "
                "(for strips that hold their ground truth give --panels)"
            )
        if any("source" in entry.metric.needs for entry in self.entries):
            return matching
        return replace(matching, pairs=tuple(replace(p, source=None) for p in matching.pairs))

    def _check(self, pairs: Sequence[CheckedPair], problems: Sequence[Problem]) -> None:
        """Refuse the run if something is wrong that was not allowed, or nothing is left."""
        if problems and not self.allow_missing:
            refuse(problems, self.out)
        if not pairs:
            refuse(problems, self.out, "No pair is left to score.")

    def _availability(
        self, pairs: Sequence[CheckedPair]
    ) -> tuple[list[Entry], list[tuple[Entry, str]]]:
        """Part the metrics into those whose needs are met, and those that lack something."""
        lacks = {entry.name: _lack(entry, pairs) for entry in self.entries}
        available = [entry for entry in self.entries if not lacks[entry.name]]
        unavailable = [(entry, lacks[entry.name]) for entry in self.entries if lacks[entry.name]]
        asked = [pair for pair in unavailable if pair[0].name in self.asked]
        if asked or not available:
            reasons = "; ".join(f"{entry.name} {reason}" for entry, reason in asked or unavailable)
            raise UnavailableError(f"Cannot be computed: {reasons}. Nothing was scored.")
        for entry, reason in unavailable:
            self.progress.say(f"{entry.name} is unavailable: it {reason}")
        return available, unavailable

    def _task(self, entry: Entry) -> Task:
        address = fingerprint.metric_address(entry, fingerprint.device_name(self.device))
        return Task(address, entry.name, entry.metric, entry.steps)

    def _execute(
        self, pairs: list[CheckedPair], problems: list[Problem], job: ChunkJob
    ) -> _Executed:
        """Execute all chunks; images that cannot be decoded after all are excluded if allowed."""
        while True:
            chunks = split(pairs)
            unreadable, reused = self._execute_once(chunks, job)
            if not unreadable:
                self.progress.say(f"{len(chunks) - reused} chunks computed, {reused} reused")
                return _Executed(pairs, problems, chunks, reused)
            bad = {problem.name for problem in unreadable}
            pairs = [pair for pair in pairs if not bad.intersection(_paths(pair))]
            problems = [*problems, *unreadable]
            self._check(pairs, problems)

    def _execute_once(self, chunks: Sequence[Chunk], job: ChunkJob) -> tuple[list[Problem], int]:
        """Return the images that could not be decoded, and the number of chunks reused."""
        self.progress.stage("Scoring chunks", len(chunks))
        unreadable: set[Problem] = set()
        reused = 0
        for done, (_, outcome) in enumerate(self.executor.run(job, chunks), start=1):
            if isinstance(outcome, UnreadableError):
                unreadable.update(outcome.problems)
            elif isinstance(outcome, Exception):
                raise outcome
            else:
                reused += outcome
            self.progress.advance(done)
        return sorted(unreadable, key=lambda problem: problem.name), reused

    def _in_order(self, scores: dict[str, Score]) -> dict[str, Score]:
        """Order scores as the protocol has its metrics."""
        order = [
            reduce.full_name(entry, part) for entry in self.entries for part in entry.metric.parts()
        ]
        return {name: scores[name] for name in order if name in scores}

    def _provenance(
        self,
        reduced: reduce.Reduced,
        matching: Matching,
        problems: Sequence[Problem],
        groups: int,
    ) -> Provenance:
        weights = {k: v for entry in self.entries for k, v in entry.metric.weights().items()}
        excluded = [
            Excluded(kind=p.kind, name=self._relative(p.name), reason=p.reason) for p in problems
        ]
        return Provenance(
            generated_digest=reduced.generated_digest,
            matching=matching.rule,
            groups=groups,
            excluded=tuple(sorted(excluded, key=lambda one: (one.kind, one.name))),
            software=fingerprint.software(self.entries),
            code=fingerprint.code_digest(),
            weights=weights,
            device=fingerprint.device_name(self.device),
            precision=fingerprint.PRECISION,
        )

    def _relative(self, name: str) -> str:
        """Return a file's name below its folder, so that a result does not say where it lay."""
        for root in (self.folders.generated, self.folders.ground_truth, self.folders.source):
            if root is not None and Path(name).is_relative_to(root):
                return Path(name).relative_to(root).as_posix()
        return name

    def _result(
        self,
        reduced: reduce.Reduced,
        scores: dict[str, Score],
        provenance: Provenance,
        timing: Timing,
    ) -> Result:
        return Result(
            method=self.method,
            protocol=ProtocolRecord(
                id=self.protocol.id,
                digest=self.protocol.digest,
                settings=self.protocol.canonical(),
            ),
            test_set=TestSet(digest=reduced.test_set_digest, pairs=len(reduced.keys)),
            scores=scores,
            provenance=provenance,
            timing=timing,
        ).with_pairs(reduce.table(reduced))


def claim(out: Path, method: str) -> None:
    """Make sure that a folder can be written, and does not hold another method's result.

    Raises:
        StorageError: it cannot be written.
        InputError: it holds another method's result.
    """
    check_writable(out)
    (out / "problems.csv").unlink(missing_ok=True)
    if (out / "result.json").exists():
        try:
            other = Result.load(out / "result.json").method
        except ResultError:
            return  # a damaged or older result is no loss
        if other != method:
            raise InputError(
                f"--out {out} holds the result of '{other}', not of '{method}'. Choose another "
                f"folder, or give --name {other} if it is the same method."
            )


def _lack(entry: Entry, pairs: Sequence[CheckedPair]) -> str:
    """Say what a metric needs and the run or the machine lacks, or return an empty text."""
    lacking = entry.metric.lacks()
    if lacking:
        return lacking
    without = sum(pair.source is None for pair in pairs)
    if "source" in entry.metric.needs and without:
        return f"needs source images, and {without:,} of {len(pairs):,} pairs have none (--source)"
    return ""


def _paths(pair: CheckedPair) -> set[str]:
    images = (pair.generated, pair.ground_truth, pair.source)
    return {str(image.ref.path) for image in images if image}


def _stored(store: Store, chunk: Chunk) -> Partial:
    """Load a partial that was stored a moment ago."""
    partial = store.load(chunk_address(chunk))
    if partial is None:
        raise InputError(
            "Finished chunks vanished from the output folder during the run. Repeat the command, "
            "and let nothing else write there."
        )
    return partial
