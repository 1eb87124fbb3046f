"""What pairs have yielded one by one, kept in memory until all have come and chunks are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fhpt_eval.evaluation.compute.chunk import Job, identities, rows_content
from fhpt_eval.evaluation.store.partial import Arrays, Partial
from fhpt_eval.evaluation.survey.chunks import CheckedPair, Chunk
from fhpt_eval.evaluation.tasks import MetricTask, RowsTask, Task
from fhpt_eval.metrics.base import State
from fhpt_eval.pairs.pair import Problem


@dataclass
class Kept:
    """Pairs by key and, by the address of a task, the rows that it yielded and its states.

    A row is of a pair, by key, or of an image, by what makes its pixels, as in a
    :class:`~fhpt_eval.evaluation.store.partial.Partial`. ``real`` says which are of real images.
    ``samples`` are a few pairs whose images still hold their pixels.
    """

    pairs: dict[str, CheckedPair] = field(default_factory=dict)
    rows: dict[str, dict[str, Arrays]] = field(default_factory=dict)
    states: dict[str, dict[str, State]] = field(default_factory=dict)
    real: dict[str, set[str]] = field(default_factory=dict)
    samples: list[CheckedPair] = field(default_factory=list)

    def add(self, task: Task, partial: Partial) -> None:
        """Take what a task yielded; of a metric over sets of images, of one pair."""
        rows = self.rows.setdefault(task.address, {})
        for place, key in enumerate(partial.keys):
            # A copy, so that a row does not hold its whole batch in memory.
            rows[key] = {name: column[place].copy() for name, column in partial.columns.items()}
        if isinstance(task, RowsTask) and task.side != "generated":
            self.real.setdefault(task.address, set()).update(partial.keys)
        if is_of_sets(task):
            states = self.states.setdefault(task.address, {})
            states |= {key: dict(partial.state) for key in partial.keys}

    def lacks(self, task: Task, row: str) -> bool:
        """Whether a task has yielded no such row yet."""
        return row not in self.rows.get(task.address, {})

    def partial(self, chunk: Chunk, task: Task) -> Partial | None:
        """Put together what a task yields for a chunk; ``None`` where a row is lacking."""
        content, keys = chunk.content, tuple(member.key for member in chunk.ordered)
        if isinstance(task, RowsTask):
            keys = tuple(sorted(set(identities(chunk, task))))
            content = rows_content(keys)
        if any(self.lacks(task, key) for key in keys):
            return None
        rows = [self.rows[task.address][key] for key in keys]
        columns = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        state: dict[str, Any] = {}
        if isinstance(task, MetricTask) and is_of_sets(task):
            state = task.metric.empty()
            for key in keys:
                state = task.metric.merge(state, self.states[task.address][key])
        return Partial(task.address, content, keys, columns, state)

    def real_alone(self) -> Kept:
        """Return the rows of real images alone, for other pairs of the same ones."""
        rows = {
            address: {name: self.rows[address][name] for name in sorted(names)}
            for address, names in self.real.items()
        }
        return Kept(rows=rows, real={address: set(names) for address, names in self.real.items()})


def is_of_sets(task: Task) -> bool:
    """Whether a task yields a state beside columns."""
    return isinstance(task, MetricTask) and task.metric.gives == "set"


def merged(parts: Sequence[Kept]) -> tuple[Kept, list[Problem]]:
    """Return what several processes kept, and the pairs that two had with different images.

    A sampler may give a pair to two processes, to make their shares equal: the first one's counts.
    """
    whole, problems = Kept(samples=[pair for part in parts for pair in part.samples]), []
    for number, part in enumerate(parts):
        for key, pair in part.pairs.items():
            if whole.pairs.setdefault(key, pair).identity != pair.identity:
                reason = f"process {number} had it too, with other images, which do not count"
                problems.append(Problem("repeated", key, reason))
        for ours, theirs in ((whole.rows, part.rows), (whole.states, part.states)):
            for address, named in theirs.items():
                into: dict[str, Any] = ours.setdefault(address, {})
                for name, value in named.items():
                    into.setdefault(name, value)
    return whole, problems


@dataclass(frozen=True)
class KeptJob(Job):
    """A job to which what was kept is no work any more."""

    kept: Kept = field(default_factory=Kept)

    def load(self, chunk: Chunk, task: Task) -> Partial | None:
        return super().load(chunk, task) or self.kept.partial(chunk, task)
