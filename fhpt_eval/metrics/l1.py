"""Mean absolute difference. May import: words, metrics.base, metrics.tensors, torch."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from fhpt_eval.metrics.base import Direction, PairMetric
from fhpt_eval.metrics.tensors import to_levels
from fhpt_eval.words import Words


class L1(PairMetric):
    """Mean absolute difference over all pixels and channels, of images in [0, 1].

    ``mean |x - y|``, x and y in [0, 1]: 0 for equal images, 1 for black against white.
    """

    name: ClassVar[str] = "l1"
    title: ClassVar[str] = "L1"
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    words: ClassVar[Words] = {
        "scale": {
            "0..1": "images in [0, 1]",
            "-1..1": "images in [-1, 1]",
            "0..255": "images in [0, 255]",
        },
        "per": {
            "value": "the sum divided by the number of values",
            "sum": "the sum divided by the sum of both images",
        },
        "norm": {
            "l1": "absolute differences",
            "l2": "the Euclidean length of the differences",
        },
    }

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` float64."""
        difference = to_levels(generated).sub_(to_levels(ground_truth)).abs_()
        return difference.mean(dim=(1, 2, 3)) / 255
