"""Peak signal-to-noise ratio."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from torch import Tensor

from fhpt_eval.metrics.base import Direction, PairMetric
from fhpt_eval.metrics.tensors import to_levels


class PSNR(PairMetric):
    """Peak signal-to-noise ratio in dB, of the mean squared error over all pixels and channels.

    Parameters:
        overflow: ``"uint8"`` takes differences and their squares modulo 256, as a script that
            computes in 8-bit integers does (PISE). It is no PSNR, and there only to compare with
            numbers printed by such a script.

    ``10 log10(1 / MSE)`` for images in [0, 1], one value per pair; as scikit-image's
    ``peak_signal_noise_ratio`` with the full data range. Two equal images give infinity.
    """

    name: ClassVar[str] = "psnr"
    title: ClassVar[str] = "PSNR"
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    overflow: Literal["none", "uint8"] = "none"

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` float64, in dB."""
        x, y = to_levels(generated), to_levels(ground_truth)
        if self.overflow == "uint8":
            squares = x.round_().sub_(y.round_()).square_().remainder_(256).div_(255**2)
            return -10 * squares.mean(dim=(1, 2, 3)).log10() + 0.0
        difference = x.sub_(y).div_(255)
        # Adding zero turns the -0.0 of black against white into 0.0.
        return -10 * difference.square_().mean(dim=(1, 2, 3)).log10() + 0.0
