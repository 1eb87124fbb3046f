"""The work of a run: which tasks on which chunks; doing it, and adding it up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter

from fhpt_eval.common.machine import one_thread
from fhpt_eval.common.progress import Progress
from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import InputError, StorageError, WeightsError
from fhpt_eval.evaluation.compute.chunk import Job, Unit, UnreadableError
from fhpt_eval.evaluation.executors import Executor
from fhpt_eval.evaluation.reduce.reduce import Reduced, Rows, full_name, reduce, set_digests
from fhpt_eval.evaluation.reduce.scoring import scores
from fhpt_eval.evaluation.store.partial import Arrays, Partial, address_of
from fhpt_eval.evaluation.survey.checks import images_below
from fhpt_eval.evaluation.survey.chunks import CheckedPair, Chunk, Member, SetImage, split
from fhpt_eval.evaluation.survey.problems import unusable
from fhpt_eval.evaluation.survey.shapes import check_set
from fhpt_eval.evaluation.tasks import PixelDigests, Planned, RowsTask, Task
from fhpt_eval.images.names import canonical
from fhpt_eval.images.preparation import Side
from fhpt_eval.pairs.groups import groups_of
from fhpt_eval.pairs.pair import Problem
from fhpt_eval.result import Score

#: Said when something that was kept a moment ago cannot be read back.
VANISHED = (
    "Finished chunks vanished from the output folder or the cache during the run. Repeat the "
    "command, and let nothing else remove files there."
)

#: A metric's scores by name, and its values of pairs in the order of keys.
MetricScores = tuple[dict[str, Score], dict[str, NDArray[np.float64]]]
#: Refuses a run whose problems are not allowed.
Check = Callable[[Sequence[CheckedPair], Sequence[Problem]], None]

_SCORES = TypeAdapter(dict[str, Score])


@dataclass(frozen=True)
class Scored:
    """What a run's partials give: by the address of a metric its scores and values of pairs."""

    keys: tuple[str, ...]
    generated_digest: str
    test_set_digest: str
    metrics: dict[str, MetricScores]


class Work:
    """What is computed of which chunks, where it is kept, and what became of it.

    ``pairs`` are those that are left and ``problems`` what keeps others out.
    """

    def __init__(
        self,
        planned: Iterable[Planned],
        job: Job,
        executor: Executor,
        progress: Progress,
        pairs: list[CheckedPair],
        problems: list[Problem],
        expected: int,
    ) -> None:
        """Plan everything, and check the images of reference folders.

        Args:
            planned: the metrics.
            job: what an executor runs, with the stores.
            executor: runs it.
            progress: is told what goes on.
            pairs: those that passed every check, sorted by key.
            problems: what keeps others out.
            expected: the number of pairs that the test set has.

        Raises:
            InputError: a reference folder, or an image in it, cannot be used.
            PairingError: most images in it differ in shape from the generated ones.
        """
        self.problems = problems
        self._planned = {each.address: each for each in planned}
        self._job = job
        self._executor = executor
        self._progress = progress
        self._expected = expected
        self._computed: set[str] = set()
        self._references: dict[Path, tuple[Chunk, ...]] = {}
        self._read: dict[str, MetricScores] = {}
        for root, metrics in self._roots(self._planned.values()).items():
            steps = {each.entry.steps for each in metrics}
            images = images_below(root, steps, executor.workers, progress)
            check_set(str(root), images, pairs, steps)
            self._references[root] = split(_with_items(images, pairs))
        self._take(pairs)

    def _take(self, pairs: list[CheckedPair]) -> None:
        """Take the pairs that are left."""
        self.pairs = pairs
        self.groups = groups_of([pair.pair for pair in pairs])
        self._chunks = split(pairs)
        known = [
            (*pair.identity, pair.pair.target_name, pair.pair.source_name, pair.pair.item, group)
            for pair, group in zip(pairs, self.groups, strict=True)
        ]
        self._content = digest_of({"pairs": known, "expected": self._expected})

    @property
    def chunks(self) -> int:
        """The number of chunks."""
        return len({unit.chunk.content for unit in self._units(self._planned.values(), False)})

    @property
    def computed(self) -> int:
        """The number of chunks of which anything had to be computed."""
        return len(self._computed)

    def load(self) -> dict[str, str]:
        """Load what metrics compute with, so that a fault shows before any work.

        Those whose scores are kept load nothing. Those that cannot are dropped; returns their
        addresses, with the reasons.
        """
        faults = {}
        for each in self._lacking():
            try:
                each.entry.metric.load(torch.device(self._job.device))
            except WeightsError as error:
                faults[each.address] = f"cannot load its weights: {error}"
                del self._planned[each.address]
        return faults

    def compute(self, check: Check) -> None:
        """Compute what no store has, as often as it takes until nothing unreadable is left.

        Raises:
            InputError: a reference image cannot be decoded.
            PairingError: from ``check``, where problems are not allowed.
            MetricError: a metric failed; finished chunks are kept.
        """
        while True:
            unreadable = self._run(self._units(self._lacking(), self._digests() is None))
            if not unreadable:
                return
            names = {problem.name for problem in unreadable}
            for root, chunks in self._references.items():
                if names & _paths(member for chunk in chunks for member in chunk.members):
                    raise InputError(unusable(f"Reference images in {root}", unreadable))
            self._take([pair for pair in self.pairs if not names & _paths([pair])])
            self.problems = [*self.problems, *unreadable]
            check(self.pairs, self.problems)

    def _units(self, planned: Iterable[Planned], with_pixels: bool) -> list[Unit]:
        """Return what is to be computed for some metrics, of pairs and of further images."""
        planned = list(planned)
        of_pairs = _distinct(task for each in planned for task in each.of_pairs)
        of_pairs += (PixelDigests.plan(),) if with_pixels else ()
        of_sources = _distinct(task for each in planned for task in each.of_sources)
        units = [Unit(chunk, of_pairs) for chunk in self._chunks if of_pairs]
        units += [Unit(chunk, of_sources) for chunk in self._source_chunks(planned)]
        for root, metrics in self._roots(planned).items():
            tasks = _distinct(task for each in metrics for task in each.reference.values())
            units += [Unit(chunk, tasks) for chunk in self._references[root]]
        return units

    def _roots(self, planned: Iterable[Planned]) -> dict[Path, list[Planned]]:
        """Return the reference folders of some metrics, with the metrics that want them."""
        roots: dict[Path, list[Planned]] = {}
        for each in planned:
            root = each.entry.metric.reference_folder()
            if root is not None:
                roots.setdefault(root, []).append(each)
        return roots

    def _source_chunks(self, planned: Sequence[Planned]) -> tuple[Chunk, ...]:
        """Return the source images whose rows no ground-truth image of the pairs has already."""
        tasks = {task.address for each in planned for task in each.of_sources}
        of_truth = {
            task.address
            for each in planned
            for task in each.rows.values()
            if task.side == "ground_truth"
        }
        truths = [pair.ground_truth for pair in self.pairs] if tasks <= of_truth else []
        known = {image.identity for image in truths if image is not None}
        images: dict[str, SetImage] = {}
        for pair in self.pairs if tasks else ():
            if pair.source is not None and pair.source.identity not in known:
                name = pair.pair.source_name or pair.source.identity
                image = SetImage(name, pair.source, "source")
                images.setdefault(pair.source.identity, image)
        return split(images.values())

    def _run(self, units: Sequence[Unit]) -> list[Problem]:
        """Compute; return the images that could not be decoded."""
        self._progress.stage("Computing chunks", len(units), "chunks")
        unreadable: set[Problem] = set()
        with closing(self._executor.run(self._job, units)) as outcomes:
            for done, (unit, outcome) in enumerate(outcomes, start=1):
                if isinstance(outcome, UnreadableError):
                    unreadable.update(outcome.problems)
                elif isinstance(outcome, Exception):
                    raise outcome
                elif outcome.computed:
                    self._computed.add(unit.chunk.content)
                    for partial in outcome.partials:
                        self._job.store.save(partial)
                self._progress.advance(done)
        return sorted(unreadable, key=lambda problem: problem.name)

    def scored(self) -> Scored:
        """Add up what was computed, and keep what it gives for when it is asked for again."""
        lacking = self._lacking()
        with one_thread():
            if self._digests() is None:
                digests = set_digests(self._chunks, self._load)
                state = {"digests": np.frombuffer("".join(digests).encode(), np.uint8)}
                task = PixelDigests.plan().address
                self._job.store.save(Partial(task, self._content, (), {}, state))
            for each, reduced in zip(lacking, self.reduced(lacking), strict=True):
                self._job.store.save(self._scored(each, reduced))
        digests_now = self._digests()
        metrics = {address: self._kept(each) for address, each in self._planned.items()}
        complete = {address: kept for address, kept in metrics.items() if kept is not None}
        if digests_now is None or len(complete) < len(metrics):
            raise StorageError(VANISHED)
        return Scored(tuple(pair.key for pair in self.pairs), *digests_now, complete)

    def reduced(self, planned: Sequence[Planned]) -> list[Reduced]:
        """Add up what was computed for some metrics, in the order of chunks."""
        references = {
            each.address: self._references[root]
            for root, metrics in self._roots(planned).items()
            for each in metrics
        }
        tasks = _distinct(task for each in planned for task in each.of_sources)
        chunks = self._source_chunks(planned)
        sources = {
            task.address: self._source_rows(task, chunks, planned)
            for task in tasks
            if isinstance(task, RowsTask)
        }
        groups = {pair.key: group for pair, group in zip(self.pairs, self.groups, strict=True)}
        return reduce(planned, self._chunks, groups, references, sources, self._load)

    def _source_rows(
        self, task: RowsTask, chunks: Sequence[Chunk], planned: Sequence[Planned]
    ) -> Rows:
        """Return the rows of all source images, of their own chunks and of ground truth."""
        wanted = {pair.source.identity for pair in self.pairs if pair.source is not None}
        places: list[tuple[Chunk, RowsTask]] = [(chunk, task) for chunk in chunks]
        for truth in (t for each in planned for t in each.rows.values()):
            if truth.side == "ground_truth" and truth.address == task.address:
                places += [
                    (chunk, truth)
                    for chunk in self._chunks
                    if wanted & {p.ground_truth.identity for p in chunk.pairs if p.ground_truth}
                ]
                break
        rows: dict[str, Arrays] = {}
        for chunk, of_images in places:
            partial = self._load(chunk, of_images)
            for row, image in enumerate(partial.keys):
                if image in wanted:
                    rows[image] = {part: column[row] for part, column in partial.columns.items()}
        return rows

    def _scored(self, planned: Planned, reduced: Reduced) -> Partial:
        """Compute a metric's scores, and lay them down with its values of pairs."""
        entry, workers = planned.entry, self._executor.workers
        by_name = scores(entry, reduced, self.groups, self._expected, workers, self._assumed())
        columns = {full_name(entry, part): values for part, values in reduced.columns.items()}
        text = np.frombuffer(_SCORES.dump_json(by_name), np.uint8)
        keys = tuple(pair.key for pair in self.pairs)
        return Partial(planned.address, self._content_of(planned), keys, columns, {"scores": text})

    def _assumed(self) -> str:
        """Say what intervals assume where nothing says which pairs show one garment or person."""
        if any(pair.pair.item for pair in self.pairs):
            return ""
        return "no items are known, so pairs that share no image or clip are taken as independent"

    def _lacking(self) -> list[Planned]:
        """Return the metrics whose scores are not kept."""
        return [each for each in self._planned.values() if self._kept(each) is None]

    def _kept(self, planned: Planned) -> MetricScores | None:
        """Return a metric's scores and values of pairs, where they are kept."""
        address = address_of(planned.address, self._content_of(planned))
        partial = None if address in self._read else self._job.store.load(address)
        if partial is not None:
            by_name = _SCORES.validate_json(partial.state["scores"].tobytes())
            self._read[address] = by_name, dict(partial.columns)
        return self._read.get(address)

    def _digests(self) -> tuple[str, str] | None:
        """Return the digests of generated images and of the test set, where they are kept."""
        task = PixelDigests.plan().address
        partial = self._job.store.load(address_of(task, self._content))
        if partial is None:
            return None
        text = partial.state["digests"].tobytes().decode()
        return text[:64], text[64:]

    def _content_of(self, planned: Planned) -> str:
        """Return the digest of all that a metric's scores rest on besides its tasks."""
        root = planned.entry.metric.reference_folder()
        chunks = () if root is None else self._references[root]
        return digest_of([self._content, *(chunk.content for chunk in chunks)])

    def _load(self, chunk: Chunk, task: Task) -> Partial:
        """Return what a task yielded for a chunk a moment ago.

        Raises:
            StorageError: it is gone.
        """
        partial = self._job.load(chunk, task)
        if partial is None:
            raise StorageError(VANISHED)
        return partial


def _with_items(images: Sequence[SetImage], pairs: Sequence[CheckedPair]) -> list[SetImage]:
    """Say of a gallery's images what the pairs know: the items of images that have their names."""
    items: dict[str, str] = {}
    for pair in pairs:
        for name in (pair.pair.target_name, pair.pair.source_name) if pair.pair.item else ():
            items.setdefault(name or "", pair.pair.item or "")
    return [replace(image, item=items.get(canonical(image.name), "")) for image in images]


def _distinct(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Return tasks once each; one address serves two sides, whose images differ."""
    return tuple({(task.address, task.sides): task for task in tasks}.values())


def _paths(members: Iterable[Member]) -> set[str]:
    sides: tuple[Side, ...] = ("generated", "ground_truth", "source")
    images = (member.image(side) for member in members for side in sides)
    return {str(image.ref.path) for image in images if image}
