"""Small operations on image tensors that several metrics share."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

#: BT.601 luma weights as Matlab's ``rgb2gray`` has them (the inverse of NTSC's YIQ matrix).
_LUMA = (0.2989360212937753847527155, 0.5870430744511212909351327, 0.1140209042551033243121518)

#: Columns between the windows of :func:`slide`: with more, the band matrix is mostly zeros; with
#: fewer, the products are too small to be fast.
STEP = 8


def to_levels(images: Tensor) -> Tensor:
    """Return images as float64 on the scale 0..255, from uint8 or float in [0, 1].

    A float image may overshoot, where a protocol's resize leaves it so.
    """
    if images.dtype == torch.uint8:
        return images.double()
    return images.double().mul_(255) if images.dtype != torch.float64 else images * 255


def to_grey(images: Tensor) -> Tensor:
    """Return ``(N, H, W)`` float64 grey levels 0..255, rounded as Matlab rounds uint8 images.

    A float image, in [0, 1], is rounded and clipped to the 256 levels as well, so that both forms
    of one image give one value.
    """
    levels = to_levels(images)  # a copy, which is overwritten below
    if images.is_floating_point():
        levels.round_().clamp_(0, 255)
    red, green, blue = levels.unbind(1)
    grey = red.mul_(_LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])
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


def round_up(size: int) -> int:
    """Return the next multiple of :data:`STEP`."""
    return -(-size // STEP) * STEP


@lru_cache(maxsize=64)
def band(taps: tuple[float, ...], stride: int, reach: int, device: torch.device) -> Tensor:
    """Return the matrix with which :func:`slide` filters a window.

    It is ``(STEP / stride, STEP + reach)`` float64: the taps, moved on by ``stride`` in each row.
    """
    matrix = torch.zeros(STEP // stride, STEP + reach, dtype=torch.float64)
    for row, weights in enumerate(matrix):
        weights[stride * row : stride * row + len(taps)] = torch.tensor(taps, dtype=torch.float64)
    return matrix.to(device)


def slide(plane: Tensor, matrix: Tensor) -> Tensor:
    """Filter the rows of a plane, and transpose it: doing so twice filters rows and columns.

    A product of a band matrix with overlapping windows, viewed without a copy: a third faster than
    sums of shifted planes, since memory is read and written once. The plane is contiguous,
    ``(R, STEP * B + reach)``: B windows of ``STEP + reach`` columns begin :data:`STEP` columns
    apart. The matrix, ``(K, STEP + reach)``, has the weights with which a window gives K values of
    the outcome, ``(B * K, R)``.
    """
    rows, columns = plane.shape
    reach = matrix.shape[1] - STEP
    count = (columns - reach) // STEP
    windows = plane.as_strided((count, matrix.shape[1], rows), (STEP, 1, columns))
    return torch.bmm(matrix.expand(count, -1, -1), windows).view(-1, rows)
