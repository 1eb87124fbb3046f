"""Ways to spoil a drawing: each leaves alone what it is not about."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.distortions import (
    noise,
    with_displaced_limbs,
    with_face_of,
    with_wrong_texture,
)
from fhpt_eval.benchmarks.mannequin import Drawing, render
from fhpt_eval.benchmarks.mannequin.identity import Person, dressed, make_person
from fhpt_eval.benchmarks.mannequin.methods import blur
from fhpt_eval.benchmarks.mannequin.pose import Pose, make_pose

SEED = 4
#: Joints of the trunk and the head: all that hangs on no arm or leg.
ROOTS = [0, 1, 2, 5, 8, 11, 14, 15, 16, 17]


def person(identity: int = 0) -> Person:
    return make_person(SEED, identity)


def drawing(who: Person, pose: Pose) -> Drawing:
    return render(who, pose, 128, 88)


def pose_of(who: Person, view: int = 0) -> Pose:
    return make_pose(SEED, who, view)


def test_no_blur_and_no_noise_leave_an_image() -> None:
    image = drawing(person(), pose_of(person())).image
    assert (blur(image, 0) == image).all()
    assert (noise(image, 0, 1) == image).all()


def test_noise_has_the_deviation_that_is_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    assert (noise(grey, 10.0, 1).astype(float) - 128).std() == pytest.approx(10, rel=0.02)


@given(st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_a_wrong_texture_is_another_one_in_the_same_colours_and_cut(identity: int) -> None:
    own = person(identity)
    wrong = with_wrong_texture(own, SEED)
    assert wrong.top.texture.kind not in ("plain", own.top.texture.kind)
    assert wrong.top.texture.colours == own.top.texture.colours
    assert (wrong.top.kind, wrong.top.sleeve) == (own.top.kind, own.top.sleeve)
    assert wrong.face == own.face


def test_a_dress_has_one_texture_above_and_below() -> None:
    own = next(p for p in map(person, range(100)) if p.top.kind == "dress")
    wrong = with_wrong_texture(own, SEED)
    assert wrong.bottom.texture == wrong.top.texture


def test_another_face_changes_the_head_alone() -> None:
    own = person(0)
    other = next(p for p in map(person, range(1, 50)) if p.woman == own.woman and p.hair != "long")
    pose = pose_of(own, 3)
    first, second = drawing(own, pose), drawing(with_face_of(own, other), pose)
    changed = np.argwhere((first.image != second.image).any(axis=2))
    assert len(changed) > 0
    assert changed[:, 0].max() < first.keypoints[8, 1]  # above the hips: hair may fall so far
    assert with_face_of(own, other).top == own.top


@given(st.integers(0, 200), st.floats(1, 90))
@settings(max_examples=40, deadline=None)
def test_displaced_limbs_keep_trunk_and_lengths(identity: int, degrees: float) -> None:
    pose = pose_of(person(identity))
    moved = with_displaced_limbs(pose, degrees, SEED)
    before, after = np.array(pose.joints), np.array(moved.joints)
    assert (before[ROOTS] == after[ROOTS]).all()
    assert np.abs(before - after).max() > 0
    for start, end in ((2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13)):
        length = np.linalg.norm(before[start] - before[end])
        assert np.linalg.norm(after[start] - after[end]) == pytest.approx(length, abs=1e-9)


def test_limbs_turn_further_with_more_degrees() -> None:
    pose = pose_of(person())
    gaps = [
        np.abs(np.array(with_displaced_limbs(pose, d, SEED).joints) - np.array(pose.joints)).sum()
        for d in (0, 10, 20, 40)
    ]
    assert gaps == sorted(gaps)
    assert gaps[0] == pytest.approx(0, abs=1e-9)


def test_the_wearer_of_anothers_clothes_keeps_their_face() -> None:
    wearer, owner = person(1), person(0)
    both = dressed(wearer, owner)
    assert (both.face, both.hair, both.skin) == (wearer.face, wearer.hair, wearer.skin)
    assert (both.top, both.bottom, both.shoes) == (owner.top, owner.bottom, owner.shoes)
    assert both.item == owner.item


def test_another_take_is_another_pose_of_the_same_view() -> None:
    own = person()
    first, second = make_pose(SEED, own, 0), make_pose(SEED, own, 0, 1)
    assert first.view == second.view
    assert first.joints != second.joints
    assert make_pose(SEED, own, 0, 1) == second
