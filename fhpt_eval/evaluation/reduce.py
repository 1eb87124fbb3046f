"""Reduce partials: columns in the order of keys, states merged in the order of chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import MetricError
from fhpt_eval.evaluation import fingerprint
from fhpt_eval.evaluation.blame import blame
from fhpt_eval.evaluation.dropping import Released, Tail, reference_rows
from fhpt_eval.evaluation.partial import Partial
from fhpt_eval.evaluation.plan import CheckedPair
from fhpt_eval.evaluation.rows import FeatureTask, Rows
from fhpt_eval.images.preparation import Side
from fhpt_eval.metrics.base import State, StateMetric
from fhpt_eval.metrics.on_features import (
    FeatureMetric,
    FeaturePairMetric,
    FeatureRows,
    FeatureSetMetric,
)
from fhpt_eval.protocol import Entry

#: States are merged in so many groups of chunks, for the interval of a metric over sets.
GROUPS = 10

Columns = Mapping[str, NDArray[np.float64]]
#: Of some reference images: names, identities and, by the metric's own name for each feature, rows.
ReferenceRows = tuple[tuple[str, ...], Sequence[str], Mapping[str, Rows]]


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
            for name, feature in entry.metric.features().items():
                for side in ("generated", *sides_of(entry)):
                    task = FeatureTask.of(feature, side, entry.steps, device)
                    features[name, side] = task
        return cls(entry, fingerprint.metric_address(entry, device), features)

    def yields(self) -> list[str]:
        """Return the addresses of what it takes from chunks of pairs."""
        tasks = self.features.values()
        return [task.address for task in tasks if task.side != "source"] or [self.address]

    def reference(self, device: str) -> dict[str, FeatureTask]:
        """Return, by name, the tasks that compute its features of a reference folder's images."""
        metric = self.entry.metric
        if not isinstance(metric, FeatureSetMetric) or metric.reference_folder() is None:
            return {}
        return {
            name: FeatureTask.of(feature, "ground_truth", self.entry.steps, device)
            for name, feature in metric.features().items()
        }


def sides_of(entry: Entry) -> tuple[Side, ...]:
    """Return the sides, besides the generated images, that a metric uses."""
    uses = entry.metric.uses()
    sides: tuple[Side, ...] = ("ground_truth", "source")
    return tuple(side for side in sides if side in uses)


@dataclass
class Reduced:
    """What all partials of a run add up to.

    ``states`` holds, for each metric over sets, the merged states of up to :data:`GROUPS` groups of
    chunks; ``references`` what its reference folder adds to each of their unions, and
    ``reference_counts`` how many images lie in it.
    """

    keys: tuple[str, ...] = ()
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    states: dict[str, list[State]] = field(default_factory=dict)
    references: dict[str, State] = field(default_factory=dict)
    reference_counts: dict[str, int] = field(default_factory=dict)
    generated_digest: str = ""
    test_set_digest: str = ""


class Reducer:
    """Adds up the partials of chunks, which come in their order."""

    def __init__(self, addressed: Sequence[Addressed], sources: Mapping[str, Rows]) -> None:
        """Take the metrics and, by the content address of their tasks, rows of source images."""
        self._addressed = addressed
        self._sources = sources
        self._keys: list[str] = []
        self._digests: tuple[list[str], list[str]] = ([], [])
        self._pieces: dict[str, list[NDArray[np.float64]]] = {}
        self._states: dict[str, list[State]] = {}
        self._references: dict[str, State] = {}
        self._reference_counts: dict[str, int] = {}
        self._tails: dict[str, Tail] = {}
        self._number = 0

    def add(self, partial: Partial, chunk: Sequence[CheckedPair] = ()) -> None:
        """Add what a chunk of pairs yielded; the pairs matter to metrics on features alone."""
        self._keys += partial.keys
        self._digests[0].extend(partial.generated)
        self._digests[1].extend(partial.ground_truth)
        pairs = {pair.pair.key: pair for pair in chunk}
        ordered = [pairs[key] for key in partial.keys] if pairs else []
        for one in self._addressed:
            rows = self._rows(ordered, partial, one) if one.features else None
            self._add_columns(partial, one, rows)
            if isinstance(one.entry.metric, StateMetric):
                self._add_state(one.entry.metric, partial, one, rows)
        self._number += 1

    def _add_columns(self, partial: Partial, one: Addressed, rows: FeatureRows | None) -> None:
        metric = one.entry.metric
        if isinstance(metric, FeaturePairMetric) and rows is not None:
            with blame(one.entry.name, f"scoring the chunk that starts with {rows.keys[0]}"):
                columns: Columns = metric.measure(rows)
            self._check(one.entry, columns, len(rows.keys))
        else:
            columns = partial.yields[one.address].columns if rows is None else {}
        for part, values in columns.items():
            self._pieces.setdefault(full_name(one.entry, part), []).append(values)

    def _check(self, entry: Entry, columns: Columns, count: int) -> None:
        declared = entry.metric.parts().keys()
        wrong = sorted(part for part, values in columns.items() if values.shape != (count,))
        if columns.keys() != declared or wrong:
            raise MetricError(
                f"Metric {entry.name} gave the values {sorted(columns)} for {count} pairs; its "
                f"parts() declare {sorted(declared)}, one value per pair each."
            )

    def _add_state(
        self, metric: StateMetric, partial: Partial, one: Addressed, rows: FeatureRows | None
    ) -> None:
        groups = self._states.setdefault(one.entry.name, [])
        if self._number < GROUPS:
            groups.append(metric.empty())
        at = self._number % GROUPS
        with blame(one.entry.name, "merging states"):
            if isinstance(metric, FeatureSetMetric) and rows is not None:
                passed: Iterable[Released] = [(at, rows)]
                if one.entry.drop_incomplete:
                    passed = self._tails.setdefault(one.entry.name, Tail(one.entry)).add(at, rows)
                for group, some in passed:
                    groups[group] = metric.update(groups[group], some)
            else:
                state = partial.yields[one.address].state or metric.empty()
                groups[at] = metric.merge(groups[at], state)

    def _rows(self, pairs: Sequence[CheckedPair], partial: Partial, one: Addressed) -> FeatureRows:
        """Gather the features of a chunk's pairs for a metric."""
        sides: dict[Side, dict[str, dict[str, NDArray[np.generic]]]]
        sides = {"generated": {}, "ground_truth": {}, "source": {}}
        distinct = np.ones(len(pairs), bool)
        for (name, side), task in one.features.items():
            if side == "source":
                sides[side][name] = self._of_sources(pairs, task)
                continue
            arrays = dict(partial.yields[task.address].state or {})
            distinct = arrays.pop("distinct").astype(bool)
            sides[side][name] = arrays
        return FeatureRows(
            partial.keys,
            tuple(pair.pair.target_name for pair in pairs),
            tuple(pair.pair.source_name or "" for pair in pairs),
            tuple(pair.pair.item or "" for pair in pairs),
            distinct,
            sides["generated"],
            sides["ground_truth"],
            sides["source"],
            tuple(pair.ground_truth.identity for pair in pairs),
            tuple(pair.source.identity if pair.source else "" for pair in pairs),
        )

    def _of_sources(
        self, pairs: Sequence[CheckedPair], task: FeatureTask
    ) -> dict[str, NDArray[np.generic]]:
        known = self._sources[task.content]
        rows = [known[pair.source.identity] for pair in pairs if pair.source is not None]
        return {part: np.stack([row[part] for row in rows]) for part in rows[0]}

    def refer(self, entry: Entry, chunks: Iterable[ReferenceRows]) -> None:
        """Add the features of a metric's reference images."""
        metric = entry.metric
        if not isinstance(metric, FeatureSetMetric):
            raise TypeError(f"{entry.name} has no reference")
        state = metric.empty()
        tail = Tail(entry)
        count = 0
        for names, identities, features in chunks:
            arrays = {
                name: {
                    part: np.stack([rows[one][part] for one in identities])
                    for part in rows[identities[0]]
                }
                for name, rows in features.items()
            }
            count += len(names)
            images = reference_rows(names, arrays, identities)
            passed = tail.add(0, images) if entry.drop_incomplete else [(0, images)]
            state = _referred(entry, metric, state, passed)
        self._references[entry.name] = _referred(entry, metric, state, tail.finish())
        self._reference_counts[entry.name] = count

    def _finish_tails(self) -> None:
        """Add what was held back of incomplete batches, and counts after all."""
        for one in self._addressed:
            metric = one.entry.metric
            tail = self._tails.pop(one.entry.name, None)
            if tail is not None and isinstance(metric, FeatureSetMetric):
                groups = self._states[one.entry.name]
                with blame(one.entry.name, "merging states"):
                    for group, some in tail.finish():
                        groups[group] = metric.update(groups[group], some)

    def result(self) -> Reduced:
        """Return everything in the order of keys."""
        self._finish_tails()
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        columns = {name: np.concatenate(all_)[order] for name, all_ in self._pieces.items()}
        return Reduced(
            tuple(self._keys[at] for at in order),
            columns,
            self._states,
            self._references,
            self._reference_counts,
            _set_digest(self._keys, self._digests[0], order),
            _set_digest(self._keys, self._digests[1], order),
        )


def _referred(
    entry: Entry, metric: FeatureSetMetric, state: State, passed: Iterable[Released]
) -> State:
    for _, images in passed:
        with blame(entry.name, "adding its reference images"):
            state = metric.refer(state, images.keys, images.ground_truth, images.target_images)
    return state


def full_name(entry: Entry, part: str) -> str:
    """Return the name of a score or column: the entry's, with the part after a dot."""
    if part and part not in entry.metric.parts():
        raise MetricError(
            f"Metric {entry.name} gave a value '{part}' that its parts() does not declare."
        )
    return f"{entry.name}.{part}" if part else entry.name


def _set_digest(keys: Sequence[str], digests: Sequence[str], order: Sequence[int]) -> str:
    """Return the SHA-256 over keys and pixel digests, in the order of keys."""
    total = hashlib.sha256()
    for at in order:
        total.update(f"{keys[at]}\0{digests[at]}\n".encode())
    return total.hexdigest()
