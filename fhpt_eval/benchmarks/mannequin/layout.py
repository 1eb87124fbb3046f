"""Write the benchmark as DeepFashion's lists are, with what they lack beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fhpt_eval.benchmarks.mannequin.canvas import LABELS
from fhpt_eval.benchmarks.mannequin.draw import SEEN, Drawing, draw
from fhpt_eval.benchmarks.mannequin.pose import VIEWS
from fhpt_eval.common.files import check_writable, csv_text, read_text, write_atomically
from fhpt_eval.common.validation import CheckedSettings
from fhpt_eval.errors import ArgumentError, InputError
from fhpt_eval.images.files import encode
from fhpt_eval.keypoints import JOINTS, annotation_csv

#: Raised whenever the same seed gives other pixels or another truth.
VERSION = 1
#: Every fifth identity is in the test set, whatever their number, so that sets grow in place.
TEST_EVERY = 5
SPLITS = ("train", "test")
_MAX_ABOUT = 2**20

Seed = Annotated[int, Field(ge=0, lt=2**63)]
#: Height or width of an image, in pixels.
Side = Annotated[int, Field(ge=32, le=1024)]


class Settings(CheckedSettings):
    """What a set depends on."""

    identities: Annotated[int, Field(ge=2, le=1_000_000)]  # of which at least one is for the test
    seed: Seed
    height: Side = 256
    width: Side = 176


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: images and pairs by split, and the set's digest."""

    images: dict[str, int]
    pairs: dict[str, int]
    digest: str


@dataclass(frozen=True, slots=True)
class _Record:
    name: str
    split: str
    truth: dict[str, Any]
    points: NDArray[np.float64]
    digest: str


def split_of(identity: int) -> str:
    """Return the split that an identity belongs to."""
    return "test" if identity % TEST_EVERY == 0 else "train"


def image_name(item: str, view: int) -> str:
    """Return an image's file name, as DeepFashion's flattened names are."""
    return f"{item}_{VIEWS[view]}.jpg"


def write_benchmark(out: Path, settings: Settings, workers: int = 1) -> Written:
    """Draw the set and write it below ``out``, which must be new, empty, or hold this very set.

    A set that is there already is not drawn again; one that was interrupted, or that lacks a file,
    is written anew.

    Raises:
        ArgumentError: the folder holds something else.
        StorageError: it cannot be written.
    """
    about = out / "mannequin" / "about.json"
    if out.is_dir() and any(out.iterdir()):
        facts = read_about(about)
        if {name: facts.get(name) for name in _facts(settings)} != _facts(settings):
            raise ArgumentError(
                f"{out} is not empty and does not hold this set. Choose another folder, so that "
                "none is mixed."
            )
        if (written := _finished(out, facts)) is not None:
            return written
    check_writable(out)
    write_atomically(about, json_bytes(_facts(settings)))
    with _pool(workers) as mapped:
        batches = mapped(partial(_write_identity, out, settings), range(settings.identities))
        records = [record for batch in batches for record in batch]
    return _write_lists(out, settings, records)


@contextmanager
def _pool(workers: int) -> Iterator[Any]:
    """Yield a function like ``map`` that keeps the order, whoever does the work."""
    if workers == 1:
        yield map
        return
    # Not forked: the caller may have threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield partial(pool.map, chunksize=8)


def _write_identity(out: Path, settings: Settings, identity: int) -> list[_Record]:
    records = []
    for view in range(len(VIEWS)):
        drawing = draw(settings.seed, identity, view, settings.height, settings.width)
        name = image_name(drawing.person.item, view)
        split = split_of(identity)
        image = encode(drawing.image, "JPEG", quality=95, subsampling=0)
        write_atomically(out / split / name, image, durable=False)
        parsing = out / "mannequin" / f"parsing-{split}" / name.replace(".jpg", ".png")
        write_atomically(parsing, encode(drawing.parsing, "PNG"), durable=False)
        truth = _truth(name, drawing)
        digest = hashlib.sha256(json.dumps(truth, sort_keys=True).encode())
        digest.update(drawing.image.tobytes() + drawing.parsing.tobytes())
        seen = np.where((drawing.visible == SEEN)[:, None], drawing.keypoints, np.nan)
        records.append(_Record(name, split, truth, seen, digest.hexdigest()))
    return records


def _truth(name: str, drawing: Drawing) -> dict[str, Any]:
    """Return what the sidecar says of an image."""
    person, pose = drawing.person, drawing.pose
    return {
        "name": name,
        "item": person.item,
        "identity": person.identity,
        "view": pose.view[1:],
        "half_body": pose.half,
        "pose": list(pose.names),
        "keypoints": [
            [x, y, int(seen)]
            for (x, y), seen in zip(drawing.keypoints.tolist(), drawing.visible, strict=True)
        ],
        "face_box": drawing.face_box,
        "face_landmarks": drawing.landmarks,
        "attributes": {
            "gender": "women" if person.woman else "men",
            "top": person.top.kind,
            "collar": person.top.collar,
            "texture": person.top.texture.kind,
            "decoration": person.top.decoration,
            "bottom": person.bottom.kind,
            "bottom_texture": person.bottom.texture.kind,
            "hair": person.hair,
            "beard": person.face.beard,
            "glasses": person.face.glasses,
        },
    }


def _write_lists(out: Path, settings: Settings, records: list[_Record]) -> Written:
    digest = hashlib.sha256("".join(record.digest for record in records).encode()).hexdigest()
    images, pairs = {}, {}
    for split in SPLITS:
        mine = [record for record in records if record.split == split]
        rows = list(_pairs(mine))
        lines = "".join(json.dumps(record.truth) + "\n" for record in mine)
        annotations = annotation_csv({record.name: record.points for record in mine})
        listed = csv_text([("from", "to"), *rows])
        names = "".join(f"{record.name}\n" for record in mine)
        texts = (listed, annotations, names, lines)
        for path, text in zip(_lists(out, split), texts, strict=True):
            write_atomically(path, text.encode())
        images[split], pairs[split] = len(mine), len(rows)
    about = {
        **_facts(settings),
        "digest": digest,
        "joints": JOINTS,
        "visibility": ["outside of the image", "hidden by another part", "seen"],
        "labels": LABELS,
        "images": images,
        "pairs": pairs,
    }
    write_atomically(out / "mannequin" / "about.json", json_bytes(about))
    return Written(images, pairs, digest)


def _facts(settings: Settings) -> dict[str, Any]:
    """Return what tells sets apart."""
    return {
        "version": VERSION,
        "seed": settings.seed,
        "identities": settings.identities,
        "size": [settings.height, settings.width],
    }


def read_about(path: Path) -> dict[str, Any]:
    """Return what a folder says of its images; nothing where it is none of ours."""
    try:
        facts = json.loads(read_text(path, _MAX_ABOUT, "a folder of this benchmark"))
    except (InputError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _finished(out: Path, about: dict[str, Any]) -> Written | None:
    """Return what was written where every file is there; their contents are not looked at."""
    images, pairs, digest = (about.get(name) for name in ("images", "pairs", "digest"))
    if not (isinstance(images, dict) and isinstance(pairs, dict) and isinstance(digest, str)):
        return None
    for split in SPLITS:
        counts = (
            len(list((out / split).glob("*.jpg"))),
            len(list((out / "mannequin" / f"parsing-{split}").glob("*.png"))),
        )
        lists = (path.is_file() for path in _lists(out, split))
        if counts != (images.get(split),) * 2 or split not in pairs or not all(lists):
            return None
    return Written(images, pairs, digest)


def _lists(out: Path, split: str) -> tuple[Path, ...]:
    """Return the files of a split beside its images: pairs, annotation, names, truth."""
    return (
        out / f"fasion-resize-pairs-{split}.csv",
        out / f"fasion-resize-annotation-{split}.csv",
        out / f"{split}.lst",
        out / "mannequin" / f"truth-{split}.jsonl",
    )


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """Return a table as the text of a JSON file."""
    return (json.dumps(value, indent=1) + "\n").encode()


def _pairs(records: Iterable[_Record]) -> Iterator[tuple[str, str]]:
    """Yield every ordered pair of two views of one item."""
    items: dict[str, list[str]] = {}
    for record in records:
        items.setdefault(record.truth["item"], []).append(record.name)
    for names in items.values():
        yield from permutations(names, 2)


def contact_sheet(
    seed: int, identities: Iterable[int], height: int = 256, width: int = 176
) -> NDArray[np.uint8]:
    """Return a column per identity and a row per view, ``(H, W, 3)`` uint8."""
    people = list(identities)
    rows = [
        np.concatenate([draw(seed, person, view, height, width).image for person in people], axis=1)
        for view in range(len(VIEWS))
    ]
    return np.concatenate(rows, axis=0)
