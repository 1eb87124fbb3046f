"""The pose mask of the field: where a person of these key points is.

``produce_ma_mask`` of Pose-Transfer's ``tool/pose_utils.py`` (281ee2d), and with the same text in
pose-gan, Global-Flow-Local-Attention, SPGNet, DPTN and dressing-in-order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError
from fhpt_eval.keypoints.joints import JOINTS

#: Joints at the ends of each limb that is filled: OpenPose's limbs, and the trunk's outline.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (1, 16), (1, 17), (8, 11), (11, 5),
    (8, 2), (16, 17),
)  # fmt: skip
#: Half the width of a limb, and the radius of a joint, in pixels.
RADIUS = 4
#: Gaps of less than this are closed, in pixels.
CLOSED = 5


def pose_mask(
    points: NDArray[np.floating], height: int, width: int, *, transposed: bool = False
) -> NDArray[np.bool_]:
    """Return where a person is, ``(height, width)``: limbs and joints, with small gaps closed.

    A rectangle of half-width 4 along each limb whose ends are both there, a disc of radius 4 (45
    pixels) at each joint, then dilation and erosion with a square of 5 pixels. A limb without
    length adds nothing, and nothing is filled of a person without joints.

    Args:
        points: ``(18, 2)`` or ``(18, 3)``: x and y in pixels, NaN where a joint is missing.
        height: of the image, in pixels.
        width: of the image, in pixels.
        transposed: take x for y and y for x, as ``util/pose_util.py`` of intrinsic_flow does.

    Raises:
        ArgumentError: ``points`` has another shape.
    """
    from skimage.draw import disk
    from skimage.morphology import dilation, erosion

    if points.ndim != 2 or points.shape[0] != len(JOINTS) or points.shape[1] not in (2, 3):
        raise ArgumentError(f"'points' must be (18, 2) or (18, 3), not {points.shape}")
    places = points[:, :2] if transposed else points[:, 1::-1]  # rows first
    present = ~np.isnan(places).any(axis=1)
    mask = np.zeros((height, width), np.uint8)
    for start, end in LIMBS:
        if present[start] and present[end]:
            _fill_limb(mask, places[start], places[end])
    for place in places[present]:
        mask[disk(tuple(place), RADIUS, shape=mask.shape)] = 1  # type: ignore[no-untyped-call]
    square = np.ones((CLOSED, CLOSED), np.uint8)
    closed: NDArray[np.bool_] = np.asarray(erosion(dilation(mask, square), square)) > 0
    return closed


def _fill_limb(
    mask: NDArray[np.uint8], start: NDArray[np.floating], end: NDArray[np.floating]
) -> None:
    from skimage.draw import polygon

    along = end - start
    length = np.hypot(*along)
    if not length > 0:
        return
    across = np.array([-along[1], along[0]]) / length * RADIUS
    corners = np.stack([start - across, start + across, end + across, end - across])
    filled = polygon(corners[:, 0], corners[:, 1], shape=mask.shape)  # type: ignore[no-untyped-call]
    mask[filled] = 1
