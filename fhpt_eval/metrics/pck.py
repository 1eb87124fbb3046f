"""Which joints of a generated image are right: the field's PCKh, and PCK at two other scales.

Key points are ``(N, 18, 2)`` or ``(N, 18, 3)`` numbers: x and y in pixels, then whatever else there
is; a joint whose x or y is NaN is missing. ``target`` has those of what generated images should
equal. An array of another shape or type is an ``ArgumentError``. All arithmetic is float64. A joint
that the target lacks does not count; one that the generated image lacks is wrong.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError
from fhpt_eval.keypoints import HEAD, JOINTS

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_LEFT_SHOULDER, _RIGHT_HIP = JOINTS.index("left_shoulder"), JOINTS.index("right_hip")


class Counts(NamedTuple):
    """Joints of N pairs that are right, and that count at all.

    ``correct`` and ``counted`` are ``(N, 18)`` bool, and what is correct is counted. ``scaled`` is
    ``(N,)`` bool: whether the pair has the length that distances are measured by. Without it no
    joint of the pair counts.
    """

    correct: Flags
    counted: Flags
    scaled: Flags


def pckh_counts(generated: NDArray[Any], target: NDArray[Any], alpha: float = 0.5) -> Counts:
    """Judge joints by the target's head box, as published for pose transfer.

    A joint is right if ``|dx| < alpha * w`` and ``|dy| < alpha * h``, both strictly, for the width
    and height of :func:`head_boxes`. Pairs without a box are left out. A box without width (or
    height) leaves no joint right.

    After ``tool/calPCKH_fashion.py`` of Pose-Transfer (Zhu, Huang, Shi, Yu, Wang, Bai, "Progressive
    Pose Attention Transfer for Person Image Generation", CVPR 2019). MPII's PCKh (Andriluka,
    Pishchulin, Gehler, Schiele, CVPR 2014) is another measure: one distance, against 0.6 of the
    diagonal of an annotated head.
    """
    generated, target = _both(generated, target)
    size = head_boxes(target)
    near = np.abs(generated - target) < alpha * size[:, None]
    return _counts(near[..., 0] & near[..., 1], target, ~np.isnan(size[:, 0]))


def pck_torso_counts(generated: NDArray[Any], target: NDArray[Any], alpha: float = 0.2) -> Counts:
    """Judge joints by the target's torso: right within ``alpha`` times :func:`torso_sizes`.

    The criterion of Toshev and Szegedy, "DeepPose: Human Pose Estimation via Deep Neural Networks",
    CVPR 2014 (percent of detected joints).
    """
    generated, target = _both(generated, target)
    return _within(generated, target, alpha * torso_sizes(target))


def pck_image_counts(
    generated: NDArray[Any], target: NDArray[Any], size: NDArray[Any], alpha: float = 0.05
) -> Counts:
    """Judge joints by the image: right within ``alpha`` times its longer side.

    ``size`` is ``(N, 2)``, height and width of the images in pixels. The criterion of Yang and
    Ramanan, "Articulated Human Detection with Flexible Mixtures of Parts", TPAMI 2013 (PCK:
    ``alpha * max(h, w)`` of the person's box), with the image in place of the box, as Min, Lee,
    Ponce, Cho, "SPair-71k", arXiv 1908.10543, have it beside the box.
    """
    generated, target = _both(generated, target)
    sides = np.asarray(size)
    if sides.shape != (len(target), 2) or sides.dtype.kind not in "iuf" or not (sides > 0).all():
        raise ArgumentError(f"'size' must be ({len(target)}, 2) positive numbers: heights, widths")
    return _within(generated, target, alpha * sides.max(axis=1, initial=0).astype(np.float64))


def head_boxes(target: NDArray[Any]) -> Floats:
    """Return width and height of the box around the head's joints, ``(N, 2)``.

    The joints are nose, neck, eyes and ears (:data:`fhpt_eval.keypoints.HEAD`). With fewer than two
    of them there is no box: NaN.
    """
    joints = _checked(target, "target")[:, list(HEAD)]
    shown = present(joints)
    low = np.where(shown[..., None], joints, np.inf).min(axis=1)
    high = np.where(shown[..., None], joints, -np.inf).max(axis=1)
    enough = shown.sum(axis=1) >= 2
    boxes = np.full(low.shape, np.nan)
    boxes[enough] = (high - low)[enough]
    return boxes


def torso_sizes(target: NDArray[Any]) -> Floats:
    """Return the distance from the left shoulder to the right hip, ``(N,)``.

    NaN where either is missing, and where both are in one place, which is no length to measure by.
    """
    joints = _checked(target, "target")
    sizes = _lengths(joints[:, _LEFT_SHOULDER] - joints[:, _RIGHT_HIP])
    return np.where(sizes == 0, np.nan, sizes)


def distances(generated: NDArray[Any], target: NDArray[Any]) -> Floats:
    """Return how far joints are from the target's, in pixels: ``(N, 18)``, NaN unless in both."""
    generated, target = _both(generated, target)
    return _lengths(generated - target)


def present(points: NDArray[Any]) -> Flags:
    """Return which joints are there, ``(N, 18)`` bool: those whose x and y are both given."""
    array = np.asarray(points)
    shown: Flags = ~(np.isnan(array[..., 0]) | np.isnan(array[..., 1]))
    return shown


def _within(generated: Floats, target: Floats, reach: Floats) -> Counts:
    close = distances(generated, target) <= reach[:, None]
    return _counts(close, target, ~np.isnan(reach))


def _counts(close: Flags, target: Floats, scaled: Flags) -> Counts:
    counted = present(target) & scaled[:, None]
    return Counts(close & counted, counted, scaled)


def _lengths(vectors: Floats) -> Floats:
    """Return Euclidean lengths, exact where squares and their sum are, unlike ``hypot``'s."""
    lengths: Floats = np.sqrt(np.square(vectors).sum(axis=-1))
    return lengths


def _checked(points: NDArray[Any], argument: str) -> Floats:
    array = np.asarray(points)
    good = array.ndim == 3 and array.shape[1] == len(JOINTS) and array.shape[2] in (2, 3)
    if not good or array.dtype.kind not in "iuf":
        raise ArgumentError(
            f"'{argument}' must be numbers of shape (N, {len(JOINTS)}, 2 or 3), not "
            f"{array.shape} of {array.dtype}"
        )
    positions: Floats = array[..., :2].astype(np.float64)
    if np.isinf(positions).any():
        raise ArgumentError(f"'{argument}' has infinite coordinates; a missing joint is NaN")
    return positions


def _both(generated: NDArray[Any], target: NDArray[Any]) -> tuple[Floats, Floats]:
    ours, theirs = _checked(generated, "generated"), _checked(target, "target")
    if ours.shape != theirs.shape:
        raise ArgumentError(
            f"'generated' and 'target' differ in their number: {len(ours)} and {len(theirs)}"
        )
    return ours, theirs
