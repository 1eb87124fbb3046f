"""Compute scores from what all partials add up to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

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

#: With fewer groups than this an interval of skewed values covers less than 0.9 (docs/coverage.md).
FEW_GROUPS = 10
#: Why a score over a set has no interval, where the metric itself does not say.
NO_INTERVAL = "no interval: too few groups of pairs to leave some out"


def scores(
    entry: Entry,
    reduced: Reduced,
    groups: Sequence[int],
    expected: int,
    workers: int,
    assumed: str = "",
) -> dict[str, Score]:
    """Compute a metric's scores; columns that depend on the whole set are added to ``reduced``.

    ``groups`` has the group number of each pair, in the order of keys; ``expected`` is the number
    of pairs that the test set has, excluded ones included. ``workers`` values are computed at a
    time. ``assumed`` is what intervals assume, for their notes.
    """
    by_name: dict[str, Score] = {}
    if entry.metric.gives == "set":
        by_name |= _set_scores(entry, reduced, expected, workers)
    for part in entry.metric.parts():
        if part in reduced.columns:
            by_name[full_name(entry, part)] = _mean_score(entry, reduced, part, groups, expected)
    return {name: _assuming(score, assumed) for name, score in by_name.items()}


def unavailable(entry: Entry, reason: str) -> dict[str, Score]:
    """Return the empty scores of a metric whose needs the run cannot meet."""
    return {
        full_name(entry, part): Score(
            value=None, direction=declared.direction, n=0, coverage=0.0, interval=None,
            reason=reason, detail=declared.detail,
        )
        for part, declared in entry.metric.parts().items()
    }  # fmt: skip


def _score(
    part: Part, keys: Sequence[str], counted: NDArray[np.bool_], expected: int, **outcome: Any
) -> Score:
    """Return a score of the pairs that are ``counted``, see :func:`over_of`."""
    count = int(counted.sum())
    return Score(
        direction=part.direction, n=count, coverage=count / expected, over=over_of(keys, counted),
        detail=part.detail, **outcome,
    )  # fmt: skip


def _mean_score(
    entry: Entry, reduced: Reduced, name: str, groups: Sequence[int], expected: int
) -> Score:
    """Average the defined values; say why there is no average, or what is missing from it."""
    part, keys = entry.metric.parts()[name], reduced.keys
    values = reduced.columns[name][: entry.counted(len(keys))]
    weights = np.ones(len(values))
    if part.weight:
        weights = np.nan_to_num(reduced.columns[part.weight])[: len(values)]
    undefined_when = part.undefined_when or entry.metric.undefined_when
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
        share = part.range == (0.0, 1.0)
        interval = _within(mean_interval(chosen, members, weighing, share=share), part)
        notes = [_dropped(entry, len(keys))]
        if count < len(values):
            notes.append(f"undefined for {len(values) - count} pairs: {undefined_when}")
        number = len(set(members))
        if number < 2:
            notes.append("no interval: all pairs belong to one group")
        elif number < FEW_GROUPS and not share:
            few = f"the interval rests on only {number} groups: too narrow if values are skewed"
            notes.append(few)
        note = "; ".join(filter(None, notes)) or None
    weight = full_name(entry, part.weight) if part.weight else None
    return _score(
        part, keys, defined, expected, value=value, interval=interval, reason=reason, note=note,
        weight=weight,
    )  # fmt: skip


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
        _dropped(entry, len(reduced.keys), reduced.reference_count),
        _dropped(entry, reduced.reference_count, what="reference images"),
    )
    counted = np.ones(entry.counted(len(reduced.keys), reduced.reference_count), bool)
    scores_by_name = {}
    for name, part in declared.items():
        value = float(values.get(name, math.nan))
        why = None if math.isfinite(value) else reason or metric.undefined_when
        half = math.nan if why else spread.get(name, math.nan)
        interval = _within((value - half, value + half), part) if math.isfinite(half) else None
        missing = "" if interval else metric.no_interval or NO_INTERVAL
        scores_by_name[full_name(entry, name)] = _score(
            part, reduced.keys, counted, expected,
            value=None if why else value, interval=interval, reason=why,
            note=None if why else "; ".join(filter(None, [note, *dropped, missing])) or None,
        )  # fmt: skip
    return scores_by_name


def _within(interval: tuple[float, float] | None, part: Part) -> tuple[float, float] | None:
    """Return the interval with no end where no value can lie."""
    low, high = part.range
    return None if interval is None else (max(interval[0], low), min(interval[1], high))


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


def _dropped(entry: Entry, number: int, references: int = 0, what: str = "pairs") -> str:
    """Say how many pairs, or reference images, an incomplete batch costs; or nothing."""
    count = number - entry.counted(number, references)
    if not count:
        return ""
    order = "keys" if what == "pairs" else "names"
    batch = entry.batch(references)
    shrunk = f", shrunk to the {batch} reference images" if batch < entry.drop_incomplete else ""
    return (
        f"the last {count} of {number:,} {what} in the order of {order} do not count "
        f"(drop_incomplete = {entry.drop_incomplete}{shrunk})"
    )


def _assuming(score: Score, assumed: str) -> Score:
    """Return the score with what its interval assumes after its note."""
    if not assumed or score.interval is None:
        return score
    return score.model_copy(update={"note": "; ".join(filter(None, [score.note, assumed]))})
