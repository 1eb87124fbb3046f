"""Key points of images by name, in memory."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError, InputError, did_you_mean
from fhpt_eval.keypoints.joints import JOINTS

Points = NDArray[np.float64]

#: Names that a message shows; it says how many more there are.
_SHOWN = 3
#: Names above which a search for near misses would take longer than it helps.
_HINTED = 20_000


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
        self.origin = origin

    def __getitem__(self, name: str) -> Points:
        return self._points[name]

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
        missing = [name for name in dict.fromkeys(names) if name not in self._points]
        if missing:
            shown = ", ".join(f"'{name}'" for name in missing[:_SHOWN])
            more = f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else ""
            hint = did_you_mean(missing[0], list(self)) if len(self) <= _HINTED else ""
            raise InputError(
                f"{self.origin} lacks {len(missing):,} of {len(set(names)):,} images: {shown}"
                f"{more}.{hint} Names count without their endings, folders included."
            )
        if not names:
            return np.empty((0, len(JOINTS), 3))
        return np.stack([self._points[name] for name in names])

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
