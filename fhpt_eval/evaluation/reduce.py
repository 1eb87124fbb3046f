"""Reduce partials to scores: columns in the order of keys, states merged in the order of chunks.

May import: errors, metrics.base, protocol, result, statistics, evaluation.partial.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import MetricError, Undefined
from fhpt_eval.evaluation import fingerprint
from fhpt_eval.evaluation.blame import blame
from fhpt_eval.evaluation.chunk import FeatureTask
from fhpt_eval.evaluation.partial import Partial
from fhpt_eval.metrics.base import FeatureMetric, FeatureRows, Part, State, StateMetric
from fhpt_eval.preparation import Side
from fhpt_eval.protocol import Entry
from fhpt_eval.result import PairTable, Score
from fhpt_eval.statistics import mean, mean_interval

#: With fewer groups than this a percentile interval is known to be too narrow.
FEW_GROUPS = 10
#: States are merged in so many groups of chunks, for the interval of a metric over sets.
GROUPS = 10
#: Student's t for 95 %, by the number of groups; with fewer the interval would say nothing.
_T = {5: 2.776445, 6: 2.570582, 7: 2.446912, 8: 2.364624, 9: 2.306004, 10: 2.262157}


@dataclass(frozen=True)
class Addressed:
    """A metric, and where its yields lie: its own address, and those of the features it rests on.

    ``features`` maps the metric's own name for a feature, and the side, to the task that computes
    it; empty for a metric on images.
    """

    entry: Entry
    address: str
    features: Mapping[tuple[str, Side], FeatureTask]

    @classmethod
    def of(cls, entry: Entry, device: str) -> Addressed:
        """Work out the addresses for a device."""
        features = {}
        if isinstance(entry.metric, FeatureMetric):
            sides: tuple[Side, ...] = ("generated", "ground_truth")
            for name, feature in entry.metric.features().items():
                for side in sides[: 1 + ("ground_truth" in entry.metric.needs)]:
                    address = fingerprint.feature_address(feature, side, entry.steps, device)
                    task = FeatureTask(address, feature, side, entry.steps)
                    features[name, side] = task
        return cls(entry, fingerprint.metric_address(entry, device), features)


@dataclass
class Reduced:
    """What all partials of a run add up to.

    ``states`` holds, for each metric over sets, the merged states of up to :data:`GROUPS` groups of
    chunks.
    """

    keys: tuple[str, ...] = ()
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    states: dict[str, list[State]] = field(default_factory=dict)
    generated_digest: str = ""
    test_set_digest: str = ""


def merge(partials: Iterable[Partial], addressed: Sequence[Addressed]) -> Reduced:
    """Merge partials, given in the order of chunks; ``addressed`` says whose yields lie where."""
    keys: list[str] = []
    digests: tuple[list[str], list[str]] = ([], [])
    pieces: dict[str, list[NDArray[np.float64]]] = {}
    states: dict[str, list[State]] = {}
    for number, partial in enumerate(partials):
        keys += partial.keys
        digests[0].extend(partial.generated)
        digests[1].extend(partial.ground_truth)
        for one in addressed:
            metric, name = one.entry.metric, one.entry.name
            if isinstance(metric, StateMetric):
                groups = states.setdefault(name, [])
                if number < GROUPS:
                    groups.append(metric.empty())
                at = number % GROUPS
                with blame(name, "merging states"):
                    groups[at] = _add(metric, groups[at], partial, one)
            if not one.features:
                for part, values in partial.yields[one.address].columns.items():
                    pieces.setdefault(full_name(one.entry, part), []).append(values)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    columns = {name: np.concatenate(values)[order] for name, values in pieces.items()}
    return Reduced(
        tuple(keys[at] for at in order),
        columns,
        states,
        _set_digest(keys, digests[0], order),
        _set_digest(keys, digests[1], order),
    )


def _add(metric: StateMetric, state: State, partial: Partial, one: Addressed) -> State:
    """Add what a partial has for a metric over sets to its state."""
    if not isinstance(metric, FeatureMetric):
        return metric.merge(state, partial.yields[one.address].state or metric.empty())
    sides: dict[Side, dict[str, dict[str, NDArray[np.generic]]]]
    sides = {"generated": {}, "ground_truth": {}}
    distinct = np.ones(len(partial.keys), bool)
    for (name, side), task in one.features.items():
        arrays = dict(partial.yields[task.address].state or {})
        distinct = arrays.pop("distinct").astype(bool)
        sides[side][name] = arrays
    rows = FeatureRows(partial.keys, distinct, sides["generated"], sides["ground_truth"])
    return metric.update(state, rows)


def scores(
    reduced: Reduced, entries: Sequence[Entry], groups: Sequence[int], expected: int
) -> dict[str, Score]:
    """Compute every score.

    Args:
        reduced: the merged partials.
        entries: the metrics, in the order in which their scores shall stand.
        groups: the group number of each pair, in the order of keys.
        expected: the number of pairs that the test set has, excluded ones included.
    """
    found: dict[str, Score] = {}
    for entry in entries:
        parts = entry.metric.parts()
        if isinstance(entry.metric, StateMetric):
            found |= _set_scores(entry, entry.metric, reduced, expected)
        for part, declared in parts.items():
            name = full_name(entry, part)
            if name in reduced.columns:
                values = reduced.columns[name]
                undefined_when = entry.metric.undefined_when
                found[name] = _mean_score(values, groups, expected, declared, undefined_when)
    return found


def unavailable(entry: Entry, reason: str) -> dict[str, Score]:
    """Return the empty scores of a metric whose needs the run cannot meet."""
    return {
        full_name(entry, part): Score(
            value=None, direction=declared.direction, n=0, coverage=0.0, interval=None,
            reason=reason,
        )
        for part, declared in entry.metric.parts().items()
    }  # fmt: skip


def table(reduced: Reduced) -> PairTable:
    """Return the per-pair values."""
    return PairTable(reduced.keys, reduced.columns)


def full_name(entry: Entry, part: str) -> str:
    """Return the name of a score or column: the entry's, with the part after a dot."""
    if part and part not in entry.metric.parts():
        raise MetricError(
            f"Metric {entry.name} gave a value '{part}' that its parts() does not declare."
        )
    return f"{entry.name}.{part}" if part else entry.name


def _mean_score(
    values: NDArray[np.float64],
    groups: Sequence[int],
    expected: int,
    part: Part,
    undefined_when: str,
) -> Score:
    """Average the defined values; say why there is no average, or what is missing from it."""
    defined = ~np.isnan(values)
    count = int(defined.sum())
    chosen = values[defined]
    infinite = int(np.isinf(chosen).sum())
    value, interval, reason, note = None, None, None, None
    if count == 0:
        reason = f"undefined for every pair: {undefined_when}"
    elif infinite:
        reason = f"infinite for {infinite} of {count} pairs, so the mean does not exist"
    else:
        value = mean(chosen)
        interval = mean_interval(chosen, np.asarray(groups)[defined].tolist())
        notes = []
        if count < len(values):
            notes.append(f"undefined for {len(values) - count} pairs: {undefined_when}")
        number = len(set(np.asarray(groups)[defined].tolist()))
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
    )


def _set_scores(
    entry: Entry, metric: StateMetric, reduced: Reduced, expected: int
) -> dict[str, Score]:
    """Compute a metric over sets from its merged state."""
    count = len(reduced.keys)
    groups = reduced.states.get(entry.name, [])
    reason, notes = "", []
    values: Mapping[str, float] = {}
    spread: dict[str, float] = {}
    with blame(entry.name, "computing its value from the merged state"):
        state = _merged(metric, groups)
        try:
            values = metric.compute(state)
            spread = _jackknife(metric, groups)
        except Undefined as error:
            reason = str(error)
        notes.append(metric.note(state))
    for part in values:
        full_name(entry, part)  # refuses what was not declared
    found = {}
    for part, declared in metric.parts().items():
        value = float(values.get(part, math.nan))
        why = None if math.isfinite(value) else reason or metric.undefined_when
        half = spread.get(part, math.nan)
        interval = (value - half, value + half) if math.isfinite(half) and not why else None
        missing = "" if interval or why else "no interval: too few pairs to leave some out"
        found[full_name(entry, part)] = Score(
            value=None if why else value,
            direction=declared.direction,
            n=count,
            coverage=count / expected,
            interval=interval,
            reason=why,
            note=None if why else "; ".join(filter(None, [*notes, missing])) or None,
        )
    return found


def _merged(metric: StateMetric, groups: Sequence[State]) -> State:
    state = metric.empty()
    for group in groups:
        state = metric.merge(state, group)
    return state


def _jackknife(metric: StateMetric, groups: Sequence[State]) -> dict[str, float]:
    """Return half the width of each part's 95 % interval, by leaving out one group at a time.

    The delete-a-group jackknife (Shao and Wu 1989): (G - 1) / G times the summed squares of the
    deviations from their mean, and Student's t for G - 1 degrees of freedom. Groups are of chunks,
    and pairs of one target share a chunk. Empty with too few groups, or where a value is missing.
    """
    if len(groups) not in _T:
        return {}
    found = []
    for left_out in range(len(groups)):
        rest = [group for at, group in enumerate(groups) if at != left_out]
        try:
            found.append(metric.compute(_merged(metric, rest)))
        except Undefined:
            return {}
    count = len(groups)
    spread = {}
    for part in metric.parts():
        values = np.array([one.get(part, math.nan) for one in found])
        variance = (count - 1) / count * float(((values - values.mean()) ** 2).sum())
        spread[part] = _T[count] * math.sqrt(variance)
    return spread


def _set_digest(keys: Sequence[str], digests: Sequence[str], order: Sequence[int]) -> str:
    """Return the SHA-256 over keys and pixel digests, in the order of keys."""
    total = hashlib.sha256()
    for at in order:
        total.update(f"{keys[at]}\0{digests[at]}\n".encode())
    return total.hexdigest()
