"""OKS: COCO's formula, joint by joint, and what has no value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fhpt_eval.keypoints import JOINTS
from fhpt_eval.metrics.oks import oks

#: From cocoeval.py of cocodataset/cocoapi, by COCO's order of joints.
COCO = ["nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
        "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle"]  # fmt: skip
COCO_SIGMAS = [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87,
               0.87, 0.89, 0.89]  # fmt: skip


def persons(count: int, seed: int, missing: float = 0.2) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    points = generator.uniform(0, 200, (count, 18, 2))
    points[generator.random((count, 18)) < missing] = math.nan
    return points


def slow(generated: NDArray[Any], target: NDArray[Any]) -> float:
    """Return COCO's sum over joints, one after the other, of a box's area of 0.53."""
    shown = target[~np.isnan(target[:, 0])]
    width, height = shown.max(axis=0) - shown.min(axis=0)
    area, terms = 0.53 * width * height, []
    for joint, sigma in zip(COCO, COCO_SIGMAS, strict=True):
        wanted, drawn = target[JOINTS.index(joint)], generated[JOINTS.index(joint)]
        if np.isnan(wanted[0]):
            continue
        squared = ((wanted - drawn) ** 2).sum()
        variance = (2 * sigma / 10) ** 2
        terms.append(0.0 if np.isnan(squared) else math.exp(-squared / variance / area / 2))
    return sum(terms) / len(terms)


def test_it_equals_a_slow_sum_over_cocos_joints() -> None:
    target = persons(100, 0)
    generated = target + np.random.default_rng(1).normal(0, 12, target.shape)
    generated[:, 5] = math.nan
    expected = [slow(one, other) for one, other in zip(generated, target, strict=True)]
    np.testing.assert_allclose(oks(generated, target), expected, rtol=1e-12)
    assert 0.2 < np.mean(expected) < 0.9


def test_a_worked_example() -> None:
    """A box of 100 x 200, so s^2 = 10,600; a nose 5 pixels away: exp(-25 / (2 s^2 0.052^2))."""
    target = np.full((1, 18, 2), math.nan)
    target[0, JOINTS.index("nose")] = (50, 0)
    target[0, JOINTS.index("left_ankle")] = (0, 200)
    target[0, JOINTS.index("right_ankle")] = (100, 200)
    generated = target.copy()
    generated[0, JOINTS.index("nose")] += (3, 4)
    expected = (2 + math.exp(-25 / (2 * 10_600 * 0.052**2))) / 3
    assert oks(generated, target)[0] == pytest.approx(expected, rel=1e-14)


def test_a_pose_is_most_like_itself() -> None:
    target = persons(20, 2)
    assert oks(target, target).tolist() == [1.0] * 20


def test_without_a_joint_of_cocos_or_an_area_there_is_none() -> None:
    nobody, neck, line = (np.full((18, 2), math.nan) for _ in range(3))
    neck[JOINTS.index("neck")] = (5, 5)
    line[[0, 1, 2]] = [(5, 5), (5, 9), (5, 30)]
    target = np.stack([nobody, neck, line])
    assert np.isnan(oks(target, target)).all()
