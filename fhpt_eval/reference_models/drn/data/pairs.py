"""The pairs of a data folder: who is shown in whose pose, where the images are, where the joints.

Images are checked here and not decoded; everything that is wrong is listed at once, before any
work.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ImageError, InputError
from fhpt_eval.images.files import CheckedImage, ImageRef, check
from fhpt_eval.keypoints import Frame, Keypoints, read_keypoints
from fhpt_eval.pairs.lists import Row, read_pairs
from fhpt_eval.reference_models.drn.data.folder import ImageIndex, Lists, MissingImage, find_lists

#: Above this share of images with joints outside of them, the key points are of another frame: of
#: the 4,038 test images of DeepFashion it is 0.5 % where the frame is right, and 25 % where crops
#: 176 wide meet key points of a frame 256 wide.
_MOST_OUTSIDE = 0.05
#: Problems that a message lists; it says how many more there are.
_SHOWN = 100
#: Pairs that were left out which are named where the training goes on without them.
_NAMED = 10


@dataclass(frozen=True)
class Person:
    """One image: its name in the lists, its checked file, and the joints in its own pixels.

    ``file`` is ``None`` for a target whose image nobody has; ``points`` is ``(18, 2)`` float64, NaN
    where a joint is missing or lies outside of the image. ``size`` is height and width.
    """

    name: str
    file: CheckedImage | None
    size: tuple[int, int]
    points: NDArray[np.float64]


@dataclass(frozen=True)
class PairSet:
    """Pairs of one split, in the order of their list.

    Attributes:
        people: the images that occur, each once.
        pairs: ``(P, 2)`` int64: source and target of each pair, as places in ``people``.
        lists: the files that were read.
        notes: what a person should know of how it was read.
        left_out: what is wrong with the pairs that were left out, as the message would list it.
    """

    people: tuple[Person, ...]
    pairs: NDArray[np.int64]
    lists: Lists
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over pairs, key points and the contents of the image files.

        Names count as the lists have them, and where the folder lies does not.
        """
        digest = hashlib.sha256()
        for person in self.people:
            content = person.file.digest if person.file else "-"
            digest.update(f"{person.name}\n{content} {person.size}\n".encode())
            digest.update(person.points.astype("<f8").tobytes())
        digest.update(self.pairs.astype("<i8").tobytes())
        return digest.hexdigest()


def read_data(
    folder: Path,
    split: str,
    *,
    pairs: Path | None = None,
    keypoints: Path | None = None,
    targets: bool = True,
    allow_missing: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> PairSet:
    """Read a split of a folder in DeepFashion's, Market-1501's or mannequin's layout.

    Args:
        folder: holds the lists and, in folders that :mod:`layout` knows, the images.
        split: as the lists' names have it, such as ``train``.
        pairs: another list of pairs, with columns ``from,to``.
        keypoints: other key points: an annotation CSV, or a folder of OpenPose's JSON.
        targets: whether the targets' images must be there too; if not, one that is missing is
            taken to be as large as the first source that the list pairs it with.
        allow_missing: leave out pairs whose files or joints are missing, instead of refusing all.
        threads: that read files.
        progress: is told how far it is, and what was read.

    Raises:
        InputError: a list cannot be read (the line is named), the key points are of another frame,
            or pairs lack something; all of them are listed.
    """
    lists = find_lists(folder, split, pairs, keypoints)
    rows, repeated = _distinct(read_pairs(lists.pairs), lists.pairs)
    points = read_keypoints(lists.keypoints)
    progress = progress or Progress()
    reader = _Reader(ImageIndex(folder, split), points, threads, progress)
    data = reader.read(rows, lists, targets, allow_missing, repeated)
    progress.say(
        f"{len(data):,} pairs of {len(data.people):,} images: {lists.pairs}, {lists.keypoints}"
    )
    for line in [*data.notes, *(f"  left out: {line}" for line in data.left_out[:_NAMED])]:
        progress.say(line)
    return data


def _distinct(rows: Sequence[Row], path: Path) -> tuple[list[tuple[str, str, int]], int]:
    """Return (source, target, line) of each pair once, and how many rows said one again."""
    lines: dict[tuple[str, str], int] = {}
    for row in rows:
        if row.source is None:
            raise InputError(
                f"{path}, line {row.line}: has no source; give a list with columns from,to."
            )
        for name in (row.source, row.target):
            if name.startswith("/") or ".." in name.split("/"):
                raise InputError(
                    f"{path}, line {row.line}: '{name}' leads out of the folder; give names as "
                    "they are below it."
                )
        lines.setdefault((row.source, row.target), row.line)
    return [(*names, line) for names, line in lines.items()], len(rows) - len(lines)


class _Reader:
    """Reads the pairs of one folder, and gathers what is wrong with them."""

    def __init__(
        self, index: ImageIndex, points: Keypoints, threads: int, progress: Progress
    ) -> None:
        self.index, self.points = index, points
        self.threads, self.progress = threads, progress
        self.reasons: dict[str, str] = {}
        self.costs: Counter[str] = Counter()

    def read(
        self,
        rows: Sequence[tuple[str, str, int]],
        lists: Lists,
        targets: bool,
        allow_missing: bool,
        repeated: int,
    ) -> PairSet:
        required = dict.fromkeys(name for s, t, _ in rows for name in ((s, t) if targets else (s,)))
        names = dict.fromkeys(name for s, t, _ in rows for name in (s, t))
        files = self._check(names)
        wrong = {name: self._fault(name, files[name], name in required) for name in names}
        sizes = _sizes(rows, files)
        shown = sorted(name for name in names if name in sizes and not wrong[name])
        points, outside = self._positions(shown, sizes)
        kept = []
        for source, target, line in rows:
            faults = [(n, f) for n, f in ((source, wrong[source]), (target, wrong[target])) if f]
            if not faults and np.isnan(points[target]).all():
                # A person without joints may be a source, but nobody can be put in such a pose.
                faults = [(target, "has no joint in the image, so there is no pose to take")]
            for name, fault in faults:
                self.reasons.setdefault(name, f"{fault}; {lists.pairs.name}, line {line}, wants it")
                self.costs[name] += 1
            if not faults:
                kept.append((source, target))
        self._refuse(len(rows), len(kept), allow_missing)
        shown = sorted({name for pair in kept for name in pair})
        people = tuple(
            Person(
                name, file if isinstance(file := files[name], CheckedImage) else None,
                sizes[name], points[name],
            )
            for name in shown
        )  # fmt: skip
        place = {name: number for number, name in enumerate(shown)}
        pairs = np.array([[place[s], place[t]] for s, t in kept], dtype=np.int64).reshape(-1, 2)
        notes = self._notes(len(rows) - len(kept), repeated, outside)
        return PairSet(people, pairs, lists, notes, tuple(self._problems()))

    def _check(self, names: Mapping[str, None]) -> dict[str, CheckedImage | InputError]:
        """Check every image's file without decoding it."""

        def checked(name: str) -> CheckedImage | InputError:
            try:
                return check(ImageRef(self.index[name]))
            except ImageError as error:
                return ImageError(f"its file {error}")
            except InputError as error:
                return error

        self.progress.stage("checking images", len(names), "images")
        files: dict[str, CheckedImage | InputError] = {}
        with ThreadPoolExecutor(self.threads) as pool:
            for name, file in zip(names, pool.map(checked, names), strict=True):
                files[name] = file
                if len(files) % 100 == 0:
                    self.progress.advance(len(files))
        return files

    def _fault(self, name: str, file: CheckedImage | InputError, required: bool) -> str:
        """Say what an image lacks, as a source or as a target."""
        if isinstance(file, InputError) and (required or not isinstance(file, MissingImage)):
            return str(file)
        if name not in self.points:
            return f"has no key points in {self.points.origin}"
        return ""

    def _problems(self) -> list[str]:
        """Say what is wrong, image by image, and how many pairs it costs."""
        return [
            f"{name}: {reason} ({self.costs[name]:,} pair{'s' if self.costs[name] > 1 else ''})"
            for name, reason in self.reasons.items()
        ]

    def _refuse(self, rows: int, kept: int, allow_missing: bool) -> None:
        lines = self._problems()
        if not lines or (allow_missing and kept):
            return
        shown = "\n  ".join(lines[:_SHOWN])
        more = f"\n  and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else ""
        advice = "Mend it, or leave these pairs out with --allow-missing."
        if not kept:
            advice = "No pair is left. Check --data, --split and the lists."
        raise InputError(f"{rows - kept:,} of {rows:,} pairs lack something:\n  {shown}{more}\n"
                         f"{advice}")  # fmt: skip

    def _positions(
        self, names: list[str], sizes: Mapping[str, tuple[int, int]]
    ) -> tuple[dict[str, NDArray[np.float64]], int]:
        """Return each image's joints in its pixels, and how many images have some outside."""
        if not names:
            return {}, 0
        size = np.array([sizes[name] for name in names], dtype=np.float64)
        inside = Frame(outside="absent").positions(self.points, names, size)
        annotated = self.points.of(names)[..., 0]
        outside = int((np.isnan(inside[..., 0]) & ~np.isnan(annotated)).any(axis=1).sum())
        if outside > max(1, _MOST_OUTSIDE * len(names)):
            self._refuse_frame(names, size)
        return dict(zip(names, inside, strict=True)), outside

    def _refuse_frame(self, names: list[str], sizes: NDArray[np.float64]) -> None:
        """Refuse key points of another frame, in the words that tell which joint lies outside."""
        try:
            Frame().positions(self.points, names, sizes)
        except InputError as error:
            fact = str(error).partition(" If the key points were annotated")[0]
            raise InputError(
                f"{fact} These key points belong to images of another size or crop: give those "
                "that were made for these images with --keypoints."
            ) from error

    def _notes(self, left_out: int, repeated: int, outside: int) -> tuple[str, ...]:
        counts = (
            (left_out, "pairs are left out, as they lack something"),
            (repeated, "rows repeat a pair that stands above; each pair counts once"),
            (outside, "images have joints outside of them; such a joint counts as missing"),
        )
        return tuple(f"{count:,} {text}." for count, text in counts if count)


def _sizes(
    rows: Sequence[tuple[str, str, int]], files: Mapping[str, CheckedImage | InputError]
) -> dict[str, tuple[int, int]]:
    """Return height and width of images; a target that nobody has is as large as a source of it."""
    sizes = {n: (f.height, f.width) for n, f in files.items() if isinstance(f, CheckedImage)}
    for source, target, _ in rows:
        if source in sizes:
            sizes.setdefault(target, sizes[source])
    return sizes
