"""Where a data folder has its lists and its images.

A folder is recognised by its lists, ``PREFIX-pairs-SPLIT.csv`` and ``PREFIX-annotation-SPLIT.csv``,
in which PREFIX is one of :data:`PREFIXES`; docs/drn-training.md describes what may lie where.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fhpt_eval.errors import InputError
from fhpt_eval.images.listing import REFUSED_SUFFIXES, find_images
from fhpt_eval.images.names import NameIndex

#: What the field's lists begin with: DeepFashion's in crops and in full frames, in both spellings,
#: and Market-1501's. Where several are there, the first counts.
PREFIXES = ("fasion-resize", "fashion-resize", "fasion", "fashion", "market")

#: Folders in which an image may lie, below the data folder; the split's own comes before them.
_FOLDERS = ("", "images/", "img/", "train/", "test/")


@dataclass(frozen=True, slots=True)
class Lists:
    """The list of pairs, and the key points: a CSV, or a folder of OpenPose's JSON."""

    pairs: Path
    keypoints: Path


def find_lists(folder: Path, split: str, pairs: Path | None, keypoints: Path | None) -> Lists:
    """Find a split's lists, but for those that are given.

    Raises:
        InputError: there is no such folder, or a list is missing; says what was looked for.
    """
    if not folder.is_dir():
        raise InputError(f"--data: there is no folder {folder}. Check the path.")
    if not split or any(mark in split for mark in "/\\*?[]"):
        raise InputError(f"--split {split!r}: give the part between '-' and '.csv', such as test.")
    return Lists(
        pairs or _list(folder, "pairs", split), keypoints or _list(folder, "annotation", split)
    )


def _list(folder: Path, kind: str, split: str) -> Path:
    for prefix in PREFIXES:
        path = folder / f"{prefix}-{kind}-{split}.csv"
        if path.is_file():
            return path
    candidates = sorted(path.name for path in folder.glob(f"*-{kind}-*.csv"))
    hint = f" There are: {', '.join(candidates[:10])}." if candidates else ""
    option = "--pairs" if kind == "pairs" else "--keypoints"
    raise InputError(
        f"--data: {folder} has no {kind} of the split '{split}' (PREFIX-{kind}-{split}.csv, with "
        f"PREFIX one of {', '.join(PREFIXES)}).{hint} Give --split, or the file with {option}."
    )


class MissingImage(InputError):  # noqa: N818 - a state of a name, which may be no fault
    """No file has the name of an image; the message is the reason, without the name."""


class ImageIndex:
    """The images below a data folder, by the names that its lists have, in any spelling."""

    def __init__(self, folder: Path, split: str) -> None:
        """List the folder.

        Raises:
            InputError: it cannot be read, or holds no image.
        """
        self.folder = folder
        self._places = dict.fromkeys((f"{split}/", *_FOLDERS))
        self._found = find_images(folder, "--data")
        self._names = NameIndex(self._found)

    def __getitem__(self, name: str) -> Path:
        """Return where an image lies.

        Raises:
            MissingImage: it lies nowhere.
            InputError: it lies in two files of one name, or in a refused format; the message is
                the reason, without the name.
        """
        exact = (place + name for place in self._places if place + name in self._found)
        keys = [key] if (key := next(exact, None)) else self._names.find(name)
        paths = [path for key in keys for path in self._found[key]]
        if len(paths) > 1:
            files = " and ".join(path.relative_to(self.folder).as_posix() for path in paths)
            raise InputError(f"is there twice, as {files}; remove all but one")
        if paths and paths[0].suffix.lower() in REFUSED_SUFFIXES:
            raise InputError(f"is {paths[0].suffix}, which is not read; save it as PNG")
        if paths:
            return paths[0]
        places = ", ".join(f"{self.folder}/{place}".rstrip("/") for place in self._places)
        raise MissingImage(f"there is no such image (looked in {places}).{self._names.near(name)}")
