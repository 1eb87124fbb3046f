"""From a network's maps to persons."""

from __future__ import annotations

import operator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.openpose.bands import Floats
from fhpt_eval.features.openpose.layout import COCO_18, Layout
from fhpt_eval.features.openpose.peaks import find_peaks
from fhpt_eval.features.openpose.persons import connect, group
from fhpt_eval.features.openpose.settings import STANDARD, Decoding
from fhpt_eval.features.openpose.surface import Plane, Surface, axis

#: Largest height and width of maps, in cells; with a stride of 8 an input of 4096 pixels.
MAX_CELLS = 512
#: Largest stride, in pixels.
MAX_STRIDE = 64
#: Largest magnitude of a map; a network's are around 1.
MAX_VALUE = 1e6


def decode(
    heatmaps: NDArray[np.floating] | Tensor,
    pafs: NDArray[np.floating] | Tensor,
    *,
    stride: int = 8,
    image_size: tuple[int, int] | None = None,
    decoding: Decoding = STANDARD,
    layout: Layout = COCO_18,
) -> Floats:
    """Find the persons in a network's maps.

    Args:
        heatmaps: ``(J + 1, H, W)`` of floats, a channel per joint and the background last.
        pafs: ``(2 L, H, W)`` of floats, part affinity fields; see :class:`Layout`.
        stride: pixels of the network's input per cell.
        image_size: height and width of the network's input without the padding at its right and
            bottom; by default all of it.
        decoding: thresholds and scales.
        layout: joints and limbs; 18 joints and 19 limbs by default.

    Returns:
        ``(P, J, 3)`` float64: x and y in pixels of the network's input, pixel centres at whole
        numbers (the centre of cell (i, j) is x = stride (j + 0.5) - 0.5, y alike from i), and
        confidence; all three NaN where a joint is missing. P is 0 where nobody is found. No two
        persons share a peak. Ordered by the rule of :func:`choose_person`, that one first.

    Raises:
        ArgumentError: an argument has the wrong type or shape, or holds NaN or infinity.
    """
    if not isinstance(decoding, Decoding):
        raise ArgumentError(f"'decoding' must be a Decoding, not {type(decoding).__name__}")
    if not isinstance(layout, Layout):
        raise ArgumentError(f"'layout' must be a Layout, not {type(layout).__name__}")
    joints = _checked(heatmaps, "heatmaps", layout.heatmaps, layout)
    fields = _checked(pafs, "pafs", layout.pafs, layout)
    if joints.shape[1:] != fields.shape[1:]:
        raise ArgumentError(
            f"'pafs' must be as high and wide as 'heatmaps', {joints.shape[1:]}, "
            f"not {fields.shape[1:]}"
        )
    stride = _whole(stride)
    full = joints.shape[1] * stride, joints.shape[2] * stride
    height, width = _size(image_size, full)
    rows = axis(joints.shape[1], stride, height, height, decoding.peak_sigma)
    columns = axis(joints.shape[2], stride, width, width, decoding.peak_sigma)
    return decode_surfaces(
        (Plane(joints, rows, columns),), (Plane(fields, rows, columns),), layout, decoding
    )


def decode_surfaces(
    heatmaps: Surface, pafs: Surface, layout: Layout, decoding: Decoding = STANDARD
) -> Floats:
    """Find the persons in surfaces over an image; as :func:`decode`, in pixels of that image."""
    peaks = find_peaks(heatmaps, len(layout.joints), decoding.peak_threshold, decoding.max_peaks)
    limbs = connect(pafs, layout, peaks, decoding)
    return group(layout, peaks, limbs, decoding.min_joints, decoding.min_score)


def _checked(maps: object, name: str, channels: int, layout: Layout) -> Floats:
    """Return maps as float64 (C, H, W), or say what is wrong with them."""
    if isinstance(maps, Tensor):
        maps = maps.detach().to("cpu", torch.float64).numpy() if maps.is_floating_point() else 0
    if not isinstance(maps, np.ndarray) or maps.dtype.kind != "f":
        raise ArgumentError(f"'{name}' must be a NumPy array or a torch.Tensor of floats")
    if maps.ndim != 3 or maps.shape[0] != channels or 0 in maps.shape:
        raise ArgumentError(
            f"'{name}' must be ({channels}, H, W) for {layout.name}, not {maps.shape}"
        )
    if max(maps.shape[1:]) > MAX_CELLS:
        raise ArgumentError(
            f"'{name}' must have at most {MAX_CELLS} x {MAX_CELLS} cells, not {maps.shape[1:]}"
        )
    values = np.ascontiguousarray(maps, np.float64)
    if not (values.min() >= -MAX_VALUE and values.max() <= MAX_VALUE):  # NaN is neither
        raise ArgumentError(f"'{name}' must hold finite numbers of at most {MAX_VALUE:g}")
    return values


def _whole(stride: object) -> int:
    try:
        number = 0 if isinstance(stride, bool) else operator.index(stride)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if not 1 <= number <= MAX_STRIDE:
        raise ArgumentError(f"'stride' must be a whole number in [1, {MAX_STRIDE}], not {stride!r}")
    return number


def _size(size: object, full: tuple[int, int]) -> tuple[int, int]:
    if size is None:
        return full
    try:
        height, width = (int(side) for side in size)  # type: ignore[attr-defined]
        is_whole = (height, width) == tuple(size)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        is_whole = False
    if not is_whole or not (1 <= height <= full[0] and 1 <= width <= full[1]):
        raise ArgumentError(
            f"'image_size' must be height and width of at most {full[0]} x {full[1]} pixels, "
            f"the maps' size times the stride, not {size!r}"
        )
    return height, width
