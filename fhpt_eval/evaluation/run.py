"""One run: match, survey, compute, reduce; a result for each of its protocols."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.common import fingerprint
from fhpt_eval.common.files import check_writable, keep_apart, remove_leftovers
from fhpt_eval.common.machine import choose_device
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
from fhpt_eval.evaluation.survey.needs import lack_of
from fhpt_eval.evaluation.survey.problems import LISTED, refuse
from fhpt_eval.evaluation.tasks import Planned
from fhpt_eval.evaluation.work import Scored, Work
from fhpt_eval.images.preparation import Step
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders, Matching, Problem
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import (
    MAX_NAME,
    Excluded,
    PairTable,
    ProtocolRecord,
    Provenance,
    Result,
    Score,
    TestSet,
    Timing,
    is_method_name,
)


def evaluate_request(request: Request) -> list[Result]:
    """Do what a request asks for: a result for each of its protocols, in their order."""
    start = time.monotonic()
    run = Run.of(request)
    pairs, problems = run.survey()
    ready = [run.available(scoring, pairs) for scoring in run.scorings]
    job = Job(run.device, run.store(ready), run.feature_cache())
    planned = [planned for each in ready for planned in each.planned]
    expected = run.matching.expected
    work = Work(planned, job, run.executor, run.progress, pairs, problems, expected)
    faults = work.load()
    ready = [run.without(each, faults) for each in ready]
    work.compute(run.check)
    run.progress.say(f"{work.computed} chunks computed, {work.chunks - work.computed} reused")
    scored = work.scored()
    timing = Timing(
        seconds=round(time.monotonic() - start, 3),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        workers=run.executor.workers,
        chunks=work.chunks,
        chunks_reused=work.chunks - work.computed,
    )
    return [run.result(each, scored, work, timing) for each in ready]


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
        method = request.name or Path(os.path.realpath(request.pred)).name
        if not is_method_name(method):
            raise InputError(
                f"--name: a method's name has 1 to {MAX_NAME} printable characters, no slash, and "
                "is not made of dots."
            )
        protocols = loaded_protocols(request)
        scorings = _scorings(protocols, request)
        panels = request.panels or _panels(protocols)
        folders = Folders(request.pred, request.gt, request.source, panels, request.panel)
        device, executor = (
            choose_device(request.device),
            open_executor(request.executor, request.workers),
        )
        for protocol in protocols:
            protocol.canonical()  # reads what it names: a wrong path shows before any work
        matching = _match(request, folders, scorings, progress)
        for scoring in scorings:
            if scoring.out is not None:
                keep_apart(scoring.out, request.given())
                claim(scoring.out, method)
        return cls(request, method, folders, matching, scorings, device, executor, progress)

    def survey(self) -> tuple[list[CheckedPair], list[Problem]]:
        """Check every image; refuse the run if something is wrong that was not allowed."""
        entries = [entry for scoring in self.scorings for entry in scoring.entries]
        preparations = self._preparations()
        alone = set(preparations) - {entry.steps for entry in entries if entry.compares_pixels}
        pairs, unusable = survey(
            self.matching, preparations, self.executor.workers, self.progress, alone
        )
        problems = [*self.matching.problems, *unusable]
        self.check(pairs, problems)
        return pairs, problems

    def check(self, pairs: Sequence[CheckedPair], problems: Sequence[Problem]) -> None:
        """Refuse the run if something is wrong that was not allowed, or nothing is left."""
        out = self.scorings[0].out
        if problems and not self.request.allow_missing:
            refuse(problems, out)
        if not pairs:
            refuse(problems, out, "No pair is left to score.")

    def _preparations(self) -> dict[tuple[Step, ...], str]:
        """Return the different preparations, with the protocols' names where there are several."""
        protocols: dict[tuple[Step, ...], list[str]] = {}
        for scoring in self.scorings:
            for steps in dict.fromkeys(entry.steps for entry in scoring.entries):
                protocols.setdefault(steps, []).append(scoring.protocol.id)
        if len(self.scorings) == 1:
            return dict.fromkeys(protocols, "")
        return {steps: f" (protocol {', '.join(ids)})" for steps, ids in protocols.items()}

    def available(self, scoring: Scoring, pairs: Sequence[CheckedPair]) -> Ready:
        """Part the metrics into those whose needs are met, and those that lack something.

        Raises:
            UnavailableError: no metric can be computed, or one that was named cannot.
        """
        device = fingerprint.device_name(self.device)
        lacks = {entry.name: lack_of(entry, pairs) for entry in scoring.entries}
        planned = [Planned.plan(e, device) for e in scoring.entries if not lacks[e.name]]
        lacking = [(entry, lacks[entry.name]) for entry in scoring.entries if lacks[entry.name]]
        self._tell(scoring, planned, lacking)
        return Ready(scoring, planned, lacking)

    def without(self, ready: Ready, faults: Mapping[str, str]) -> Ready:
        """Move the metrics that cannot be loaded, by address, to those that lack something.

        Raises:
            UnavailableError: no metric can be computed, or one that was named cannot.
        """
        faulty = [(p.entry, faults[p.address]) for p in ready.planned if p.address in faults]
        planned = [p for p in ready.planned if p.address not in faults]
        self._tell(ready.scoring, planned, faulty)
        return Ready(ready.scoring, planned, [*ready.lacking, *faulty])

    def _tell(
        self, scoring: Scoring, planned: Sequence[Planned], lacking: Sequence[tuple[Entry, str]]
    ) -> None:
        """Say which metrics are unavailable and why; refuse the run if that is too much."""
        named = [(entry, reason) for entry, reason in lacking if entry.name in scoring.asked]
        under = f" under protocol {scoring.protocol.id}" if len(self.scorings) > 1 else ""
        if named or not planned:
            reasons = "; ".join(f"{entry.name} {reason}" for entry, reason in named or lacking)
            raise UnavailableError(f"Cannot be computed{under}: {reasons}. Nothing was scored.")
        for reason in dict.fromkeys(reason for _, reason in lacking):
            names = ", ".join(entry.name for entry, lack in lacking if lack == reason)
            self.progress.say(f"Unavailable{under}: {names}: {reason}")

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

    def result(self, ready: Ready, scored: Scored, work: Work, timing: Timing) -> Result:
        """Put a protocol's result together, and write it where it goes."""
        scoring, protocol = ready.scoring, ready.scoring.protocol
        scores: dict[str, Score] = {}
        columns: dict[str, NDArray[np.float64]] = {}
        for planned in ready.planned:
            own_scores, own_columns = scored.metrics[planned.address]
            scores |= own_scores
            columns |= own_columns
        for entry, reason in ready.lacking:
            scores |= unavailable(entry, reason)
        order = [full_name(e, part) for e in scoring.entries for part in e.metric.parts()]
        result = Result(
            method=self.method,
            protocol=ProtocolRecord(
                id=protocol.id, digest=protocol.digest, settings=protocol.canonical()
            ),
            test_set=TestSet(digest=scored.test_set_digest, pairs=len(scored.keys)),
            scores={name: scores[name] for name in order if name in scores},
            provenance=self._provenance(ready, scored, work),
            timing=timing,
        ).with_pairs(PairTable(scored.keys, columns))
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
            groups=len(set(work.groups)),
            excluded=tuple(sorted(excluded, key=lambda each: (each.kind, each.name))),
            software=tasks.software(entries),
            code=tasks.code(entries),
            weights={k: v for entry in entries for k, v in entry.metric.weights().items()},
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


def _scorings(protocols: Sequence[Protocol], request: Request) -> tuple[Scoring, ...]:
    """Say for each protocol which metrics are computed, and where its result goes."""
    outs: Sequence[Path | None] = request.outs or [None] * len(protocols)
    asked = frozenset(request.metrics or ())
    chosen = [tuple(e for e in p.entries if not asked or e.name in asked) for p in protocols]
    return tuple(
        Scoring(protocol, entries, asked, out)
        for protocol, entries, out in zip(protocols, chosen, outs, strict=True)
    )


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


def _match(
    request: Request, folders: Folders, scorings: Sequence[Scoring], progress: Progress
) -> Matching:
    """Match the pairs; source images are looked at only if a metric needs them."""
    matching = match_pairs(folders, rule=request.match, pairs_csv=request.pairs)
    progress.say(matching.describe())
    if folders.is_one_folder and not folders.is_strip_only:
        progress.say(
            "Note: --pred and --gt are one folder, so each image is compared with itself "
            "(for strips that hold their ground truth give --panels)"
        )
    if any("source" in e.metric.uses() for scoring in scorings for e in scoring.entries):
        return matching
    return replace(matching, pairs=tuple(replace(p, source=None) for p in matching.pairs))


def claim(out: Path, method: str) -> None:
    """Make sure that a folder can be written, and holds no files but those of this method's result.

    Raises:
        StorageError: it cannot be written.
        InputError: it holds another method's result, or files of somebody else that a result's
            would replace.
    """
    check_writable(out)
    partials = out / LISTED.parent
    foreign = [name for name in Result.FILES if (out / name).exists()]
    if foreign and "result.json" not in foreign and not partials.is_dir():
        raise InputError(
            f"--out {out} holds {foreign[0]}, which no run wrote and a result's would replace. "
            "Choose another folder, or rename it."
        )
    (out / LISTED).unlink(missing_ok=True)  # what an earlier, refused run listed
    remove_leftovers(partials)
    if (out / "result.json").exists():
        try:
            present = Result.load(out / "result.json").method
        except ResultError:
            return  # a damaged or older result is no loss
        if present != method:
            raise InputError(
                f"--out {out} holds the result of '{present}', not of '{method}'. Choose another "
                f"folder, or give --name {present} if it is the same method."
            )
