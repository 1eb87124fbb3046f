"""Intervals of means, over whole groups of pairs.

How often they cover the truth is in docs/coverage.md, which ``bench/coverage.py`` writes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

#: How often an interval is to cover the truth.
LEVEL = 0.95


def mean(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> float:
    """Return the mean of ``(N,)`` values, N > 0: exact sums, so that their order moves no bit.

    ``weights``, ``(N,)`` and positive, says how much each counts; all alike by default.
    """
    if weights is None:
        return math.fsum(values.tolist()) / len(values)
    return math.fsum((values * weights).tolist()) / math.fsum(weights.tolist())


def quantile_of_t(groups: int) -> float:
    """Return Student's t for as many groups, less one, degrees of freedom: two-sided, 95 %."""
    return float(stdtrit(groups - 1, (1 + LEVEL) / 2))


def mean_interval(
    values: NDArray[np.float64],
    groups: Sequence[int],
    weights: NDArray[np.float64] | None = None,
    *,
    share: bool = False,
) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean.

    What varies is the group, not the pair: pairs of one person or garment are not independent. The
    mean over pairs is the ratio of the groups' sums and counts (or weights), and its variance that
    of the ratio, linearised (Cochran, "Sampling Techniques", 3rd ed. 1977, section 6.3).

    Args:
        values: ``(N,)``, finite.
        groups: the group number of each value.
        weights: as those of :func:`mean`.
        share: whether the mean is a share of what is counted, in [0, 1].

    Returns:
        (low, high), or ``None`` with fewer than two groups: one group says nothing of the spread.
    """
    _, member = np.unique(np.asarray(groups, dtype=np.int64), return_inverse=True)
    count = int(member.max()) + 1 if len(member) else 0
    if count < 2:
        return None
    counted = np.ones(len(values)) if weights is None else weights
    centre = mean(values, weights)
    # Deviations from the mean keep the digits of values that are large and close together.
    sums = np.bincount(member, weights=(values - centre) * counted, minlength=count)
    deviations = sums / (counted.sum() / count)
    squares = float((deviations**2).sum())
    error = math.sqrt(squares / (count * (count - 1)))
    if share:
        return _of_share(centre, error, count)
    # From differences that are rounding alone no skewness can be told.
    skewed = squares > 0 and error > 1e-14 * abs(centre)
    acceleration = float((deviations**3).sum()) / (6 * squares**1.5) if skewed else 0.0
    t = quantile_of_t(count)
    low, high = (centre + error * _corrected(end, acceleration) for end in (-t, t))
    return low, high


def _corrected(quantile: float, acceleration: float) -> float:
    """Return a standardised end that allows for skewness: the ends of BCa in closed form.

    Of a mean the correction of the bias equals the acceleration, the skewness of the groups over 6
    sqrt(G) (Efron, "Better bootstrap confidence intervals", JASA 1987, section 4), so that nothing
    need be drawn. Student's t stands where the normal quantile does there, as in the expanded
    percentile interval (Hesterberg, "What teachers should know about the bootstrap", 2015).
    """
    shifted = acceleration + quantile
    return acceleration + shifted / (1 - acceleration * shifted)


def _of_share(share: float, error: float, groups: int) -> tuple[float, float]:
    """Return Wilson's interval (JASA 1927) for as many independent draws as have that error.

    With Student's t in place of the normal quantile. Where all agree, so that no error can be told,
    each group counts once.
    """
    share = min(max(share, 0.0), 1.0)
    variance = share * (1 - share)
    draws = variance / error**2 if error**2 > 0 and variance > 0 else float(groups)
    ratio = quantile_of_t(groups) ** 2 / draws
    middle = (share + ratio / 2) / (1 + ratio)
    half = math.sqrt(ratio * variance + ratio**2 / 4) / (1 + ratio)
    return max(0.0, middle - half), min(1.0, middle + half)
