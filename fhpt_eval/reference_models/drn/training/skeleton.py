"""Key points drawn as coloured limbs, to be looked at."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

#: Joints at the ends of each limb: OpenPose's, in its order.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12),
    (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
#: Half of a limb's width, as a share of the image's height.
_RADIUS = 1 / 80


def draw_skeleton(points: NDArray[np.floating], height: int, width: int) -> NDArray[np.uint8]:
    """Draw a person's limbs on black, ``(height, width, 3)`` uint8; each has a hue of its own.

    Args:
        points: ``(18, 2)``: x and y in pixels, NaN where a joint is missing; a limb is drawn where
            both of its ends are there.
        height: of the drawing.
        width: of the drawing.
    """
    image = np.zeros((height, width, 3))
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns, rows], axis=-1).astype(np.float64)
    for number, (start, end) in enumerate(LIMBS):
        if np.isnan(points[[start, end]]).any():
            continue
        distance = _to_segment(places, points[start], points[end])
        # Less than a pixel around the edge the limb is half there.
        cover = np.clip(max(1.0, height * _RADIUS) + 0.5 - distance, 0, 1)[..., None]
        colour = np.array(colorsys.hsv_to_rgb(number / len(LIMBS), 0.85, 1.0)) * 255
        image = image * (1 - cover) + colour * cover
    return image.round().astype(np.uint8)


def _to_segment(
    places: NDArray[np.float64], start: NDArray[np.floating], end: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the distance of each place ``(H, W, 2)`` to a line segment."""
    along = end - start
    length = float(along @ along)
    share = np.clip((places - start) @ along / length, 0, 1) if length else np.zeros(1)
    distance: NDArray[np.float64] = np.linalg.norm(
        places - start - share[..., None] * along, axis=-1
    )
    return distance
