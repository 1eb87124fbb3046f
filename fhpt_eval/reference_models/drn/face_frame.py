"""Between an image and the square of a face: where its pixels lie, and how heavily they count.

Coordinates are edges: pixel i of a row reaches from i to i + 1, its centre lies at i + 0.5. (Key
points are given with pixel centres at whole numbers; add 0.5.) A face box B_F is left, top, right,
bottom in these coordinates of the working size; the face's F x F pixels divide it evenly, so that
the centre of its pixel i lies at left + (i + 0.5) / F * (right - left). A row of NaN, or one
without area, is no box.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def has_box(boxes: Tensor) -> Tensor:
    """(N, 4) -> (N,) bool: whether the row is a box, finite and with an area."""
    left, top, right, bottom = boxes.unbind(dim=1)
    return boxes.isfinite().all(dim=1) & (right > left) & (bottom > top)


def place_faces(faces: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Draw each face into its box, bilinearly; differentiable in the faces.

    Around its box a face goes on with the colours of its border, which the mask's soft edge needs.

    Args:
        faces: ``(N, C, F, F)`` floats.
        boxes: ``(N, 4)``.
        height: of the images.
        width: of the images.

    Returns:
        ``(N, C, height, width)`` float32; 0 where there is no box.
    """
    known, safe = _safe(boxes)
    left, top, right, bottom = safe.float().unbind(dim=1)
    # In grid_sample's coordinates a square reaches from -1 to 1 (corners not aligned).
    x = 2 * (_centres(width, boxes) - left[:, None]) / (right - left)[:, None] - 1  # (N, width)
    y = 2 * (_centres(height, boxes) - top[:, None]) / (bottom - top)[:, None] - 1  # (N, height)
    drawn = _sample(faces, x, y)
    return torch.where(known[:, None, None, None], drawn, 0.0)


def crop_faces(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut the square of each box out of its image, bilinearly; undoes :func:`place_faces`.

    Bilinear means that a box more than twice as large as ``size`` loses pixels between samples.

    Args:
        images: ``(N, C, H, W)`` floats.
        boxes: ``(N, 4)`` in the images' pixels.
        size: F.

    Returns:
        ``(N, C, F, F)`` float32; 0 where there is no box. Beyond the image its border goes on.
    """
    known, safe = _safe(boxes)
    left, top, right, bottom = safe.float().unbind(dim=1)
    height, width = images.shape[2:]
    steps = _centres(size, boxes) / size  # (F,), from 0 to 1
    x = 2 * (left[:, None] + steps * (right - left)[:, None]) / width - 1  # (N, F)
    y = 2 * (top[:, None] + steps * (bottom - top)[:, None]) / height - 1  # (N, F)
    return torch.where(known[:, None, None, None], _sample(images, x, y), 0.0)


def face_masks(boxes: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """Return M_F: the indicator of each box, blurred by a Gaussian of deviation ``sigma``.

    Exact, without a kernel that ends somewhere: in one dimension the indicator of [a, b], blurred,
    is (erf((b - x) / (sqrt(2) sigma)) - erf((a - x) / (sqrt(2) sigma))) / 2, and in two it is the
    product.

    Args:
        boxes: ``(N, 4)``.
        height: of the images.
        width: of the images.
        sigma: in pixels, above 0.

    Returns:
        ``(N, 1, height, width)`` float32 in [0, 1]; 0 where there is no box.
    """
    known, safe = _safe(boxes)
    left, top, right, bottom = safe.float()[:, :, None].unbind(dim=1)  # (N, 1) each
    across = _blurred(left, right, _centres(width, boxes), sigma)  # (N, width)
    down = _blurred(top, bottom, _centres(height, boxes), sigma)  # (N, height)
    mask = (down[:, None, :, None] * across[:, None, None, :]).clamp(0, 1)
    return torch.where(known[:, None, None, None], mask, 0.0)


def _safe(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return which rows are boxes, and boxes with a harmless one in place of what is none."""
    known = has_box(boxes)
    # Made on the device: a tensor of Python's numbers would be copied there, and waited for.
    harmless = torch.cat([boxes.new_zeros(2), boxes.new_ones(2)])
    return known, torch.where(known[:, None], boxes, harmless)


def _centres(size: int, like: Tensor) -> Tensor:
    """Return the centres of a row's pixels, ``(size,)`` float32."""
    return torch.arange(size, device=like.device, dtype=torch.float32) + 0.5


def _blurred(low: Tensor, high: Tensor, x: Tensor, sigma: float) -> Tensor:
    scale = 1 / (math.sqrt(2) * sigma)
    return (torch.erf((high - x) * scale) - torch.erf((low - x) * scale)) / 2


def _sample(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read images at the crossings of columns x ``(N, w)`` and rows y ``(N, h)``, in [-1, 1]."""
    shape = (len(x), y.shape[1], x.shape[1])
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=3)
    return grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )
