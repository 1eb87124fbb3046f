"""Where a face is, from its key points alone.

A box is a square around nose, eyes and ears. Its size follows from the distances between them, as
multiples of the distance between the eyes. A turn of the head can only shorten a distance in the
image, so of several estimates the largest holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError
from fhpt_eval.keypoints import JOINTS

Floats = NDArray[np.float64]

_NOSE, _RIGHT_EYE, _LEFT_EYE, _RIGHT_EAR, _LEFT_EAR = 0, 14, 15, 16, 17
_FACE = (_NOSE, _RIGHT_EYE, _LEFT_EYE, _RIGHT_EAR, _LEFT_EAR)

#: Distances between two joints as multiples of the distance between the eyes, where they are
#: largest. Ears, nose to eye: medians over the 1,439 of DeepFashion's 4,038 test images that have
#: all five joints. Nose to ear is largest in profile, where the eyes' distance is not seen; there
#: it is 0.61 of nose to neck (1,582 images with one ear), which is 2.82 eye distances in front.
_MULTIPLES = (
    (_RIGHT_EYE, _LEFT_EYE, 1.0),
    (_RIGHT_EAR, _LEFT_EAR, 2.32),
    (_NOSE, _RIGHT_EYE, 0.73),
    (_NOSE, _LEFT_EYE, 0.73),
    (_NOSE, _RIGHT_EAR, 1.72),
    (_NOSE, _LEFT_EAR, 1.72),
)
#: The box's side in eye distances: from the hairline to below the chin.
_SIDE = 3.4
#: How far above the nose the box's middle lies, in eye distances.
_ABOVE_NOSE = 0.25
#: A smaller face, in pixels, has nothing to replenish.
_SMALLEST = 4.0


def face_boxes(points: NDArray[np.floating]) -> Floats:
    """Return the square box of each face, ``(N, 4)`` float64: left, top, right, bottom.

    A face needs its nose and an eye: ears alone are seen from behind as well. Without them, and
    where the box would be smaller than 4 pixels, the row is NaN. Points are ``(N, 18, 2 or more)``:
    x and y in pixels, pixel centres at whole numbers, NaN where a joint is missing. Boxes are edges
    in the same pixels: pixel i reaches from i to i + 1, so a centre at x lies at x + 0.5.

    Raises:
        ArgumentError: ``points`` has another shape.
    """
    if points.ndim != 3 or points.shape[1] != len(JOINTS) or points.shape[2] < 2:
        raise ArgumentError(f"'points' must have shape (N, 18, 2), not {points.shape}.")
    xy = points[..., :2].astype(np.float64)
    estimates = [np.linalg.norm(xy[:, a] - xy[:, b], axis=1) / many for a, b, many in _MULTIPLES]
    # Of nothing but missing distances there is no largest one; -1 stands for that here.
    eyes = np.nan_to_num(np.stack(estimates), nan=-1.0).max(axis=0)
    face = xy[:, _FACE, 0]
    known = ~np.isnan(face)
    low = np.where(known, face, np.inf).min(axis=1)
    high = np.where(known, face, -np.inf).max(axis=1)
    seen = known[:, 0] & known[:, 1:3].any(axis=1) & (eyes * _SIDE >= _SMALLEST)
    boxes = np.full((len(xy), 4), np.nan)
    half = eyes[seen] * _SIDE / 2
    x = (low[seen] + high[seen]) / 2 + 0.5
    y = xy[seen, _NOSE, 1] - _ABOVE_NOSE * eyes[seen] + 0.5
    boxes[seen] = np.stack([x - half, y - half, x + half, y + half], axis=1)
    return boxes
