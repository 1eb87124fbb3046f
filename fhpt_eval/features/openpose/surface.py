"""Maps of a network seen as a surface over an image's pixels, evaluated only where asked.

A decoder would enlarge every map to the size of the image, smooth it, and then look at a few peaks
and lines. Here the same operators (``bands``) are applied to the few tiles that can hold a peak and
to single pixels; the values are the same but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from fhpt_eval.features.openpose.bands import Band, Floats, Integers, compose, cubic, gaussian

#: Height and width of a tile, in pixels.
TILE = 8
#: Tiles that are computed together: few enough for their arrays to stay in a processor's cache.
_TOGETHER = 256


@dataclass(frozen=True, slots=True, eq=False)
class Tiles:
    """A band cut into tiles of ``TILE`` pixels with a border of one pixel on either side.

    Attributes:
        start: (B,) first cell that a tile depends on.
        weights: (B, TILE + 2, K) of its pixels; zero for pixels outside the image.
        bound: (B, size) float32, the largest absolute weight of each cell within the tile, border
            excluded: ``bound @ |map| @ bound.T`` is at least the surface anywhere in the tile.
    """

    start: Integers
    weights: Floats
    bound: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """How the cells of one axis become the pixels of an image, without and with smoothing."""

    plain: Band
    tiles: Tiles


@dataclass(frozen=True, slots=True)
class Plane:
    """Maps (C, H, W) float64 of one scale, and the axes that make pixels of their cells."""

    maps: Floats
    rows: Axis
    columns: Axis


#: What several scales give together: the sum of their planes, all over the same image.
Surface = Sequence[Plane]


@lru_cache(maxsize=64)
def axis(cells: int, stride: int, used: int, pixels: int, sigma: float) -> Axis:
    """Return an axis: cells enlarged ``stride`` times, cropped, resized to the image, smoothed.

    Args:
        cells: height or width of the maps.
        stride: pixels of the network's input per cell.
        used: how many of these pixels are image and not padding.
        pixels: height or width of the image; ``used`` where it is the network's input.
        sigma: of the Gaussian, in pixels of the image; 0 smooths nothing.
    """
    plain = cubic(cells, cells * stride).first(used)
    if pixels != used:
        plain = compose(cubic(used, pixels), plain)
    return Axis(plain, _tiles(compose(gaussian(pixels, sigma), plain)))


def sample(
    surface: Surface, channels: Integers, y: Integers, x: Integers, depth: int = 1
) -> Floats:
    """Return the unsmoothed surface ``(P, depth)`` at P pixels.

    ``channels`` has the first of the ``depth`` channels that are read at each, ``y`` and ``x`` its
    row and column.
    """
    values = np.zeros((len(channels), depth))
    for plane in surface:
        rows, columns = plane.rows.plain, plane.columns.plain
        shape = depth, rows.weights.shape[1], columns.weights.shape[1]
        windows = sliding_window_view(plane.maps, shape)
        patches = windows[channels, rows.start[y], columns.start[x]]
        across = np.einsum("pcij,pj->pci", patches, columns.weights[x])
        values += np.einsum("pci,pi->pc", across, rows.weights[y])
    return values


def tiles_above(surface: Surface, count: int, threshold: float) -> NDArray[np.intp]:
    """Return (N, 3) channel, row and column of the tiles in which the smoothed surface may exceed.

    None that does is left out; channels from ``count`` on are not looked at.
    """
    bound = sum(
        plane.rows.tiles.bound
        @ np.abs(plane.maps[:count]).astype(np.float32)
        @ plane.columns.tiles.bound.T
        for plane in surface
    )
    # Sums of float32 are off by less than a part in ten thousand.
    return np.argwhere(bound > np.float32(threshold * (1 - 1e-4)))


def smoothed(surface: Surface, where: NDArray[np.intp]) -> Iterator[tuple[int, Floats]]:
    """Yield the smoothed surface on tiles and their borders, some tiles at a time.

    ``where`` has channel, row and column of each tile, ``(N, 3)``. With the number of the first of
    n tiles come their values, ``(n, TILE + 2, TILE + 2)``, to be read before the next are asked
    for: arrays are used again, since getting memory takes as long as filling it.
    """
    first, *further = [_Part(plane) for plane in surface]
    for start in range(0, len(where), _TOGETHER):
        tiles = where[start : start + _TOGETHER]
        values = first.of(tiles)
        for part in further:
            values += part.of(tiles)
        yield start, values


class _Part:
    """What one plane adds to a surface's tiles, with the arrays that computing it takes."""

    def __init__(self, plane: Plane) -> None:
        self._rows, self._columns = plane.rows.tiles, plane.columns.tiles
        high, wide = self._rows.weights.shape[2], self._columns.weights.shape[2]
        self._windows = sliding_window_view(plane.maps, (high, wide), axis=(1, 2))
        self._below = np.empty((_TOGETHER, TILE + 2, high))
        self._across = np.empty((_TOGETHER, TILE + 2, wide))
        self._half = np.empty((_TOGETHER, high, TILE + 2))
        self._values = np.empty((_TOGETHER, TILE + 2, TILE + 2))

    def of(self, where: NDArray[np.intp]) -> Floats:
        """Return (n, TILE + 2, TILE + 2) of at most ``_TOGETHER`` tiles."""
        channel, row, column = where.T
        count = len(where)
        patches = self._windows[channel, self._rows.start[row], self._columns.start[column]]
        below, across = self._below[:count], self._across[:count]
        self._rows.weights.take(row, axis=0, out=below, mode="clip")
        self._columns.weights.take(column, axis=0, out=across, mode="clip")
        half = np.matmul(patches, across.transpose(0, 2, 1), out=self._half[:count])
        values: Floats = np.matmul(below, half, out=self._values[:count])
        return values


def _tiles(band: Band) -> Tiles:
    count = -(-len(band) // TILE)
    pixels = np.arange(count)[:, None] * TILE + np.arange(-1, TILE + 1)
    inside = (pixels >= 0) & (pixels < len(band))
    pixels = pixels.clip(0, len(band) - 1)
    first = band.start[pixels]
    start = first.min(axis=1)
    width = int((first.max(axis=1) - start).max()) + band.weights.shape[1]
    start = np.minimum(start, band.size - width)
    weights = np.zeros((count, TILE + 2, width))
    places = (first - start[:, None])[..., None] + np.arange(band.weights.shape[1])
    np.put_along_axis(weights, places, band.weights[pixels] * inside[..., None], axis=2)
    bound = Band(start, np.abs(weights[:, 1:-1]).max(axis=1), band.size).dense()
    return Tiles(start, weights, bound.astype(np.float32))
