"""Images apart from the pairs whose features metrics want: source images, a reference folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ImageError, InputError, StorageError
from fhpt_eval.evaluation.chunk import (
    BATCH_PAIRS,
    BATCH_PIXELS,
    UnreadableError,
    prepared_tensor,
)
from fhpt_eval.evaluation.job import VANISHED, truth_rows, yield_address
from fhpt_eval.evaluation.plan import CheckedPair, Chunk, check_all, split_by_name
from fhpt_eval.evaluation.rows import FeatureTask, Row, RowMaker, Rows, keep_rows, load_rows
from fhpt_eval.evaluation.store import Store
from fhpt_eval.images.files import CheckedImage, ImageRef, decode, find_images
from fhpt_eval.images.preparation import prepared_size
from fhpt_eval.pairs.pair import Problem


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image and its name: its path below its folder, without the ending."""

    name: str
    image: CheckedImage


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """Some images of a set, in the order of their places."""

    images: tuple[NamedImage, ...]

    def identities(self) -> list[str]:
        """Return what makes the pixels of each image, each once, sorted."""
        return sorted({one.image.identity for one in self.images})


@dataclass(frozen=True)
class ImageSet:
    """A set of images, split into chunks by their names, and the features that are wanted."""

    title: str
    chunks: tuple[ImageChunk, ...]
    tasks: tuple[FeatureTask, ...]

    @classmethod
    def of(cls, title: str, images: Iterable[NamedImage], tasks: Iterable[FeatureTask]) -> ImageSet:
        """Split images, each name once, into chunks.

        Raises:
            InputError: a step of a task's preparation goes by the names of a pair.
        """
        tasks = tuple(tasks)
        for task in tasks:
            for step in task.steps:
                if step.by_name and task.side in step.of:
                    raise InputError(
                        f"{title}: the protocol's step '{step.model_dump()['step']}' needs the "
                        "names of a pair, which these images have not; limit it to the sides that "
                        "it is meant for (of)."
                    )
        named = ((one.name, one.name, one) for one in images)
        chunks = tuple(ImageChunk(some) for some in split_by_name(named))
        return cls(title, chunks, tuple({task.content: task for task in tasks}.values()))


def sources_of(pairs: Sequence[CheckedPair]) -> list[NamedImage]:
    """Return the distinct source images of the pairs."""
    found: dict[str, NamedImage] = {}
    for pair in pairs:
        if pair.source is not None:
            name = pair.pair.source_name or pair.source.identity
            found.setdefault(pair.source.identity, NamedImage(name, pair.source))
    return list(found.values())


def images_below(
    root: Path, tasks: Sequence[FeatureTask], workers: int, progress: Progress
) -> list[NamedImage]:
    """Check all images below a reference folder, and that they can be prepared.

    Raises:
        InputError: the folder, or an image in it, cannot be used.
    """
    paths = find_images(root, "The reference folder")
    refs = {ImageRef(names[0]): name for name, names in paths.items()}
    twice = [name for name, names in paths.items() if len(names) > 1]
    problems = [Problem("duplicate", one, "several files have this name") for one in twice]
    progress.stage("Checking reference images", len(refs))
    checked, broken = check_all(list(refs), workers, progress)
    problems += [Problem("unreadable", str(ref.path), reason) for ref, reason in broken.items()]
    for ref, image in checked.items():
        try:
            for task in tasks:
                prepared_size((image.width, image.height), task.steps, task.side)
        except ImageError as error:
            problems.append(Problem("size", str(ref.path), str(error)))
    if problems:
        raise InputError(unusable(f"The reference folder {root}", problems))
    return [NamedImage(name, checked[ref]) for ref, name in refs.items()]


def unusable(what: str, problems: Sequence[Problem], most: int = 20) -> str:
    """Say which images of a set cannot be used; the first ones where there are many."""
    lines = [f"  {problem.name}: {problem.reason}" for problem in problems[:most]]
    lines += [f"  and {len(problems) - most:,} more"] if len(problems) > most else []
    return f"{what}: {len(problems):,} images cannot be used.\n" + "\n".join(lines)


#: Where rows of images may be known already: by task, a chunk's identities.
Elsewhere = Callable[[FeatureTask, Sequence[str]], Rows]


@dataclass(frozen=True)
class ImageJob:
    """Computes the features of a chunk of images that ``store`` lacks."""

    tasks: tuple[FeatureTask, ...]
    device: str
    store: Store
    elsewhere: Elsewhere

    def __call__(self, chunk: ImageChunk) -> bool:
        """Return whether everything was in the store already.

        Raises:
            UnreadableError: lists every image of the chunk that cannot be decoded.
        """
        identities = chunk.identities()
        lacking = [task for task in self.tasks if not load_rows(self.store, task, identities)]
        makers = {t.content: RowMaker(t, self.elsewhere(t, identities)) for t in lacking}
        images = {one.image.identity: one for one in chunk.images}
        wanted = {one for maker in makers.values() for one in maker.lacking(identities)}
        problems: list[Problem] = []
        for batch in _batches([images[one] for one in sorted(wanted)], lacking):
            pixels = _decode(batch, problems)
            if problems:
                continue  # nothing of this chunk will be kept, but all that is wrong is listed
            for task in lacking:
                tensor = _prepared(pixels, task, self.device)
                names = [one.image.identity for one in batch]
                makers[task.content].add(tensor, names, batch[0].name)
        if problems:
            raise UnreadableError(problems)
        for task in lacking:
            keep_rows(self.store, task, identities, makers[task.content].stacked(identities))
        return not lacking


def _batches(
    images: Sequence[NamedImage], tasks: Sequence[FeatureTask]
) -> Iterator[tuple[NamedImage, ...]]:
    """Cut images into batches of equal sizes and of bounded pixels, as pairs are."""

    def size(one: NamedImage) -> tuple[int, int]:
        return one.image.width, one.image.height

    for (width, height), group in groupby(sorted(images, key=lambda o: (size(o), o.name)), size):
        some = tuple(group)
        sizes = [prepared_size((width, height), task.steps, task.side) for task in tasks]
        largest = max([width * height, *(w * h for w, h in sizes)])
        count = max(1, min(BATCH_PAIRS, BATCH_PIXELS // max(1, largest)))
        for at in range(0, len(some), count):
            yield some[at : at + count]


def _decode(batch: Sequence[NamedImage], problems: list[Problem]) -> list[NDArray[np.uint8]]:
    pixels = []
    for one in batch:
        try:
            pixels.append(decode(one.image))
        except ImageError as error:
            problems.append(Problem("unreadable", str(one.image.ref.path), str(error)))
    return pixels


def _prepared(pixels: list[NDArray[np.uint8]], task: FeatureTask, device: str) -> torch.Tensor:
    return prepared_tensor(pixels, task.steps, task.side).to(device)


def nowhere(task: FeatureTask, identities: Sequence[str]) -> Rows:
    """Know no rows."""
    _ = task, identities
    return {}


def in_pairs(chunks: Sequence[Chunk], features: Sequence[FeatureTask], store: Store) -> Elsewhere:
    """Return a look-up among the ground-truth images of the pairs: many are source images too."""
    places = {pair.ground_truth.identity: chunk for chunk in chunks for pair in chunk.pairs}
    tasks = {task.content: task for task in features if task.side == "ground_truth"}

    def look_up(task: FeatureTask, identities: Sequence[str]) -> Rows:
        own = tasks.get(task.content)
        if own is None:
            return {}
        found: dict[str, Row] = {}
        for chunk in {places[one] for one in identities if one in places}:
            partial = store.load(yield_address(chunk, own.address))
            found |= truth_rows(chunk, partial, own) if partial is not None else {}
        return {one: found[one] for one in identities if one in found}

    return look_up


def rows_of(store: Store, chunk: ImageChunk, task: FeatureTask) -> Rows:
    """Return the rows of a chunk's images, by identity, that were kept a moment ago.

    Raises:
        StorageError: they are gone.
    """
    rows = load_rows(store, task, chunk.identities())
    if not rows:
        raise StorageError(VANISHED)
    return rows
