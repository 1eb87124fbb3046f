"""One run: match, check, plan, execute, reduce.

May import: everything but cli, leaderboard and report.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from fhpt_eval.errors import InputError, ResultError, StorageError, UnavailableError
from fhpt_eval.evaluation import fingerprint, reduce
from fhpt_eval.evaluation.chunk import Recipe, Task, UnreadableError
from fhpt_eval.evaluation.executors import Executor
from fhpt_eval.evaluation.job import ChunkJob, stored
from fhpt_eval.evaluation.plan import CheckedPair, Chunk, split, survey
from fhpt_eval.evaluation.problems import refuse
from fhpt_eval.evaluation.progress import Progress
from fhpt_eval.evaluation.store import FolderStore, MemoryStore, Store
from fhpt_eval.evaluation.threads import one_thread
from fhpt_eval.matching import match_pairs
from fhpt_eval.pairs import Folders, Matching, Problem, groups_of
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Excluded, ProtocolRecord, Provenance, Result, Score, TestSet, Timing
from fhpt_eval.storage import check_writable, remove_leftovers


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
    cache: Path | None
    device: str
    executor: Executor
    allow_missing: bool
    progress: Progress

    def go(self) -> Result:
        """Run, and write the result where ``out`` says so."""
        start = time.monotonic()
        matching = self._match()
        if self.out is not None:
            claim(self.out, self.method)
        preparations = tuple(dict.fromkeys(entry.steps for entry in self.entries))
        pairs, found = survey(matching, preparations, self.executor.workers, self.progress)
        problems = [*matching.problems, *found]
        self._check(pairs, problems)
        available, unavailable = self._availability(pairs)
        store: Store = FolderStore(self.out / "partials") if self.out else MemoryStore()
        cache = self._feature_cache()
        addressed = [reduce.Addressed.of(entry, self._device_name()) for entry in available]
        recipe = self._recipe(addressed)
        done = self._execute(pairs, problems, ChunkJob(recipe, store, cache))
        groups = groups_of([pair.pair for pair in done.pairs])
        with one_thread():
            parts = (stored(store, chunk, recipe.addresses()) for chunk in done.chunks)
            reduced = reduce.merge(parts, addressed)
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

    def _recipe(self, addressed: Sequence[reduce.Addressed]) -> Recipe:
        """Return what is done to each chunk; what two metrics share is one task."""
        tasks = {
            one.address: Task(one.address, one.entry.name, one.entry.metric, one.entry.steps)
            for one in addressed
            if not one.features
        }
        features = {task.address: task for one in addressed for task in one.features.values()}
        return Recipe(tuple(tasks.values()), self.device, tuple(features.values()))

    def _feature_cache(self) -> Store:
        """Return where features of ground truth are kept; a cache is never worth a failure."""
        if self.cache is None:
            return MemoryStore()
        try:
            check_writable(self.cache)
        except StorageError as error:
            self.progress.say(f"Features of ground truth are not kept for other methods: {error}")
            return MemoryStore()
        return FolderStore(self.cache)

    def _device_name(self) -> str:
        return fingerprint.device_name(self.device)

    def _execute(
        self, pairs: list[CheckedPair], problems: list[Problem], job: ChunkJob
    ) -> _Executed:
        """Execute all chunks; images that cannot be decoded after all are excluded if allowed."""
        computed: set[Chunk] = set()
        while True:
            chunks = split(pairs)
            unreadable, new = self._execute_once(chunks, job)
            computed |= new
            if not unreadable:
                reused = len(chunks) - len(computed.intersection(chunks))
                self.progress.say(f"{len(chunks) - reused} chunks computed, {reused} reused")
                return _Executed(pairs, problems, chunks, reused)
            bad = {problem.name for problem in unreadable}
            pairs = [pair for pair in pairs if not bad.intersection(_paths(pair))]
            problems = [*problems, *unreadable]
            self._check(pairs, problems)

    def _execute_once(
        self, chunks: Sequence[Chunk], job: ChunkJob
    ) -> tuple[list[Problem], set[Chunk]]:
        """Return the images that could not be decoded, and the chunks that were computed."""
        self.progress.stage("Scoring chunks", len(chunks))
        unreadable: set[Problem] = set()
        computed = set()
        for done, (chunk, outcome) in enumerate(self.executor.run(job, chunks), start=1):
            if isinstance(outcome, UnreadableError):
                unreadable.update(outcome.problems)
            elif isinstance(outcome, Exception):
                raise outcome
            elif not outcome:
                computed.add(chunk)
            self.progress.advance(done)
        return sorted(unreadable, key=lambda problem: problem.name), computed

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
            device=self._device_name(),
            precision=fingerprint.PRECISION,
        )

    def _relative(self, name: str) -> str:
        """Return a file's side and its name below its folder; where that lay is left out."""
        folders = self.folders
        sides = {
            "generated": folders.generated,
            "ground_truth": folders.ground_truth,
            "source": folders.source,
        }
        for side, root in sides.items():
            if root is not None and Path(name).is_relative_to(root):
                return f"{side}/{Path(name).relative_to(root).as_posix()}"
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
    remove_leftovers(out)
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
