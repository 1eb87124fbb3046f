"""How limbs become persons, and which person is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.openpose import BODY_25, COCO_18, Layout, choose_person
from fhpt_eval.features.openpose.layout import COCO_18_OF_BODY_25
from fhpt_eval.features.openpose.peaks import Peaks
from fhpt_eval.features.openpose.persons import Connection, group

Floats = NDArray[np.float64]
NECK, NOSE, RSHO, RELB, RWRI, LSHO, REAR, LEAR, REYE, LEYE = 1, 0, 2, 3, 4, 5, 16, 17, 14, 15


def peaks_of(*joints: int) -> Peaks:
    """Peaks of these joints at x = 10 times their number, confidence 0.9."""
    joint = np.array(joints, np.intp)
    number = np.arange(len(joints))
    return Peaks(
        joint, 10 * number, 20 + number, np.zeros((len(joints), 2)), np.full(len(joints), 0.9)
    )


def limb(start: int, end: int) -> int:
    return next(n for n, row in enumerate(COCO_18.limbs) if (row.start, row.end) == (start, end))


def grouped(peaks: Peaks, *rows: tuple[int, int], score: float = 0.8, **settings: Any) -> Floats:
    """Group connections given as pairs of peaks, in the order of their limbs."""
    connections = sorted(
        (
            Connection(limb(int(peaks.joint[start]), int(peaks.joint[end])), start, end, score)
            for start, end in rows
        ),
        key=lambda connection: connection.limb,
    )
    return group(COCO_18, peaks, connections, **{"min_joints": 2, "min_score": 0.0} | settings)


def joints(person: Floats) -> set[int]:
    return set(np.flatnonzero(~np.isnan(person[:, 0])).tolist())


# --- grouping ---


def test_limbs_that_share_a_peak_are_one_person() -> None:
    persons = grouped(peaks_of(NECK, RSHO, RELB, RWRI), (0, 1), (1, 2), (2, 3))
    assert len(persons) == 1
    assert joints(persons[0]) == {NECK, RSHO, RELB, RWRI}
    np.testing.assert_array_equal(persons[0][RELB], [20, 22, 0.9])
    assert np.isnan(persons[0][LSHO]).all()


def test_limbs_that_share_none_are_two_persons() -> None:
    persons = grouped(peaks_of(NECK, NECK, RSHO, RSHO), (0, 2), (1, 3))
    assert [joints(person) for person in persons] == [{NECK, RSHO}] * 2


def test_a_limb_joins_persons_without_common_joints() -> None:
    # Shoulder and elbow; neck, nose, eye and ear; then the shoulder's ear is the head's ear.
    peaks = peaks_of(RSHO, RELB, NECK, NOSE, REYE, REAR)
    persons = grouped(peaks, (0, 1), (2, 3), (3, 4), (4, 5), (0, 5))
    assert [joints(person) for person in persons] == [{RSHO, RELB, NECK, NOSE, REYE, REAR}]


def test_persons_with_a_common_joint_are_not_joined_and_share_no_peak() -> None:
    peaks = peaks_of(NECK, RSHO, NECK, RSHO, NOSE, REYE, REAR)
    persons = grouped(peaks, (0, 1), (2, 3), (2, 4), (4, 5), (5, 6), (1, 6))
    assert [joints(person) for person in persons] == [
        {NECK, RSHO, NOSE, REYE, REAR},
        {NECK, RSHO},
    ]


def test_shoulder_and_ear_found_no_person() -> None:
    assert len(grouped(peaks_of(RSHO, REAR), (0, 1))) == 0


def test_a_free_peak_replaces_the_joint_that_the_person_had() -> None:
    """The shoulder's limb to another ear wins over the eye's, as in the published decoder."""
    peaks = peaks_of(NECK, RSHO, NOSE, REYE, REAR, REAR)
    persons = grouped(peaks, (0, 1), (0, 2), (2, 3), (3, 4), (1, 5))
    assert len(persons) == 1
    assert persons[0][REAR, 0] == 50


def test_a_peak_that_was_replaced_is_free_for_another_person() -> None:
    peaks = peaks_of(NECK, RSHO, NOSE, REYE, REAR, REAR, NECK, RSHO)
    persons = grouped(peaks, (0, 1), (0, 2), (2, 3), (3, 4), (6, 7), (1, 5), (7, 4))
    assert [person[REAR, 0] for person in persons] == [50, 40]


def test_a_limb_that_begins_at_a_free_peak_adds_nothing_to_its_end() -> None:
    peaks = peaks_of(NECK, NOSE, REYE, REAR, RSHO)
    persons = grouped(peaks, (0, 1), (1, 2), (2, 3), (4, 3))
    assert [joints(person) for person in persons] == [{NECK, NOSE, REYE, REAR}]


def test_persons_with_few_joints_are_dropped() -> None:
    peaks = peaks_of(NECK, RSHO, RELB, RWRI)
    assert len(grouped(peaks, (0, 1), (1, 2), (2, 3), min_joints=4)) == 1
    assert len(grouped(peaks, (0, 1), (1, 2), (2, 3), min_joints=5)) == 0


def test_the_mean_score_counts_joints_and_limbs() -> None:
    peaks = peaks_of(NECK, RSHO, RELB)  # three joints of 0.9, two limbs of 0.8: 4.3 / 3
    rows = ((0, 1), (1, 2))
    assert len(grouped(peaks, *rows, min_score=4.3 / 3 - 1e-9)) == 1
    assert len(grouped(peaks, *rows, min_score=4.3 / 3 + 1e-9)) == 0


def test_the_limb_that_joins_persons_counts() -> None:
    peaks = peaks_of(RSHO, RELB, NECK, NOSE, REYE, REAR)  # six joints of 0.9, five limbs of 0.8
    rows = ((0, 1), (2, 3), (3, 4), (4, 5), (0, 5))
    assert len(grouped(peaks, *rows, min_score=9.4 / 6 - 1e-9)) == 1
    assert len(grouped(peaks, *rows, min_score=9.4 / 6 + 1e-9)) == 0


def test_a_replaced_joint_does_not_count() -> None:
    peaks = peaks_of(NECK, RSHO, NOSE, REYE, REAR, REAR)  # five joints of 0.9, five limbs of 0.8
    rows = ((0, 1), (0, 2), (2, 3), (3, 4), (1, 5))
    assert len(grouped(peaks, *rows, min_score=8.5 / 5 - 1e-9)) == 1
    assert len(grouped(peaks, *rows, min_score=8.5 / 5 + 1e-9)) == 0


# --- choosing ---


def person(*places: tuple[float, float], confidence: float = 0.5) -> Floats:
    """A person whose first joints lie at these x and y."""
    found = np.full((18, 3), np.nan)
    for joint, (x, y) in enumerate(places):
        found[joint] = x, y, confidence
    return found


#: Each is chosen before the next: joints times diagonal, then joints (the first two have the same
#: product), then confidence, then place.
RANKED = [
    person((0, 0), (20, 20), (5, 5)),
    person((0, 0), (30, 30)),
    person((0, 0), (20, 20), confidence=0.9),
    person((4, 1), (24, 21)),
    person((3, 2), (23, 22)),
    person((4, 2), (24, 22)),
    person((0, 0), (26, 0)),
    person((7, 7)),
    person(),
]


@given(st.permutations(range(len(RANKED))))
@settings(max_examples=30, deadline=None)
def test_the_person_of_most_joints_and_size_then_of_most_joints_then_confidence_is_chosen(
    order: list[int],
) -> None:
    while order:
        chosen = choose_person(np.stack([RANKED[number] for number in order]))
        np.testing.assert_array_equal(chosen, RANKED[min(order)])
        order = [number for number in order if number != min(order)]


def whole(joints: int, left: float, top: float, width: float, height: float) -> Floats:
    """Return a person whose joints are spread over a box, the first ones at its corners."""
    x = left + width * np.array([0, 1, *np.linspace(0, 1, 16)])
    y = top + height * np.array([0, 1, *np.linspace(1, 0, 16)])
    return person(*zip(x[:joints].tolist(), y[:joints].tolist(), strict=True))


@pytest.mark.parametrize(
    ("meant", "passer"),
    [
        # In an image of 256 x 176: a person of whom the legs are hidden, and a print on the shirt.
        (whole(9, 60, 20, 60, 130), whole(18, 85, 70, 6, 14)),
        # A whole person, and somebody far behind.
        (whole(18, 60, 10, 50, 230), whole(18, 150, 100, 9, 40)),
        # A whole person, and a limb across the image that is none.
        (whole(16, 60, 10, 50, 230), whole(4, 0, 0, 175, 255)),
        # A face close by, and a picture of a person on the wall.
        (whole(6, 40, 40, 90, 110), whole(18, 150, 20, 12, 25)),
        # Seen exactly from the side, all joints in one column.
        (whole(12, 88, 10, 0, 230), whole(18, 20, 10, 10, 30)),
    ],
)
def test_size_weighs_as_the_number_of_joints_does(meant: Floats, passer: Floats) -> None:
    for order in ([meant, passer], [passer, meant]):
        np.testing.assert_array_equal(choose_person(np.stack(order)), meant)


def test_of_nobody_nobody_is_chosen() -> None:
    chosen = choose_person(np.zeros((0, 18, 3)))
    assert chosen.shape == (18, 3)
    assert np.isnan(chosen).all()


def test_the_chosen_person_is_a_copy() -> None:
    persons = np.stack([RANKED[0]])
    choose_person(persons)[:] = 0
    np.testing.assert_array_equal(persons[0], RANKED[0])


@pytest.mark.parametrize(
    "persons", [np.zeros((18, 3)), np.zeros((1, 18, 2)), np.zeros((1, 18, 3), int), [[1.0]]]
)
def test_what_are_no_persons_is_refused(persons: Any) -> None:
    with pytest.raises(ArgumentError, match="'persons' must be a float array"):
        choose_person(persons)


# --- layouts ---


@pytest.mark.parametrize(("layout", "joints", "limbs"), [(COCO_18, 18, 19), (BODY_25, 25, 26)])
def test_every_field_belongs_to_one_limb_of_two_joints(
    layout: Layout, joints: int, limbs: int
) -> None:
    assert len(set(layout.joints)) == joints
    assert sorted(row.channel for row in layout.limbs) == list(range(0, 2 * limbs, 2))
    assert {end for row in layout.limbs for end in (row.start, row.end)} == set(range(joints))
    assert (layout.heatmaps, layout.pafs) == (joints + 1, 2 * limbs)


#: Limbs by their channels, as ``openpose_maps/README.md`` of the fixtures lists them.
CHANNELS = [
    (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 2), (2, 3), (3, 4), (2, 16),
    (1, 5), (5, 6), (6, 7), (5, 17), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17),
]  # fmt: skip


def test_the_channels_of_coco_18_are_the_published_ones() -> None:
    found = sorted((row.channel, row.start, row.end) for row in COCO_18.limbs)
    assert found == [(2 * place, *ends) for place, ends in enumerate(CHANNELS)]


def test_both_layouts_have_the_same_limbs_but_for_hips_and_feet() -> None:
    def names(layout: Layout) -> set[tuple[str, str]]:
        return {(layout.joints[row.start], layout.joints[row.end]) for row in layout.limbs}

    differing = {name for pair in names(COCO_18) ^ names(BODY_25) for name in pair}
    assert differing <= {"neck", "middle_hip", "right_hip", "left_hip"} | {
        name for name in BODY_25.joints if "toe" in name or "heel" in name or "ankle" in name
    }


def test_joints_of_body_25_are_mapped_by_name() -> None:
    assert COCO_18_OF_BODY_25 == (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
