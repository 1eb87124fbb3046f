"""Arithmetic and chance that give the same bits on every machine.

Only +, -, *, / and square roots are rounded alike everywhere (IEEE 754); sines of libraries and of
vector units differ in the last bit, and so do sums whose order is left open. So sines are a series
here, sums are written out, and random numbers are PCG64's raw words, whose stream NumPy guarantees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

#: Of float32 values; NumPy's types do not tell that a Python number leaves them so.
Array = NDArray[np.floating]
PI = 3.141592653589793

_T = TypeVar("_T")


def sin(angle: float) -> float:
    """Return the sine of an angle in radians."""
    turns = angle / (2 * PI)
    x = (turns - (turns + 0.5) // 1) * 2 * PI
    if x > PI / 2:
        x = PI - x
    elif x < -PI / 2:
        x = -PI - x
    square, term, total = x * x, x, x
    for k in range(1, 12):
        term = -term * square / ((2 * k) * (2 * k + 1))
        total = total + term
    return total


def cos(angle: float) -> float:
    """Return the cosine of an angle in radians."""
    return sin(angle + PI / 2)


def hypot(*sides: float) -> float:
    """Return the root of the sum of squares, summed from the left."""
    total = 0.0
    for side in sides:
        total = total + side * side
    return float(np.sqrt(total))


def lookup(table: Array, shares: Array) -> Array:
    """Interpolate linearly in a table that spans 0 to 1; beyond, its ends hold."""
    place = np.clip(shares, 0, 1) * np.float32(len(table) - 1)
    low = np.minimum(place.astype(np.int32), len(table) - 2)
    share = place - low.astype(np.float32)
    left = table[low]
    values: Array = left + (table[low + 1] - left) * share
    return values


def smooth_table(stations: Sequence[tuple[float, float]], count: int = 65) -> Array:
    """Return a table of ``count`` values over the stations' range, smoothed between stations."""
    first, last = stations[0][0], stations[-1][0]
    values = []
    station = 0
    for number in range(count):
        x = first + (last - first) * number / (count - 1)
        while station < len(stations) - 2 and x > stations[station + 1][0]:
            station += 1
        (x0, y0), (x1, y1) = stations[station], stations[station + 1]
        share = min(max((x - x0) / (x1 - x0), 0.0), 1.0)
        values.append(y0 + (y1 - y0) * share)
    for _ in range(3):
        inner = [(values[i - 1] + 2 * values[i] + values[i + 1]) / 4 for i in range(1, count - 1)]
        values = [values[0], *inner, values[-1]]
    return np.array(values, dtype=np.float32)


def _arcsine() -> Array:
    """Tabulate the arcsine on [-1, 1] by halving, from the sine above."""
    values = []
    for number in range(257):
        wanted = number / 128 - 1
        low, high = -PI / 2, PI / 2
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if sin(middle) < wanted else (low, middle)
        values.append(low)
    return np.array(values, dtype=np.float32)


_ARCSINE = _arcsine()


def arcsine(value: Array) -> Array:
    """Return the arcsine of an array, from a table."""
    return lookup(_ARCSINE, value * np.float32(0.5) + np.float32(0.5))


class Dice:
    """A stream of chance that depends on its keys alone."""

    def __init__(self, *keys: int) -> None:
        self._words = np.random.PCG64(np.random.SeedSequence(list(keys)))

    def share(self) -> float:
        """Return a number in [0, 1)."""
        return float(int(self._words.random_raw()) >> 11) / 2.0**53

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * self.share()

    def chance(self, share: float) -> bool:
        """Return true in this share of cases."""
        return self.share() < share

    def pick(self, options: Sequence[_T]) -> _T:
        """Return one of the options."""
        return options[int(self.share() * len(options))]


def noise(column: NDArray[Any], row: NDArray[Any], salt: int) -> Array:
    """Return a number in [0, 1) for every cell of a grid; the same for the same cell and salt."""
    word = column.astype(np.int64).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    word = word + row.astype(np.int64).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    word = word + np.uint64(salt)
    word = (word ^ (word >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(32))) * np.uint64(0x94D049BB133111EB)
    return ((word >> np.uint64(44)).astype(np.float32)) / np.float32(2**20)
