"""One run: match, survey, compute, reduce; a result for each of its protocols."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.common import fingerprint
from fhpt_eval.common.files import check_writable, keep_apart, remove_leftovers
from fhpt_eval.common.machine import choose_device, full_precision, precision
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError, ResultError, StorageError, UnavailableError
from fhpt_eval.evaluation import tasks
from fhpt_eval.evaluation.compute.chunk import Job
from fhpt_eval.evaluation.executors import Executor, open_executor
from fhpt_eval.evaluation.reduce.reduce import full_name
from fhpt_eval.evaluation.reduce.scoring import unavailable
from fhpt_eval.evaluation.request import Request, loaded_protocols
from fhpt_eval.evaluation.store.store import FolderStore, MemoryStore, SharedStore, Store
from fhpt_eval.evaluation.survey.checks import survey
from fhpt_eval.evaluation.survey.chunks import CheckedPair
from fhpt_eval.evaluation.survey.doubts import doubts_of, noted
from fhpt_eval.evaluation.survey.needs import lack_of, sides_there
from fhpt_eval.evaluation.survey.problems import LISTED, refuse
from fhpt_eval.evaluation.survey.shapes import panels_of
from fhpt_eval.evaluation.tasks import Planned
from fhpt_eval.evaluation.work import Scored, Work
from fhpt_eval.images.files import ImageRef
from fhpt_eval.images.listing import counted
from fhpt_eval.images.preparation import Step
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders, Matching, Problem
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.protocol.standing import standing
from fhpt_eval.result import (
    FILES,
    MAX_NAME,
    Excluded,
    FileRow,
    FileTable,
    PairTable,
    ProtocolRecord,
    Provenance,
    Result,
    Score,
    TestSet,
    Timing,
    is_method_name,
    set_aside,
)


def evaluate_request(request: Request) -> list[Result]:
    """Do what a request asks for: a result for each of its protocols, in their order."""
    return prepare(request).results()


@dataclass(frozen=True)
class Prepared:
    """A run of which everything is checked and loaded, and nothing computed yet."""

    run: Run
    ready: list[Ready]
    work: Work
    doubts: Mapping[str, str]
    seconds: float

    def results(self) -> list[Result]:
        """Compute; a result for each protocol, in their order, written where it goes."""
        start = time.monotonic()
        run, work = self.run, self.work
        with full_precision():
            work.compute(run.check)
            reused = work.chunks - work.computed
            run.progress.say(f"{work.computed} chunks computed, {reused} reused")
            scored = work.scored()
            timing = Timing(
                seconds=round(self.seconds + time.monotonic() - start, 3),
                finished=datetime.now(UTC).isoformat(timespec="seconds"),
                workers=run.executor.workers,
                chunks=work.chunks,
                chunks_reused=reused,
            )
            return [run.result(each, scored, work, timing, self.doubts) for each in self.ready]


def method_of(request: Request) -> str:
    """Return the method's name: its folder's, unless it has another."""
    return request.name or Path(os.path.realpath(request.pred)).name


def prepare(request: Request) -> Prepared:
    """Check all that can be checked before any work: names, images, needs, weights.

    A result that lies where this run's will go is set aside.

    Raises:
        InputError: something given is wrong.
        UnavailableError: a metric that was named lacks something, or all do.
        StorageError: a folder of results cannot be written.
    """
    start = time.monotonic()
    run = Run.of(request)
    pairs, problems = run.survey()
    ready = [run.available(scoring, pairs) for scoring in run.scorings]
    job = Job(run.device, run.store(ready), run.feature_cache())
    return run.prepared(ready, job, pairs, problems, start)


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
class Ready:
    """A scoring, with the metrics that can be computed and, with reasons, those that cannot."""

    scoring: Scoring
    planned: list[Planned]
    lacking: list[tuple[Entry, str]]

    @property
    def addresses(self) -> frozenset[str]:
        """The tasks whose partials its folder keeps."""
        addresses = [planned.addresses for planned in self.planned]
        return frozenset({tasks.PixelDigests.plan().address}.union(*addresses))


@dataclass(frozen=True)
class Run:
    """A request on which everything is settled that needs no image."""

    request: Request
    method: str
    folders: Folders
    matching: Matching
    scorings: tuple[Scoring, ...]
    device: str
    executor: Executor
    progress: Progress

    @classmethod
    def of(cls, request: Request) -> Run:
        """Load protocols, match pairs by name, and claim the folders of results."""
        progress = request.progress or Progress()
        method = method_of(request)
        if not is_method_name(method):
            raise InputError(
                f"--name: a method's name has 1 to {MAX_NAME} printable characters, no slash, and "
                "is not made of dots."
            )
        protocols = loaded_protocols(request)
        scorings = scorings_of(protocols, request)
        cut = request.cut(None if request.panels or request.grid else _panels(protocols))
        of_strips = request.pred if request.gt_panel else None
        folders = Folders(request.pred, request.gt or of_strips, request.source, cut)
        device, executor = (
            choose_device(request.device),
            open_executor(request.executor, request.workers),
        )
        for scoring in scorings:
            if scoring.out is not None:
                keep_apart(scoring.out, request.given())
                claim(scoring.out)
                give_way(scoring.out, method)
        for protocol in protocols:
            protocol.canonical()  # reads what it names: a wrong path shows before any work
        matching = _match(request, folders, progress)
        for scoring in scorings:
            if scoring.out is not None:
                check_writable(scoring.out)
                (scoring.out / LISTED).unlink(missing_ok=True)  # of an earlier, refused run
                remove_leftovers(scoring.out / LISTED.parent)
        return cls(request, method, folders, matching, scorings, device, executor, progress)

    def prepared(
        self,
        ready: Sequence[Ready],
        job: Job,
        pairs: list[CheckedPair],
        problems: list[Problem],
        start: float,
        samples: Sequence[CheckedPair] | None = None,
    ) -> Prepared:
        """Load what metrics compute with, and say what makes their numbers doubtful.

        ``start`` is what the monotonic clock showed when the run began; ``samples`` are pairs that
        may be looked at, by default all.
        """
        planned = [planned for each in ready for planned in each.planned]
        expected = self.matching.expected
        work = Work(planned, job, self.executor, self.progress, pairs, problems, expected)
        faults = work.load()
        ready = [self.without(each, faults) for each in ready]
        entries = (p.entry for each in ready for p in each.planned)
        doubts = doubts_of(entries, pairs if samples is None else samples)
        for reason in dict.fromkeys(doubts.values()):
            names = ", ".join(name for name, doubt in doubts.items() if doubt == reason)
            self.progress.say(f"Warning: {names}: {reason}")
        return Prepared(self, ready, work, doubts, time.monotonic() - start)

    def survey(self) -> tuple[list[CheckedPair], list[Problem]]:
        """Check every image; refuse the run if something is wrong that was not allowed."""
        entries = [entry for scoring in self.scorings for entry in scoring.entries]
        preparations, alone = self.preparations()
        pairs, unusable = survey(
            self.matching,
            preparations,
            self.executor.workers,
            self.progress,
            alone,
            cut=self.folders.cut,
            with_source=any("source" in e.metric.uses() | e.metric.may_use() for e in entries),
        )
        problems = [*self.matching.problems, *unusable]
        self.check(pairs, problems)
        for assumption in self.assumptions(pairs):
            self.progress.say(assumption)
        return pairs, problems

    def check(self, pairs: Sequence[CheckedPair], problems: Sequence[Problem]) -> None:
        """Refuse the run if something is wrong that was not allowed, or nothing is left."""
        out = self.scorings[0].out
        if problems and not self.request.allow_missing:
            refuse(problems, out)
        if not pairs:
            refuse(problems, out, "No pair is left to score.")

    def assumptions(self, pairs: Sequence[CheckedPair]) -> tuple[str, ...]:
        """Say, in a line each, what was taken for granted of the files."""
        panels = panels_of(pairs, self.folders.cut) if self.folders.cut else ""
        return tuple(filter(None, (panels, *self._passed_over())))

    def _passed_over(self) -> list[str]:
        flags = {"generated": "--pred", "ground_truth": "--gt", "source": "--source"}
        return [
            f"Passed over in {flags[side]}: {counted(kinds)}"
            for side, kinds in self.matching.passed_over.items()
        ]

    def preparations(self) -> tuple[dict[tuple[Step, ...], str], set[tuple[Step, ...]]]:
        """Return the different preparations, and those under which no pixels are compared.

        With the protocols' names where there are several.
        """
        entries = [entry for scoring in self.scorings for entry in scoring.entries]
        protocols: dict[tuple[Step, ...], list[str]] = {}
        for scoring in self.scorings:
            for steps in dict.fromkeys(entry.steps for entry in scoring.entries):
                protocols.setdefault(steps, []).append(scoring.protocol.id)
        alone = set(protocols) - {entry.steps for entry in entries if entry.compares_pixels}
        if len(self.scorings) == 1:
            return dict.fromkeys(protocols, ""), alone
        several = {steps: f" (protocol {', '.join(ids)})" for steps, ids in protocols.items()}
        return several, alone

    def available(self, scoring: Scoring, pairs: Sequence[CheckedPair]) -> Ready:
        """Part the metrics into those whose needs are met, and those that lack something.

        Raises:
            UnavailableError: no metric can be computed, or one that was named cannot.
        """
        device = fingerprint.device_name(self.device)
        lacks = {entry.name: lack_of(entry, pairs) for entry in scoring.entries}
        planned = [
            Planned.plan(entry, device, sides_there(entry.steps, pairs))
            for entry in scoring.entries
            if not lacks[entry.name]
        ]
        lacking = [(entry, lacks[entry.name]) for entry in scoring.entries if lacks[entry.name]]
        self.tell(scoring, planned, lacking)
        return Ready(scoring, planned, lacking)

    def without(self, ready: Ready, faults: Mapping[str, str]) -> Ready:
        """Move the metrics that cannot be loaded, by address, to those that lack something.

        Raises:
            UnavailableError: no metric can be computed, or one that was named cannot.
        """
        faulty = [(p.entry, faults[p.address]) for p in ready.planned if p.address in faults]
        planned = [p for p in ready.planned if p.address not in faults]
        self.tell(ready.scoring, planned, faulty)
        return Ready(ready.scoring, planned, [*ready.lacking, *faulty])

    def tell(
        self, scoring: Scoring, planned: Sequence[Planned], lacking: Sequence[tuple[Entry, str]]
    ) -> None:
        """Say which metrics are unavailable and why; refuse the run if that is too much."""
        named = [
            (entry, reason)
            for entry, reason in lacking
            if entry.name in scoring.asked and not self._goes_without(entry)
        ]
        under = f" under protocol {scoring.protocol.id}" if len(self.scorings) > 1 else ""
        if named or not planned:
            reasons = "; ".join(f"{entry.name} {reason}" for entry, reason in named or lacking)
            raise UnavailableError(f"Cannot be computed{under}: {reasons}. Nothing was scored.")
        for reason in dict.fromkeys(reason for _, reason in lacking):
            names = ", ".join(entry.name for entry, lack in lacking if lack == reason)
            self.progress.say(f"Unavailable{under}: {names}: {reason}")

    def _goes_without(self, entry: Entry) -> bool:
        """Whether a metric lacks the ground truth that the user chose to leave out."""
        return self.folders.ground_truth is None and "ground_truth" in entry.metric.uses()

    def store(self, ready: Sequence[Ready]) -> Store:
        """Return where partials go: to the folder of each protocol that they serve."""
        stores: list[tuple[Store, frozenset[str]]] = []
        for each in ready:
            out = each.scoring.out
            folder = FolderStore(out / "partials") if out is not None else MemoryStore()
            stores.append((folder, each.addresses))
        return stores[0][0] if len(stores) == 1 else SharedStore(stores)

    def feature_cache(self) -> Store:
        """Return where features of ground truth are kept; a cache is never worth a failure."""
        cache = self.request.cache
        if cache is None:
            return MemoryStore()
        try:
            check_writable(cache)
        except StorageError as error:
            self.progress.say(f"Features of ground truth are not kept for other methods: {error}")
            return MemoryStore()
        return FolderStore(cache)

    def result(
        self,
        ready: Ready,
        scored: Scored,
        work: Work,
        timing: Timing,
        doubts: Mapping[str, str],
    ) -> Result:
        """Put a protocol's result together, and write it where it goes."""
        scoring, protocol = ready.scoring, ready.scoring.protocol
        scores: dict[str, Score] = {}
        columns: dict[str, NDArray[np.float64]] = {}
        for planned in ready.planned:
            own_scores, own_columns = scored.metrics[planned.address]
            scores |= noted(own_scores, doubts.get(planned.entry.name, ""))
            columns |= own_columns
        for entry, reason in ready.lacking:
            scores |= unavailable(entry, reason)
        order = [full_name(e, part) for e in scoring.entries for part in e.metric.parts()]
        result = Result(
            method=self.method,
            protocol=ProtocolRecord(
                id=protocol.id,
                digest=protocol.digest,
                settings=protocol.canonical(),
                standing=standing(
                    protocol,
                    [planned.entry for planned in ready.planned],
                    [pair.sizes[0] for pair in work.pairs],
                    [doubts[p.entry.name] for p in ready.planned if p.entry.name in doubts],
                ),
            ),
            test_set=TestSet(digest=scored.test_set_digest, pairs=len(scored.keys)),
            scores={name: scores[name] for name in order if name in scores},
            provenance=self._provenance(ready, scored, work),
            timing=timing,
        ).with_pairs(PairTable(scored.keys, columns), self._files(work))
        if scoring.out is not None:
            result.save(scoring.out)
        return result

    def _provenance(self, ready: Ready, scored: Scored, work: Work) -> Provenance:
        entries = [planned.entry for planned in ready.planned]
        excluded = [
            Excluded(kind=p.kind, name=self._relative(p.name), reason=p.reason)
            for p in work.problems
        ]
        return Provenance(
            generated_digest=scored.generated_digest,
            matching=self.matching.rule,
            example=self.matching.example,
            groups=len(set(work.groups)),
            assumptions=(*self.matching.notes, *self.assumptions(work.pairs)),
            passed_over={s: dict(kinds) for s, kinds in self.matching.passed_over.items()},
            excluded=tuple(sorted(excluded, key=lambda each: (each.kind, each.name))),
            software=tasks.software(entries),
            code=tasks.code(entries),
            weights={k: v for entry in entries for k, v in entry.metric.weights().items()},
            device=fingerprint.device_name(self.device),
            precision=precision(),
        )

    def _files(self, work: Work) -> FileTable:
        """Return which files the pairs are of, each by its name below its side's folder."""
        folders = self.folders
        rows = []
        for checked, group in zip(work.pairs, work.groups, strict=True):
            pair = checked.pair
            if pair.source is not None:
                source = _below(pair.source, folders.source)
            else:  # a panel of another side's file
                roots = (folders.ground_truth, folders.generated)
                image = checked.source.ref if checked.source else None
                source = next(filter(None, (_below(image, root) for root in roots)), "")
            rows.append(
                FileRow(
                    pair.key,
                    _below(pair.generated, folders.generated),
                    _below(pair.ground_truth, folders.ground_truth),
                    source,
                    pair.item or "",
                    group,
                )
            )
        return FileTable(tuple(rows))

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


def _below(ref: ImageRef | None, root: Path | None) -> str:
    """Return the name of a file below a folder; "" for none, or if it lies elsewhere."""
    if ref is None or root is None or not ref.path.is_relative_to(root):
        return ""
    return ref.path.relative_to(root).as_posix()


def scorings_of(protocols: Sequence[Protocol], request: Request) -> tuple[Scoring, ...]:
    """Say for each protocol which metrics are computed, and where its result goes."""
    outs: Sequence[Path | None] = request.outs or [None] * len(protocols)
    scorings = []
    for protocol, out in zip(protocols, outs, strict=True):
        asked = frozenset(protocol.with_metrics(request.metrics or ())[1])
        entries = tuple(e for e in protocol.entries if not asked or e.name in asked)
        scorings.append(Scoring(protocol, entries, asked, out))
    return tuple(scorings)


def _panels(protocols: Sequence[Protocol]) -> int | None:
    """Return the number of panels that the protocols say results have.

    Raises:
        InputError: they do not agree.
    """
    panels = {protocol.panels for protocol in protocols}
    if len(panels) > 1:
        names = ", ".join(f"{each.id}: {each.panels or 'no strips'}" for each in protocols)
        raise InputError(f"The protocols differ in the number of panels ({names}). Give --panels.")
    return panels.pop()


def _match(request: Request, folders: Folders, progress: Progress) -> Matching:
    """Match the pairs, and say how."""
    matching = match_pairs(folders, rule=request.match, pairs=request.pairs)
    progress.say(matching.describe())
    cut = folders.cut
    if folders.ground_truth is None and cut is not None and cut.ground_truth is not None:
        progress.say(
            f"The field's {cut.label} hold their ground truth: --gt-panel {cut.ground_truth} "
            "compares with it"
        )
    return matching


def claim(out: Path) -> None:
    """Make sure that a folder holds no files but those of a result under the names of ours.

    Raises:
        InputError: it holds files of somebody else that a result's would replace.
    """
    foreign = [name for name in FILES if os.path.lexists(out / name)]
    if foreign and "result.json" not in foreign and not (out / LISTED.parent).is_dir():
        raise InputError(
            f"--out {out} holds {foreign[0]}, which no run wrote and a result's would replace. "
            "Choose another folder, or rename it."
        )


def give_way(out: Path, method: str) -> None:
    """Set a folder's earlier result aside, if it is of this method.

    Raises:
        InputError: it is another method's; it stays.
        StorageError: it cannot be renamed.
    """
    if (out / "result.json").exists():
        try:
            present = Result.load(out / "result.json").method
        except ResultError:
            present = method  # a damaged or older result is no loss
        if present != method:
            raise InputError(
                f"--out {out} holds the result of '{present}', not of '{method}'. Choose another "
                f"folder, or give --name {present} if it is the same method."
            )
        set_aside(out)
