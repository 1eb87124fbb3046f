"""Enlarging, resizing, cropping and smoothing along one axis, as banded matrices.

Bicubic enlarging and Gaussian smoothing are linear and separable: what they make of maps is ``rows
@ map @ columns.T``, each row of either matrix touching a few cells only. Kept in this form, steps
compose into one, and single pixels cost only the cells that they touch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

#: OpenCV's (INTER_CUBIC) and PyTorch's parameter of the cubic kernel.
_CUBIC = -0.75
#: Where SciPy cuts a Gaussian off, in sigmas.
_TRUNCATE = 4.0


@dataclass(frozen=True, slots=True)
class Band:
    """A matrix of ``size`` columns of which each row has one run of weights, the rest being zero.

    Attributes:
        start: (n,) column of each row's first weight.
        weights: (n, K) float64; ``start + K <= size`` in every row.
        size: number of columns.
    """

    start: Integers
    weights: Floats
    size: int

    def __len__(self) -> int:
        return len(self.start)

    def dense(self) -> Floats:
        """Return the matrix (n, size) with its zeros."""
        matrix = np.zeros((len(self), self.size))
        columns = self.start[:, None] + np.arange(self.weights.shape[1])
        np.put_along_axis(matrix, columns, self.weights, axis=1)
        return matrix

    def first(self, count: int) -> Band:
        """Return the first ``count`` rows: crop what the matrix makes."""
        return Band(self.start[:count], self.weights[:count], self.size)


def cubic(size: int, target: int) -> Band:
    """Resize ``size`` samples to ``target`` by bicubic interpolation without antialiasing.

    Pixel centres at half, edges repeated, a = -0.75: OpenCV's INTER_CUBIC (R. Keys, "Cubic
    convolution interpolation for digital image processing", 1981, with OpenCV's a).
    """
    position = (np.arange(target) + 0.5) * (size / target) - 0.5
    before = np.floor(position).astype(np.intp)
    taps = np.arange(-1, 3)
    weights = _kernel(np.abs((position - before)[:, None] - taps))
    return _gather((before[:, None] + taps).clip(0, size - 1), weights, size)


def gaussian(size: int, sigma: float) -> Band:
    """Smooth ``size`` samples by a Gaussian, as ``scipy.ndimage.gaussian_filter`` does by default.

    Cut off at 4 sigma and normalised; mirrored at the edges, the edge sample repeated.
    """
    radius = int(_TRUNCATE * sigma + 0.5)
    taps = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (taps / sigma) ** 2) if sigma else np.ones(1)
    weights /= weights.sum()
    around = (np.arange(size)[:, None] + taps) % (2 * size)
    mirrored = np.minimum(around, 2 * size - 1 - around)
    return _gather(mirrored, np.broadcast_to(weights, mirrored.shape), size)


def compose(outer: Band, inner: Band) -> Band:
    """Return the matrix product: what ``inner`` makes, given to ``outer``."""
    rows = outer.start[:, None] + np.arange(outer.weights.shape[1])
    columns = inner.start[rows][:, :, None] + np.arange(inner.weights.shape[1])
    weights = outer.weights[:, :, None] * inner.weights[rows]
    count = len(outer)
    return _gather(columns.reshape(count, -1), weights.reshape(count, -1), inner.size)


def _kernel(distance: Floats) -> Floats:
    a = _CUBIC
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))


def _gather(columns: Integers, weights: Floats, size: int) -> Band:
    """Return the band whose row i has the sum of ``weights[i, k]`` in each ``columns[i, k]``."""
    count = len(columns)
    start = columns.min(axis=1)
    width = int((columns.max(axis=1) - start).max()) + 1
    start = np.minimum(start, size - width)
    places = np.arange(count)[:, None] * width + columns - start[:, None]
    summed = np.zeros((count, width))
    summed.ravel()[:] = np.bincount(places.ravel(), weights.ravel(), count * width)
    return Band(start, summed, size)
