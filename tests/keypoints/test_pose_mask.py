"""The pose mask is the field's: rectangles along limbs, discs at joints, small gaps closed."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from fhpt_eval.errors import ArgumentError
from fhpt_eval.keypoints.pose_mask import LIMBS, pose_mask
from tests.support.pose_masks import LIMBS as PUBLISHED
from tests.support.pose_masks import (
    Joints,
    intrinsic_flows_mask,
    pose_transfers_mask,
    random_joints,
)

NOBODY = np.full((18, 2), np.nan)


def person(**joints: tuple[float, float]) -> NDArray[np.float64]:
    """Return key points of the joints that are given as ``j3=(x, y)``."""
    points = NOBODY.copy()
    for name, place in joints.items():
        points[int(name[1:])] = place
    return points


def test_the_limbs_are_the_published_ones() -> None:
    assert list(LIMBS) == [(first - 1, second - 1) for first, second in PUBLISHED]


def test_a_lone_joint_is_a_disc_of_45_pixels() -> None:
    mask = pose_mask(person(j0=(20, 30)), 64, 48)
    assert mask.sum() == 45
    assert ndimage.center_of_mass(mask) == (30, 20)


def test_a_limb_is_a_rectangle_of_half_width_4_and_its_ends_are_round() -> None:
    """Its lower edge does not belong to it: rows 26 to 33, and not 34."""
    mask = pose_mask(person(j2=(10, 30), j3=(40, 30)), 64, 64)
    rows = mask[:, 25].nonzero()[0]
    assert (rows.min(), rows.max()) == (26, 33)
    columns = mask[30].nonzero()[0]
    assert (columns.min(), columns.max()) == (7, 43)


def test_joints_that_no_limb_connects_stay_apart() -> None:
    mask = pose_mask(person(j4=(10, 10), j10=(50, 50)), 64, 64)
    assert ndimage.label(mask)[1] == 2


def test_a_limb_without_length_and_a_person_without_joints_add_nothing() -> None:
    assert (
        pose_mask(person(j2=(9, 9), j3=(9, 9)), 32, 32) == pose_mask(person(j2=(9, 9)), 32, 32)
    ).all()
    assert not pose_mask(NOBODY, 32, 32).any()


def test_what_lies_outside_of_the_image_is_cut_off() -> None:
    mask = pose_mask(person(j2=(-50, 5), j3=(100, 5)), 16, 12)
    assert mask.shape == (16, 12)
    assert mask[1:9].all()
    assert not mask[9:].any()


def drawn(joints: Joints) -> NDArray[np.float64]:
    """Return joints as the package has them: x first, NaN where missing."""
    points = np.array(joints, np.float64)[:, ::-1]
    points[(points == -1).all(axis=1)] = np.nan
    return points


@pytest.mark.parametrize("seed", range(8))
def test_masks_are_those_of_the_published_definition(seed: int) -> None:
    joints = random_joints(seed)
    assert (pose_mask(drawn(joints), 128, 64) == pose_transfers_mask(joints, 128, 64)).all()
    own = pose_mask(drawn(joints), 128, 64, "intrinsic-flow")
    assert (own == intrinsic_flows_mask(joints, 128, 64)).all()


def test_intrinsic_flow_exchanges_the_axes_and_lacks_what_is_negative() -> None:
    points = person(j2=(10, 30), j3=(40, 20), j0=(5, 50), j4=(-1, 40))
    own = pose_mask(points, 64, 64, "intrinsic-flow")
    assert (own == pose_mask(person(j2=(30, 10), j3=(20, 40), j0=(50, 5)), 64, 64)).all()
    assert pose_mask(points, 64, 64)[40, 0]


def test_masks_are_those_of_the_published_script_to_the_pixel(fixtures: Path) -> None:
    """400 targets of Market-1501, drawn with the scikit-image that the script pins."""
    with (fixtures / "pose_masks" / "market_128x64.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 400
    for row in rows:
        lists = zip(json.loads(row["keypoints_y"]), json.loads(row["keypoints_x"]), strict=True)
        mask = pose_mask(drawn(list(lists)), 128, 64)
        packed = np.packbits(mask).tobytes()
        assert hashlib.sha256(packed).hexdigest() == row["sha256_of_packed_bits"], row["target"]


def test_gaps_of_up_to_four_pixels_are_closed() -> None:
    near, far = (pose_mask(person(j4=(10, 10), j10=(10 + gap, 10)), 32, 48) for gap in (11, 13))
    assert near[10].nonzero()[0].size == 18
    assert not far[10].all()
    assert ndimage.label(far)[1] == 2


coordinate = st.floats(-20, 80)


@given(st.lists(st.one_of(st.none(), st.tuples(coordinate, coordinate)), min_size=18, max_size=18))
@settings(max_examples=30, deadline=None)
def test_every_pixel_is_near_a_limb_or_a_joint_and_those_on_them_are_in(
    places: list[tuple[float, float] | None],
) -> None:
    """An oracle by distances: closing a gap reaches two pixels, diagonally, beyond the shapes."""
    points = np.array([place or (np.nan, np.nan) for place in places])
    mask = pose_mask(points, 56, 48)
    rows, columns = np.mgrid[:56, :48]
    nearest = np.full(mask.shape, np.inf)
    for start, end in [*LIMBS, *((joint, joint) for joint in range(18))]:
        a, b = points[start], points[end]
        if np.isnan([a, b]).any():
            continue
        along = b - a
        gaps = np.stack([columns - a[0], rows - a[1]], axis=-1)
        share = np.clip(gaps @ along / max(float(along @ along), 1e-12), 0, 1)
        nearest = np.minimum(
            nearest, np.hypot(*np.moveaxis(gaps - share[..., None] * along, -1, 0))
        )
    assert mask[nearest < 3.9].all()
    assert not mask[nearest > 4 + 2 * 2**0.5 + 1e-9].any() or (nearest[mask] < 12).all()


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ArgumentError, match="'points' must be"):
        pose_mask(np.zeros((17, 2)), 8, 8)
