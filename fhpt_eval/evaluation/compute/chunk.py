"""Compute one chunk: decode once, prepare once, every task. A pure function of its arguments.

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

from fhpt_eval.common.fingerprint import FORMAT, decoder
from fhpt_eval.common.machine import ahead
from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import FhptEvalError, ImageError, MetricError
from fhpt_eval.evaluation.store.partial import Arrays, Partial, address_of
from fhpt_eval.evaluation.store.store import Store
from fhpt_eval.evaluation.survey.chunks import Chunk, Member, Size
from fhpt_eval.evaluation.tasks import MetricTask, RowsTask, Task, blame
from fhpt_eval.images.files import decode
from fhpt_eval.images.preparation import Side, Step, as_floats, prepared_size, prepared_tensor
from fhpt_eval.metrics.base import Batch, Metric
from fhpt_eval.pairs.pair import Problem

#: A batch holds at most this many members, and fewer of large images: their pixels are bounded too.
BATCH_PAIRS, BATCH_PIXELS = 16, 2**21

Pixels = NDArray[np.uint8]


class UnreadableError(FhptEvalError):
    """Some images of a chunk could not be decoded although they passed all checks."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} images could not be decoded")
        self.problems = tuple(problems)

    def __reduce__(self) -> tuple[type[UnreadableError], tuple[tuple[Problem, ...]]]:
        """Be picklable, which exceptions with arguments of their own are not by themselves."""
        return UnreadableError, (self.problems,)


@dataclass(frozen=True)
class Unit:
    """A chunk, and what is computed of it."""

    chunk: Chunk
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a job: whether anything had to be computed, and what no disk has yet."""

    computed: bool
    partials: tuple[Partial, ...] = ()


@dataclass(frozen=True)
class Job:
    """Computes what the stores lack of a chunk; what an executor runs.

    ``shared`` keeps features of ground truth, sources and references for all methods. Of a store
    that is not on disk, the outcome carries what is to be kept there.
    """

    device: str
    store: Store
    shared: Store

    def __call__(self, unit: Unit) -> Outcome:
        """Compute, and keep what is computed; errors are those of :func:`compute`."""
        lacking = [task for task in unit.tasks if self.load(unit.chunk, task) is None]
        if not lacking:
            return Outcome(computed=False)
        carried = []
        for task, partial in compute(unit.chunk, lacking, self.device):
            store = self.store_of(task)
            if store.on_disk:
                # A file for each, so that runs with other metrics may share a folder.
                store.save(partial)
            else:
                carried.append(partial)
        return Outcome(computed=True, partials=tuple(carried))

    def store_of(self, task: Task) -> Store:
        """Return where a task's partials lie; a shared store in memory would serve nobody."""
        whose = isinstance(task, RowsTask) and task.side != "generated"
        return self.shared if whose and self.shared.on_disk else self.store

    def load(self, chunk: Chunk, task: Task) -> Partial | None:
        """Return what a task yielded for a chunk, if it is kept."""
        return self.store_of(task).load(address_in(chunk, task))


def address_in(chunk: Chunk, task: Task) -> str:
    """Return the content address of what a task yields for a chunk.

    Rows rest on the images alone, whatever pairs, method or run they are in.
    """
    if isinstance(task, RowsTask):
        return address_of(task.address, rows_content(identities(chunk, task)))
    return address_of(task.address, chunk.content)


def rows_content(images: Iterable[str]) -> str:
    """Return the digest of a set of images that rows are of."""
    return digest_of({"format": FORMAT, "decoder": decoder(), "images": sorted(set(images))})


def identities(chunk: Chunk, task: RowsTask) -> list[str]:
    """Return what the rows of a chunk's images rest on, in the order of its members."""
    return [row_identity(member, task) for member in chunk.ordered]


def row_identity(member: Member, task: RowsTask) -> str:
    """Return what a row rests on besides its task.

    That is what makes the pixels and, where a step goes by names, whose image it is.
    """
    image = member.image(task.side)
    if image is None:
        raise ValueError(f"{member.key} has no {task.side} image")
    if not task.goes_by_name:
        return image.identity
    return f"{image.identity}@{member.names.target}@{member.names.source}"


def compute(chunk: Chunk, tasks: Sequence[Task], device: str) -> Iterator[tuple[Task, Partial]]:
    """Compute every task on one chunk.

    The bits depend on the arguments alone: batches are cut by a fixed rule, and the caller fixes
    the number of intra-op threads. While a batch is computed the next one is decoded.

    Raises:
        UnreadableError: lists every image of the chunk that cannot be decoded.
        MetricError: a task failed; says which and on what.
    """
    yields = [_yield_of(task, chunk) for task in tasks]
    views = _views(tasks)
    sides = frozenset(side for task in tasks for side in task.sides)
    problems: list[Problem] = []
    with ThreadPoolExecutor(1) as pool:
        for decoded in ahead(pool, _Decoder(sides).decode, _batches(chunk), depth=1):
            problems += decoded.problems
            if problems:
                continue  # nothing of this chunk will be kept, but all that is wrong is listed
            for view, seen in views.items():
                wanting = [each for each in yields if _view_of(each.task) == view]
                for part in _parts(decoded, *view):
                    shown = _prepared(part, view[0], seen, device)
                    for each in wanting:
                        each.add(part, shown)
    if problems:
        raise UnreadableError(problems)
    for each in yields:
        yield each.task, each.result()


Shown = Mapping[Side, torch.Tensor]
#: How images are prepared: by which steps, and whether source images are among them.
View = tuple[tuple[Step, ...], bool]


def _view_of(task: Task) -> View:
    return task.steps, "source" in task.sides


def _views(tasks: Sequence[Task]) -> dict[View, frozenset[Side]]:
    """Return the different views of some tasks, with all sides that are seen so."""
    views: dict[View, frozenset[Side]] = {}
    for task in tasks:
        view = _view_of(task)
        views[view] = views.get(view, frozenset()) | task.sides
    return views


def _yield_of(task: Task, chunk: Chunk) -> _Columns | _Rows | _Digests:
    if isinstance(task, MetricTask):
        return _Columns(task, chunk)
    if isinstance(task, RowsTask):
        return _Rows(task, chunk)
    return _Digests(task, chunk)


class _Digests:
    """The digests of a pair's decoded pixels, so that an image is what it shows."""

    def __init__(self, task: Task, chunk: Chunk) -> None:
        self.task = task
        self._chunk = chunk
        self._digests: dict[Side, list[bytes]] = {"generated": [], "ground_truth": []}

    def add(self, decoded: _Decoded, shown: Shown) -> None:
        """Take the digests of a batch."""
        _ = shown
        for side, digests in self._digests.items():
            pixels_of_side = decoded.images.get(side)
            if pixels_of_side is None:  # without ground truth the keys alone make the test set
                digests += [bytes(32)] * len(decoded.members)
            else:
                digests += [_pixel_digest(pixels) for pixels in pixels_of_side]

    def result(self) -> Partial:
        """Return ``(N, 32)`` uint8 for each side."""
        columns: Arrays = {
            side: np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
            for side, digests in self._digests.items()
        }
        keys = tuple(member.key for member in self._chunk.ordered)
        return Partial(self.task.address, self._chunk.content, keys, columns)


class _Columns:
    """What a metric on images has yielded so far."""

    def __init__(self, task: MetricTask, chunk: Chunk) -> None:
        self.task = task
        self._chunk = chunk
        self._columns: dict[str, list[NDArray[np.float64]]] = {}
        self._state = task.metric.empty()

    def add(self, decoded: _Decoded, shown: Shown) -> None:
        """Run the metric on a batch."""
        metric = self.task.metric
        batch = _batch(decoded, shown, metric)
        doing = f"scoring the batch that starts with pair {batch.keys[0]}"
        with blame(self.task.label, doing), torch.inference_mode():
            columns = {
                part: torch.as_tensor(values).detach().to("cpu", torch.float64).numpy()
                for part, values in metric.columns(batch).items()
            }
            self._state = metric.update(self._state, batch)
        declared = metric.parts().keys()
        if columns.keys() - declared or (columns.keys() != declared and metric.gives == "pairs"):
            raise MetricError(
                f"Metric {self.task.label} gave the values {sorted(columns)} on the batch that "
                f"starts with pair {batch.keys[0]}; its parts() declare {sorted(declared)}."
            )
        for part, values in columns.items():
            if values.shape != (len(batch.keys),):
                raise MetricError(
                    f"Metric {self.task.label} gave {values.shape} values for '{part}' on a "
                    f"batch of {len(batch.keys)} pairs; one value per pair is expected."
                )
            self._columns.setdefault(part, []).append(values)

    def result(self) -> Partial:
        """Return columns and state."""
        for name, array in self._state.items():
            if not isinstance(array, np.ndarray) or array.dtype.hasobject:
                raise MetricError(
                    f"Metric {self.task.label}: '{name}' of its state is no plain NumPy array "
                    f"but {type(array).__name__}; a state is stored without pickle."
                )
        columns = {part: np.concatenate(pieces) for part, pieces in self._columns.items()}
        keys = tuple(member.key for member in self._chunk.ordered)
        return Partial(self.task.address, self._chunk.content, keys, columns, self._state)


class _Rows:
    """The rows of a feature; each image's are computed once."""

    def __init__(self, task: RowsTask, chunk: Chunk) -> None:
        self.task = task
        self._images = tuple(sorted(set(identities(chunk, task))))
        self._rows: dict[str, Arrays] = {}

    def add(self, decoded: _Decoded, shown: Shown) -> None:
        """Compute the rows of images that are not known yet."""
        names = [row_identity(member, self.task) for member in decoded.members]
        places = {name: place for place, name in enumerate(names) if name not in self._rows}
        if not places:
            return
        images = shown[self.task.side]
        doing = f"computing the batch that starts with {decoded.members[0].key}"
        with blame(self.task.label, doing), torch.inference_mode():
            arrays = self.task.feature.compute(images[list(places.values())])
            rows = {part: array.cpu().numpy() for part, array in arrays.items()}
        for row, name in enumerate(places):
            self._rows[name] = {part: array[row] for part, array in rows.items()}

    def result(self) -> Partial:
        """Return a row for each image, in the order of what makes their pixels."""
        rows = [self._rows[name] for name in self._images]
        columns = {part: np.stack([row[part] for row in rows]) for part in rows[0]}
        return Partial(self.task.address, rows_content(self._images), self._images, columns)


@dataclass(frozen=True)
class _Decoded:
    """The decoded images of some members of equal sizes, before preparation."""

    members: tuple[Member, ...]
    images: Mapping[Side, list[Pixels]]
    problems: list[Problem]


def _batches(chunk: Chunk) -> Iterator[tuple[Member, ...]]:
    """Cut a chunk into batches of members of equal sizes; pairs of one target stay neighbours.

    What is done to the members has no say in it, so that no metric moves another one's batches.
    """
    for sizes, group in groupby(chunk.ordered, key=lambda member: member.sizes):
        members = tuple(group)
        count = _at_once(sizes)
        for first in range(0, len(members), count):
            yield members[first : first + count]


def _parts(decoded: _Decoded, steps: tuple[Step, ...], with_source: bool) -> Iterator[_Decoded]:
    """Cut a decoded batch where its prepared images would be too many pixels.

    Also where source images change their size, if they are looked at.
    """
    sizes = _prepared_sizes(decoded.members[0], steps)

    def source(member: Member) -> Size:
        image = member.image("source") if with_source else None
        return (image.width, image.height) if image else (0, 0)

    start = 0
    for before, group in groupby(decoded.members, key=source):
        end = start + len(list(group))
        after = prepared_size(before, steps, "source") if all(before) else before
        count = _at_once((*sizes, before, after))
        for first in range(start, end, count):
            part = slice(first, min(first + count, end))
            images = {
                side: pixels[part]
                for side, pixels in decoded.images.items()
                if side != "source" or with_source
            }
            yield _Decoded(decoded.members[part], images, [])
        start = end


def _prepared_sizes(member: Member, steps: tuple[Step, ...]) -> list[Size]:
    """Return the sizes of a member's generated and ground-truth image after some steps."""
    sides: tuple[Side, ...] = ("generated", "ground_truth")
    images = [(side, member.image(side)) for side in sides]
    return [
        prepared_size((image.width, image.height), steps, side)
        for side, image in images
        if image is not None
    ]


def _at_once(sizes: Iterable[Size]) -> int:
    """Return how many members with images of these sizes may be in a batch."""
    largest = max(width * height for width, height in sizes)
    return max(1, min(BATCH_PAIRS, BATCH_PIXELS // max(1, largest)))


class _Decoder:
    """Decodes batches, each image once: what the last batch decoded serves the next as well."""

    def __init__(self, sides: frozenset[Side]) -> None:
        order: tuple[Side, ...] = ("generated", "ground_truth", "source")
        self._sides = tuple(side for side in order if side in sides)
        self._last: dict[str, Pixels] = {}

    def decode(self, members: tuple[Member, ...]) -> _Decoded:
        """Decode the images of a batch; what cannot be decoded is listed."""
        images: dict[Side, list[Pixels]] = {side: [] for side in self._sides}
        problems = []
        seen: dict[str, Pixels] = {}
        for member in members:
            for side in self._sides:
                image = member.image(side)
                if image is None:
                    continue
                known = seen.get(image.identity, self._last.get(image.identity))
                try:
                    pixels = decode(image) if known is None else known
                except ImageError as error:
                    problems.append(Problem("unreadable", str(image.ref.path), str(error)))
                    continue
                seen[image.identity] = pixels
                images[side].append(pixels)
        self._last = seen
        return _Decoded(members, {side: all_ for side, all_ in images.items() if all_}, problems)


def _pixel_digest(pixels: Pixels) -> bytes:
    """Return the SHA-256 of an image's size and RGB bytes."""
    height, width = pixels.shape[:2]
    return hashlib.sha256(f"{width}x{height}\n".encode() + pixels.tobytes()).digest()


def _prepared(
    decoded: _Decoded, steps: tuple[Step, ...], sides: frozenset[Side], device: str
) -> Shown:
    """Prepare a batch's images and put them on the device."""
    names = [member.names for member in decoded.members]
    return {
        side: prepared_tensor(images, steps, side, names).to(device)
        for side, images in decoded.images.items()
        if side in sides
    }


def _batch(decoded: _Decoded, shown: Shown, metric: Metric) -> Batch:
    """Show a metric only what it declares that it needs, so that the declaration is true.

    What it compares is of one kind: floats, if any of it is. Features see each side as it is, since
    their rows serve other protocols, in which the other side may be prepared in another way.
    """
    keys = tuple(member.key for member in decoded.members)
    uses = {"generated", *metric.uses()}
    sides = {side: images for side, images in shown.items() if side in uses}
    if any(images.is_floating_point() for images in sides.values()):
        sides = {side: as_floats(images) for side, images in sides.items()}
    return Batch(keys, sides["generated"], sides.get("ground_truth"), sides.get("source"))
