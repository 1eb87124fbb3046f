"""Poses drawn at random, and a slow oracle of the published masks, written from its definitions.

Nothing here comes from the package, nor from a library that draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Row and column of 18 joints; -1 in both where one is missing.
Joints = list[tuple[int, int]]

#: The published text's, counted from 1.
LIMBS = [
    (2, 3), (2, 6), (3, 4), (4, 5), (6, 7), (7, 8), (2, 9), (9, 10), (10, 11), (2, 12), (12, 13),
    (13, 14), (2, 1), (1, 15), (15, 17), (1, 16), (16, 18), (2, 17), (2, 18), (9, 12), (12, 6),
    (9, 3), (17, 18),
]  # fmt: skip


def random_joints(seed: int, rows: int = 128, columns: int = 64) -> Joints:
    """Draw joints: four missing, a limb without length, and two beyond the border."""
    random = np.random.default_rng(seed)
    joints = [(int(random.integers(rows)), int(random.integers(columns))) for _ in range(18)]
    joints[5], joints[9] = (-3, joints[5][1]), (rows + 2, joints[9][1])
    for joint in random.choice(18, 4, replace=False):
        joints[joint] = (-1, -1)
    joints[3] = joints[2]
    return joints


def write_joints(file: Path, poses: Mapping[str, Joints]) -> Path:
    """Write an annotation CSV of images of these names, without endings."""
    lines = ["name:keypoints_y:keypoints_x"]
    for name, joints in poses.items():
        lines.append(f"{name}.jpg: {[y for y, _ in joints]}: {[x for _, x in joints]}")
    file.write_text("\n".join(lines) + "\n")
    return file


def pose_transfers_mask(joints: Joints, rows: int, columns: int) -> NDArray[np.bool_]:
    """Draw the mask that Pose-Transfer and its line draw, ``(rows, columns)``."""
    present = [joint if -1 not in joint else None for joint in joints]
    return _drawn(present, rows, columns, np.float64, 0.0)


def intrinsic_flows_mask(joints: Joints, rows: int, columns: int) -> NDArray[np.bool_]:
    """Draw that of intrinsic_flow: axes exchanged, single precision, nothing negative."""
    present = [(x, y) if min(x, y) >= 0 else None for y, x in joints]
    return _drawn(present, rows, columns, np.float32, 1e-8)


def _drawn(
    joints: list[tuple[int, int] | None], rows: int, columns: int, kind: type, added: float
) -> NDArray[np.bool_]:
    mask = np.zeros((rows, columns), bool)
    for first, second in LIMBS:
        a, b = joints[first - 1], joints[second - 1]
        if a is not None and b is not None and a != b:
            fill(mask, rectangle(np.array(a, kind), np.array(b, kind), added))
    for joint in filter(None, joints):
        for row in range(max(0, joint[0] - 3), min(rows, joint[0] + 4)):
            for column in range(max(0, joint[1] - 3), min(columns, joint[1] + 4)):
                mask[row, column] |= (row - joint[0]) ** 2 + (column - joint[1]) ** 2 < 16
    return ~grown(~grown(mask))


def rectangle(a: NDArray[Any], b: NDArray[Any], added: float = 0.0) -> list[tuple[float, float]]:
    """Return the corners of a limb 8 pixels wide, in the published order and precision."""
    along = a - b
    normal = np.array([-along[1], along[0]])
    normal = 4 * normal / np.linalg.norm(normal + added)
    return [(float(r), float(c)) for r, c in (a + normal, a - normal, b - normal, b + normal)]


def fill(mask: NDArray[np.bool_], corners: list[tuple[float, float]]) -> None:
    """Fill a polygon row by row: from each odd crossing, itself included, up to the next.

    An edge crosses the rows from its upper end on, up to but not including its lower end.
    """
    rows, columns = mask.shape
    for row in range(rows):
        crossings = []
        for (y0, x0), (y1, x1) in zip(corners, corners[-1:] + corners[:-1], strict=True):
            if min(y0, y1) <= row < max(y0, y1):
                crossings.append((x1 - x0) * (row - y0) / (y1 - y0) + x0)
        crossings.sort()
        for left, right in zip(crossings[::2], crossings[1::2], strict=True):
            mask[row, max(0, math.ceil(left)) : max(0, min(columns, math.ceil(right)))] = True


def grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Grow a mask by two pixels in every direction, diagonally too."""
    padded = np.pad(mask, 2)
    rows, columns = mask.shape
    shifts = [padded[r : r + rows, c : c + columns] for r in range(5) for c in range(5)]
    return np.any(shifts, axis=0)
