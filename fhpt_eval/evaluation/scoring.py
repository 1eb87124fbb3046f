"""Compute scores from what all partials add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.common.digests import digest_of
from fhpt_eval.common.intervals import mean, mean_interval
from fhpt_eval.errors import Undefined
from fhpt_eval.evaluation.blame import blame
from fhpt_eval.evaluation.reduce import Reduced, full_name
from fhpt_eval.metrics.base import Part, State, StateMetric
from fhpt_eval.metrics.on_features import FeatureSetMetric
from fhpt_eval.protocol import Entry
from fhpt_eval.result import PairTable, Score

#: With fewer groups than this a percentile interval is known to be too narrow.
FEW_GROUPS = 10
#: Student's t for 95 %, by the number of groups; with fewer the interval would say nothing.
_T = {5: 2.776445, 6: 2.570582, 7: 2.446912, 8: 2.364624, 9: 2.306004, 10: 2.262157}


def scores(
    reduced: Reduced, entries: Sequence[Entry], groups: Sequence[int], expected: int, workers: int
) -> dict[str, Score]:
    """Compute every score; columns that depend on the whole set are added to ``reduced``.

    Args:
        reduced: the merged partials.
        entries: the metrics, in the order in which their scores shall stand.
        groups: the group number of each pair, in the order of keys.
        expected: the number of pairs that the test set has, excluded ones included.
        workers: how many values are computed at a time.
    """
    found: dict[str, Score] = {}
    for entry in entries:
        if isinstance(entry.metric, StateMetric):
            found |= _set_scores(entry, entry.metric, reduced, expected, workers)
        counted = entry.counted(len(reduced.keys))
        for part, declared in entry.metric.parts().items():
            name = full_name(entry, part)
            if name in reduced.columns:
                values, weights = reduced.columns[name], np.ones(len(reduced.keys))
                if declared.weight:
                    weights = np.nan_to_num(reduced.columns[full_name(entry, declared.weight)])
                why = declared.undefined_when or entry.metric.undefined_when
                score = _mean_score(
                    reduced.keys,
                    values[:counted],
                    weights[:counted],
                    groups,
                    expected,
                    declared,
                    why,
                )
                found[name] = _with_note(score, _dropped(entry, len(reduced.keys)))
    return found


def unavailable(entry: Entry, reason: str) -> dict[str, Score]:
    """Return the empty scores of a metric whose needs the run cannot meet."""
    return {
        full_name(entry, part): Score(
            value=None, direction=declared.direction, n=0, coverage=0.0, interval=None,
            reason=reason, detail=declared.detail,
        )
        for part, declared in entry.metric.parts().items()
    }  # fmt: skip


def table(reduced: Reduced) -> PairTable:
    """Return the per-pair values."""
    return PairTable(reduced.keys, reduced.columns)


def _mean_score(
    keys: Sequence[str],
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    groups: Sequence[int],
    expected: int,
    part: Part,
    undefined_when: str,
) -> Score:
    """Average the defined values; say why there is no average, or what is missing from it."""
    defined = ~np.isnan(values) & (weights > 0)
    count = int(defined.sum())
    chosen, weighing = values[defined], weights[defined]
    infinite = int(np.isinf(chosen).sum())
    value, interval, reason, note = None, None, None, None
    if count == 0:
        reason = f"undefined for every pair: {undefined_when}"
    elif infinite:
        reason = f"infinite for {infinite} of {count} pairs, so the mean does not exist"
    else:
        value = mean(chosen, weighing)
        members = np.asarray(groups)[: len(values)][defined].tolist()
        interval = mean_interval(chosen, members, weighing)
        notes = []
        if count < len(values):
            notes.append(f"undefined for {len(values) - count} pairs: {undefined_when}")
        number = len(set(members))
        if interval is None:
            notes.append("no interval: all pairs belong to one group")
        elif number < FEW_GROUPS:
            notes.append(f"the interval rests on only {number} groups and may be too narrow")
        note = "; ".join(notes) or None
    return Score(
        value=value,
        direction=part.direction,
        n=count,
        coverage=count / expected,
        interval=interval,
        reason=reason,
        note=note,
        over=over_of(keys, defined),
        detail=part.detail,
    )


def over_of(keys: Sequence[str], defined: NDArray[np.bool_]) -> str | None:
    """Return the digest of the keys of the defined pairs, unless all of them or none is.

    ``keys`` are all of the run's; ``defined`` is of the first ones, the others do not count.
    """
    if defined.sum() in (0, len(keys)):
        return None
    return digest_of([key for key, one in zip(keys, defined, strict=False) if one])


def _set_scores(
    entry: Entry, metric: StateMetric, reduced: Reduced, expected: int, workers: int
) -> dict[str, Score]:
    """Compute a metric over sets from its merged state."""
    groups = reduced.states.get(entry.name, [])
    first = reduced.references.get(entry.name)
    with blame(entry.name, "merging states"):
        state = _merged(metric, first, groups)
    declared = metric.parts()
    if isinstance(metric, FeatureSetMetric):
        columns = _pair_columns(entry, metric, state, reduced.keys)
        reduced.columns |= {full_name(entry, part): values for part, values in columns.items()}
        declared = {part: one for part, one in declared.items() if part not in columns}
    if not declared:
        return {}
    reason, notes = "", []
    values: Mapping[str, float] = {}
    spread: dict[str, float] = {}
    with blame(entry.name, "computing its value from the merged state"):
        try:
            values = metric.compute(state)
            spread = _jackknife(metric, first, groups, workers)
        except Undefined as error:
            reason = str(error)
        notes.append(metric.note(state))
    for part in values:
        full_name(entry, part)  # refuses what was not declared
    notes.append(_dropped(entry, len(reduced.keys)))
    notes.append(_dropped(entry, reduced.reference_counts.get(entry.name, 0), "reference images"))
    counted = entry.counted(len(reduced.keys))
    found = {}
    for part, one in declared.items():
        value = float(values.get(part, math.nan))
        why = None if math.isfinite(value) else reason or metric.undefined_when
        half = spread.get(part, math.nan)
        interval = None
        if math.isfinite(half) and not why:  # and no end lies where no value can
            low, high = one.range
            interval = (max(value - half, low), min(value + half, high))
        missing = "" if interval or why else metric.no_interval or NO_INTERVAL
        found[full_name(entry, part)] = Score(
            value=None if why else value,
            direction=one.direction,
            n=counted,
            coverage=counted / expected,
            interval=interval,
            reason=why,
            note=None if why else "; ".join(filter(None, [*notes, missing])) or None,
            over=over_of(reduced.keys, np.ones(counted, bool)),
            detail=one.detail,
        )
    return found


#: Why a score over a set has no interval, where the metric itself does not say.
NO_INTERVAL = "no interval: too few pairs to leave some out"


def _pair_columns(
    entry: Entry, metric: FeatureSetMetric, state: State, keys: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """Return the values of pairs that depend on the whole set, in the order of ``keys``."""
    with blame(entry.name, "computing the values of pairs from the merged state"):
        own, columns = metric.pair_values(state)
    if not columns:
        return {}
    at = {key: place for place, key in enumerate(own)}
    order = [at.get(key, len(own)) for key in keys]  # a pair that does not count has no value
    return {
        part: np.append(np.asarray(values, np.float64), math.nan)[order]
        for part, values in columns.items()
    }


def _dropped(entry: Entry, number: int, what: str = "pairs") -> str:
    """Say how many pairs, or reference images, an incomplete batch costs; or nothing."""
    count = number - entry.counted(number)
    if not count:
        return ""
    order = "keys" if what == "pairs" else "names"
    return (
        f"the last {count} of {number:,} {what} in the order of {order} do not count "
        f"(drop_incomplete = {entry.drop_incomplete})"
    )


def _with_note(score: Score, note: str) -> Score:
    """Return the score with a sentence put before its note."""
    if not note or score.value is None:
        return score
    return score.model_copy(update={"note": "; ".join(filter(None, [note, score.note]))})


def _merged(metric: StateMetric, first: State | None, groups: Sequence[State]) -> State:
    state = metric.empty() if first is None else first
    for group in groups:
        state = metric.merge(state, group)
    return state


def _jackknife(
    metric: StateMetric, first: State | None, groups: Sequence[State], workers: int
) -> dict[str, float]:
    """Return half the width of each part's 95 % interval, by leaving out one group at a time.

    The delete-a-group jackknife (Shao and Wu 1989): (G - 1) / G times the summed squares of the
    deviations from their mean, and Student's t for G - 1 degrees of freedom. Groups are of chunks,
    and pairs of one target share a chunk. Empty with too few groups, or where a value is missing.
    """
    if len(groups) not in _T or metric.no_interval:
        return {}

    def without(left_out: int) -> Mapping[str, float]:
        rest = [group for at, group in enumerate(groups) if at != left_out]
        return metric.compute(_merged(metric, first, rest))

    try:
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(without, range(len(groups))))
    except Undefined:
        return {}
    count = len(groups)
    spread = {}
    for part in metric.parts():
        values = np.array([one.get(part, math.nan) for one in found])
        variance = (count - 1) / count * float(((values - values.mean()) ** 2).sum())
        spread[part] = _T[count] * math.sqrt(variance)
    return spread
