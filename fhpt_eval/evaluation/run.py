"""One run: match, check, plan, execute; then, for each of its protocols, reduce."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fhpt_eval.common.files import check_writable, remove_leftovers
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import (
    InputError,
    ResultError,
    StorageError,
    UnavailableError,
    WeightsError,
)
from fhpt_eval.evaluation import fingerprint
from fhpt_eval.evaluation.chunk import names_of
from fhpt_eval.evaluation.executors import Executor
from fhpt_eval.evaluation.job import ending
from fhpt_eval.evaluation.plan import CheckedPair, survey
from fhpt_eval.evaluation.problems import refuse
from fhpt_eval.evaluation.reduce import Addressed, Reduced, full_name
from fhpt_eval.evaluation.scoring import scores, table, unavailable
from fhpt_eval.evaluation.store import FolderStore, MemoryStore, SharedStore, Store
from fhpt_eval.evaluation.threads import one_thread
from fhpt_eval.evaluation.work import Done, Work, Worker, add_up
from fhpt_eval.images.preparation import Step, prepared_size
from fhpt_eval.pairs.groups import groups_of
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders, Matching, Problem
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Excluded, ProtocolRecord, Provenance, Result, Score, TestSet, Timing


@dataclass(frozen=True)
class Scoring:
    """One protocol of a run: which of its metrics are computed, and where the result goes.

    ``asked`` are the names of metrics that the user named.
    """

    protocol: Protocol
    entries: tuple[Entry, ...]
    asked: frozenset[str]
    out: Path | None


@dataclass(frozen=True)
class _Ready:
    """A scoring, with the metrics that can be computed and, with reasons, those that cannot."""

    scoring: Scoring
    available: list[Addressed]
    unavailable: list[tuple[Entry, str]]

    def wanted(self) -> frozenset[str]:
        """Return the endings of the addresses of what its metrics take from chunks."""
        return frozenset(ending(address) for one in self.available for address in one.yields())


@dataclass(frozen=True)
class Run:
    """One evaluation, from folders to a result for each protocol; see :func:`evaluate_many`."""

    folders: Folders
    match: str
    pairs_csv: Path | None
    scorings: tuple[Scoring, ...]
    method: str
    cache: Path | None
    device: str
    executor: Executor
    allow_missing: bool
    progress: Progress

    def go(self) -> list[Result]:
        """Run, and write each result where its scoring says so."""
        start = time.monotonic()
        for scoring in self.scorings:
            scoring.protocol.canonical()  # reads what it names: a wrong path shows before any work
        matching = self._match()
        for scoring in self.scorings:
            if scoring.out is not None:
                claim(scoring.out, self.method)
        workers, progress = self.executor.workers, self.progress
        preparations = self._preparations()
        entries = [entry for scoring in self.scorings for entry in scoring.entries]
        alone = set(preparations) - {entry.steps for entry in entries if entry.compares_pixels}
        pairs, found = survey(matching, preparations, workers, progress, alone)
        problems = [*matching.problems, *found]
        self._check(pairs, problems)
        ready = [self._availability(scoring, pairs) for scoring in self.scorings]
        available = [one for some in ready for one in some.available]
        stores = (self._store(ready), self._feature_cache())
        work = Work.plan(available, self.device, stores, self.executor, progress)
        done = Worker(work, self.executor, progress).go(pairs, problems, self._check)
        chunks, reused = done.count(work)
        progress.say(f"{chunks - reused} chunks computed, {reused} reused")
        results = []
        for one in ready:
            with one_thread():
                reduced = add_up(done, work, one.available)
            timing = Timing(
                seconds=round(time.monotonic() - start, 3),
                finished=datetime.now(UTC).isoformat(timespec="seconds"),
                workers=workers,
                chunks=chunks,
                chunks_reused=reused,
            )
            results.append(self._result(one, reduced, done, matching, timing))
        return results

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
        if any("source" in e.metric.uses() for scoring in self.scorings for e in scoring.entries):
            return matching
        return replace(matching, pairs=tuple(replace(p, source=None) for p in matching.pairs))

    def _check(self, pairs: Sequence[CheckedPair], problems: Sequence[Problem]) -> None:
        """Refuse the run if something is wrong that was not allowed, or nothing is left."""
        out = self.scorings[0].out
        if problems and not self.allow_missing:
            refuse(problems, out)
        if not pairs:
            refuse(problems, out, "No pair is left to score.")

    def _preparations(self) -> dict[tuple[Step, ...], str]:
        """Return the different preparations, with the protocols' names where there are several."""
        whose: dict[tuple[Step, ...], list[str]] = {}
        for scoring in self.scorings:
            for steps in dict.fromkeys(entry.steps for entry in scoring.entries):
                whose.setdefault(steps, []).append(scoring.protocol.id)
        if len(self.scorings) == 1:
            return dict.fromkeys(whose, "")
        return {steps: f" (protocol {', '.join(names)})" for steps, names in whose.items()}

    def _availability(self, scoring: Scoring, pairs: Sequence[CheckedPair]) -> _Ready:
        """Part the metrics into those whose needs are met, and those that lack something."""
        device, name = torch.device(self.device), fingerprint.device_name(self.device)
        lacks = {entry.name: _lack(entry, pairs, device) for entry in scoring.entries}
        available = [Addressed.of(one, name) for one in scoring.entries if not lacks[one.name]]
        unavailable = [(one, lacks[one.name]) for one in scoring.entries if lacks[one.name]]
        asked = [pair for pair in unavailable if pair[0].name in scoring.asked]
        under = f" under protocol {scoring.protocol.id}" if len(self.scorings) > 1 else ""
        if asked or not available:
            reasons = "; ".join(f"{entry.name} {reason}" for entry, reason in asked or unavailable)
            raise UnavailableError(f"Cannot be computed{under}: {reasons}. Nothing was scored.")
        for reason in dict.fromkeys(reason for _, reason in unavailable):
            names = ", ".join(entry.name for entry, other in unavailable if other == reason)
            self.progress.say(f"Unavailable{under}: {names}: {reason}")
        return _Ready(scoring, available, unavailable)

    def _store(self, ready: Sequence[_Ready]) -> Store:
        """Return where partials go: to the folder of each protocol that they serve."""
        stores: list[tuple[Store, frozenset[str]]] = []
        for one in ready:
            out = one.scoring.out
            own = FolderStore(out / "partials") if out is not None else MemoryStore()
            stores.append((own, one.wanted()))
        return stores[0][0] if len(stores) == 1 else SharedStore(stores)

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

    def _result(
        self, ready: _Ready, reduced: Reduced, done: Done, matching: Matching, timing: Timing
    ) -> Result:
        """Compute the scores under one protocol, and write its result where it goes."""
        scoring = ready.scoring
        groups = groups_of([pair.pair for pair in done.pairs])
        entries = [one.entry for one in ready.available]
        workers = self.executor.workers
        with one_thread():
            found = scores(reduced, entries, groups, matching.expected, workers)
        for entry, reason in ready.unavailable:
            found |= unavailable(entry, reason)
        protocol = scoring.protocol
        result = Result(
            method=self.method,
            protocol=ProtocolRecord(
                id=protocol.id, digest=protocol.digest, settings=protocol.canonical()
            ),
            test_set=TestSet(digest=reduced.test_set_digest, pairs=len(reduced.keys)),
            scores=_in_order(found, scoring.entries),
            provenance=self._provenance(ready, reduced, done, matching, len(set(groups))),
            timing=timing,
        ).with_pairs(table(reduced))
        if scoring.out is not None:
            result.save(scoring.out)
        return result

    def _provenance(
        self, ready: _Ready, reduced: Reduced, done: Done, matching: Matching, groups: int
    ) -> Provenance:
        weights = {k: v for one in ready.available for k, v in one.entry.metric.weights().items()}
        excluded = [
            Excluded(kind=p.kind, name=self._relative(p.name), reason=p.reason)
            for p in done.problems
        ]
        return Provenance(
            generated_digest=reduced.generated_digest,
            matching=matching.rule,
            groups=groups,
            excluded=tuple(sorted(excluded, key=lambda one: (one.kind, one.name))),
            software=fingerprint.software(tuple(one.entry for one in ready.available)),
            code=fingerprint.code_digest(),
            weights=weights,
            device=fingerprint.device_name(self.device),
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


def _in_order(found: dict[str, Score], entries: Sequence[Entry]) -> dict[str, Score]:
    """Order scores as the protocol has its metrics."""
    order = [full_name(entry, part) for entry in entries for part in entry.metric.parts()]
    return {name: found[name] for name in order if name in found}


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
    entry.metric.check_preparation([step.canonical() for step in entry.steps])
    names = [names_of(pair) for pair in pairs]
    for at, step in enumerate(entry.steps):
        step.check(names, _sizes(entry.steps[:at], pairs))
    targets = tuple(pair.pair.target_name for pair in pairs)
    entry.metric.check_targets(targets, _sizes(entry.steps, pairs))
    lacking = next(filter(None, (step.lacks() for step in entry.steps)), entry.metric.lacks())
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


def _sizes(steps: tuple[Step, ...], pairs: Sequence[CheckedPair]) -> NDArray[np.int64]:
    """Return height and width of each ground-truth image after some steps."""
    sizes = [
        prepared_size((p.ground_truth.width, p.ground_truth.height), steps, "ground_truth")
        for p in pairs
    ]
    return np.array(sizes, np.int64).reshape(-1, 2)[:, ::-1]
