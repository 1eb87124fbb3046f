"""Key points of images by name, in memory; names, and signs of another unit than pixels."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fhpt_eval.errors import ArgumentError, InputError
from fhpt_eval.images.listing import without_ending
from fhpt_eval.images.names import NameIndex
from fhpt_eval.keypoints.joints import JOINTS

Points = NDArray[np.float64]

#: Largest coordinate, in pixels: no image that is read here is wider or higher.
MAX_COORDINATE = 2.0**26
#: A coordinate or a confidence in a file.
Number = Annotated[float, Field(ge=-MAX_COORDINATE, le=MAX_COORDINATE, allow_inf_nan=False)]

#: Names that a message shows; it says how many more there are.
_SHOWN = 3


class Keypoints(Mapping[str, Points]):
    """Key points of one person in each of some images; nothing of it can be changed.

    Maps an image's name (its path without the ending) to ``(18, 3)`` float64: x and y in pixels,
    pixel centres at whole numbers, and the confidence, which is positive. All three are NaN where a
    joint is missing. ``origin`` says in messages where they come from, such as a file.
    """

    def __init__(self, points: Mapping[str, NDArray[Any]], origin: str = "key points") -> None:
        """Take over ``(18, 3)`` or, with confidence 1, ``(18, 2)`` arrays of numbers by name.

        Raises:
            ArgumentError: an array has the wrong shape or type; or a joint of it is partly missing,
                infinite, or without positive confidence.
        """
        self._points = MappingProxyType({n: _checked(n, a) for n, a in points.items()})
        self._index = NameIndex(self._points)
        self.origin = origin

    def __getitem__(self, name: str) -> Points:
        """Return the key points of an image by any spelling of its name."""
        found = self._index.find(name)
        if len(found) != 1:
            raise KeyError(name)
        return self._points[found[0]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def __repr__(self) -> str:
        return f"Keypoints of {len(self):,} images ({self.origin})"

    def of(self, names: Sequence[str]) -> Points:
        """Return the key points of these images, ``(N, 18, 3)`` float64; names may repeat.

        Raises:
            InputError: some of the images are not there; says how many, and names the first.
        """
        if missing := [name for name in dict.fromkeys(names) if name not in self]:
            shown = ", ".join(f"'{name}'" for name in missing[:_SHOWN])
            more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
            hint = self._index.near(missing[0])
            raise InputError(
                f"{self.origin} lacks {len(missing):,} of {len(set(names)):,} images: {shown}"
                f"{more}.{hint} Names count without their endings, folders included."
            )
        if not names:
            return np.empty((0, len(JOINTS), 3))
        return np.stack([self[name] for name in names])

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of names, positions and confidences, whatever file held them."""
        digest = hashlib.sha256()
        for name in sorted(self._points):
            digest.update(len(name.encode()).to_bytes(8, "little") + name.encode())
            digest.update(self._points[name].astype("<f8").tobytes())
        return digest.hexdigest()


def _checked(name: str, numbers: NDArray[Any]) -> Points:
    """Return a copy in the one form that equal key points have."""
    array = np.asarray(numbers)
    if array.shape not in {(len(JOINTS), 2), (len(JOINTS), 3)} or array.dtype.kind not in "iuf":
        raise ArgumentError(
            f"'points' of {name!r} must be numbers of shape ({len(JOINTS)}, 3), not "
            f"{array.shape} of {array.dtype}"
        )
    points = np.full((len(JOINTS), 3), 1.0)
    points[:, : array.shape[1]] = array
    missing = np.isnan(array)
    points[missing.all(axis=1)] = math.nan
    partly = missing.any(axis=1) & ~missing.all(axis=1)
    wrong = partly | np.isinf(points).any(axis=1) | (points[:, 2] <= 0)
    if wrong.any():
        joint = int(np.flatnonzero(wrong)[0])
        raise ArgumentError(
            f"'points' of {name!r}: the {JOINTS[joint]} is {array[joint].tolist()}; give finite "
            "x and y (and a positive confidence), or NaN for all of them"
        )
    points += 0.0  # -0.0 is 0.0: equal points, equal bytes
    points.setflags(write=False)
    return points


def image_name(text: str) -> str:
    """Return an image's name as pairs have it: its path without the ending of an image.

    Raises:
        InputError: nothing is left, or it has characters that cannot be printed.
    """
    name = without_ending(text)
    if not name or name.endswith("/"):
        raise InputError(f"{text[:80]!r} names no image.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise InputError(f"the name {name[:80]!r} has characters that cannot be printed.")
    return name


def unit_fault(points: NDArray[Any]) -> str:
    """Say if ``(18, 2)`` positions are certainly no pixels, or nothing; NaN are missing joints.

    Several joints of a person do not lie in one pixel: such coordinates are shares of the image's
    sides, as several tools write them, or zeros that stand for missing joints.
    """
    present = points[~np.isnan(points).any(axis=1)]
    if len(present) < 2 or present.min() < 0 or present.max() > 1:
        return ""
    return (
        f"all {len(present)} joints lie between 0 and 1, so these are no pixels. Multiply shares "
        "of the width and height by them; a missing joint is -1 in a CSV and 0, 0, 0 in JSON"
    )
