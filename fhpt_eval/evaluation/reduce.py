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
from fhpt_eval.evaluation.blame import blame
from fhpt_eval.evaluation.partial import Partial
from fhpt_eval.metrics.base import Part, SetMetric, State
from fhpt_eval.protocol import Entry
from fhpt_eval.result import PairTable, Score
from fhpt_eval.statistics import mean, mean_interval


@dataclass
class Reduced:
    """What all partials of a run add up to."""

    keys: tuple[str, ...] = ()
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    generated_digest: str = ""
    test_set_digest: str = ""


def merge(partials: Iterable[Partial], addressed: Sequence[tuple[str, Entry]]) -> Reduced:
    """Merge partials, given in the order of chunks; ``addressed`` says whose yields lie where."""
    keys: list[str] = []
    digests: tuple[list[str], list[str]] = ([], [])
    pieces: dict[str, list[NDArray[np.float64]]] = {}
    states: dict[str, State] = {}
    for partial in partials:
        keys += partial.keys
        digests[0].extend(partial.generated)
        digests[1].extend(partial.ground_truth)
        for address, entry in addressed:
            one = partial.yields[address]
            for part, values in one.columns.items():
                pieces.setdefault(full_name(entry, part), []).append(values)
            if isinstance(entry.metric, SetMetric) and one.state is not None:
                before = states.get(entry.name, entry.metric.empty())
                with blame(entry.name, "merging states"):
                    states[entry.name] = entry.metric.merge(before, one.state)
    order = sorted(range(len(keys)), key=keys.__getitem__)
    columns = {name: np.concatenate(values)[order] for name, values in pieces.items()}
    return Reduced(
        tuple(keys[at] for at in order),
        columns,
        states,
        _set_digest(keys, digests[0], order),
        _set_digest(keys, digests[1], order),
    )


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
        if isinstance(entry.metric, SetMetric):
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
        if interval is None:
            notes.append("no interval: all pairs belong to one group")
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
    entry: Entry, metric: SetMetric, reduced: Reduced, expected: int
) -> dict[str, Score]:
    """Compute a metric over sets from its merged state."""
    count = len(reduced.keys)
    reason = None
    values: Mapping[str, float] = {}
    try:
        with blame(entry.name, "computing its value from the merged state"):
            values = metric.compute(reduced.states.get(entry.name, metric.empty()))
    except Undefined as error:
        reason = str(error)
    found = {}
    for part, declared in metric.parts().items():
        value = values.get(part, math.nan)
        why = None if math.isfinite(value) else reason or metric.undefined_when
        found[full_name(entry, part)] = Score(
            value=None if why else float(value),
            direction=declared.direction,
            n=count,
            coverage=count / expected,
            interval=None,
            reason=why,
            note=None if why else "no interval: one value for the whole set",
        )
    return found


def _set_digest(keys: Sequence[str], digests: Sequence[str], order: Sequence[int]) -> str:
    """Return the SHA-256 over keys and pixel digests, in the order of keys."""
    total = hashlib.sha256()
    for at in order:
        total.update(f"{keys[at]}\0{digests[at]}\n".encode())
    return total.hexdigest()
