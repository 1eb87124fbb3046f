"""Pixels of the pairs, fast enough that the device need not wait for them. Decoded images of
the working size stay in memory where they fit (10,000 of 128 x 88 are 340 MB), on a GPU in its own;
otherwise threads decode ahead. Both give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fhpt_eval.common.machine import ahead, free_memory
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ImageError, InputError
from fhpt_eval.images.files import decode
from fhpt_eval.reference_models.drn.data.faces import face_boxes
from fhpt_eval.reference_models.drn.data.inputs import Batch
from fhpt_eval.reference_models.drn.data.pairs import PairSet, Person

#: Share of the memory that is free which images may take, of all processes together.
_SHARE = 0.5
#: Images that a message lists; it says how many more there are.
_SHOWN = 20
#: Batches that are made ahead of the one in use.
AHEAD = 4
#: Decoded images at the working size, ``(N, 3, H, W)`` uint8, by their places in a PairSet.
Pixels = Callable[[NDArray[np.int64]], Tensor]


def resized(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Return an image ``(h, w, 3)`` in another size: Pillow's bicubic, which smooths first."""
    if image.shape[:2] == (height, width):
        return image
    kernel = Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize((width, height), kernel))


def read_person(person: Person, height: int, width: int) -> Tensor:
    """Decode a person's image at the working size, ``(3, H, W)`` uint8.

    Raises:
        InputError: the file cannot be decoded, or has changed since it was checked.
    """
    if person.file is None:
        raise InputError(f"{person.name}: there is no image.")
    try:
        pixels = resized(decode(person.file), height, width)
    except ImageError as error:
        raise InputError(f"{person.file.ref.path}: {error}.") from error
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


class Cached:
    """All images in the memory of one device."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __call__(self, places: NDArray[np.int64]) -> Tensor:
        rows = torch.from_numpy(places)
        if self.images.device.type == "cuda":
            rows = rows.pin_memory().to(self.images.device, non_blocking=True)
        return self.images[rows]


class Decoded:
    """Images that threads decode when they are asked for."""

    def __init__(
        self, people: Sequence[Person], height: int, width: int, pool: ThreadPoolExecutor
    ) -> None:
        self.people, self.size, self.pool = people, (height, width), pool

    def __call__(self, places: NDArray[np.int64]) -> Tensor:
        chosen = [self.people[place] for place in places.tolist()]
        return torch.stack(
            list(self.pool.map(lambda person: read_person(person, *self.size), chosen))
        )


def open_pixels(
    people: Sequence[Person],
    height: int,
    width: int,
    *,
    device: torch.device,
    pool: ThreadPoolExecutor,
    progress: Progress,
    processes: int = 1,
    limit: int | None = None,
) -> Pixels:
    """Decode all images into memory if they fit, or return what decodes them as they are needed.

    Each is decoded once in any case: damage that comes to light at hour three would cost the
    training, as mended images are other data than its checkpoint's.

    Args:
        people: whose images; all have a file.
        height: of the working size.
        width: of the working size.
        device: that will use them; a GPU keeps them itself where it has the room.
        pool: the threads that decode.
        progress: is told how far it is.
        processes: of this machine that do the same at this moment.
        limit: bytes that they may take.  [default: half of what is free, by the processes]

    Raises:
        InputError: files cannot be decoded; the message lists them.
    """
    size = len(people) * 3 * height * width
    fits = size <= (free_memory() * _SHARE / processes if limit is None else limit)
    if not fits:
        progress.say(
            f"{len(people):,} images of {height} x {width} take {size / 1e9:.1f} GB, more than "
            "memory has to spare: they are decoded as they are needed."
        )
    images = torch.empty((len(people) if fits else 0, 3, height, width), dtype=torch.uint8)

    def fault_of(place: int) -> str:
        try:
            pixels = read_person(people[place], height, width)
        except InputError as error:
            return str(error)
        if fits:
            images[place] = pixels
        return ""

    progress.stage("decoding images" if fits else "checking images", len(people), "images")
    faults = []
    for place, fault in enumerate(ahead(pool, fault_of, range(len(people)), depth=64)):
        faults += [fault] if fault else []
        if place % 100 == 99:
            progress.advance(place + 1)
    _refuse(faults)
    if not fits:
        return Decoded(people, height, width, pool)
    if device.type == "cuda" and size < torch.cuda.mem_get_info(device)[0] * _SHARE / 2:
        images = images.to(device)
    return Cached(images)


def _refuse(faults: Sequence[str]) -> None:
    if not faults:
        return
    more = f"\n  and {len(faults) - _SHOWN:,} more" if len(faults) > _SHOWN else ""
    shown = "\n  ".join(faults[:_SHOWN])
    raise InputError(
        f"{len(faults):,} images cannot be decoded:\n  {shown}{more}\n"
        "Replace them, or take their rows out of the list of pairs."
    )


class Batches:
    """Makes batches of a pair set: pixels, joints and face boxes in the working size's frame."""

    def __init__(
        self, data: PairSet, pixels: Pixels, height: int, width: int, *, targets: bool = True
    ) -> None:
        self.data, self.pixels, self.targets = data, pixels, targets
        sizes = np.array([person.size for person in data.people], dtype=np.float64)
        scale = np.array([width, height]) / sizes[:, ::-1]  # (M, 2): of x and of y
        points = np.stack([person.points for person in data.people])
        moved = (points + 0.5) * scale[:, None] - 0.5
        # Boxes are squares in the image, whatever the working size makes of its shape.
        boxes = face_boxes(points) * np.tile(scale, 2)
        self._points = torch.from_numpy(moved.astype(np.float32))
        self._boxes = torch.from_numpy(boxes.astype(np.float32))

    def __call__(self, rows: NDArray[np.int64]) -> Batch:
        """Return the batch of these pairs, on the device that keeps the pixels."""
        source, target = self.data.pairs[rows].T
        return Batch(
            self.pixels(source),
            self.pixels(target) if self.targets else None,
            self._points[source], self._points[target],
            self._boxes[source], self._boxes[target],
        )  # fmt: skip
