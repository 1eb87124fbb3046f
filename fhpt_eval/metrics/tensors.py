"""Small operations on image tensors that several metrics share. May import: torch."""

from __future__ import annotations

import torch
from torch import Tensor

#: BT.601 luma weights as Matlab's ``rgb2gray`` has them (the inverse of NTSC's YIQ matrix).
_LUMA = (0.2989360212937753847527155, 0.5870430744511212909351327, 0.1140209042551033243121518)


def to_levels(images: Tensor) -> Tensor:
    """Return images as float64 on the scale 0..255, from uint8 or float in [0, 1]."""
    return images.double() if images.dtype == torch.uint8 else images.double() * 255


def to_grey(images: Tensor) -> Tensor:
    """Return ``(N, H, W)`` float64 grey levels 0..255, rounded as Matlab rounds uint8 images.

    Args:
        images: ``(N, 3, H, W)``, uint8 or float in [0, 1]. A float image is rounded to the 256
            levels as well, so that both forms of one image give one value.
    """
    levels = to_levels(images)
    red, green, blue = levels.unbind(1)
    grey = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return grey.add_(0.5).floor_()


def symmetric_pad(planes: Tensor, pad: int) -> Tensor:
    """Pad the last two dimensions by mirroring with the edge repeated (d c b a | a b c d).

    The border of SciPy's filters (``mode="reflect"``) and of Matlab's ``imresize``.
    """
    if pad == 0:
        return planes
    for dim in (-2, -1):
        size = planes.shape[dim]
        at = torch.arange(-pad, size + pad, device=planes.device) % (2 * size)
        at = torch.where(at < size, at, 2 * size - 1 - at)
        planes = planes.index_select(dim, at)
    return planes
