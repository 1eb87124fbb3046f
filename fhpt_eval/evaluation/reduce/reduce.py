"""Reduce partials: columns in the order of keys, states merged in the order of chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import MetricError
from fhpt_eval.evaluation.compute.chunk import row_identity
from fhpt_eval.evaluation.reduce.folds import Released, Tail, folds_of, reference_rows, take
from fhpt_eval.evaluation.store.partial import Partial
from fhpt_eval.evaluation.survey.chunks import CheckedPair, Chunk, SetImage
from fhpt_eval.evaluation.tasks import PixelDigests, Planned, RowsTask, Task, blame
from fhpt_eval.images.files import CheckedImage
from fhpt_eval.images.preparation import Side
from fhpt_eval.metrics.base import State
from fhpt_eval.metrics.on_features import Arrays, FeatureRows
from fhpt_eval.pairs.groups import linked
from fhpt_eval.protocol import Entry

#: Returns what a task has yielded for a chunk.
Load = Callable[[Chunk, Task], Partial]
#: A row of arrays by what makes an image's pixels.
Rows = Mapping[str, Arrays]


@dataclass
class Reduced:
    """What the partials of a metric add up to, for the pairs ``keys``.

    ``columns`` has its values of pairs by part; ``states`` the merged states of up to
    ten folds of groups; ``reference`` what its reference folder adds to each union of
    them, and ``reference_count`` how many images lie there.
    """

    keys: tuple[str, ...] = ()
    columns: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    states: list[State] = field(default_factory=list)
    reference: State | None = None
    reference_count: int = 0


def set_digests(chunks: Iterable[Chunk], load: Load) -> tuple[str, str]:
    """Return the SHA-256 over keys and pixels of generated images, and of ground truth."""
    keys: list[str] = []
    pixels: dict[str, list[str]] = {"generated": [], "ground_truth": []}
    for chunk in chunks:
        partial = load(chunk, PixelDigests.plan())
        keys += partial.keys
        for side, texts in pixels.items():
            texts += [row.tobytes().hex() for row in partial.columns[side]]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    generated, test_set = hashlib.sha256(), hashlib.sha256()
    for total, texts in zip((generated, test_set), pixels.values(), strict=True):
        for row in order:
            total.update(f"{keys[row]}\0{texts[row]}\n".encode())
    return generated.hexdigest(), test_set.hexdigest()


def reduce(
    planned: Sequence[Planned],
    chunks: Sequence[Chunk],
    groups: Mapping[str, int],
    references: Mapping[str, Sequence[Chunk]],
    sources: Mapping[str, Rows],
    load: Load,
) -> list[Reduced]:
    """Add up what some metrics' tasks have yielded; each partial is read once.

    ``chunks`` are those of all pairs, in their order; ``groups`` has the group number
    of each pair by its key; ``references`` has, by the address of a
    metric, the chunks of its reference folder; ``sources``, by the address of a task, rows of
    source images. ``load`` returns what a task yielded for a chunk.
    """
    by_group = dict(zip(groups, folds_of(list(groups.values())), strict=True))
    by_chunk = _folds_of_chunks(chunks, groups)
    reducers = [
        _Reducer(each, sources, by_chunk if each.alone is not None else by_group)
        for each in planned
    ]
    for chunk in chunks:
        tasks = {_slot(task): task for each in planned for task in each.of_pairs}
        partials = {slot: load(chunk, task) for slot, task in tasks.items()}
        for reducer in reducers:
            reducer.add(chunk, partials)
    for reducer in reducers:
        reducer.refer(references.get(reducer.address, ()), load)
    return [reducer.result() for reducer in reducers]


def _folds_of_chunks(chunks: Sequence[Chunk], groups: Mapping[str, int]) -> dict[str, int]:
    """Return the fold of each pair where states are of chunks: those that share a group are one."""
    keys = [(pair.key, number) for number, chunk in enumerate(chunks) for pair in chunk.pairs]
    labels = [(f"chunk {number}", f"group {groups[key]}") for key, number in keys]
    return dict(zip((key for key, _ in keys), folds_of(linked(labels)), strict=True))


def _slot(task: Task) -> tuple[str, Side | None]:
    """Return what tells a task's partial from the others of a chunk."""
    return task.address, task.side if isinstance(task, RowsTask) else None


class _Reducer:
    """Adds up the partials of one metric, which come in the order of chunks."""

    def __init__(
        self, planned: Planned, sources: Mapping[str, Rows], folds: Mapping[str, int]
    ) -> None:
        self.name, self.address = planned.entry.name, planned.address
        self._planned = planned
        self._entry = planned.entry
        self._metric = planned.entry.metric
        self._sources = sources
        self._keys: list[str] = []
        self._pieces: dict[str, list[NDArray[np.float64]]] = {}
        self._folds = folds
        self._states = [self._metric.empty() for _ in set(folds.values())]
        self._reference: tuple[State | None, int] = (None, 0)
        self._tail = Tail(self._entry) if self._entry.drop_incomplete else None

    def add(self, chunk: Chunk, partials: Mapping[tuple[str, Side | None], Partial]) -> None:
        """Add what the metric's tasks yielded for a chunk of pairs."""
        if self._planned.alone is not None:
            partial = partials[_slot(self._planned.alone)]
            fold = self._folds[partial.keys[0]]
            self._keys += partial.keys
            self._add_columns(partial.columns)
            with blame(self.name, "merging states"):
                self._states[fold] = self._metric.merge(self._states[fold], dict(partial.state))
            return
        rows = self._rows(chunk.pairs, partials)
        self._keys += rows.keys
        with blame(self.name, f"scoring the chunk that starts with {rows.keys[0]}"):
            columns = {k: np.asarray(v) for k, v in self._metric.columns(rows).items()}
        self._check(columns, len(rows.keys))
        self._add_columns(columns)
        folds = [self._folds[key] for key in rows.keys]
        for fold in sorted(set(folds)):
            of_fold = take(rows, [row for row, number in enumerate(folds) if number == fold])
            self._update([(fold, of_fold)] if self._tail is None else self._tail.add(fold, of_fold))

    def _add_columns(self, columns: Arrays) -> None:
        for part, values in columns.items():
            full_name(self._entry, part)  # refuses what was not declared
            self._pieces.setdefault(part, []).append(values)

    def _update(self, passed: Iterable[Released]) -> None:
        with blame(self.name, "merging states"):
            for fold, rows in passed:
                self._states[fold] = self._metric.update(self._states[fold], rows)

    def _check(self, columns: Arrays, count: int) -> None:
        declared = self._metric.parts().keys() if self._metric.gives == "pairs" else set()
        wrong = sorted(part for part, values in columns.items() if values.shape != (count,))
        if columns.keys() != declared or wrong:
            raise MetricError(
                f"Metric {self.name} gave the values {sorted(columns)} for {count} pairs; its "
                f"parts() declare {sorted(declared)}, one value per pair each."
            )

    def _rows(
        self, pairs: Sequence[CheckedPair], partials: Mapping[tuple[str, Side | None], Partial]
    ) -> FeatureRows:
        """Gather the features of a chunk's pairs."""
        sides: dict[Side, dict[str, Arrays]] = {"generated": {}, "ground_truth": {}, "source": {}}
        for (name, side), task in self._planned.rows.items():
            if side == "source":
                sides[side][name] = self._of_sources(pairs, task)
            else:
                images = [row_identity(pair, task) for pair in pairs]
                sides[side][name] = _picked(partials[_slot(task)], images)
        targets = [pair.pair.target_name for pair in pairs]
        return FeatureRows(
            keys=tuple(pair.key for pair in pairs),
            targets=tuple(targets),
            sources=tuple(pair.pair.source_name or "" for pair in pairs),
            items=tuple(pair.pair.item or "" for pair in pairs),
            distinct=np.array([name not in targets[:row] for row, name in enumerate(targets)]),
            generated=sides["generated"],
            ground_truth=sides["ground_truth"],
            source=sides["source"],
            target_images=tuple(_identity(pair.ground_truth) for pair in pairs),
            source_images=tuple(_identity(pair.source) for pair in pairs),
        )

    def _of_sources(self, pairs: Sequence[CheckedPair], task: RowsTask) -> Arrays:
        known = self._sources[task.address]
        rows = [known[pair.source.identity] for pair in pairs if pair.source is not None]
        return {part: np.stack([row[part] for row in rows]) for part in rows[0]}

    def refer(self, chunks: Sequence[Chunk], load: Load) -> None:
        """Add the features of the images in the metric's reference folder."""
        if not self._planned.reference:
            return
        state, count = self._metric.empty(), 0
        tail = Tail(self._entry)
        for chunk in chunks:
            names = [member.key for member in chunk.members]
            images: list[str] = []
            features = {}
            for name, task in self._planned.reference.items():
                images = [row_identity(member, task) for member in chunk.members]
                features[name] = _picked(load(chunk, task), images)
            items = [m.item if isinstance(m, SetImage) else "" for m in chunk.members]
            rows = reference_rows(names, features, images, items)
            count += len(names)
            passed = tail.add(0, rows) if self._tail is not None else [(0, rows)]
            state = self._referred(state, passed)
        self._reference = self._referred(state, tail.finish()), count

    def _referred(self, state: State, passed: Iterable[Released]) -> State:
        for _, rows in passed:
            with blame(self.name, "adding its reference images"):
                state = self._metric.refer(state, rows)
        return state

    def result(self) -> Reduced:
        """Return everything in the order of keys."""
        if self._tail is not None:
            self._update(self._tail.finish(self._reference[1]))
        order = sorted(range(len(self._keys)), key=self._keys.__getitem__)
        columns = {
            part: np.concatenate(pieces)[order].astype(np.float64, copy=False)
            for part, pieces in self._pieces.items()
        }
        keys = tuple(self._keys[row] for row in order)
        return Reduced(keys, columns, self._states, *self._reference)


def _identity(image: CheckedImage | None) -> str:
    return image.identity if image is not None else ""


def _picked(partial: Partial, images: Sequence[str]) -> dict[str, NDArray[np.generic]]:
    """Return rows of a partial in the order of some images."""
    places = {image: row for row, image in enumerate(partial.keys)}
    order = [places[image] for image in images]
    return {part: column[order] for part, column in partial.columns.items()}


def full_name(entry: Entry, part: str) -> str:
    """Return the name of a score or column: the entry's, with the part after a dot."""
    if part and part not in entry.metric.parts():
        raise MetricError(
            f"Metric {entry.name} gave a value '{part}' that its parts() does not declare."
        )
    return f"{entry.name}.{part}" if part else entry.name
