"""How often intervals cover the truth, by simulation: writes docs/coverage.md.

    python -m bench.coverage > docs/coverage.md

Means: groups of 5 pairs whose values are correlated by 0.3 (a normal value of the group and one of
the pair), taken as they are, cut to 0 and 1, or as exponents. Set scores: rows of 8 numbers, whose
truth is the mean of the score over all repetitions, since FID and the Inception score are biased
by the size of the set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fhpt_eval.common.intervals import mean_interval
from fhpt_eval.evaluation.reduce.folds import folds_of, jackknife, merged
from fhpt_eval.metrics import FID, KID, FeatureSetMetric, InceptionScore
from tests.support.rows import feature_rows

GROUPS = (3, 5, 10, 20, 50, 200)
Kind = Literal["normal", "binary, 0.7", "binary, 0.95", "lognormal"]
KINDS: tuple[Kind, ...] = ("normal", "binary, 0.7", "binary, 0.95", "lognormal")
SetName = Literal["fid", "kid", "is"]
#: Pairs of an item, and how much they are correlated.
CLUSTERS = ((1, 0.0), (4, 0.5), (8, 0.5), (8, 0.9))
_ROWS = 8


def clustered(
    generator: np.random.Generator, shape: tuple[int, ...], pairs: int, correlation: float
) -> NDArray[np.float64]:
    """Return ``(*shape, pairs)`` normal values; those of one group are correlated."""
    shared = generator.standard_normal((*shape, 1)) * np.sqrt(correlation)
    values: NDArray[np.float64] = shared + generator.standard_normal((*shape, pairs)) * np.sqrt(
        1 - correlation
    )
    return values


def coverage_of_mean(kind: Kind, groups: int, repetitions: int, seed: int = 0) -> float:
    """Return the share of intervals that hold the mean of the distribution."""
    values = clustered(np.random.default_rng(seed), (repetitions, groups), 5, 0.3)
    share, truth = kind.startswith("binary"), 0.0
    if share:
        truth = float(kind.partition(", ")[2])
        values = (values < ndtri(truth)).astype(float)
    elif kind == "lognormal":
        values, truth = np.exp(values), float(np.exp(0.5))
    member = np.repeat(np.arange(groups), 5).tolist()
    ends = [mean_interval(each.ravel(), member, share=share) or (np.nan,) * 2 for each in values]
    low, high = np.array(ends).T
    return float(((low <= truth) & (truth <= high)).mean())


def coverage_of_set(
    name: SetName, items: int, pairs: int, correlation: float, repetitions: int, seed: int = 0
) -> float:
    """Return the share of intervals that hold the mean of the score over all repetitions."""
    generator = np.random.default_rng(seed)
    metric = _metric(name, items * pairs)
    real = generator.standard_normal((1000, _ROWS))
    values, halves = [], []
    for _ in range(repetitions):
        rows = 1.2 * np.moveaxis(clustered(generator, (_ROWS, items), pairs, correlation), 0, -1)
        value, half = _scored(metric, rows.reshape(-1, _ROWS), real, pairs)
        values.append(value)
        halves.append(half)
    return float((np.abs(np.array(values) - np.mean(values)) <= halves).mean())


def _metric(name: SetName, count: int) -> FeatureSetMetric:
    if name == "fid":
        return FID()
    if name == "is":
        return InceptionScore(splits=2)
    return KID(subsets=10, subset_size=min(50, count // 2))


def _scored(
    metric: FeatureSetMetric, rows: NDArray[np.float64], real: NDArray[np.float64], pairs: int
) -> tuple[float, float]:
    """Return the value, and half the width of its interval, as a run has them."""
    part = next(iter(metric.parts()))
    folds = np.array(folds_of(np.repeat(np.arange(len(rows) // pairs), pairs).tolist()))
    keys = np.array([f"{number:06d}" for number in range(len(rows))])
    # Half of the score's own draws are of the reference, which is fixed.
    reference = None if metric.name == "is" else _state(metric, real, refer=True)
    states = [_state(metric, rows[folds == f], keys[folds == f]) for f in range(folds.max() + 1)]
    half = jackknife(metric, reference, states, 1)[part]
    return metric.compute(merged(metric, reference, states))[part], half


def _state(
    metric: FeatureSetMetric, rows: NDArray[np.float64], keys: NDArray[np.str_] | None = None,
    *, refer: bool = False,
) -> dict[str, NDArray[np.generic]]:  # fmt: skip
    names = [f"{number:06d}" for number in range(len(rows))] if keys is None else keys.tolist()
    arrays = {"network": {"pool": rows, "logits_unbiased": rows}}
    if refer:
        return metric.refer(metric.empty(), feature_rows(names, arrays, arrays))
    distinct = [False] * len(rows)  # the ground truth of the pairs is no part of the reference
    return metric.update(metric.empty(), feature_rows(names, arrays, arrays, distinct=distinct))


_MEANS = """\
# How often intervals cover the truth

A 95 % interval should hold the truth 95 times in 100. Written by `python -m bench.coverage`; a test
holds a part of it. How intervals are made: [results](results.md), "Intervals".

## Means

Groups of 5 pairs, correlated by 0.3; 4,000 sets for each cell. *binary* are rates (a face is
recognised, a garment retrieved) of that share; *lognormal* values are skewed (skewness 6.2).
"""
_SETS = """
What is left: of skewed values too few intervals hold the mean, since a sample without the rare
large values cannot tell of them. With fewer than 10 groups a note beside the score says so.

## Set scores

FID and KID against a fixed reference; 100 to 1,000 sets for each cell. No interval is given with
fewer than 5 groups. A column is the number of pairs that show one item, and how much their rows
are correlated. The truth is the mean score of sets of that size.
"""


def page() -> Iterator[str]:
    """Yield the lines of docs/coverage.md."""
    yield _MEANS
    yield "| Groups | " + " | ".join(KINDS) + " |"
    yield "| ---: |" + " ---: |" * len(KINDS)
    for groups in GROUPS:
        cells = [f"{coverage_of_mean(kind, groups, 4000):.3f}" for kind in KINDS]
        yield f"| {groups} | " + " | ".join(cells) + " |"
    yield _SETS
    yield "| Score | Items | " + " | ".join(f"{n}, {c}" for n, c in CLUSTERS) + " |"
    yield "| --- | ---: |" + " ---: |" * len(CLUSTERS)
    names: tuple[SetName, ...] = ("fid", "kid", "is")
    for name in names:
        for items in GROUPS[1:]:
            count = max(100, min(1000, 10_000 // items))
            cells = [
                f"{coverage_of_set(name, items, n, c, count):.3f}" if items * n >= 10 else "-"
                for n, c in CLUSTERS
            ]
            yield f"| {name} | {items} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    for line in page():
        print(line)
