"""Mean absolute difference."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator
from torch import Tensor

from fhpt_eval.metrics.base import Direction, PairMetric
from fhpt_eval.metrics.tensors import to_levels

#: Length of the range that black and white are apart in.
_SPAN = {"0..1": 1.0, "-1..1": 2.0, "0..255": 255.0}


class L1(PairMetric):
    """Mean absolute difference over all pixels and channels.

    Parameters:
        scale: the range from black to white: ``"0..1"``, ``"-1..1"`` (PATN, pose-gan) or
            ``"0..255"`` (PG2).
        per: ``"value"`` divides the summed differences by their number; ``"sum"`` by the sum of
            both images' values in [0, 1], which GFLA and its line call MAE.
        norm: ``"l2"`` takes the Euclidean length of all differences in place of their sum, by
            the number of values, which PG2 calls L2. It is no root of a mean square.

    ``mean |x - y|``: 0 for equal images, the length of the range for black against white (1 by
    default). ``sum |x - y| / sum (x + y)`` lies in [0, 1].
    """

    name: ClassVar[str] = "l1"
    title: ClassVar[str] = "L1"
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 255.0)
    undefined_when: ClassVar[str] = "both images are black, and per is 'sum'"

    scale: Literal["0..1", "-1..1", "0..255"] = "0..1"
    per: Literal["value", "sum"] = "value"
    norm: Literal["l1", "l2"] = "l1"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.per == "sum" and (self.scale, self.norm) != ("0..1", "l1"):
            raise ValueError("per = 'sum' is a ratio of values in [0, 1]; leave scale and norm out")
        return self

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` float64; NaN for two black images where ``per`` is ``"sum"``."""
        x, y = to_levels(generated), to_levels(ground_truth)
        if self.per == "sum":
            total = (x + y).sum(dim=(1, 2, 3))
            return x.sub_(y).abs_().sum(dim=(1, 2, 3)) / total
        difference = x.sub_(y)
        if self.norm == "l2":
            length = difference.square_().sum(dim=(1, 2, 3)).sqrt_()
            return length / difference[0].numel() / 255 * _SPAN[self.scale]
        return difference.abs_().mean(dim=(1, 2, 3)) / 255 * _SPAN[self.scale]
