"""Compute one chunk: decode once, prepare once, every metric. A pure function of its arguments.
Everything that goes in or comes out can be pickled and sent elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from fhpt_eval.errors import FhptEvalError, ImageError, MetricError
from fhpt_eval.evaluation.blame import blame
from fhpt_eval.evaluation.partial import Partial, Yield
from fhpt_eval.evaluation.plan import CheckedPair, Chunk
from fhpt_eval.evaluation.rows import FeatureTask, RowMaker, Rows, row_identity
from fhpt_eval.images.files import CheckedImage, decode
from fhpt_eval.images.preparation import NAMELESS, Names, Side, Step, prepare, prepared_size
from fhpt_eval.metrics.base import Batch, Metric, SetMetric, State
from fhpt_eval.pairs.pair import Problem

#: A batch holds at most this many pairs, and fewer of large images: their pixels are bounded too.
BATCH_PAIRS, BATCH_PIXELS = 16, 2**21

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Task:
    """One metric of a recipe: the address of its yields, its label, and its preparation."""

    address: str
    label: str
    metric: Metric
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Recipe:
    """What is done to a chunk: metrics, features, the device (``cpu``, ``cuda``, ``cuda:1``).

    Features are of generated and ground-truth images; those of source images are not a chunk's own
    (see ``image_set``).
    """

    tasks: tuple[Task, ...]
    device: str
    features: tuple[FeatureTask, ...] = ()

    def preparations(self) -> list[_How]:
        """Return the different preparations of all that the recipe has, in its order."""
        found = [_How.of(task) for task in self.tasks]
        found += [_How.of(one) for one in self.features]
        return list(dict.fromkeys(found))

    @property
    def needs_source(self) -> bool:
        """Whether any metric looks at source images."""
        return any(how.with_source for how in self.preparations())


@dataclass(frozen=True)
class _How:
    """How images are prepared: by which steps, and whether source images are."""

    steps: tuple[Step, ...]
    with_source: bool

    @classmethod
    def of(cls, task: Task | FeatureTask) -> _How:
        """Return a task's; features of source images are not a chunk's own."""
        return cls(task.steps, isinstance(task, Task) and "source" in task.metric.uses())


class UnreadableError(FhptEvalError):
    """Some images of a chunk could not be decoded although they passed all checks."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} images could not be decoded")
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[type[UnreadableError], tuple[tuple[Problem, ...]]]:
        """Be picklable, which exceptions with arguments of their own are not by themselves."""
        return UnreadableError, (self.problems,)


@dataclass(frozen=True)
class _Decoded:
    """The decoded images of some pairs of equal sizes, before preparation."""

    pairs: tuple[CheckedPair, ...]
    images: Mapping[Side, list[Pixels]]
    problems: list[Problem]


def compute(chunk: Chunk, recipe: Recipe, known: Mapping[str, Rows] | None = None) -> Partial:
    """Compute every metric and feature of the recipe on one chunk.

    Rows that ``known`` has, by the address of their task, are taken from there; they are what
    computing them would give.

    The bits depend on the arguments alone: batches are cut by a fixed rule, and the caller fixes
    the number of intra-op threads. While a batch is computed the next one is decoded.

    Raises:
        UnreadableError: lists every image of the chunk that cannot be decoded.
        MetricError: a metric failed; says which and on what.
    """
    gathered = {task.address: _Gathered(task) for task in recipe.tasks}
    rows = {one.address: _Rows(one, (known or {}).get(one.address, {})) for one in recipe.features}
    keys: list[str] = []
    digests: dict[Side, list[str]] = {"generated": [], "ground_truth": []}
    problems: list[Problem] = []
    for decoded in _decode_ahead(chunk, recipe):
        problems += decoded.problems
        if problems:
            continue  # nothing of this chunk will be kept, but all that is wrong with it is listed
        keys += [pair.pair.key for pair in decoded.pairs]
        for side, found in digests.items():
            found += [_pixel_digest(pixels) for pixels in decoded.images[side]]
        for how in recipe.preparations():
            tasks = [gathered[task.address] for task in recipe.tasks if _How.of(task) == how]
            features = [rows[one.address] for one in recipe.features if _How.of(one) == how]
            for part in _parts(decoded, how):
                _show(part, _batch(part, how.steps, recipe.device), tasks, features)
    if problems:
        raise UnreadableError(problems)
    yields = {address: one.result() for address, one in gathered.items()}
    yields |= {address: one.result() for address, one in rows.items()}
    return Partial(tuple(keys), tuple(digests["generated"]), tuple(digests["ground_truth"]), yields)


def _show(
    decoded: _Decoded, batch: Batch, tasks: Sequence[_Gathered], features: Sequence[_Rows]
) -> None:
    """Show a batch to the metrics and features whose images are prepared so."""
    for task in tasks:
        task.add(batch)
    for one in features:
        one.add(decoded.pairs, batch)


class _Gathered:
    """What one metric has yielded so far."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._columns: dict[str, list[NDArray[np.float64]]] = {}
        metric = task.metric
        self._state: State | None = metric.empty() if isinstance(metric, SetMetric) else None

    def add(self, batch: Batch) -> None:
        """Run the metric on a batch."""
        metric = self._task.metric
        batch = _restrict(batch, metric)
        doing = f"scoring the batch that starts with pair {batch.keys[0]}"
        with blame(self._task.label, doing), torch.inference_mode():
            columns = {part: _array(values) for part, values in metric.columns(batch).items()}
            if isinstance(metric, SetMetric) and self._state is not None:
                self._state = metric.update(self._state, batch)
        declared = metric.parts().keys()
        if columns.keys() - declared or (columns.keys() != declared and self._state is None):
            raise MetricError(
                f"Metric {self._task.label} gave the values {sorted(columns)} on the batch that "
                f"starts with pair {batch.keys[0]}; its parts() declare {sorted(declared)}."
            )
        for part, values in columns.items():
            if values.shape != (len(batch.keys),):
                raise MetricError(
                    f"Metric {self._task.label} gave {values.shape} values for '{part}' on a "
                    f"batch of {len(batch.keys)} pairs; one value per pair is expected."
                )
            self._columns.setdefault(part, []).append(values)

    def result(self) -> Yield:
        """Return everything as one yield."""
        columns = {part: np.concatenate(pieces) for part, pieces in self._columns.items()}
        for name, array in (self._state or {}).items():
            if not isinstance(array, np.ndarray) or array.dtype.hasobject:
                raise MetricError(
                    f"Metric {self._task.label}: '{name}' of its state is no plain NumPy array "
                    f"but {type(array).__name__}; a state is stored without pickle."
                )
        return Yield(columns, self._state)


class _Rows:
    """The rows of one feature for the pairs of a chunk."""

    def __init__(self, task: FeatureTask, known: Rows) -> None:
        self._task = task
        self._maker = RowMaker(task, known)
        self._identities: list[str] = []
        self._targets: list[str] = []

    def add(self, pairs: Sequence[CheckedPair], batch: Batch) -> None:
        """Compute the feature where it is not known yet."""
        generated = self._task.side == "generated"
        images = batch.generated if generated else batch.ground_truth
        identities = [row_identity(pair, self._task) for pair in pairs]
        if images is not None:
            self._maker.add(images, identities, f"pair {batch.keys[0]}")
        self._identities += identities
        self._targets += [pair.pair.target_name for pair in pairs]

    def result(self) -> Yield:
        """Return a row per pair and, as ``distinct``, which pair is the first of its target."""
        state = self._maker.stacked(self._identities)
        first: dict[str, int] = {}
        for at, target in enumerate(self._targets):
            first.setdefault(target, at)
        state["distinct"] = np.isin(np.arange(len(self._targets)), list(first.values()))
        return Yield({}, state)


def _decode_ahead(chunk: Chunk, recipe: Recipe) -> Iterator[_Decoded]:
    """Yield decoded batches, one ahead of the consumer."""
    batches = list(_batches(chunk))
    decoder = _Decoder(recipe.needs_source)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(decoder.decode, batches[0])
        for following in [*batches[1:], None]:
            decoded = future.result()
            if following is not None:
                future = pool.submit(decoder.decode, following)
            yield decoded


def _batches(chunk: Chunk) -> Iterator[tuple[CheckedPair, ...]]:
    """Cut a chunk into batches of pairs of equal sizes; pairs of one target stay neighbours.

    What is done to the pairs has no say in it, so that no metric moves another one's batches.
    """
    ordered = sorted(chunk.pairs, key=lambda p: (_sizes(p), p.pair.target_name, p.pair.key))
    for sizes, group in groupby(ordered, key=_sizes):
        pairs = tuple(group)
        count = _at_once(sizes)
        for at in range(0, len(pairs), count):
            yield pairs[at : at + count]


def _parts(decoded: _Decoded, how: _How) -> Iterator[_Decoded]:
    """Cut a decoded batch where its prepared images would be too many pixels.

    Also where source images change their size, if they are looked at.
    """

    def source(at: int) -> tuple[int, int]:
        image = decoded.pairs[at].source if how.with_source else None
        return (image.width, image.height) if image else (0, 0)

    sides: tuple[Side, ...] = ("generated", "ground_truth")
    sizes = [
        prepared_size(size, how.steps, side)
        for side, size in zip(sides, _sizes(decoded.pairs[0]), strict=True)
    ]
    for _, group in groupby(range(len(decoded.pairs)), key=source):
        places = list(group)
        before = source(places[0])
        after = prepared_size(before, how.steps, "source") if all(before) else before
        count = _at_once((*sizes, before, after))
        for at in range(places[0], places[-1] + 1, count):
            part = slice(at, min(at + count, places[-1] + 1))
            images = {
                side: pixels[part]
                for side, pixels in decoded.images.items()
                if side != "source" or how.with_source
            }
            yield _Decoded(decoded.pairs[part], {"source": [], **images}, [])


def _at_once(sizes: Iterable[tuple[int, int]]) -> int:
    """Return how many pairs of images of these sizes may be in a batch."""
    largest = max(width * height for width, height in sizes)
    return max(1, min(BATCH_PAIRS, BATCH_PIXELS // max(1, largest)))


def _sizes(pair: CheckedPair) -> tuple[tuple[int, int], ...]:
    return tuple((image.width, image.height) for image in (pair.generated, pair.ground_truth))


class _Decoder:
    """Decodes batches, each image once: what the last batch decoded serves the next as well."""

    def __init__(self, with_source: bool) -> None:
        self._with_source = with_source
        self._last: dict[str, Pixels] = {}

    def decode(self, pairs: tuple[CheckedPair, ...]) -> _Decoded:
        """Decode the images of a batch; what cannot be decoded is listed."""
        images: dict[Side, list[Pixels]] = {"generated": [], "ground_truth": [], "source": []}
        problems = []
        seen: dict[str, Pixels] = {}
        for pair in pairs:
            for side, image in self._sides(pair):
                known = seen.get(image.identity, self._last.get(image.identity))
                try:
                    pixels = decode(image) if known is None else known
                except ImageError as error:
                    problems.append(Problem("unreadable", str(image.ref.path), str(error)))
                    continue
                seen[image.identity] = pixels
                images[side].append(pixels)
        self._last = seen
        return _Decoded(pairs, images, problems)

    def _sides(self, pair: CheckedPair) -> list[tuple[Side, CheckedImage]]:
        sides: list[tuple[Side, CheckedImage]] = [
            ("generated", pair.generated),
            ("ground_truth", pair.ground_truth),
        ]
        if self._with_source and pair.source is not None:
            sides.append(("source", pair.source))
        return sides


def _pixel_digest(pixels: Pixels) -> str:
    """Return the SHA-256 of an image's size and RGB bytes."""
    height, width = pixels.shape[:2]
    return hashlib.sha256(f"{width}x{height}\n".encode() + pixels.tobytes()).hexdigest()


def _batch(decoded: _Decoded, steps: tuple[Step, ...], device: str) -> Batch:
    """Prepare a batch's images and put them on the device."""
    names = [names_of(pair) for pair in decoded.pairs]
    sides = {
        side: prepared_tensor(images, steps, side, names)
        for side, images in decoded.images.items()
        if images
    }
    there = {side: images.to(device) for side, images in sides.items()}
    keys = tuple(pair.pair.key for pair in decoded.pairs)
    return Batch(keys, there["generated"], there.get("ground_truth"), there.get("source"))


def names_of(pair: CheckedPair) -> Names:
    """Return the names of a pair's images."""
    return Names(pair.pair.target_name, pair.pair.source_name or "")


def prepared_tensor(
    images: Sequence[Pixels], steps: Sequence[Step], side: Side, names: Sequence[Names] = ()
) -> torch.Tensor:
    """Prepare images of one size: ``(N, 3, H, W)``, uint8, or float64 where a resize says so.

    Floats are levels / 255, in [0, 1] but for what a kernel overshoots.
    """
    whose = names or [NAMELESS] * len(images)
    pairs = zip(images, whose, strict=True)
    stacked = np.stack([prepare(pixels, steps, side, own) for pixels, own in pairs])
    tensor = torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()
    return tensor if tensor.dtype == torch.uint8 else as_floats(tensor)


def as_floats(images: torch.Tensor) -> torch.Tensor:
    """Return levels, uint8 or float32, over 255; float64 images are so already."""
    return images if images.dtype == torch.float64 else images.double().div_(255)


def _restrict(batch: Batch, metric: Metric) -> Batch:
    """Show a metric only what it declares that it needs, so that the declaration is true.

    What it compares is of one kind: floats, if any of it is. Features see each side as it is, since
    their rows serve other protocols, in which the other side may be prepared in another way.
    """
    truth = batch.ground_truth if "ground_truth" in metric.uses() else None
    source = batch.source if "source" in metric.uses() else None
    sides = (batch.generated, truth, source)
    if any(images is not None and images.is_floating_point() for images in sides):
        there = [None if images is None else as_floats(images) for images in sides]
        return Batch(batch.keys, as_floats(batch.generated), *there[1:])
    return Batch(batch.keys, batch.generated, truth, source)


def _array(values: torch.Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.detach().to("cpu", torch.float64).numpy()
    return array
