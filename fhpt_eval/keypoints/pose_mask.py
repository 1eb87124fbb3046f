"""The pose mask of the field: where a person of these key points is.

``produce_ma_mask`` of Pose-Transfer's ``tool/pose_utils.py`` (281ee2d), with the same text in
pose-gan, Global-Flow-Local-Attention, SPGNet, DPTN and dressing-in-order, and ``get_pose_mask`` of
intrinsic_flow's ``util/pose_util.py`` (94ea8f0). Both rest on scikit-image as it was before 0.18,
whose polygon has half-open edges; drawn here, so that no library's version moves a mask.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion

from fhpt_eval.errors import ArgumentError
from fhpt_eval.keypoints.joints import JOINTS

#: Whose mask is drawn.
MaskForm = Literal["pose-transfer", "intrinsic-flow"]
#: Joints at the ends of each limb that is filled: OpenPose's limbs, and the trunk's outline.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (1, 16), (1, 17), (8, 11), (11, 5),
    (8, 2), (16, 17),
)  # fmt: skip
#: Half the width of a limb, and the radius of a joint, in pixels.
RADIUS = 4
#: The side of the square that closes gaps, in pixels.
CLOSED = 5
#: What intrinsic_flow adds to both parts of a limb before it takes the length.
_ADDED = 1e-8


def pose_mask(
    points: NDArray[np.floating], height: int, width: int, form: MaskForm = "pose-transfer"
) -> NDArray[np.bool_]:
    """Return where a person is, ``(height, width)``: limbs and joints, with small gaps closed.

    A rectangle of half-width 4 along each limb whose ends are both there, a disc of radius 4 (45
    pixels, its circle left out) at each joint, then dilation and erosion with a square of 5 pixels,
    for which nothing counts that lies outside of the image. A pixel on the edge of a rectangle
    belongs to one side only. A limb without length adds nothing, and nothing is filled of a person
    without joints.

    Args:
        points: ``(18, 2)`` or ``(18, 3)``: x and y in pixels, NaN where a joint is missing.
        height: of the image, in pixels.
        width: of the image, in pixels.
        form: ``"intrinsic-flow"`` takes x for y and y for x, takes a joint with a negative
            coordinate for missing, and finds corners in single precision, as that script does.

    Raises:
        ArgumentError: ``points`` has another shape.
    """
    if points.ndim != 2 or points.shape[0] != len(JOINTS) or points.shape[1] not in (2, 3):
        raise ArgumentError(f"'points' must be (18, 2) or (18, 3), not {points.shape}")
    places: NDArray[Any] = points[:, 1::-1].astype(np.float64)  # rows first
    present = ~np.isnan(places).any(axis=1)
    added = 0.0
    if form == "intrinsic-flow":
        places, added = places[:, ::-1].astype(np.float32), _ADDED
        present &= (places >= 0).all(axis=1)
    mask = np.zeros((height, width), bool)
    for start, end in LIMBS:
        if present[start] and present[end]:
            _fill(mask, _corners(places[start], places[end], added))
    rows, columns = np.ogrid[:height, :width]
    row, column = places[present].astype(np.float64).T[..., None, None]
    mask |= ((rows - row) ** 2 + (columns - column) ** 2 < RADIUS**2).any(axis=0)
    square = np.ones((CLOSED, CLOSED), bool)
    dilated = binary_dilation(mask, square)
    closed: NDArray[np.bool_] = binary_erosion(dilated, square, border_value=1)
    return closed


def _corners(start: NDArray[Any], end: NDArray[Any], added: float) -> NDArray[np.float64]:
    """Return the corners of a limb's rectangle in turn, ``(4, 2)``; all alike without length.

    They are found in the precision of the ends; which pixels lie on an edge hangs on the last bit.
    """
    along = start - end
    across = np.array([-along[1], along[0]])
    length = np.sqrt(((across + added) ** 2).sum())
    if length > 0:
        across = RADIUS * across / length
    corners = [start + across, start - across, end - across, end + across]
    return np.stack(corners).astype(np.float64)


def _fill(mask: NDArray[np.bool_], corners: NDArray[np.float64]) -> None:
    """Add the pixels inside of a polygon, by the half-open crossing rule (W. R. Franklin, PNPOLY).

    A pixel is inside if an odd number of edges lies to its right; an edge reaches from its upper
    end, which belongs to it, to its lower one, which does not, and what lies on it is not left of
    it.
    """
    height, width = mask.shape
    first, last = corners.min(axis=0), corners.max(axis=0)
    top, bottom = max(0, int(first[0])), min(height - 1, int(np.ceil(last[0])))
    left, right = max(0, int(first[1])), min(width - 1, int(np.ceil(last[1])))
    if top > bottom or left > right:
        return
    rows, columns = np.ogrid[top : bottom + 1, left : right + 1]
    row, column = corners.T[..., None, None]
    next_row, next_column = np.roll(corners, 1, axis=0).T[..., None, None]
    spanned = (row <= rows) != (next_row <= rows)
    with np.errstate(divide="ignore", invalid="ignore"):  # edges along a row span none
        crossing = (next_column - column) * (rows - row) / (next_row - row) + column
    inside = np.logical_xor.reduce(spanned & (columns < crossing))
    mask[top : bottom + 1, left : right + 1] |= inside
