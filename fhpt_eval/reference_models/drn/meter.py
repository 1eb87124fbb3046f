"""Means of losses and times between two rows of the log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from fhpt_eval.reference_models.drn.distributed import World
from fhpt_eval.reference_models.drn.trainer import LOSSES


@dataclass
class Meter:
    """Mean losses and time of the steps since the last row of the log.

    Losses are summed up on the device, so that it is waited for at a row and not at every step.
    """

    done: int
    started: float
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, found: dict[str, torch.Tensor]) -> None:
        """Add a step's losses."""
        for name, value in found.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
            self.counts[name] = self.counts.get(name, 0) + 1

    def means(self, world: World) -> dict[str, float]:
        """Return the losses' means over steps and processes, and forget them."""
        names = [name for name in LOSSES if name in self.sums]
        stacked = torch.stack([self.sums[name] / self.counts[name] for name in names])
        self.sums, self.counts = {}, {}
        return dict(zip(names, world.mean(stacked).tolist(), strict=True))

    def take(self, done: int) -> tuple[int, float]:
        """Return steps and seconds since the last row, and begin the next."""
        steps, passed = done - self.done, time.monotonic() - self.started
        self.done = done
        self.restart()
        return steps, passed

    def restart(self) -> None:
        """Begin the time again."""
        self.started = time.monotonic()
