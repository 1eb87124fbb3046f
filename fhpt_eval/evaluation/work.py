"""The work of a run: which tasks, on which chunks of pairs and of further images; doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError
from fhpt_eval.evaluation import fingerprint, image_set
from fhpt_eval.evaluation.chunk import Recipe, Task, UnreadableError
from fhpt_eval.evaluation.executors import Executor
from fhpt_eval.evaluation.image_set import Elsewhere, ImageChunk, ImageJob, ImageSet
from fhpt_eval.evaluation.job import ChunkJob, stored
from fhpt_eval.evaluation.plan import CheckedPair, Chunk, split
from fhpt_eval.evaluation.reduce import Addressed, Reduced, Reducer, ReferenceRows
from fhpt_eval.evaluation.rows import FeatureTask, Rows
from fhpt_eval.evaluation.store import FolderStore, Store
from fhpt_eval.metrics.on_features import FeatureSetMetric
from fhpt_eval.pairs.pair import Problem
from fhpt_eval.protocol import Entry

Job = TypeVar("Job", Chunk, ImageChunk)


@dataclass(frozen=True)
class Work:
    """What is done to pairs and to further images, and where it is kept.

    What two metrics share is one task, be they of one protocol or of two. ``references`` has the
    reference folders that metrics want. ``rows`` keeps features of further images: they serve all
    methods, so they lie in the cache where there is one on disk.
    """

    recipe: Recipe
    sources: tuple[FeatureTask, ...]
    references: dict[Path, ImageSet]
    store: Store
    cache: Store

    @classmethod
    def plan(
        cls,
        addressed: Sequence[Addressed],
        device: str,
        stores: tuple[Store, Store],
        executor: Executor,
        progress: Progress,
    ) -> Work:
        """Plan the tasks of some metrics, and check the images of their reference folders.

        ``stores`` are the run's own and the cache.

        Raises:
            InputError: a reference folder, or an image in it, cannot be used.
        """
        tasks = {
            one.address: Task(one.address, one.entry.name, one.entry.metric, one.entry.steps)
            for one in addressed
            if not one.features
        }
        features = {task.address: task for one in addressed for task in one.features.values()}
        of_pairs = tuple(task for task in features.values() if task.side != "source")
        wanted: dict[Path, list[FeatureTask]] = {}
        for one in addressed:
            for root in _folder(one.entry):
                of_folder = one.reference(fingerprint.device_name(device)).values()
                wanted.setdefault(root, []).extend(of_folder)
        references = {}
        for root, some in wanted.items():
            images = image_set.images_below(root, some, executor.workers, progress)
            references[root] = ImageSet.of(f"Reference images in {root}", images, some)
        sources = tuple(task for task in features.values() if task.side == "source")
        recipe = Recipe(tuple(tasks.values()), device, of_pairs)
        return cls(recipe, sources, references, *stores)

    @property
    def rows(self) -> Store:
        """Where features of further images are kept."""
        return self.cache if isinstance(self.cache, FolderStore) else self.store


@dataclass(frozen=True)
class Done:
    """What was executed: the pairs that were left, what kept others out, and all chunks."""

    pairs: list[CheckedPair]
    problems: list[Problem]
    chunks: tuple[Chunk, ...]
    sources: ImageSet
    computed: frozenset[Chunk | ImageChunk]

    def count(self, work: Work) -> tuple[int, int]:
        """Return the number of chunks, and how many of them were in a store already."""
        sets = (self.sources, *work.references.values())
        everything = {*self.chunks, *(chunk for one in sets for chunk in one.chunks)}
        return len(everything), len(everything - self.computed)


@dataclass
class Worker:
    """Executes the work of a run, as often as it takes until nothing unreadable is left."""

    work: Work
    executor: Executor
    progress: Progress

    def __post_init__(self) -> None:
        self._computed: set[Chunk | ImageChunk] = set()

    def go(
        self,
        pairs: list[CheckedPair],
        problems: list[Problem],
        check: Callable[[Sequence[CheckedPair], Sequence[Problem]], None],
    ) -> Done:
        """Execute all chunks; ``check`` refuses the run where problems are not allowed.

        Raises:
            InputError: a reference image cannot be decoded.
            MetricError: a metric failed; finished chunks are kept.
        """
        work = self.work
        for one in work.references.values():
            unreadable = self._images(one, image_set.nowhere)
            if unreadable:
                raise InputError(image_set.unusable(one.title, unreadable))
        while True:
            chunks = split(pairs)
            job = ChunkJob(work.recipe, work.store, work.cache)
            unreadable = self._each("Scoring chunks", chunks, job)
            images = image_set.sources_of(pairs) if work.sources else []
            sources = ImageSet.of("Source images", images, work.sources)
            if not unreadable:
                known = image_set.in_pairs(chunks, work.recipe.features, work.store)
                unreadable = self._images(sources, known)
            if not unreadable:
                return Done(pairs, problems, chunks, sources, frozenset(self._computed))
            bad = {problem.name for problem in unreadable}
            pairs = [pair for pair in pairs if not bad.intersection(_paths(pair))]
            problems = [*problems, *unreadable]
            check(pairs, problems)

    def _images(self, one: ImageSet, known: Elsewhere) -> list[Problem]:
        if not one.chunks:
            return []
        job = ImageJob(one.tasks, self.work.recipe.device, self.work.rows, known)
        return self._each(one.title, one.chunks, job)

    def _each(self, title: str, chunks: Sequence[Job], job: Callable[[Job], bool]) -> list[Problem]:
        """Return the images that could not be decoded."""
        self.progress.stage(title, len(chunks))
        unreadable: set[Problem] = set()
        for done, (chunk, outcome) in enumerate(self.executor.run(job, chunks), start=1):
            if isinstance(outcome, UnreadableError):
                unreadable.update(outcome.problems)
            elif isinstance(outcome, Exception):
                raise outcome
            elif not outcome:
                self._computed.add(chunk)
            self.progress.advance(done)
        return sorted(unreadable, key=lambda problem: problem.name)


def _folder(entry: Entry) -> list[Path]:
    """Return the reference folder that a metric wants, if it does."""
    metric = entry.metric
    root = metric.reference_folder() if isinstance(metric, FeatureSetMetric) else None
    return [] if root is None else [root]


def add_up(done: Done, work: Work, addressed: Sequence[Addressed]) -> Reduced:
    """Add up what was executed for some metrics, in the order of chunks."""
    sources: dict[str, Rows] = {}
    own = {task.content for one in addressed for task in one.features.values()}
    for task in (one for one in work.sources if one.content in own):
        kept = [image_set.rows_of(work.rows, chunk, task) for chunk in done.sources.chunks]
        sources[task.content] = {one: row for some in kept for one, row in some.items()}
    reducer = Reducer(addressed, sources)
    yields = list(dict.fromkeys(address for one in addressed for address in one.yields()))
    for chunk in done.chunks:
        reducer.add(stored(work.store, chunk, yields), chunk.pairs)
    for one in addressed:
        for root in _folder(one.entry):
            reducer.refer(one.entry, _referred(one, root, work))
    return reducer.result()


def _referred(one: Addressed, root: Path, work: Work) -> Iterator[ReferenceRows]:
    """Yield the features of a metric's reference images, chunk by chunk."""
    tasks = one.reference(fingerprint.device_name(work.recipe.device))
    for chunk in work.references[root].chunks:
        rows = {name: image_set.rows_of(work.rows, chunk, task) for name, task in tasks.items()}
        names = tuple(image.name for image in chunk.images)
        yield names, [image.image.identity for image in chunk.images], rows


def _paths(pair: CheckedPair) -> set[str]:
    images = (pair.generated, pair.ground_truth, pair.source)
    return {str(image.ref.path) for image in images if image}
