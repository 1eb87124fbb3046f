"""Heatmaps and part affinity fields drawn around given key points, as OpenPose was trained on them.

Source: Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR
2017, sections 2.2 and 2.3: a Gaussian around each joint, the greatest of all persons' where they
overlap; along each limb its unit vector, averaged where they overlap.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.features.openpose import COCO_18, Layout

Floats = NDArray[np.float64]

#: Sigma of a joint's Gaussian and half a limb's width, in pixels of the network's input; 7 px is
#: what OpenPose was trained with.
SIGMA, HALF_WIDTH = 7.0, 10.0

#: A standing person, x and y in pixels, some 300 px high, in the order of COCO_18.
STANDING = np.array(
    [
        (60, 30), (60, 62), (32, 64), (22, 108), (14, 150), (88, 64), (98, 108), (106, 150),
        (44, 150), (42, 220), (40, 290), (76, 150), (78, 220), (80, 290),
        (50, 20), (70, 20), (36, 26), (84, 26),
    ],
    np.float64,
)  # fmt: skip


def draw(
    persons: Floats, cells: tuple[int, int], stride: int = 8, layout: Layout = COCO_18
) -> tuple[Floats, Floats]:
    """Draw persons (P, J, 2), NaN where a joint is missing; x and y in pixels, centres whole.

    Returns:
        Heatmaps (J + 1, H, W) and part affinity fields (2 L, H, W).
    """
    y, x = (stride * (np.arange(side) + 0.5) - 0.5 for side in cells)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    heatmaps = np.zeros((layout.heatmaps, *cells))
    pafs = np.zeros((layout.pafs, *cells))
    for joint in range(len(layout.joints)):
        for person in persons:
            if not np.isnan(person[joint, 0]):
                squares = ((grid - person[joint]) ** 2).sum(axis=-1)
                blob = np.exp(-squares / (2 * SIGMA**2))
                heatmaps[joint] = np.maximum(heatmaps[joint], blob)
    heatmaps[-1] = 1 - heatmaps[:-1].max(axis=0)
    for limb in layout.limbs:
        count = np.zeros(cells)
        for person in persons:
            ends = person[[limb.start, limb.end]]
            if not np.isnan(ends).any():
                near, direction = _along(grid, ends)
                pafs[limb.channel : limb.channel + 2] += direction[:, None, None] * near
                count += near
        pafs[limb.channel : limb.channel + 2] /= np.maximum(count, 1)
    return heatmaps, pafs


def _along(grid: Floats, ends: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return which cells lie near the line between two points, and its unit vector."""
    vector = ends[1] - ends[0]
    share = (((grid - ends[0]) @ vector) / (vector @ vector)).clip(0, 1)
    distance = np.hypot(*np.moveaxis(grid - ends[0] - share[..., None] * vector, -1, 0))
    return distance <= HALF_WIDTH, vector / np.hypot(*vector)
