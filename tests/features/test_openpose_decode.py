"""Decoding: real maps with reference decodes, the published steps, drawn persons, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from bench import plain_openpose as plain
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.openpose import BODY_25, COCO_18, Decoding, choose_person, decode
from fhpt_eval.features.openpose.layout import COCO_18_OF_BODY_25
from fhpt_eval.features.openpose.peaks import find_peaks
from fhpt_eval.features.openpose.surface import Plane, axis
from tests.support.drawn_persons import STANDING, draw

Floats = NDArray[np.float64]

#: The files of the fixtures that must be there.
NAMES = [
    "arms_raised", "cat", "golf_swing", "skater_group", "soccer_kick", "stage_full", "tennis_wave",
    "three_astronauts", "two_sitting", "wave_close",
]  # fmt: skip


class Real(NamedTuple):
    """Maps of a real network on a photograph, and what an independent decoder finds in them."""

    heatmaps: Floats
    pafs: Floats
    size: tuple[int, int]
    persons: Floats
    stable: NDArray[np.bool_]
    peaks: Floats


@pytest.fixture(scope="module", params=NAMES)
def real(request: pytest.FixtureRequest, fixtures: Path) -> Real:
    with np.load(fixtures / "openpose_maps" / f"{request.param}.npz", allow_pickle=False) as file:
        maps = [file[key].transpose(2, 0, 1).astype(np.float64) for key in ("heatmaps", "pafs")]
        height, width = (int(side) for side in file["image_size"])
        rest = [file[key] for key in ("persons", "stable", "peaks")]
    return Real(maps[0], maps[1], (height, width), rest[0], rest[1], rest[2])


def distances(one: Floats, other: Floats) -> Floats:
    """Return (..., J) pixels between the joints of persons, infinite where one side has none."""
    apart = np.hypot(one[..., 0] - other[..., 0], one[..., 1] - other[..., 1])
    filled: Floats = np.where(np.isnan(apart), np.inf, apart)
    return filled


def matched(found: Floats, expected: Floats) -> Floats:
    """Return the found persons in the order of the expected ones, one to one."""
    assert len(found) == len(expected)
    if not len(found):
        return found
    near = (distances(found[None], expected[:, None]) <= 2).sum(axis=2)
    order = near.argmax(axis=1).tolist()
    assert sorted(order) == list(range(len(found)))
    return np.stack([found[number] for number in order])


# --- real maps ---


def test_every_stable_joint_is_found_in_the_same_person(real: Real) -> None:
    found = matched(decode(real.heatmaps, real.pafs, image_size=real.size), real.persons)
    assert (distances(found, real.persons)[real.stable] <= 2).all()


def test_persons_are_those_of_the_reference(real: Real) -> None:
    """All joints, stable or not: the reference has whole pixels, ours lies up to half of one off.

    Confidences are float32 there.
    """
    found = matched(decode(real.heatmaps, real.pafs, image_size=real.size), real.persons)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(real.persons))
    there = ~np.isnan(real.persons)
    assert np.abs(found - real.persons)[..., :2][there[..., :2]].max(initial=0) <= 0.5 + 1e-4
    assert np.abs(found - real.persons)[..., 2][there[..., 2]].max(initial=0) < 1e-6


def test_peaks_are_those_of_the_reference(real: Real) -> None:
    rows, columns = (
        axis(cells, 8, size, size, 3.0)
        for cells, size in zip(real.heatmaps.shape[1:], real.size, strict=True)
    )
    peaks = find_peaks([Plane(real.heatmaps, rows, columns)], 18, 0.1, 127)
    expected = real.peaks[np.lexsort((real.peaks[:, 1], real.peaks[:, 2], real.peaks[:, 0]))]
    found = np.stack([peaks.joint, peaks.x, peaks.y, peaks.confidence], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


def test_negated_fields_hold_nobody(real: Real) -> None:
    assert decode(real.heatmaps, -real.pafs, image_size=real.size).shape == (0, 18, 3)


def test_half_precision_tensors_give_the_same(real: Real) -> None:
    half = [torch.from_numpy(maps).half() for maps in (real.heatmaps, real.pafs)]
    found = decode(half[0], half[1], image_size=real.size)
    np.testing.assert_array_equal(found, decode(real.heatmaps, real.pafs, image_size=real.size))


def test_the_plain_steps_find_the_same_persons(fixtures: Path) -> None:
    with np.load(fixtures / "openpose_maps" / "skater_group.npz", allow_pickle=False) as file:
        maps = [file[key].transpose(2, 0, 1).astype(np.float64) for key in ("heatmaps", "pafs")]
        size = int(file["image_size"][0]), int(file["image_size"][1])
    expected = plain.decode(maps[0], maps[1], size)
    found = matched(decode(maps[0], maps[1], image_size=size), expected)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=1e-12)


# --- drawn persons ---

SLOT, HEIGHT = 160, 352
#: Joints that can be missing without parting the rest: wrists, ankles, ears.
ENDS = (4, 7, 10, 13, 16, 17)


@st.composite
def crowds(draw: st.DrawFn) -> Floats:
    """Return one to three persons (P, 18, 2) beside each other, each of its own size and pose."""
    count = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    persons = np.empty((count, 18, 2))
    for slot, person in enumerate(persons):
        scale = rng.uniform(0.85, 1.05)
        person[:] = STANDING * scale + rng.uniform(-4, 4, (18, 2)) + rng.uniform(8, 16, 2)
        person[:, 0] += slot * SLOT
        person[rng.permutation(ENDS)[: draw(st.integers(0, 3))]] = np.nan
    return persons


def drawn(persons: Floats, slots: int = 3) -> tuple[Floats, Floats]:
    return draw(persons, (HEIGHT // 8, slots * SLOT // 8))


@settings(max_examples=25, deadline=None)
@given(crowds())
def test_what_was_drawn_is_decoded(persons: Floats) -> None:
    found = decode(*drawn(persons))
    expected = np.concatenate([persons, np.ones((*persons.shape[:2], 1))], axis=2)
    found = matched(found, expected)
    np.testing.assert_array_equal(np.isnan(found[..., 0]), np.isnan(persons[..., 0]))
    there = ~np.isnan(persons[..., 0])
    # Bicubic interpolation puts a sampled Gaussian's top up to 0.31 px off, and 7 % too low.
    assert distances(found, expected)[there].max() < 0.4
    assert (found[there][:, 2] > 0.9).all()


@settings(max_examples=15, deadline=None)
@given(crowds(), st.integers(-3, 3), st.integers(0, 6))
def test_moving_maps_by_cells_moves_persons_by_strides(
    persons: Floats, down: int, right: int
) -> None:
    maps = [np.pad(part, ((0, 0), (8, 8), (8, 8))) for part in drawn(persons)]
    moved = [np.roll(part, (down, right), axis=(1, 2)) for part in maps]
    expected = decode(maps[0], maps[1]) + np.array([8 * right, 8 * down, 0])
    np.testing.assert_allclose(decode(moved[0], moved[1]), expected, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(crowds())
def test_exchanging_right_and_left_channels_exchanges_joints(persons: Floats) -> None:
    """Each channel is read as its own joint or limb, and none is preferred."""
    joints = [
        COCO_18.joints.index(
            name.replace("left", "?").replace("right", "left").replace("?", "right")
        )
        for name in COCO_18.joints
    ]
    limbs = {(limb.start, limb.end): limb.channel for limb in COCO_18.limbs}
    heatmaps, pafs = drawn(persons)
    other = np.empty_like(pafs)
    for limb in COCO_18.limbs:
        channel = limbs[joints[limb.start], joints[limb.end]]
        other[limb.channel : limb.channel + 2] = pafs[channel : channel + 2]
    found = decode(heatmaps[[*joints, 18]], other)[:, joints]
    np.testing.assert_array_equal(matched(found, decode(heatmaps, pafs)), decode(heatmaps, pafs))


@pytest.mark.parametrize("stride", [4, 8, 16])
def test_coordinates_are_pixels_of_the_input_whatever_the_stride(stride: int) -> None:
    heatmaps, pafs = drawn(STANDING[None], slots=1)
    decoding = Decoding(peak_sigma=3 * stride / 8)
    (found,) = decode(heatmaps, pafs, stride=stride, decoding=decoding)
    # The same maps, each cell so many pixels wide, pixel centres at whole numbers.
    expected = (STANDING + 0.5) * stride / 8 - 0.5
    assert np.abs(found[:, :2] - expected).max() < 0.8 * max(stride / 8, 1)


def test_sizes_may_be_numbers_of_numpy() -> None:
    maps = drawn(STANDING[None], slots=1)
    size, stride = np.array([250, 120], np.int32), np.int32(8)
    found = decode(*maps, image_size=size, stride=stride)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, decode(*maps, image_size=(250, 120)))


def test_persons_of_body_25_are_decoded() -> None:
    person = np.full((25, 2), np.nan)
    person[list(COCO_18_OF_BODY_25)] = STANDING + 8
    person[8] = person[[9, 12]].mean(axis=0)
    person[19:22] = person[14] + [[10, 16], [22, 12], [-12, 12]]
    person[22:25] = person[11] + [[-10, 16], [-22, 12], [12, 12]]
    heatmaps, pafs = draw(person[None], (44, 20), layout=BODY_25)
    (found,) = decode(heatmaps, pafs, layout=BODY_25)
    assert np.abs(found[:, :2] - person).max() < 0.6


def test_the_padding_is_cropped() -> None:
    heatmaps, pafs = drawn(STANDING[None], slots=1)
    (found,) = decode(heatmaps, pafs, image_size=(250, 120))
    np.testing.assert_array_equal(np.isnan(found[:, 0]), STANDING[:, 1] > 250)  # both ankles
    (narrow,) = decode(heatmaps, pafs, image_size=(HEIGHT, 103))
    assert np.nanmax(found[:, 0]) > 105
    assert np.nanmax(narrow[:, 0]) == 102  # the wrist's rest at the edge


def test_the_first_person_is_the_chosen_one() -> None:
    persons = np.stack([STANDING + 8, STANDING * 0.9 + 8, STANDING + 8])
    persons[:, :, 0] += np.array([[0], [SLOT], [2 * SLOT]])
    persons[2, [4, 7]] = np.nan
    found = decode(*drawn(persons))
    np.testing.assert_array_equal(choose_person(found), found[0])
    assert found[0, 0, 0] < SLOT < found[1, 0, 0] < 2 * SLOT < found[2, 0, 0]


# --- noise ---


def noise(seed: int, cells: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return smooth random maps with many peaks and fields that connect some of them."""
    rng = np.random.default_rng(seed)
    heatmaps = gaussian_filter(rng.normal(size=(19, *cells)), (0, 1, 1)) * 1.5
    pafs = gaussian_filter(rng.normal(size=(38, *cells)), (0, 3, 3)) * 6
    return heatmaps, pafs


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_two_persons_share_a_joint(seed: int) -> None:
    found = decode(*noise(seed, (24, 16)), decoding=Decoding(min_joints=2, min_score=0))
    assert len(found) > 1
    for joint in range(18):
        places = found[:, joint, :2][~np.isnan(found[:, joint, 0])]
        assert len(np.unique(places, axis=0)) == len(places)


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(115636)
def test_peaks_of_noise_are_those_of_the_plain_steps(seed: int) -> None:
    heatmaps, _ = noise(seed, (13, 9))
    used = (99, 71)
    rows, columns = (
        axis(cells, 8, size, size, 3.0)
        for cells, size in zip(heatmaps.shape[1:], used, strict=True)
    )
    peaks = find_peaks([Plane(heatmaps, rows, columns)], 18, 0.1, 127)
    large = plain.enlarge(heatmaps, used)
    expected = {(joint, x, y) for joint in range(18) for x, y, _ in plain.find_peaks(large[joint])}
    found = set(zip(peaks.joint.tolist(), peaks.x.tolist(), peaks.y.tolist(), strict=True))
    smooth = np.pad(gaussian_filter(large, (0, 3, 3)), ((0, 0), (1, 1), (1, 1)))
    # A peak there that has a higher diagonal neighbour is none here.
    wanted = {
        (joint, x, y)
        for joint, x, y in expected
        if smooth[joint, y : y + 3, x : x + 3].max() <= smooth[joint, y + 1, x + 1]
    }
    for joint, x, y in found ^ wanted:  # two neighbours of one height: rounding decides
        around = np.sort(smooth[joint, y : y + 3, x : x + 3].ravel())
        assert around[-1] - around[-2] < 1e-6 * around[-1], (joint, x, y)
    assert len(found) > 18


def test_decoding_is_deterministic() -> None:
    heatmaps, pafs = noise(0, (24, 16))
    np.testing.assert_array_equal(decode(heatmaps, pafs), decode(heatmaps.copy(), pafs.copy()))


# --- edges ---


@pytest.mark.parametrize("cells", [(1, 1), (1, 9), (9, 1), (46, 32)])
@pytest.mark.parametrize("value", [0.0, -1.0, 0.099, 1.0])
def test_flat_maps_hold_nobody(cells: tuple[int, int], value: float) -> None:
    found = decode(np.full((19, *cells), value), np.full((38, *cells), value))
    assert found.shape == (0, 18, 3)
    assert found.dtype == np.float64


def peak_count(heatmaps: Floats, most: int = 127) -> int:
    rows, columns = (axis(cells, 8, 8 * cells, 8 * cells, 3.0) for cells in heatmaps.shape[1:])
    return len(find_peaks([Plane(heatmaps, rows, columns)], len(heatmaps), 0.1, most))


def test_a_plateau_is_one_peak() -> None:
    assert peak_count(np.full((1, 12, 9), 0.5)) == 1
    heatmaps = np.zeros((1, 20, 20))
    heatmaps[0, 5:12, 6:15] = 0.5
    assert peak_count(heatmaps) <= 4  # bicubic interpolation raises a plateau's corners


def test_a_maximum_between_two_pixels_is_one_peak() -> None:
    heatmaps = np.zeros((1, 9, 9))
    heatmaps[0, 4:6, 4:6] = 1  # four cells alike: the top lies between four pixels
    rows, columns = (axis(9, 8, 72, 72, 3.0) for _ in range(2))
    peaks = find_peaks([Plane(heatmaps, rows, columns)], 1, 0.1, 127)
    assert len(peaks) == 1
    place = np.array([peaks.x[0], peaks.y[0]]) + peaks.offset[0]
    np.testing.assert_allclose(place, [39.5, 39.5], atol=1e-3)


def test_of_many_peaks_the_highest_are_kept() -> None:
    heatmaps = np.zeros((2, 40, 40))
    heatmaps[:, 2::5, 2::5] = np.linspace(0.5, 1, 64).reshape(8, 8)
    assert peak_count(heatmaps) == 128
    assert peak_count(heatmaps, most=10) == 20
    rows, columns = (axis(40, 8, 320, 320, 3.0) for _ in range(2))
    peaks = find_peaks([Plane(heatmaps, rows, columns)], 2, 0.1, 10)
    assert peaks.confidence.min() > 0.9


def test_thousands_of_peaks_take_no_longer_than_their_bound_lets_them() -> None:
    """Of some 300 peaks of each joint 20 are connected, not 300 x 300 pairs for each limb."""
    rng = np.random.default_rng(0)
    heatmaps = rng.random((19, 64, 64)) * 3
    found = decode(heatmaps, rng.random((38, 64, 64)), decoding=Decoding(max_peaks=20))
    assert 0 < len(found) <= 20 * 18 / 4


def test_joints_in_one_pixel_are_no_limb() -> None:
    heatmaps = np.zeros((19, 12, 12))
    heatmaps[:18, 6, 6] = 1
    assert len(decode(heatmaps, np.ones((38, 12, 12)))) == 0


#: A value of each parameter that changes what is found among noise.
CHANGES: dict[str, Any] = {
    "peak_threshold": 0.3, "peak_sigma": 6.0, "max_peaks": 2, "limb_points": 5,
    "limb_threshold": 0.3, "limb_share": 0.95, "min_joints": 6, "min_score": 1.5,
}  # fmt: skip


@pytest.mark.parametrize("name", list(Decoding.model_fields))
def test_every_parameter_moves_something(name: str) -> None:
    maps = noise(1, (24, 16))
    changed = decode(*maps, decoding=Decoding(**{name: CHANGES[name]}))
    standard = decode(*maps)
    assert changed.shape != standard.shape or not np.array_equal(changed, standard, equal_nan=True)


# --- bad input ---

GOOD = np.zeros((19, 6, 5)), np.zeros((38, 6, 5))


def with_value(maps: Floats, value: float) -> Floats:
    changed = maps.copy()
    changed[3, 2, 1] = value
    return changed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heatmaps": np.zeros((6, 5, 19))}, r"'heatmaps' must be \(19, H, W\) for COCO_18, not"),
        ({"heatmaps": np.zeros((19, 6))}, r"'heatmaps' must be \(19, H, W\)"),
        ({"heatmaps": np.zeros((19, 0, 5))}, r"'heatmaps' must be \(19, H, W\)"),
        ({"heatmaps": np.zeros((19, 6, 5), int)}, "'heatmaps' must be a NumPy array or"),
        ({"heatmaps": torch.zeros(19, 6, 5, dtype=torch.int32)}, "'heatmaps' must be a NumPy"),
        ({"heatmaps": [[[0.0]]]}, "'heatmaps' must be a NumPy array or a torch.Tensor of floats"),
        ({"heatmaps": with_value(GOOD[0], np.nan)}, "'heatmaps' must hold finite numbers"),
        ({"heatmaps": with_value(GOOD[0], 1e7)}, "'heatmaps' must hold finite numbers"),
        ({"heatmaps": np.zeros((19, 513, 1))}, "'heatmaps' must have at most 512 x 512 cells"),
        ({"pafs": with_value(GOOD[1], -np.inf)}, "'pafs' must hold finite numbers of at most"),
        ({"pafs": np.zeros((36, 6, 5))}, r"'pafs' must be \(38, H, W\)"),
        (
            {"pafs": np.zeros((38, 5, 6))},
            r"'pafs' must be as high and wide as 'heatmaps', \(6, 5\)",
        ),
        ({"layout": BODY_25}, r"'heatmaps' must be \(26, H, W\) for BODY_25"),
        ({"layout": "BODY_25"}, "'layout' must be a Layout, not str"),
        ({"stride": 0}, r"'stride' must be a whole number in \[1, 64\], not 0"),
        ({"stride": 8.0}, "'stride' must be a whole number"),
        ({"stride": True}, "'stride' must be a whole number"),
        ({"image_size": (49, 40)}, "'image_size' must be height and width of at most 48 x 40"),
        ({"image_size": (0, 40)}, "'image_size' must be"),
        ({"image_size": (48.5, 40)}, "'image_size' must be"),
        ({"image_size": (48,)}, "'image_size' must be"),
        ({"image_size": 48}, "'image_size' must be"),
        ({"image_size": (np.inf, 40)}, "'image_size' must be"),
        ({"decoding": {}}, "'decoding' must be a Decoding, not dict"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    given = {"heatmaps": GOOD[0], "pafs": GOOD[1]} | arguments
    with pytest.raises(ArgumentError, match=message):
        decode(given.pop("heatmaps"), given.pop("pafs"), **given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("peak_threshold", -0.1), ("peak_threshold", np.nan), ("peak_threshold", "0.1"),
        ("peak_threshold", np.inf), ("peak_sigma", -1), ("peak_sigma", 65), ("max_peaks", 0),
        ("max_peaks", 1.5), ("max_peaks", True), ("limb_points", 1), ("limb_threshold", np.nan),
        ("limb_share", 1), ("min_joints", 1), ("min_score", None),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_named(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=f"Decoding.{name}: "):
        Decoding(**{name: value})
