"""What the networks learn from: pictures of people of the train split, drawn once and kept.

Every item is worn by two people of one gender, its owner as in the benchmark and another one, so
that a network can tell what belongs to the garment from what belongs to the person.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fhpt_eval.benchmarks.mannequin.draw import Drawing, render
from fhpt_eval.benchmarks.mannequin.identity import TEXTURES, Person, dressed, make_person
from fhpt_eval.benchmarks.mannequin.layout import (
    VERSION,
    Seed,
    Side,
    json_bytes,
    read_about,
    split_of,
)
from fhpt_eval.benchmarks.mannequin.pose import VIEWS, make_pose
from fhpt_eval.common.files import check_writable, write_atomically
from fhpt_eval.common.validation import CheckedSettings
from fhpt_eval.errors import ArgumentError, InputError

#: Kinds of the upper garment, as ``identity`` draws them.
KINDS = ("tee", "tank", "shirt", "sweater", "jacket", "hoodie", "dress")
#: Wearers of an item: its owner, and another.
WEARERS = 2
#: Pictures of an item.
PER_ITEM = WEARERS * len(VIEWS)
#: Another gender comes up with nearly half the chance, so that this many tries never fail.
_TRIES = 200

#: Type and shape of the arrays beside the images, for one picture. ``face_box`` is NaN where no
#: face is seen.
_TRUTH: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "item": ("<i4", ()),
    "wearer": ("<i4", ()),
    "view": ("<i1", ()),
    "kind": ("<i1", ()),
    "texture": ("<i1", ()),
    "keypoints": ("<f4", (18, 2)),
    "visible": ("<u1", (18,)),
    "face_box": ("<f4", (4,)),
}


class PictureSettings(CheckedSettings):
    """What the pictures depend on: how many items, the seed, and the size of an image."""

    items: Annotated[int, Field(ge=2, le=100_000)]
    seed: Seed
    height: Side = 256
    width: Side = 176
    split: Literal["train", "test"] = "train"


class Pictures:
    """Drawn pictures with their truth: arrays with a row per picture, read as they are needed.

    Attributes:
        images: ``(N, H, W, 3)`` uint8. Pictures of an item lie side by side: the owner's four
            views, then the other wearer's.
        truth: by name, ``(N, ...)``: item, wearer, view, kind (of :data:`KINDS`), texture (of
            ``TEXTURES``), keypoints (18, 2), visible (18,), face_box (4,).

    Raises:
        InputError: a file is missing, cut off or something else.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self.images: NDArray[np.uint8] = np.load(folder / "images.npy", mmap_mode="r")
            self.truth: dict[str, NDArray[Any]] = {
                name: np.load(folder / f"{name}.npy") for name in _TRUTH
            }
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{folder} cannot be read as pictures ({error}). Delete it, to have them "
                "drawn again."
            ) from error

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.images)

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a truth, by which the pictures are known again."""
        return hashlib.sha256(np.ascontiguousarray(self.truth[name]).tobytes()).hexdigest()


def load_pictures(folder: Path, settings: PictureSettings, workers: int = 1) -> Pictures:
    """Return the pictures in a folder, drawing them first where they are not there.

    Raises:
        ArgumentError: the folder holds pictures of other settings.
        StorageError: it cannot be written.
    """
    wanted = {"version": VERSION, **settings.model_dump()}
    about = folder / "about.json"
    if about.is_file():
        if read_about(about) != wanted:
            raise ArgumentError(
                f"{folder} holds pictures of other settings ({about.name}). Choose another folder."
            )
        return Pictures(folder)
    check_writable(folder)
    _draw_all(folder, settings, workers)
    write_atomically(about, json_bytes(wanted))
    return Pictures(folder)


def _draw_all(folder: Path, settings: PictureSettings, workers: int) -> None:
    total = settings.items * PER_ITEM
    shape = (total, settings.height, settings.width, 3)
    images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
    truth = {name: np.zeros((total, *tail), kind) for name, (kind, tail) in _TRUTH.items()}
    members = (identity for identity in count() if split_of(identity) == settings.split)
    owners = list(islice(members, settings.items))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        drawings = pool.map(partial(_draw_item, settings), owners, chunksize=4)
        for number, (pixels, rows) in enumerate(drawings):
            place = slice(number * PER_ITEM, (number + 1) * PER_ITEM)
            images[place] = pixels
            for name, values in rows.items():
                truth[name][place] = values
    images.flush()
    for name, values in truth.items():
        np.save(folder / f"{name}.npy", values)


def _draw_item(
    settings: PictureSettings, owner: int
) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
    person = make_person(settings.seed, owner)
    second = other_wearer(settings.seed, person, settings.split)
    drawn, rows = [], []
    for take, (number, worn) in enumerate(((owner, person), second)):
        for view in range(len(VIEWS)):
            pose = make_pose(settings.seed, worn, view, take)
            drawing = render(worn, pose, settings.height, settings.width)
            drawn.append(drawing.image)
            rows.append(_row(drawing, owner, number, view))
    truth = {
        name: np.array([row[name] for row in rows], kind) for name, (kind, _) in _TRUTH.items()
    }
    return np.stack(drawn), truth


def other_wearer(seed: int, owner: Person, split: str) -> tuple[int, Person]:
    """Return the next identity of the split and the owner's gender, and them in these clothes."""
    for step in range(1, _TRIES):
        number = owner.identity + step
        if split_of(number) == split:
            person = make_person(seed, number)
            if person.woman == owner.woman:
                return number, dressed(person, owner)
    raise AssertionError(f"no other wearer after {_TRIES} identities")


def _row(drawing: Drawing, item: int, wearer: int, view: int) -> dict[str, Any]:
    return {
        "item": item,
        "wearer": wearer,
        "view": view,
        "kind": KINDS.index(drawing.person.top.kind),
        "texture": TEXTURES.index(drawing.person.top.texture.kind),
        "keypoints": drawing.keypoints,
        "visible": drawing.visible,
        "face_box": drawing.face_box or (np.nan,) * 4,
    }
