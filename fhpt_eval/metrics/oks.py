"""Object keypoint similarity, COCO's measure of how near a pose comes to another.

From the evaluation of COCO's key points (<https://cocodataset.org/#keypoints-eval>, ``cocoeval.py``
of cocodataset/cocoapi): the mean over the target's joints of ``exp(-d^2 / (2 s^2 k^2))`` with the
distance d, the person's area s^2, and k twice the standard deviation that annotators have there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.keypoints import JOINTS
from fhpt_eval.metrics import pck

#: Standard deviations of annotators by joint, over the root of the person's area: those of
#: ``kpt_oks_sigmas`` in cocoeval.py. COCO has no neck.
SIGMAS = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip

#: A person's area as a share of the box around it, where there is no outline
#: (jin-s13/xtcocoapi, ``use_area=False``, as CrowdPose and AI Challenger are evaluated).
AREA_OF_BOX = 0.53

_SIGMAS = np.array([SIGMAS.get(joint.rpartition("_")[2], np.nan) for joint in JOINTS])


def oks(generated: NDArray[Any], target: NDArray[Any]) -> pck.Floats:
    """Return the similarity of N persons to their targets, ``(N,)`` in [0, 1].

    The area is :data:`AREA_OF_BOX` of the box around the target's joints. A joint that the target
    lacks does not count; one that the generated person lacks adds 0.

    Args:
        generated: key points of N generated images, ``(N, 18, 2 or 3)``, NaN where missing.
        target: key points of what they should equal.

    Returns:
        NaN where the target has none of COCO's joints, or they lie on one row or column of pixels.

    Raises:
        ArgumentError: an array has the wrong shape or type.
    """
    squares = np.square(pck.distances(generated, target))
    positions = np.asarray(target)[..., :2].astype(np.float64)
    wanted = pck.present(target) & ~np.isnan(_SIGMAS)
    joints = pck.present(target)[..., None]
    low = np.where(joints, positions, np.inf).min(axis=1)
    high = np.where(joints, positions, -np.inf).max(axis=1)
    area = AREA_OF_BOX * np.maximum(high - low, 0).prod(axis=1)
    defined = wanted.any(axis=1) & (area > 0)
    similarity = np.full(len(area), np.nan)
    exponents = squares[defined] / (2 * area[defined, None] * np.square(2 * _SIGMAS))
    near = np.where(np.isnan(exponents), 0, np.exp(-exponents))
    similarity[defined] = near.sum(axis=1) / wanted[defined].sum(axis=1)
    return similarity
