"""Folds of groups, of which set scores take their interval, and what falls off of a set's end.

States are merged in up to :data:`FOLDS` folds, so that an interval can leave out one at a time.
Folds are of whole groups: pairs of one garment in all folds would make any nine of them alike.

Some published scripts score whole batches alone (``drop_incomplete`` in docs/protocols.md). Which
items fall off is clear when all have come, but features of all cannot be kept until then: only
those that may still be among the last are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from heapq import heappop, heappush
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.common.intervals import quantile_of_t
from fhpt_eval.errors import Undefined
from fhpt_eval.metrics.base import Metric, State
from fhpt_eval.metrics.on_features import Arrays, FeatureRows
from fhpt_eval.protocol import Entry

#: States are merged in so many folds, for the interval of a metric over sets.
FOLDS = 10
#: With fewer folds an interval would say nothing.
FEWEST_FOLDS = 5
#: Rows, and the number of the fold that they came with.
Released = tuple[int, FeatureRows]


def folds_of(groups: Sequence[int]) -> list[int]:
    """Return the fold of each pair: whole groups, the largest first, go to the smallest fold.

    Args:
        groups: the group number of each pair.
    """
    sizes = Counter(groups)
    folds = [(0, fold) for fold in range(min(FOLDS, len(sizes)))]
    of_group: dict[int, int] = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], group)):
        size, fold = heappop(folds)
        of_group[group] = fold
        heappush(folds, (size + sizes[group], fold))
    return [of_group[group] for group in groups]


def merged(metric: Metric, reference: State | None, folds: Sequence[State]) -> State:
    """Return the state of a reference set and some folds."""
    state = metric.empty() if reference is None else reference
    for fold in folds:
        state = metric.merge(state, fold)
    return state


def jackknife(
    metric: Metric, reference: State | None, folds: Sequence[State], workers: int
) -> dict[str, float]:
    """Return half the width of each part's 95 % interval, by leaving out one fold at a time.

    The delete-a-group jackknife (Shao and Wu 1989): (G - 1) / G times the summed squares of the
    deviations from their mean, and Student's t for G - 1 degrees of freedom. Empty with too few
    folds, or where a value is missing.
    """
    count = len(folds)
    if count < FEWEST_FOLDS or metric.no_interval:
        return {}

    def without(left_out: int) -> Mapping[str, float]:
        kept = [*folds[:left_out], *folds[left_out + 1 :]]
        return metric.compute(merged(metric, reference, kept))

    try:
        with ThreadPoolExecutor(workers) as pool:
            values = list(pool.map(without, range(count)))
    except Undefined:
        return {}
    t = quantile_of_t(count)
    spread = {}
    for part in metric.parts():
        column = np.array([one_less.get(part, math.nan) for one_less in values])
        variance = (count - 1) / count * float(((column - column.mean()) ** 2).sum())
        spread[part] = t * math.sqrt(variance)
    return spread


class Tail:
    """Passes rows on but for the last, incomplete batch in the order of keys.

    What comes out, and in which order, depends on what came in and in which order.
    """

    def __init__(self, entry: Entry) -> None:
        """Take the metric whose rows come, which says how many of them count."""
        self._entry = entry
        self._held: list[tuple[str, int, FeatureRows]] = []  # one row each, by key
        self.count = 0

    def add(self, fold: int, rows: FeatureRows) -> Iterator[Released]:
        """Add rows; yield those that are certain to count."""
        if not rows.keys:
            return
        self.count += len(rows.keys)
        rows = _with_first_keys(rows)
        keys = sorted([*rows.keys, *(key for key, _, _ in self._held)])
        most = self._entry.drop_incomplete - 1  # more than these never fall off
        first_held = keys[-most] if most < len(keys) else keys[0]
        certain = [held for held in self._held if held[0] < first_held]
        self._held = [held for held in self._held if held[0] >= first_held]
        yield from _joined(certain)
        if passing := [row for row, key in enumerate(rows.keys) if key < first_held]:
            yield fold, take(rows, passing)
        self._held += [
            (key, fold, take(rows, [row])) for row, key in enumerate(rows.keys) if key >= first_held
        ]

    def finish(self, references: int = 0) -> Iterator[Released]:
        """Yield what is left and counts, of pairs beside so many reference images."""
        self._held.sort(key=lambda held: held[0])
        dropped = self.count - self._entry.counted(self.count, references)
        yield from _joined(self._held[: len(self._held) - dropped])
        self._held = []


def reference_rows(
    names: Sequence[str],
    features: Mapping[str, Arrays],
    images: Sequence[str],
    items: Sequence[str] = (),
) -> FeatureRows:
    """Return features of reference images as rows of ground truth."""
    blank = ("",) * len(names)
    keys, distinct = tuple(names), np.ones(len(names), bool)
    return FeatureRows(
        keys,
        keys,
        blank,
        tuple(items) or blank,
        distinct,
        {},
        dict(features),
        {},
        tuple(images),
        blank,
    )


def take(rows: FeatureRows, places: Sequence[int]) -> FeatureRows:
    """Return the rows at some places."""

    def of(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(value[place] for place in places if value)
        if isinstance(value, Mapping):
            return {name: of(part) for name, part in value.items()}
        return value[list(places)]

    return FeatureRows(*(of(getattr(rows, each.name)) for each in fields(rows)))


def _with_first_keys(rows: FeatureRows) -> FeatureRows:
    """Let the first key of each ground-truth image stand for it.

    So an image counts as long as one of its pairs does.
    """
    first: dict[str, int] = {}
    for row in sorted(range(len(rows.keys)), key=rows.keys.__getitem__):
        first.setdefault(rows.targets[row], row)
    return replace(rows, distinct=np.isin(np.arange(len(rows.keys)), list(first.values())))


def _joined(held: Sequence[tuple[str, int, FeatureRows]]) -> Iterator[Released]:
    """Yield single rows, joined by fold."""
    ordered = sorted(held, key=lambda row: (row[1], row[0]))
    for fold, rows in groupby(ordered, key=lambda row: row[1]):
        yield fold, _concatenated([row for _, _, row in rows])


def _concatenated(parts: Sequence[FeatureRows]) -> FeatureRows:
    def of(values: Sequence[Any]) -> Any:
        if isinstance(values[0], tuple):
            return tuple(text for value in values for text in value)
        if isinstance(values[0], Mapping):
            return {name: of([value[name] for value in values]) for name in values[0]}
        array: NDArray[Any] = np.concatenate(values)
        return array

    return FeatureRows(*(of([getattr(part, f.name) for part in parts]) for f in fields(parts[0])))
