"""A metric of your own in one file: how far a generated image's colourfulness is off."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from fhpt_eval.metrics import PairMetric


class ColorfulnessGap(PairMetric):
    """Absolute difference of colourfulness between the generated image and its ground truth.

    Colourfulness after Hasler and Süsstrunk, "Measuring colourfulness in natural images", SPIE
    2003, equation 4: the spread of the opponent colours, plus ``weight`` times their mean.
    """

    name: ClassVar[str] = "colorfulness_gap"
    title: ClassVar[str] = "Colourfulness gap"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    weight: float = 0.3

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` float64, on the scale of 0..255 levels."""
        return (self._colorfulness(generated) - self._colorfulness(ground_truth)).abs()

    def _colorfulness(self, images: Tensor) -> Tensor:
        levels = images.double() * (1 if images.dtype.itemsize == 1 else 255)
        red, green, blue = levels.flatten(2).unbind(1)
        opponents = torch.stack([red - green, (red + green) / 2 - blue])
        spread = opponents.var(dim=2, correction=0).sum(0).sqrt()
        mean = opponents.mean(dim=2).square().sum(0).sqrt()
        return spread + self.weight * mean
