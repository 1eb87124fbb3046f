"""Intervals of means, by resampling whole groups of pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Share of the resampled means that an interval covers.
LEVEL = 0.95
#: Number of resamples: the ends of the interval then vary by about 2 % of its width.
RESAMPLES = 2000
#: Seed of the resampling, so that the same values give the same interval.
SEED = 20210131
# Resamples are drawn in blocks of about this many indices, which stay in a processor's cache.
_BLOCK = 2**16


def mean(values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> float:
    """Return the mean of ``(N,)`` values, N > 0: exact sums, so that their order moves no bit.

    ``weights``, ``(N,)`` and positive, says how much each counts; all alike by default.
    """
    if weights is None:
        return math.fsum(values.tolist()) / len(values)
    return math.fsum((values * weights).tolist()) / math.fsum(weights.tolist())


def mean_interval(
    values: NDArray[np.float64],
    groups: Sequence[int],
    weights: NDArray[np.float64] | None = None,
) -> tuple[float, float] | None:
    """Return the 95 % percentile bootstrap interval of a mean of ``(N,)`` finite values.

    Groups are resampled, not pairs: pairs of one person or garment are not independent (the
    cluster bootstrap; Davison and Hinkley 1997, section 3.8; Field and Welsh 2007). The statistic
    is the mean over pairs, that is the ratio of the groups' sums and counts (or weights, which are
    as those of :func:`mean`). ``groups`` has the group number of each value; with fewer than two
    groups the interval is ``None``: one group says nothing of the spread.
    """
    _, member = np.unique(np.asarray(groups, dtype=np.int64), return_inverse=True)
    count = int(member.max()) + 1 if len(member) else 0
    if count < 2:
        return None
    # Deviations from the mean keep the digits of values that are large and close together.
    counted = np.ones(len(values)) if weights is None else weights
    centre = mean(values, weights)
    sums = np.bincount(member, weights=(values - centre) * counted, minlength=count)
    sizes = np.bincount(member, weights=counted, minlength=count)
    generator = np.random.Generator(np.random.PCG64(SEED))
    means = np.empty(RESAMPLES)
    rows = max(1, _BLOCK // count)
    for block in np.split(means, range(rows, RESAMPLES, rows)):
        drawn = generator.integers(0, count, size=(len(block), count))
        block[:] = sums.take(drawn).sum(axis=1) / sizes.take(drawn).sum(axis=1)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return centre + float(low), centre + float(high)
