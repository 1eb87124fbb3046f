"""The pose mask is the field's: rectangles along limbs, discs at joints, small gaps closed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from fhpt_eval.errors import ArgumentError
from fhpt_eval.keypoints.pose_mask import LIMBS, pose_mask

NOBODY = np.full((18, 2), np.nan)

# Pairs of joints counted from 1, as the published text has them.
PUBLISHED = (
    "2-3 2-6 3-4 4-5 6-7 7-8 2-9 9-10 10-11 2-12 12-13 13-14 2-1 1-15 15-17 1-16 16-18 2-17 2-18 "
    "9-12 12-6 9-3 17-18"
)


def person(**joints: tuple[float, float]) -> NDArray[np.float64]:
    """Return key points of the joints that are given as ``j3=(x, y)``."""
    points = NOBODY.copy()
    for name, place in joints.items():
        points[int(name[1:])] = place
    return points


def test_the_limbs_are_the_published_ones() -> None:
    pairs = [tuple(int(end) - 1 for end in limb.split("-")) for limb in PUBLISHED.split()]
    assert list(LIMBS) == pairs


def test_a_lone_joint_is_a_disc_of_45_pixels() -> None:
    mask = pose_mask(person(j0=(20, 30)), 64, 48)
    assert mask.sum() == 45
    assert ndimage.center_of_mass(mask) == (30, 20)


def test_a_limb_is_a_rectangle_of_half_width_4_and_its_ends_are_round() -> None:
    mask = pose_mask(person(j2=(10, 30), j3=(40, 30)), 64, 64)
    rows = mask[:, 25].nonzero()[0]
    assert (rows.min(), rows.max()) == (26, 34)
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
    assert mask[1:10].all()


def test_transposed_takes_x_for_y() -> None:
    points = person(j2=(10, 30), j3=(40, 20), j0=(5, 50))
    there = pose_mask(points, 64, 64, transposed=True)
    assert (there == pose_mask(points[:, ::-1], 64, 64)).all()
    assert (there != pose_mask(points, 64, 64)).any()


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
