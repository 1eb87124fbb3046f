"""Where joints may be: the local maxima of each smoothed heatmap.

Sources of the rule and of its constants: the Python demo of Cao et al., "Realtime Multi-Person 2D
Pose Estimation using Part Affinity Fields", CVPR 2017, as ported by Hzzone/pytorch-openpose
(``src/body.py``). There a pixel is a peak if none of its 4 neighbours is higher; here of its 8, and
of equal neighbours the first in reading order, so that a plateau or a maximum between two pixels is
one peak and not several.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.features.openpose.bands import Floats, Integers
from fhpt_eval.features.openpose.surface import TILE, Surface, sample, smoothed, tiles_above

#: Height and width of a tile with its border, and how many pixels lie before its first inner one.
_SIDE = TILE + 2
_SKIP = _SIDE + 1
#: Which pixels of a flattened tile are no border.
_INSIDE = np.pad(np.ones((TILE, TILE), bool), 1).ravel()
#: How far from a pixel it and its 8 neighbours lie in a flattened tile, row by row.
_AROUND = (np.arange(-1, 2)[:, None] * _SIDE + np.arange(-1, 2)).ravel()


@dataclass(frozen=True, slots=True)
class Peaks:
    """K peaks, sorted by joint, then by row, then by column.

    Attributes:
        joint: (K,) number of the heatmap.
        x, y: (K,) pixel of the image.
        offset: (K, 2) where between pixels the maximum lies: x and y, each within [-0.5, 0.5].
        confidence: (K,) the heatmap there before smoothing.
    """

    joint: Integers
    x: Integers
    y: Integers
    offset: Floats
    confidence: Floats

    def __len__(self) -> int:
        return len(self.joint)


def find_peaks(surface: Surface, joints: int, threshold: float, most: int) -> Peaks:
    """Find the peaks of the first ``joints`` heatmaps.

    Values are compared as float32, so that those that differ by rounding errors only are equal. A
    peak's smoothed value is above ``threshold``, which is at least 0; of the peaks of one joint the
    ``most`` highest are kept, of equals the first.
    """
    where = tiles_above(surface, joints, threshold)
    # One run without tiles, so that there is something to concatenate where there are none.
    runs = [(np.zeros(0, np.intp), np.zeros((0, 9), np.float32))]
    for first, values in smoothed(surface, where):
        place, around = _above_neighbours(values.astype(np.float32), threshold)
        runs.append((place + first * _SIDE**2, around))
    place, around = (np.concatenate(column) for column in zip(*runs, strict=True))
    place, around = _above_diagonals(place, around)
    tile, row, column = np.unravel_index(place, (len(where), _SIDE, _SIDE))
    pixels = where[tile]
    pixels[:, 1] = pixels[:, 1] * TILE + row - 1
    pixels[:, 2] = pixels[:, 2] * TILE + column - 1
    order = _highest(pixels, around[:, 4], most)
    (joint, y, x), around = pixels[order].T, around[order]
    dx, dy = (_vertex(around[:, 4 - step], around[:, 4], around[:, 4 + step]) for step in (1, 3))
    height, width = len(surface[0].rows.plain), len(surface[0].columns.plain)
    dx[(x == 0) | (x == width - 1)] = 0  # a neighbour outside the image has no value
    dy[(y == 0) | (y == height - 1)] = 0
    confidence = sample(surface, joint, y, x)[:, 0]
    return Peaks(joint, x, y, np.stack([dx, dy], axis=1), confidence)


def _above_neighbours(
    tiles: NDArray[np.float32], threshold: float
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Find the pixels of tiles, borders excluded, above the threshold and their 4 neighbours.

    Of equals the first is above. Returns (K,) places in the flattened tiles, and (K, 9) values of
    each pixel and its 8 neighbours, row by row. (Flat, all comparisons run along one line, which
    is ten times faster than along rows of 8; what they say of borders means nothing and is left.)
    """
    values = tiles.ravel()
    middle = values[_SKIP:-_SKIP]
    best = middle > np.float32(threshold)
    best &= middle > values[1 : -_SIDE - _SKIP]
    best &= middle > values[_SIDE : -_SIDE - 2]
    best &= middle >= values[_SIDE + _SKIP : -1]
    best &= middle >= values[_SIDE + 2 : -_SIDE]
    place = np.flatnonzero(best) + _SKIP
    place = place[_INSIDE[place % _SIDE**2]]
    return place, values[place[:, None] + _AROUND]


def _above_diagonals(
    place: NDArray[np.intp], around: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Keep the pixels that are above their diagonal neighbours too; of equals the first."""
    middle, diagonal = around[:, 4, None], around[:, [0, 2, 6, 8]]
    above = (middle > diagonal[:, :2]).all(axis=1) & (middle >= diagonal[:, 2:]).all(axis=1)
    return place[above], around[above]


def _vertex(
    before: NDArray[np.float32], middle: NDArray[np.float32], after: NDArray[np.float32]
) -> Floats:
    """Return the top of the parabola through three values at -1, 0 and 1, the middle the highest.

    Middle minus either neighbour is not negative, so that the top lies within [-0.5, 0.5].
    """
    rise, fall = middle - before.astype(np.float64), middle - after.astype(np.float64)
    curvature = rise + fall
    flat = curvature == 0
    return np.where(flat, 0.0, 0.5 * (rise - fall) / np.where(flat, 1.0, curvature))


def _highest(pixels: NDArray[np.intp], height: NDArray[np.float32], most: int) -> Integers:
    """Return which peaks to keep, in the order of :class:`Peaks`."""
    joint, y, x = pixels.T
    by_height = np.lexsort((x, y, -height, joint))
    ordered = joint[by_height]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    kept: Integers = by_height[rank < most]
    order = np.lexsort((x[kept], y[kept], joint[kept]))
    return kept[order]
