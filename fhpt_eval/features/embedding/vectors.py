"""What a network of the user's gives: rows, checked."""

from __future__ import annotations

from torch import Tensor

from fhpt_eval.errors import WeightsError


def vectors(output: object, count: int, label: str) -> Tensor:
    """Return what a network gave for ``count`` images as ``(count, D)`` float32.

    Raises:
        WeightsError: that is not what it gave; ``label`` names the network.
    """
    if not isinstance(output, Tensor):
        raise WeightsError(f"{label} gives a {type(output).__name__}; rows are one tensor (N, D).")
    if output.ndim != 2 or len(output) != count or not output.shape[1]:
        raise WeightsError(
            f"{label} gives {tuple(output.shape)} for {count} image; rows are (N, D): "
            "pool feature maps and flatten them inside the network."
        )
    if not output.is_floating_point():
        raise WeightsError(f"{label} gives {output.dtype}; rows are floats.")
    if not output.isfinite().all():
        raise WeightsError(f"{label} gives values that are no finite numbers.")
    return output.float()
