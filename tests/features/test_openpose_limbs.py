"""Which pairs of peaks are limbs: against the plain steps, and the rule's parts one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bench import plain_openpose as plain
from fhpt_eval.features.openpose import COCO_18, Decoding
from fhpt_eval.features.openpose.peaks import Peaks
from fhpt_eval.features.openpose.persons import Connection, connect
from fhpt_eval.features.openpose.surface import Plane, axis

Floats = NDArray[np.float64]
NECK, RSHO = 1, 2
CELLS = 16, 13
SIZE = 125, 99


def peaks_of(*rows: tuple[int, int, int]) -> Peaks:
    """Peaks given by joint, x and y."""
    joint, x, y = np.array(sorted(rows, key=lambda row: (row[0], row[2], row[1]))).T
    return Peaks(joint, x, y, np.zeros((len(rows), 2)), np.full(len(rows), 0.9))


def connected(pafs: Floats, peaks: Peaks, **changes: Any) -> list[Connection]:
    rows, columns = (
        axis(cells, 8, size, size, 3.0) for cells, size in zip(CELLS, SIZE, strict=True)
    )
    return connect([Plane(pafs, rows, columns)], COCO_18, peaks, Decoding(**changes))


def rightwards(value: float = 1.0) -> Floats:
    """Fields that point to the right everywhere."""
    pafs = np.zeros((38, *CELLS))
    pafs[::2] = value
    return pafs


def neck_to_shoulder(connections: list[Connection]) -> list[tuple[int, int, float]]:
    return [(one.start, one.end, one.score) for one in connections if one.limb == 0]


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_limbs_are_those_of_the_plain_steps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pafs = gaussian_filter(rng.normal(size=(38, *CELLS)), (0, 3, 3)) * 6
    rows = [
        (joint, int(rng.integers(SIZE[1])), int(rng.integers(SIZE[0])))
        for joint in range(18)
        for _ in range(4)
    ]
    peaks = peaks_of(*dict.fromkeys(rows))
    large = plain.enlarge(pafs, SIZE)
    numbers = [np.flatnonzero(peaks.joint == joint) for joint in range(18)]
    expected = []
    for limb, (start, end, channel) in enumerate(plain.LIMBS):
        one, other = (
            [(int(peaks.x[n]), int(peaks.y[n]), 0.9) for n in numbers[joint]]
            for joint in (start, end)
        )
        for i, j, score in plain.connect(one, other, large[channel : channel + 2]):
            expected.append((limb, numbers[start][i], numbers[end][j], score))
    found = [(one.limb, one.start, one.end, one.score) for one in connected(pafs, peaks)]
    assert len(found) > 10
    np.testing.assert_allclose(np.array(found), np.array(expected), atol=1e-12, rtol=0)


def test_a_limb_along_its_field_has_the_fields_height() -> None:
    peaks = peaks_of((NECK, 20, 50), (RSHO, 60, 50))
    ((start, end, score),) = neck_to_shoulder(connected(rightwards(0.7), peaks))
    assert (start, end) == (0, 1)
    np.testing.assert_allclose(score, 0.7)


def test_a_limb_against_or_across_its_field_is_none() -> None:
    assert not connected(rightwards(), peaks_of((NECK, 60, 50), (RSHO, 20, 50)))
    assert not connected(rightwards(), peaks_of((NECK, 60, 50), (RSHO, 60, 90)))


def test_limbs_longer_than_half_the_image_score_less() -> None:
    peaks = peaks_of((NECK, 5, 50), (RSHO, 95, 50))
    ((_, _, score),) = neck_to_shoulder(connected(rightwards(), peaks))
    np.testing.assert_allclose(score, 1 + 0.5 * 125 / 90 - 1)


def test_two_of_ten_points_may_not_fail() -> None:
    pafs = rightwards()
    peaks = peaks_of((NECK, 4, 52), (RSHO, 94, 52))  # a point each 10 pixels
    pafs[:, :, 6] = 0  # pixels 48 to 55: one point
    assert connected(pafs, peaks)
    pafs[:, :, 6:9] = 0  # pixels 48 to 71: two points
    assert not connected(pafs, peaks)
    assert connected(pafs, peaks, limb_share=0.7)


def test_the_better_of_two_pairs_wins_and_each_peak_is_used_once() -> None:
    peaks = peaks_of((NECK, 20, 50), (RSHO, 60, 50), (RSHO, 60, 70), (NECK, 20, 30))
    found = neck_to_shoulder(connected(rightwards(), peaks))
    # Level pairs first: (20, 50) to (60, 50); then what is left, (20, 30) to (60, 70).
    assert [(peaks.y[start], peaks.y[end]) for start, end, _ in found] == [(50, 50), (30, 70)]
    assert found[0][2] > found[1][2]


def test_of_equal_pairs_the_first_wins() -> None:
    peaks = peaks_of((NECK, 20, 50), (RSHO, 60, 40), (RSHO, 60, 60))
    ((_, end, _),) = neck_to_shoulder(connected(rightwards(), peaks))
    assert peaks.y[end] == 40


def test_peaks_in_one_pixel_are_no_limb() -> None:
    assert not connected(rightwards(), peaks_of((NECK, 20, 50), (RSHO, 20, 50)))


def test_of_no_peaks_there_are_no_limbs() -> None:
    none = np.zeros(0, np.intp)
    assert connected(rightwards(), Peaks(none, none, none, np.zeros((0, 2)), np.zeros(0))) == []
