"""A metric over sets, fed batch by batch, as in a validation loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fhpt_eval.common.processes import Group, gathered, on_first, rank_in
from fhpt_eval.errors import ArgumentError
from fhpt_eval.metrics.base import Metric, State, StateMetric

if TYPE_CHECKING:
    from torch import Tensor


class Stream:
    """Feeds a metric over sets with tensors, batch by batch; no image is kept.

    ``fid = Stream(FID())``, then ``fid.update(generated, real)`` for each batch, and
    ``fid.compute()``. What is kept is the metric's own state: moments of FID, rows of KID.
    """

    def __init__(self, metric: Metric, group: Group = None) -> None:
        """Take a metric, and the processes whose batches are one set.

        Args:
            metric: one over sets.
            group: of torch.distributed; all of its processes by default.

        Raises:
            ArgumentError: the metric gives values of pairs, whose mean needs no stream.
        """
        if not isinstance(metric, StateMetric):
            name = getattr(metric, "name", type(metric).__name__)
            raise ArgumentError(f"'metric' must judge sets, and {name} judges each pair: call it")
        self.metric, self._group = metric, group
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._state: State = self.metric.empty()
        self._count = 0

    def update(
        self, generated: Tensor, ground_truth: Tensor | None = None,
        source: Tensor | None = None, *, items: Sequence[str] = (),
    ) -> None:  # fmt: skip
        """Add a batch: N images each, ``(N, 3, H, W)`` uint8 or float in [0, 1].

        FID and its kin take another number of real ones; ``items`` are N item ids.

        Raises:
            ArgumentError: a tensor has the wrong type, shape or range, or is missing; nothing was
                added.
        """
        start, rank = self._count, rank_in(self._group)
        count = len(generated) if hasattr(generated, "__len__") else 0
        # Names in the order in which batches come, those of one process after those of another.
        keys = [f"{rank:06d}-{number:012d}" for number in range(start, start + count)]
        self._state = self.metric.add(
            self._state, generated, ground_truth, source, items=items, keys=keys
        )
        self._count += count

    def compute(self) -> Mapping[str, float]:
        """Return the values of all batches by part, "" for a single one.

        Inside of torch.distributed every process of the group must call it, and has the values of
        all batches of all of them.

        Raises:
            Undefined: the set has no such value; the message is the reason.
        """
        return on_first(self._group, gathered(self._state, self._group), self._of)

    def _of(self, states: Sequence[State]) -> Mapping[str, float]:
        merged = self.metric.empty()
        for state in states:
            merged = self.metric.merge(merged, state)
        return self.metric.values(merged)
