"""Mean absolute difference. May import: metrics.base, metrics.tensors, torch."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from fhpt_eval.metrics.base import Direction, PairMetric
from fhpt_eval.metrics.tensors import to_levels


class L1(PairMetric):
    """Mean absolute difference over all pixels and channels, of images in [0, 1].

    ``mean |x - y|``, x and y in [0, 1]: 0 for equal images, 1 for black against white.
    """

    name: ClassVar[str] = "l1"
    title: ClassVar[str] = "L1"
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` float64."""
        difference = to_levels(generated).sub_(to_levels(ground_truth)).abs_()
        return difference.mean(dim=(1, 2, 3)) / 255
