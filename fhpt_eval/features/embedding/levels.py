"""What every embedder takes: a batch of images, checked. May import: errors, torch."""

from __future__ import annotations

import torch
from torch import Tensor

from fhpt_eval.errors import ArgumentError


def as_levels(images: object) -> Tensor:
    """Return images as uint8.

    Args:
        images: ``(N, 3, H, W)``, uint8 or float in [0, 1].

    Raises:
        ArgumentError: says what was expected and what was given.
    """
    if not isinstance(images, Tensor):
        raise ArgumentError(f"'images' must be a torch.Tensor, not {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] != 3 or images.numel() == 0:
        raise ArgumentError(f"'images' must be (N, 3, H, W), not {tuple(images.shape)}")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise ArgumentError(f"'images' must be uint8 or float in [0, 1], not {images.dtype}")
    low, high = images.min().item(), images.max().item()
    if not (low >= 0 and high <= 1):
        raise ArgumentError(
            f"'images' must lie in [0, 1] or be uint8; their values run from {low:g} to {high:g}"
        )
    return (images * 255).round().to(torch.uint8)
