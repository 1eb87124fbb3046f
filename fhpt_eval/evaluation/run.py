"""One run: match, check, plan, execute, reduce.

May import: everything but cli, leaderboard and report.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fhpt_eval.errors import (
    InputError,
    ResultError,
    StorageError,
    UnavailableError,
    WeightsError,
)
from fhpt_eval.evaluation import fingerprint, scoring
from fhpt_eval.evaluation.executors import Executor
from fhpt_eval.evaluation.plan import CheckedPair, survey
from fhpt_eval.evaluation.problems import refuse
from fhpt_eval.evaluation.progress import Progress
from fhpt_eval.evaluation.reduce import Reduced, full_name
from fhpt_eval.evaluation.store import FolderStore, MemoryStore, Store
from fhpt_eval.evaluation.threads import one_thread
from fhpt_eval.evaluation.work import Work, Worker, add_up
from fhpt_eval.matching import match_pairs
from fhpt_eval.pairs import Folders, Matching, Problem, groups_of
from fhpt_eval.preparation import prepared_size
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Excluded, ProtocolRecord, Provenance, Result, Score, TestSet, Timing
from fhpt_eval.storage import check_writable, remove_leftovers


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
        compared = tuple(dict.fromkeys(e.steps for e in self.entries if e.compares_pixels))
        alone = tuple(dict.fromkeys(e.steps for e in self.entries if not e.compares_pixels))
        pairs, found = survey(matching, compared, self.executor.workers, self.progress, alone)
        problems = [*matching.problems, *found]
        self._check(pairs, problems)
        available, unavailable = self._availability(pairs)
        store: Store = FolderStore(self.out / "partials") if self.out else MemoryStore()
        stores = (store, self._feature_cache())
        work = Work.plan(available, self.device, stores, self.executor, self.progress)
        done = Worker(work, self.executor, self.progress).go(pairs, problems, self._check)
        chunks, reused = done.count(work)
        self.progress.say(f"{chunks - reused} chunks computed, {reused} reused")
        groups = groups_of([pair.pair for pair in done.pairs])
        with one_thread():
            reduced = add_up(done, work)
            scores = scoring.scores(
                reduced, available, groups, matching.expected, self.executor.workers
            )
        for entry, reason in unavailable:
            scores |= scoring.unavailable(entry, reason)
        timing = Timing(
            seconds=round(time.monotonic() - start, 3),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            workers=self.executor.workers,
            chunks=chunks,
            chunks_reused=reused,
        )
        provenance = self._provenance(reduced, available, matching, done.problems, len(set(groups)))
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
        if any("source" in entry.metric.uses() for entry in self.entries):
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
        device = torch.device(self.device)
        lacks = {entry.name: _lack(entry, pairs, device) for entry in self.entries}
        available = [entry for entry in self.entries if not lacks[entry.name]]
        unavailable = [(entry, lacks[entry.name]) for entry in self.entries if lacks[entry.name]]
        asked = [pair for pair in unavailable if pair[0].name in self.asked]
        if asked or not available:
            reasons = "; ".join(f"{entry.name} {reason}" for entry, reason in asked or unavailable)
            raise UnavailableError(f"Cannot be computed: {reasons}. Nothing was scored.")
        for reason in dict.fromkeys(reason for _, reason in unavailable):
            names = ", ".join(entry.name for entry, other in unavailable if other == reason)
            self.progress.say(f"Unavailable: {names}: {reason}")
        return available, unavailable

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

    def _in_order(self, scores: dict[str, Score]) -> dict[str, Score]:
        """Order scores as the protocol has its metrics."""
        order = [full_name(entry, part) for entry in self.entries for part in entry.metric.parts()]
        return {name: scores[name] for name in order if name in scores}

    def _provenance(
        self,
        reduced: Reduced,
        available: Sequence[Entry],
        matching: Matching,
        problems: Sequence[Problem],
        groups: int,
    ) -> Provenance:
        weights = {k: v for entry in available for k, v in entry.metric.weights().items()}
        excluded = [
            Excluded(kind=p.kind, name=self._relative(p.name), reason=p.reason) for p in problems
        ]
        return Provenance(
            generated_digest=reduced.generated_digest,
            matching=matching.rule,
            groups=groups,
            excluded=tuple(sorted(excluded, key=lambda one: (one.kind, one.name))),
            software=fingerprint.software(tuple(available)),
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
        reduced: Reduced,
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
        ).with_pairs(scoring.table(reduced))


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


def _lack(entry: Entry, pairs: Sequence[CheckedPair], device: torch.device) -> str:
    """Say what a metric needs and the run or the machine lacks, or return an empty text."""
    entry.metric.check_preparation([step.model_dump(mode="json") for step in entry.steps])
    entry.metric.check_targets(*_targets(entry, pairs))
    lacking = entry.metric.lacks()
    if lacking:
        return lacking
    without = sum(pair.source is None for pair in pairs)
    if "source" in entry.metric.uses() and without:
        return f"needs source images, and {without:,} of {len(pairs):,} pairs have none (--source)"
    nameless = sum(pair.pair.item is None for pair in pairs)
    if "item" in entry.metric.uses() and nameless:
        return (
            f"needs item ids, and {nameless:,} of {len(pairs):,} pairs have none (names as "
            "DeepFashion has them, or a column 'item' in --pairs)"
        )
    try:
        entry.metric.load(device)
    except WeightsError as error:
        return f"cannot load its weights: {error}"
    return ""


def _targets(
    entry: Entry, pairs: Sequence[CheckedPair]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of the ground-truth images and, once prepared, their heights and widths."""
    sizes = [
        prepared_size((p.ground_truth.width, p.ground_truth.height), entry.steps, "ground_truth")
        for p in pairs
    ]
    return tuple(p.pair.target_name for p in pairs), np.array(sizes, np.int64).reshape(-1, 2)[
        :, ::-1
    ]
