"""The formulas of right joints: the published PCKh to the count, and PCK by torso and by image."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError
from fhpt_eval.keypoints import JOINTS, image_name, read_keypoints
from fhpt_eval.metrics.pck import (
    distances,
    head_boxes,
    pck_image_counts,
    pck_torso_counts,
    pckh_counts,
    present,
    torso_sizes,
)

Floats = NDArray[np.float64]
NOSE, NECK, RIGHT_WRIST = (JOINTS.index(j) for j in ("nose", "neck", "right_wrist"))
LEFT_SHOULDER, RIGHT_HIP = JOINTS.index("left_shoulder"), JOINTS.index("right_hip")
MISSING = (math.nan, math.nan)


def pose(**joints: tuple[float, float]) -> Floats:
    """Return one person's key points, ``(1, 18, 2)``; joints that are not named are missing."""
    points = np.full((1, len(JOINTS), 2), math.nan)
    for name, place in joints.items():
        points[0, JOINTS.index(name)] = place
    return points


def person(**changes: tuple[float, float]) -> Floats:
    """Return a person whose head box is 20 wide and 40 high, and whose torso is 50 long."""
    joints = {
        "nose": (100.0, 60.0),
        "neck": (110.0, 100.0),
        "right_eye": (90.0, 60.0),
        "left_shoulder": (130.0, 100.0),
        "right_hip": (100.0, 140.0),
        "right_wrist": (70.0, 150.0),
    }
    return pose(**(joints | changes))


def published(generated: list[list[int]], target: list[list[int]]) -> tuple[int, int] | None:
    """Count one pair by the published rules, from lists of (x, y) with -1 for a missing joint.

    Written from the description of Pose-Transfer's calPCKH_fashion.py, with alpha = 0.5: ``None``
    where the pair is skipped, else the joints that are right, and the denominator.
    """
    xs, ys = [], []
    for joint in (0, 1, 14, 15, 16, 17):
        x, y = target[joint]
        if x != -1 and y != -1:
            xs.append(x)
            ys.append(y)
    if len(xs) < 2:
        return None
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    right = total = 0
    for (x, y), (tx, ty) in zip(generated, target, strict=True):
        if ty != -1:
            total += 1
        if -1 in (x, y, tx, ty):
            continue
        if abs(x - tx) * 2 < width and abs(y - ty) * 2 < height:
            right += 1
    return right, total


def as_points(lists: list[list[list[int]]]) -> Floats:
    points = np.array(lists, dtype=np.float64)
    points[points == -1] = math.nan
    return points


def deepfashion(fixtures: Path) -> Floats:
    """Return the published key points of the targets of the published test pairs."""
    folder = fixtures / "deepfashion_lists"
    keypoints = read_keypoints(folder / "fasion-annotation-test.csv")
    with (folder / "fashion-pairs-test.csv").open() as file:
        return keypoints.of([image_name(row["to"]) for row in csv.DictReader(file)])


# PCKh: each rule.


def test_a_joint_is_right_inside_half_the_head_box_in_both_directions() -> None:
    inside, outside = [(9.9, 0), (0, 19.9), (9.9, 19.9), (-9.9, -19.9)], [(10.1, 0), (0, 20.1)]
    for shift, right in [*((one, True) for one in inside), *((one, False) for one in outside)]:
        moved = person(right_wrist=(70.0 + shift[0], 150.0 + shift[1]))
        assert pckh_counts(moved, person()).correct[0, RIGHT_WRIST] == right, shift


def test_a_joint_on_the_edge_of_the_head_box_is_wrong() -> None:
    for shift in [(10, 0), (-10, 0), (0, 20), (0, -20)]:
        moved = person(right_wrist=(70.0 + shift[0], 150.0 + shift[1]))
        assert not pckh_counts(moved, person()).correct[0, RIGHT_WRIST], shift


def test_a_joint_that_is_missing_in_the_generated_image_is_wrong_and_counts() -> None:
    counts = pckh_counts(person(right_wrist=MISSING), person())
    assert not counts.correct[0, RIGHT_WRIST]
    assert counts.counted[0, RIGHT_WRIST]


def test_a_joint_that_the_target_lacks_does_not_count() -> None:
    counts = pckh_counts(person(), person(right_wrist=MISSING))
    assert not counts.correct[0, RIGHT_WRIST]
    assert not counts.counted[0, RIGHT_WRIST]
    assert counts.counted.sum() == 5


def test_the_head_box_is_the_targets() -> None:
    small_head = person(neck=(101.0, 61.0))
    assert pckh_counts(small_head, person()).correct[0, RIGHT_WRIST]
    moved = person(right_wrist=(75.0, 150.0))
    assert pckh_counts(moved, person()).correct[0, RIGHT_WRIST]
    assert not pckh_counts(moved, person(nose=(95.0, 60.0), neck=MISSING)).correct[0, RIGHT_WRIST]


def test_one_joint_of_the_head_makes_no_box_and_the_pair_is_left_out() -> None:
    target = person(nose=MISSING, right_eye=MISSING)
    counts = pckh_counts(target, target)
    assert not counts.scaled[0]
    assert not counts.counted.any()
    assert not counts.correct.any()
    assert np.isnan(head_boxes(target)).all()


def test_a_joint_with_one_coordinate_is_missing() -> None:
    target = person(nose=(math.nan, 60.0), right_eye=(90.0, math.nan))
    assert np.isnan(head_boxes(target)).all()
    assert present(target).sum() == 4


def test_a_head_box_without_width_leaves_no_joint_right() -> None:
    target = pose(nose=(100.0, 60.0), neck=(100.0, 100.0), right_wrist=(70.0, 150.0))
    counts = pckh_counts(target, target)
    assert counts.scaled[0]
    assert counts.counted.sum() == 3
    assert not counts.correct.any()
    np.testing.assert_array_equal(head_boxes(target), [[0.0, 40.0]])


def test_the_head_box_spans_nose_neck_eyes_and_ears_only() -> None:
    np.testing.assert_array_equal(head_boxes(person()), [[20.0, 40.0]])
    wide = person(left_ear=(140.0, 50.0), left_shoulder=(500.0, 0.0))
    np.testing.assert_array_equal(head_boxes(wide), [[50.0, 50.0]])


def test_a_third_number_of_a_joint_plays_no_part() -> None:
    with_confidence = np.concatenate([person(), np.full((1, 18, 1), 0.3)], axis=2)
    counts = pckh_counts(with_confidence, person())
    assert counts.correct.sum() == counts.counted.sum() == 6


# PCKh: the published formula as a whole.

coordinate = st.integers(-1, 12)
joint = st.one_of(st.just([-1, -1]), st.tuples(st.integers(0, 12), st.integers(0, 12)).map(list))
person_lists = st.lists(joint, min_size=18, max_size=18)


@given(st.lists(st.tuples(person_lists, person_lists), min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_counts_equal_the_published_formula(pairs: list[tuple[Any, Any]]) -> None:
    generated, target = (as_points([pair[side] for pair in pairs]) for side in (0, 1))
    counts = pckh_counts(generated, target)
    expected = [published(*pair) for pair in pairs]
    assert counts.scaled.tolist() == [one is not None for one in expected]
    assert counts.correct.sum(axis=1).tolist() == [one[0] if one else 0 for one in expected]
    assert counts.counted.sum(axis=1).tolist() == [one[1] if one else 0 for one in expected]


def test_deepfashions_targets_against_themselves_have_the_published_denominator(
    fixtures: Path,
) -> None:
    """80 pairs without a head box, 118,322 joints, boxes of 31.7 x 43.8 (the fixtures' README)."""
    target = deepfashion(fixtures)
    counts = pckh_counts(target, target)
    assert len(target) == 8570
    assert int((~counts.scaled).sum()) == 80
    assert int(counts.counted.sum()) == 118_322
    assert int(counts.correct.sum()) == 118_322
    width, height = np.nanmean(head_boxes(target), axis=0)
    assert round(width, 1) == 31.7
    assert round(height, 1) == 43.8


def test_counts_on_deepfashion_equal_the_published_formula(fixtures: Path) -> None:
    target = deepfashion(fixtures)[::4, :, :2]
    generator = np.random.default_rng(0)
    # A coordinate of -1 would be a missing joint to the script.
    generated = np.rint(target + generator.normal(0, 12, target.shape)).clip(0, 255)
    generated[generator.random(target.shape[:2]) < 0.1] = math.nan
    counts = pckh_counts(generated, target)
    lists = [np.nan_to_num(side, nan=-1).astype(int).tolist() for side in (generated, target)]
    found = [published(*pair) for pair in zip(*lists, strict=True)]
    assert int(counts.correct.sum()) == sum(one[0] for one in found if one)
    assert int(counts.counted.sum()) == sum(one[1] for one in found if one)
    assert 0 < counts.correct.sum() < counts.counted.sum()


# The torso.


def test_the_torso_reaches_from_the_left_shoulder_to_the_right_hip() -> None:
    np.testing.assert_array_equal(torso_sizes(person()), [50.0])


def test_a_joint_is_right_within_a_fifth_of_the_torso_edge_included() -> None:
    for shift, right in [((6, 8), True), ((10, 0), True), ((0, -10), True), ((6, 9), False)]:
        moved = person(right_wrist=(70.0 + shift[0], 150.0 + shift[1]))
        assert pck_torso_counts(moved, person()).correct[0, RIGHT_WRIST] == right, shift


@pytest.mark.parametrize(
    "changes",
    [{"left_shoulder": MISSING}, {"right_hip": MISSING}, {"right_hip": (130.0, 100.0)}],
)
def test_without_a_torso_the_pair_is_left_out(changes: dict[str, tuple[float, float]]) -> None:
    target = person(**changes)
    counts = pck_torso_counts(person(), target)
    assert np.isnan(torso_sizes(target)).all()
    assert not counts.scaled[0]
    assert not counts.counted.any()


# The image.


def test_a_joint_is_right_within_a_twentieth_of_the_longer_side() -> None:
    for size in ([200, 100], [100, 200]):
        for shift, right in [((6, 8), True), ((10, 0), True), ((6, 9), False)]:
            moved = person(right_wrist=(70.0 + shift[0], 150.0 + shift[1]))
            counts = pck_image_counts(moved, person(), np.array([size]))
            assert counts.correct[0, RIGHT_WRIST] == right, shift


def test_every_image_is_a_scale() -> None:
    target = np.concatenate([person(), pose(), pose(nose=(3.0, 4.0))])
    counts = pck_image_counts(target, target, np.full((3, 2), 256))
    assert counts.scaled.all()
    assert counts.counted.sum(axis=1).tolist() == [6, 0, 1]
    assert counts.correct.sum(axis=1).tolist() == [6, 0, 1]


# What holds for all of them.


def judged(generated: Floats, target: Floats, share: float = 1.0) -> list[Any]:
    size = np.full((len(target), 2), 64)
    return [
        pckh_counts(generated, target, 0.5 * share),
        pck_torso_counts(generated, target, 0.2 * share),
        pck_image_counts(generated, target, size, 0.05 * share),
    ]


@given(st.lists(person_lists, min_size=2, max_size=2))
@settings(max_examples=50, deadline=None)
def test_what_is_correct_is_counted_and_what_is_counted_is_in_the_target(pair: Any) -> None:
    generated, target = as_points(pair[:1]), as_points(pair[1:])
    for counts in judged(generated, target):
        assert not (counts.correct & ~counts.counted).any()
        assert not (counts.correct & ~present(generated)).any()
        np.testing.assert_array_equal(counts.counted, present(target) & counts.scaled[:, None])


@given(st.lists(person_lists, min_size=2, max_size=2))
@settings(max_examples=50, deadline=None)
def test_a_larger_share_makes_no_joint_wrong(pair: Any) -> None:
    generated, target = as_points(pair[:1]), as_points(pair[1:])
    for small, large in zip(judged(generated, target), judged(generated, target, 3.0), strict=True):
        assert not (small.correct & ~large.correct).any()
        np.testing.assert_array_equal(small.counted, large.counted)


@given(st.lists(person_lists, min_size=2, max_size=2), st.integers(-50, 50))
@settings(max_examples=50, deadline=None)
def test_moving_or_doubling_both_persons_changes_nothing(pair: Any, shift: int) -> None:
    """Doubling is exact in binary, so that no joint on an edge moves over it."""
    generated, target = as_points(pair[:1]), as_points(pair[1:])
    before = judged(generated, target)[:2]
    after = judged(2 * generated + shift, 2 * target + shift)[:2]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.correct, other.correct)


@given(person_lists)
@settings(max_examples=50, deadline=None)
def test_a_person_against_itself_is_right_wherever_there_is_a_scale(lists: Any) -> None:
    target = as_points([lists])
    by_head, by_torso, by_image = judged(target, target)
    np.testing.assert_array_equal(by_torso.correct, by_torso.counted)
    np.testing.assert_array_equal(by_image.correct, by_image.counted)
    if (head_boxes(target) > 0).all():
        np.testing.assert_array_equal(by_head.correct, by_head.counted)


def test_distances_are_euclidean_and_undefined_unless_in_both() -> None:
    moved = person(right_wrist=(73.0, 154.0), neck=MISSING)
    gaps = distances(moved, person(nose=MISSING))
    assert gaps[0, RIGHT_WRIST] == 5.0
    assert np.isnan(gaps[0, [NOSE, NECK]]).all()
    assert gaps[0, LEFT_SHOULDER] == gaps[0, RIGHT_HIP] == 0.0


def test_nothing_is_measured_of_no_pairs() -> None:
    none = np.empty((0, 18, 2))
    assert [counts.correct.shape for counts in judged(none, none)] == [(0, 18)] * 3


@pytest.mark.parametrize(
    "points",
    [np.zeros((18, 2)), np.zeros((1, 25, 3)), np.zeros((1, 18, 4)), np.full((1, 18, 2), "a"),
     np.zeros((1, 18, 2), bool), np.full((1, 18, 2), math.inf)],
)  # fmt: skip
def test_arrays_of_another_kind_are_refused(points: NDArray[Any]) -> None:
    for function in (pckh_counts, pck_torso_counts, distances):
        with pytest.raises(ArgumentError, match="'generated'"):
            function(points, person())
        with pytest.raises(ArgumentError, match="'target'"):
            function(person(), points)


def test_unequal_numbers_of_images_are_refused() -> None:
    two = np.concatenate([person(), person()])
    for function in (pckh_counts, pck_torso_counts, distances):
        with pytest.raises(ArgumentError, match="differ in their number: 2 and 1"):
            function(two, person())


@pytest.mark.parametrize("size", [[[0, 176]], [[256]], [256, 176], [[256, 176]] * 2])
def test_sizes_that_are_none_are_refused(size: Any) -> None:
    with pytest.raises(ArgumentError, match="'size' must be"):
        pck_image_counts(person(), person(), np.array(size))
