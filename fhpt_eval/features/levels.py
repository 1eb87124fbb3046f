"""What every feature takes: a batch of images, checked."""

from __future__ import annotations

import torch
from torch import Tensor

from fhpt_eval.errors import ArgumentError

#: How far beyond [0, 1] levels may lie where scripts feed what a bicubic kernel gave.
OVERSHOOT = 0.5
# How far beyond [0, 1] the rounding of a division or an addition takes a float32 level.
_ROUNDING = 1e-6


def checked_images(images: object, overshoot: float = 0.0, argument: str = "images") -> Tensor:
    """Return images as they are, if they are images; what rounding took beyond [0, 1] is clipped.

    Args:
        images: ``(N, 3, H, W)``, uint8 or float in [0, 1].
        overshoot: how far beyond [0, 1] floats may lie; 0 or :data:`OVERSHOOT`.
        argument: what an error calls them.

    Raises:
        ArgumentError: says which argument, what was expected and what was given.
    """
    if not isinstance(images, Tensor):
        raise ArgumentError(f"'{argument}' must be a torch.Tensor, not {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] != 3 or images.numel() == 0:
        cure = " (add a batch dimension: x[None])" if images.ndim == 3 else ""
        raise ArgumentError(
            f"'{argument}' must have shape (N, 3, H, W), none of them 0, not "
            f"{tuple(images.shape)}{cure}"
        )
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise ArgumentError(f"'{argument}' must be uint8 or float in [0, 1], not {images.dtype}")
    low, high = images.min().item(), images.max().item()
    beyond = max(overshoot, _ROUNDING)
    if not (low >= -beyond and high <= 1 + beyond):  # also where one of them is NaN
        allowed = f" (a resize may overshoot by {overshoot:g})" if overshoot else ""
        raise ArgumentError(
            f"'{argument}' must lie in [0, 1]{allowed} or be uint8; "
            f"its values run from {low:.7g} to {high:.7g}"
        )
    return images if overshoot or (low >= 0 and high <= 1) else images.clamp(0, 1)


def as_levels(images: object) -> Tensor:
    """Return ``(N, 3, H, W)`` images, uint8 or float in [0, 1], as uint8.

    Raises:
        ArgumentError: says what was expected and what was given.
    """
    batch = checked_images(images)
    return batch if batch.dtype == torch.uint8 else (batch * 255).round().to(torch.uint8)
