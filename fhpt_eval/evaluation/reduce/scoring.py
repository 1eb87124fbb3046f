"""Compute scores from what all partials add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.common.intervals import mean, mean_interval
from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import Undefined
from fhpt_eval.evaluation.reduce.folds import jackknife, merged
from fhpt_eval.evaluation.reduce.reduce import Reduced, full_name
from fhpt_eval.evaluation.tasks import blame
from fhpt_eval.metrics.base import Part, State
from fhpt_eval.protocol import Entry
from fhpt_eval.result import Score

#: With fewer groups than this a percentile interval is known to be too narrow.
FEW_GROUPS = 10
#: Why a score over a set has no interval, where the metric itself does not say.
NO_INTERVAL = "no interval: too few pairs to leave some out"


def scores(
    entry: Entry, reduced: Reduced, groups: Sequence[int], expected: int, workers: int
) -> dict[str, Score]:
    """Compute a metric's scores; columns that depend on the whole set are added to ``reduced``.

    Args:
        entry: the metric.
        reduced: what its partials add up to.
        groups: the group number of each pair, in the order of keys.
        expected: the number of pairs that the test set has, excluded ones included.
        workers: how many values are computed at a time.
    """
    by_name: dict[str, Score] = {}
    if entry.metric.gives == "set":
        by_name |= _set_scores(entry, reduced, expected, workers)
    counted = entry.counted(len(reduced.keys))
    with blame(entry.name, "saying what goes with its values"):
        remarks = entry.metric.remarks({k: v[:counted] for k, v in reduced.columns.items()})
    for part, declared in entry.metric.parts().items():
        if part not in reduced.columns:
            continue
        values, weights = reduced.columns[part], np.ones(len(reduced.keys))
        if declared.weight:
            weights = np.nan_to_num(reduced.columns[declared.weight])
        score = _mean_score(
            reduced.keys,
            values[:counted],
            weights[:counted],
            groups,
            expected,
            declared,
            declared.undefined_when or entry.metric.undefined_when,
        )
        if part in remarks and not score.n:
            score = score.model_copy(update={"reason": remarks[part]})
        noted = _with_note(score, remarks.get(part, ""))
        by_name[full_name(entry, part)] = _with_note(noted, _dropped(entry, len(reduced.keys)))
    return by_name


def unavailable(entry: Entry, reason: str) -> dict[str, Score]:
    """Return the empty scores of a metric whose needs the run cannot meet."""
    return {
        full_name(entry, part): Score(
            value=None, direction=declared.direction, n=0, coverage=0.0, interval=None,
            reason=reason, detail=declared.detail,
        )
        for part, declared in entry.metric.parts().items()
    }  # fmt: skip


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
        note = _note_on_mean(len(values) - count, undefined_when, len(set(members)))
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


def _note_on_mean(undefined: int, undefined_when: str, groups: int) -> str | None:
    """Say what a reader must know beside a mean, or nothing."""
    notes = [f"undefined for {undefined} pairs: {undefined_when}"] if undefined else []
    if groups < 2:
        notes.append("no interval: all pairs belong to one group")
    elif groups < FEW_GROUPS:
        notes.append(f"the interval rests on only {groups} groups and may be too narrow")
    return "; ".join(notes) or None


def over_of(keys: Sequence[str], defined: NDArray[np.bool_]) -> str | None:
    """Return the digest of the keys of the defined pairs, unless all of them or none is.

    ``keys`` are all of the run's; ``defined`` is of the first ones, the others do not count.
    """
    if defined.sum() in (0, len(keys)):
        return None
    return digest_of([key for key, counts in zip(keys, defined, strict=False) if counts])


def _set_scores(entry: Entry, reduced: Reduced, expected: int, workers: int) -> dict[str, Score]:
    """Compute a metric over sets from its merged state."""
    metric, folds, reference = entry.metric, reduced.states, reduced.reference
    with blame(entry.name, "merging states"):
        state = merged(metric, reference, folds)
    columns = _pair_columns(entry, state, reduced.keys)
    reduced.columns |= columns
    declared = {name: part for name, part in metric.parts().items() if name not in columns}
    if not declared:
        return {}
    reason, note = "", ""
    values: Mapping[str, float] = {}
    spread: dict[str, float] = {}
    with blame(entry.name, "computing its value from the merged state"):
        try:
            values = metric.compute(state)
            spread = jackknife(metric, reference, folds, workers)
        except Undefined as error:
            reason = str(error)
        note = metric.note(state)
    for name in values:
        full_name(entry, name)  # refuses what was not declared
    dropped = (
        _dropped(entry, len(reduced.keys)),
        _dropped(entry, reduced.reference_count, "reference images"),
    )
    scores_by_name = {}
    for name, part in declared.items():
        value = float(values.get(name, math.nan))
        why = None if math.isfinite(value) else reason or metric.undefined_when
        interval = None if why else _interval(value, spread.get(name, math.nan), part)
        missing = "" if interval else metric.no_interval or NO_INTERVAL
        scores_by_name[full_name(entry, name)] = _set_score(
            entry, reduced.keys, expected, part,
            value=None if why else value, interval=interval, reason=why,
            note=None if why else "; ".join(filter(None, [note, *dropped, missing])) or None,
        )  # fmt: skip
    return scores_by_name


def _interval(value: float, half: float, part: Part) -> tuple[float, float] | None:
    """Return the interval of a value, with no end where no value can lie."""
    low, high = part.range
    return (max(value - half, low), min(value + half, high)) if math.isfinite(half) else None


def _set_score(
    entry: Entry, keys: Sequence[str], expected: int, part: Part,
    value: float | None, interval: tuple[float, float] | None, reason: str | None, note: str | None,
) -> Score:  # fmt: skip
    counted = entry.counted(len(keys))
    return Score(
        value=value,
        direction=part.direction,
        n=counted,
        coverage=counted / expected,
        interval=interval,
        reason=reason,
        note=note,
        over=over_of(keys, np.ones(counted, bool)),
        detail=part.detail,
    )


def _pair_columns(
    entry: Entry, state: State, keys: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """Return the values of pairs that depend on the whole set, in the order of ``keys``."""
    with blame(entry.name, "computing the values of pairs from the merged state"):
        scored, columns = entry.metric.pair_values(state)
    for part in columns:
        full_name(entry, part)  # refuses what was not declared
    if not columns:
        return {}
    places = {key: place for place, key in enumerate(scored)}
    order = [places.get(key, len(scored)) for key in keys]  # one that does not count has no value
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
