"""Key points: formats are read and written exactly; bad input is named and never guessed at."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError, InputError
from fhpt_eval.features.openpose import choose_person
from fhpt_eval.keypoints import (
    BODY_25,
    HEAD,
    JOINTS,
    REGIONS,
    Frame,
    Keypoints,
    annotation_csv,
    image_name,
    main_person,
    openpose_json,
    read_annotation_csv,
    read_keypoints,
    read_openpose_folder,
    read_openpose_json,
)
from tests.support import field_names as field

HEADER = "name:keypoints_y:keypoints_x"
Y = list(range(40, 58))
X = list(range(100, 118))
Points = NDArray[np.float64]


def some_points(seed: int = 0, missing: float = 0.2) -> Points:
    """Return a person, ``(18, 3)``: places in a 176 x 256 image, as float32 numbers."""
    generator = np.random.default_rng(seed)
    points = generator.uniform((0, 0, 0.1), (175, 255, 1), (18, 3)).astype(np.float32)
    points[generator.random(18) < missing] = math.nan
    return points.astype(np.float64)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes lines below the CSV's header."""

    def written(*lines: str, header: str = HEADER) -> Path:
        path = tmp_path / "annotation.csv"
        path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return path

    return written


# The joints.


def test_joints_are_openposes_with_the_right_eye_and_ear_before_the_left_ones() -> None:
    assert len(JOINTS) == len(set(JOINTS)) == 18
    assert JOINTS[14:] == ("right_eye", "left_eye", "right_ear", "left_ear")
    assert [JOINTS[joint] for joint in HEAD] == ["nose", "neck", *JOINTS[14:]]


def test_published_annotations_have_the_right_ones_first(fixtures: Path) -> None:
    """In front views the right eye lies on the side of the right shoulder, figures in joints.py."""
    path = fixtures / "deepfashion_lists" / "fasion-annotation-test.csv"
    keypoints = read_annotation_csv(path)
    front = np.stack([points for name, points in keypoints.items() if "front" in name])
    eyes, shoulders = (front[:, left, 0] - front[:, right, 0] for right, left in ((14, 15), (2, 5)))
    both = ~np.isnan(eyes * shoulders) & (eyes * shoulders != 0)
    assert int(both.sum()) == 949
    assert int((eyes * shoulders > 0)[both].sum()) == 917


def test_regions_part_the_joints() -> None:
    together = [joint for joints in REGIONS.values() for joint in joints]
    assert sorted(together) == list(range(18))


# In memory.


def test_key_points_cannot_be_changed() -> None:
    given_points = some_points()
    keypoints = Keypoints({"a": given_points})
    with pytest.raises(ValueError, match="read-only"):
        keypoints["a"][0, 0] = 1.0
    given_points[:] = 0.5
    np.testing.assert_array_equal(keypoints["a"], some_points())
    with pytest.raises(TypeError):
        keypoints["a"] = given_points  # type: ignore[index]


def test_positions_alone_have_confidence_1() -> None:
    positions = np.full((18, 2), math.nan)
    positions[3] = (4, 5)
    points = Keypoints({"a": positions})["a"]
    np.testing.assert_array_equal(points[3], [4.0, 5.0, 1.0])
    assert np.isnan(np.delete(points, 3, axis=0)).all()


def test_of_stacks_images_by_name_however_often() -> None:
    keypoints = Keypoints({"a": some_points(1), "b": some_points(2)})
    stacked = keypoints.of(["b", "a", "b"])
    assert stacked.shape == (3, 18, 3)
    np.testing.assert_array_equal(stacked[0], stacked[2])
    np.testing.assert_array_equal(stacked[1], some_points(1))
    assert keypoints.of([]).shape == (0, 18, 3)


def test_of_says_how_many_images_are_missing_and_which() -> None:
    keypoints = Keypoints({f"image{n}": some_points(n) for n in range(3)}, "list.csv")
    wanted = ["image0", "image0", "imag2", "b", "b", "c", "d", "e"]
    with pytest.raises(InputError) as caught:
        keypoints.of(wanted)
    assert str(caught.value).startswith(
        "list.csv lacks 5 of 6 images: 'imag2', 'b', 'c' and 2 more. Did you mean 'image2'"
    )


@pytest.mark.parametrize(
    ("joint", "value"),
    [(0, (1.0, math.nan, 0.5)), (7, (math.nan, math.nan, 0.5)), (17, (1.0, 2.0, math.nan)),
     (3, (1.0, math.inf, 0.5)), (3, (1.0, 2.0, 0.0)), (3, (1.0, 2.0, -1.0))],
)  # fmt: skip
def test_a_joint_that_is_half_there_is_refused(joint: int, value: tuple[float, ...]) -> None:
    points = some_points()
    points[joint] = value
    with pytest.raises(ArgumentError, match=f"'points' of 'a': the {JOINTS[joint]} is"):
        Keypoints({"a": points})


@pytest.mark.parametrize("points", [np.zeros((17, 3)), np.zeros(54), np.full((18, 3), "1")])
def test_arrays_that_are_no_person_are_refused(points: NDArray[Any]) -> None:
    with pytest.raises(ArgumentError, match=r"must be numbers of shape \(18, 3\)"):
        Keypoints({"a": points})


def test_equal_key_points_have_equal_digests_and_others_other_ones() -> None:
    one = {"a": some_points(1), "b": some_points(2)}
    same = Keypoints({"b": some_points(2), "a": some_points(1)}, "another file")
    assert Keypoints(one).digest == same.digest
    moved = some_points(2, missing=0)
    moved[5, 0] += 1
    others = [
        {"a": some_points(1)},
        {"a": some_points(2), "b": some_points(1)},
        {"a": some_points(1), "c": some_points(2)},
        {"a": some_points(1), "b": some_points(2, missing=0)},
        {"a": some_points(1), "b": moved},
    ]
    digests = {Keypoints(points).digest for points in [one, *others]}
    assert len(digests) == 6


def test_minus_zero_is_zero() -> None:
    plus, minus = np.zeros((18, 2)), np.zeros((18, 2))
    minus[0] = -0.0
    assert Keypoints({"a": plus}).digest == Keypoints({"a": minus}).digest


# The annotation CSV.


def test_the_csv_has_y_first(write: Callable[..., Path]) -> None:
    points = read_annotation_csv(write(f"a.jpg: {Y}: {X}"))["a"]
    np.testing.assert_array_equal(points[:, 0], X)
    np.testing.assert_array_equal(points[:, 1], Y)
    assert (points[:, 2] == 1).all()


def test_minus_1_in_both_is_a_missing_joint(write: Callable[..., Path]) -> None:
    y, x = [-1, *Y[1:]], [-1, *X[1:]]
    points = read_annotation_csv(write(f"a.jpg: {y}: {x}"))["a"]
    assert np.isnan(points[0]).all()
    assert not np.isnan(points[1:]).any()


def test_numbers_may_have_decimals_and_lie_left_of_the_image(write: Callable[..., Path]) -> None:
    x = [-31, 40.25, -0.5, 1e2, *X[4:]]
    points = read_annotation_csv(write(f"a.jpg: {Y}: {x}"))["a"]
    np.testing.assert_array_equal(points[:4, 0], [-31, 40.25, -0.5, 100])


def test_names_lose_their_ending_and_keep_folders_and_colons(write: Callable[..., Path]) -> None:
    names = ["./id 1/a.b.JPG", "c:d.png", "no_ending", "a.csv"]
    path = write(*(f"{name}: {Y}: {X}" for name in names))
    assert list(read_annotation_csv(path)) == ["id 1/a.b", "c:d", "no_ending", "a.csv"]


def test_byte_order_marks_other_line_ends_and_empty_lines_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    text = f"{HEADER}\r\n\r\na.jpg: {Y}: {X}\r\nb.jpg:{Y}:{X}"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert list(read_annotation_csv(path)) == ["a", "b"]


def test_deepfashions_published_list_is_read_completely_and_written_alike(fixtures: Path) -> None:
    path = fixtures / "deepfashion_lists" / "fasion-annotation-test.csv"
    keypoints = read_annotation_csv(path)
    assert len(keypoints) == 4038
    # 619 rows without any joint: the published file's own number.
    assert sum(np.isnan(points).all() for points in keypoints.values()) == 619
    named = {f"{name}.jpg": points for name, points in keypoints.items()}
    assert annotation_csv(named) == path.read_text()


whole = st.tuples(st.integers(0, 300), st.integers(0, 300))
people = st.lists(st.one_of(st.none(), whole), min_size=18, max_size=18)


@given(st.lists(people, min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_is_written_as_csv_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, persons: list[Any]
) -> None:
    lists = [[(math.nan, math.nan) if one is None else one for one in person] for person in persons]
    points = {f"image {n}": np.array(one, dtype=float) + 2 for n, one in enumerate(lists)}
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_text(annotation_csv(points))
    assert read_annotation_csv(path).digest == Keypoints(points).digest


def test_coordinates_are_rounded_to_the_nearest_integer_for_the_csv() -> None:
    points = np.tile([10.5, 11.49], (18, 1))
    points[0] = (2.5, -0.4)
    row = annotation_csv({"a.png": points}).splitlines()[1]
    assert row == f"a.png: {[0] + [11] * 17}: {[3] + [11] * 17}"


@pytest.mark.parametrize("name", ["a:b.png", 'a"b.png', " a.png", "a\n.png", "", "./a.png"])
def test_names_that_the_csv_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(ArgumentError):
        annotation_csv({name: some_points()})


def test_a_joint_that_would_read_as_missing_is_not_written() -> None:
    points = some_points(missing=0)
    points[4, 0] = -1.2
    with pytest.raises(ArgumentError, match=r"'a.png' has a joint at -1"):
        annotation_csv({"a.png": points})


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("name:keypoints_x:keypoints_y", "in the order name:keypoints_x:keypoints_y"),
        ("name,keypoints_y,keypoints_x", "the header must be name:keypoints_y:keypoints_x"),
        (f"index:{HEADER}", "the header must be"),
        ("", "the header must be"),
        (f"a.jpg: {Y}: {X}", "the header must be"),
        ("[" * 5000, "the header must be"),
    ],
)
def test_another_header_is_refused(write: Callable[..., Path], header: str, told: str) -> None:
    with pytest.raises(InputError, match=r"annotation.csv, line 1: ") as caught:
        read_annotation_csv(write(f"a.jpg: {Y}: {X}", header=header))
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (f"a.jpg: {Y}", "expected a name and two lists"),
        ("a.jpg", "expected a name and two lists"),
        (f": {Y}: {X}", "names no image"),
        (f".jpg: {Y}: {X}", "names no image"),
        (f"a\tb.jpg: {Y}: {X}", "cannot be printed"),
        (f'"a.jpg": {Y}: {X}', "quotation marks"),
        (f"a.jpg: {Y[1:]}: {X}", "keypoints_y: List should have at least 18 items"),
        (f"a.jpg: {Y}: {[*X, 1]}", "keypoints_x: List should have at most 18 items"),
        (f"a.jpg: {Y}: []", "keypoints_x: List should have at least 18 items"),
        (f"a.jpg: {Y}: {list(range(10**6))}", "keypoints_x: List should have at most 18 items"),
        (f"a.jpg: {Y}: {tuple(X)}", "keypoints_x: Invalid JSON: expected value at its column 2"),
        (f"a.jpg: {Y}: {X[:17]}, 1", "keypoints_x: Invalid JSON: "),
        (f"a.jpg: {Y}: {'[' * 10**6}", "keypoints_x: Invalid JSON: "),
        (f"a.jpg: {Y}: {'[' * 10**6 + ']' * 10**6}", "keypoints_x: Invalid JSON: recursion limit"),
    ],
)
def test_a_row_of_another_form_is_refused(write: Callable[..., Path], row: str, told: str) -> None:
    with pytest.raises(InputError, match=r"annotation.csv, line 3: ") as caught:
        read_annotation_csv(write(f"first.jpg: {Y}: {X}", row))
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "value",
    ["NaN", "nan", "Infinity", "-Infinity", "1e999", "null", "true", '"1"', "0x10", "1_0", "",
     "[1]", "٣", "99999999999", "1" * 5000, "+1", "np.int64(3)"],
)  # fmt: skip
def test_what_is_no_pixel_is_refused(write: Callable[..., Path], value: str) -> None:
    numbers = ", ".join([*map(str, X[:5]), value, *map(str, X[6:])])
    with pytest.raises(InputError, match=r"line 2: keypoints_x(, left_shoulder)?: ") as e:
        read_annotation_csv(write(f"a.jpg: {Y}: [{numbers}]"))
    assert str(e.value).endswith("It must be a list of 18 numbers.")
    assert len(str(e.value)) < 400


def test_minus_1_in_one_coordinate_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="line 2: the nose has x = -1 and y = 40"):
        read_annotation_csv(write(f"a.jpg: {Y}: {[-1, *X[1:]]}"))


def test_shares_of_the_image_and_zeros_for_missing_joints_are_refused(
    write: Callable[..., Path],
) -> None:
    shares = [round(x / 176, 3) for x in X]
    for values in (shares, [0] * 18):
        with pytest.raises(InputError, match="line 2: all 18 joints lie between 0 and 1"):
            read_annotation_csv(write(f"a.jpg: {values}: {values}"))


def test_an_image_that_stands_twice_is_refused(write: Callable[..., Path]) -> None:
    row = f"{Y}: {X}"
    with pytest.raises(InputError, match="line 3: the image 'a' stands in two lines"):
        read_annotation_csv(write(f"a.jpg: {row}", f"a.png: {row}"))


def test_a_list_of_nothing_is_refused(write: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match="only a header"):
        read_annotation_csv(write())


def test_text_that_is_not_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{HEADER}\na.jpg: {Y}: {X}\n".encode() + "ä.jpg".encode("latin-1"))
    with pytest.raises(InputError, match=r"a.csv, line 3: is not UTF-8"):
        read_annotation_csv(path)


def test_huge_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """Sparse files: a gigabyte that takes no room."""
    for name, read in (("a.csv", read_annotation_csv), ("a_keypoints.json", read_openpose_json)):
        with (tmp_path / name).open("wb") as file:
            file.write(b"[")
            file.truncate(2**30)
        with pytest.raises(InputError, match=r"cannot be read \(it is larger than"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["missing.csv", "a\0b", "x" * 5000])
def test_a_path_that_leads_nowhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_keypoints(tmp_path / name)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="it is not a file"):
        read_keypoints(tmp_path / "pipe")


# OpenPose's JSON.


def as_json(*persons: list[float], **more: Any) -> str:
    return json.dumps({"people": [{"pose_keypoints_2d": list(p)} for p in persons], **more})


def numbers(points: Points) -> list[float]:
    return [float(value) for value in np.nan_to_num(points).ravel()]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write_text(text: str) -> Path:
        path = tmp_path / "a_keypoints.json"
        path.write_text(text)
        return path

    return write_text


def test_eighteen_points_are_read_in_their_order(written: Callable[[str], Path]) -> None:
    one, two = some_points(1), some_points(2)
    read = read_openpose_json(written(as_json(numbers(one), numbers(two), version=1.3)))
    np.testing.assert_array_equal(read, np.stack([one, two]))


def test_of_twenty_five_points_the_same_joints_are_taken(written: Callable[[str], Path]) -> None:
    """BODY_25 has the middle of the hips as its joint 8, and the feet from 19 on."""
    body = [value for joint in range(25) for value in (100.0 + joint, 200.0 + joint, 0.5)]
    read = read_openpose_json(written(as_json(body)))[0]
    taken = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
    np.testing.assert_array_equal(read[:, 0], [100 + joint for joint in taken])
    assert list(BODY_25) == taken


def test_three_zeros_are_a_missing_joint(written: Callable[[str], Path]) -> None:
    points = some_points(missing=0)
    points[6] = 0
    read = read_openpose_json(written(as_json(numbers(points))))[0]
    assert np.isnan(read[6]).all()
    assert np.isnan(read).sum() == 3


def test_a_joint_in_the_corner_is_there(written: Callable[[str], Path]) -> None:
    points = some_points(missing=0)
    points[6] = (0, 0, 0.7)
    read = read_openpose_json(written(as_json(numbers(points))))[0]
    np.testing.assert_array_equal(read[6], [0, 0, 0.7])


def test_an_image_without_people_has_none(written: Callable[[str], Path]) -> None:
    assert read_openpose_json(written(as_json())).shape == (0, 18, 3)


@given(st.integers(0, 1000), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_what_is_written_as_json_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, seed: int, count: int
) -> None:
    persons = [some_points(seed + n, missing=0.3) for n in range(count)]
    stacked = np.array(persons).reshape(count, 18, 3)
    path = tmp_path_factory.mktemp("json") / "a_keypoints.json"
    path.write_text(openpose_json(stacked))
    np.testing.assert_array_equal(read_openpose_json(path).astype(np.float32), stacked)


def test_the_json_has_the_keys_that_openpose_writes() -> None:
    data = json.loads(openpose_json(some_points()[None]))
    assert data["version"] == 1.3
    assert {"person_id", "pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d",
            "hand_right_keypoints_2d"} <= data["people"][0].keys()  # fmt: skip
    assert len(data["people"][0]["pose_keypoints_2d"]) == 54


@pytest.mark.parametrize("people", [np.zeros((18, 3)), np.zeros((1, 25, 3)), np.zeros((1, 18, 3))])
def test_persons_of_another_form_are_not_written(people: Points) -> None:
    with pytest.raises(ArgumentError):
        openpose_json(people)


NUMBERS = numbers(some_points(missing=0))
NUMBER_3 = "people.0.pose_keypoints_2d.3: Input should be"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Invalid JSON: EOF while parsing a value at line 1"),
        ('{"people":\n [}', "Invalid JSON: expected value at line 2"),
        ("[" * 100_000, "recursion limit exceeded at line 1"),
        ("{\n" + '"people":\n' + "[\n" * 100_000, "recursion limit exceeded at line 203"),
        (
            '{"people": [\n{"pose_keypoints_2d": [\nNaN]}]}',
            "2d.0: Input should be a finite number (got nan)",
        ),
        ('{"people": ' + "[" * 100_000 + "]" * 100_000 + "}", "recursion limit exceeded"),
        ("[" * 90 + "]" * 90, "JSON: Input should be an object"),
        ("[]", "JSON: Input should be an object"),
        ('{"people": {}}', "people: Input should be a valid array"),
        ("{}", "people: is missing. Write it with OpenPose's --write_json"),
        ('{"people": [3]}', "people.0: Input should be an object"),
        ('{"people": [{"pose_keypoints": []}]}', "people.0.pose_keypoints_2d: is missing"),
        (as_json(NUMBERS, NUMBERS[1:]), "people.1.pose_keypoints_2d: has 53 numbers"),
        (as_json([]), "has 0 numbers"),
        (as_json([1.0, *NUMBERS]), "has 55 numbers"),
        (as_json([math.nan, *NUMBERS[1:]]), "pose_keypoints_2d.0: Input should be a finite number"),
        (as_json([math.inf, *NUMBERS[1:]]), "pose_keypoints_2d.0: Input should be a finite number"),
        (
            as_json(NUMBERS).replace(repr(NUMBERS[3]), "1e999"),
            NUMBER_3,
        ),
        (
            as_json(NUMBERS).replace(repr(NUMBERS[3]), "1" + "0" * 400),
            NUMBER_3,
        ),
        (as_json(NUMBERS).replace(repr(NUMBERS[3]), "1" * 5000), "number out of range"),
        (
            as_json(NUMBERS).replace(repr(NUMBERS[3]), "true"),
            NUMBER_3,
        ),
        (
            as_json(NUMBERS).replace(repr(NUMBERS[3]), '"1"'),
            NUMBER_3,
        ),
        (
            as_json(NUMBERS).replace(repr(NUMBERS[3]), "null"),
            NUMBER_3,
        ),
        (as_json([*NUMBERS[:3], 5.0, 0.0, 0.0, *NUMBERS[6:]]), "the neck has a place and conf"),
        (as_json([*NUMBERS[:3], 5.0, 5.0, -0.5, *NUMBERS[6:]]), "the neck has a negative conf"),
        (as_json([value / 300 for value in NUMBERS]), "--keypoint_scale 0"),
    ],
)
def test_json_of_another_form_is_refused(
    written: Callable[[str], Path], text: str, told: str
) -> None:
    with pytest.raises(InputError, match=r"a_keypoints.json: ") as caught:
        read_openpose_json(written(text))
    assert told in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_folder_is_read_with_the_folders_below_it(tmp_path: Path) -> None:
    (tmp_path / "id1").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("id1/a_keypoints.json", "b.jpg_keypoints.json", ".hidden/c_keypoints.json"):
        (tmp_path / name).write_text(openpose_json(some_points()[None]))
    (tmp_path / "other.json").write_text("{")
    keypoints = read_keypoints(tmp_path)
    assert sorted(keypoints) == ["b", "id1/a"]
    np.testing.assert_array_equal(keypoints["b"].astype(np.float32), some_points())


def test_an_image_without_people_has_no_joints(tmp_path: Path) -> None:
    (tmp_path / "a_keypoints.json").write_text(as_json())
    assert np.isnan(read_openpose_folder(tmp_path)["a"]).all()


def test_two_files_of_one_image_are_refused(tmp_path: Path) -> None:
    for name in ("a_keypoints.json", "a.png_keypoints.json"):
        (tmp_path / name).write_text(as_json())
    with pytest.raises(InputError, match="the image 'a' has two files"):
        read_openpose_folder(tmp_path)


def test_a_folder_without_key_points_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(as_json())
    with pytest.raises(InputError, match=r"there is no file NAME_keypoints.json"):
        read_keypoints(tmp_path)


def test_a_damaged_file_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a_keypoints.json").write_text(as_json())
    (tmp_path / "b_keypoints.json").write_text("{")
    with pytest.raises(InputError, match=r"b_keypoints.json: .* at line 1"):
        read_openpose_folder(tmp_path)


# Which person.


def person_of(joints: int, extent: float, confidence: float) -> Points:
    points = np.full((18, 3), math.nan)
    points[:joints] = (50.0, 50.0, confidence)
    points[0, :2] += extent
    return points


def test_the_main_person_has_most_joints_and_extent_then_confidence() -> None:
    by_rank = [
        person_of(9, 30, 0.2),
        person_of(8, 30, 0.2),
        person_of(8, 20, 0.9),
        person_of(8, 20, 0.3),
        person_of(9, 1, 1.0),
        person_of(0, 0, 1.0),
    ]
    for better, worse in itertools.combinations(by_rank, 2):
        assert main_person(np.stack([better, worse])) == 0
        assert main_person(np.stack([worse, better])) == 1
    assert main_person(np.stack([by_rank[3], by_rank[3]])) == 0


def test_the_main_person_is_the_one_whom_the_network_chooses() -> None:
    for seed in range(50):
        persons = np.stack([some_points(3 * seed + n, missing=0.4) for n in range(3)])
        np.testing.assert_array_equal(choose_person(persons), persons[main_person(persons)])


@pytest.mark.parametrize("people", [np.empty((0, 18, 3)), np.zeros((18, 3)), np.zeros((1, 25, 3))])
def test_of_nobody_there_is_no_main_person(people: Points) -> None:
    with pytest.raises(ArgumentError, match="'people' must be"):
        main_person(people)


# Reading, whatever the format.


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(annotation_csv({"a.png": some_points(1, 0)}))
    first = read_keypoints(path)
    assert read_keypoints(path) is first
    path.write_text(annotation_csv({"b.png": some_points(2, 0)}))
    assert list(read_keypoints(path)) == ["b"]
    folder = tmp_path / "json"
    folder.mkdir()
    (folder / "a_keypoints.json").write_text(openpose_json(some_points(3)[None]))
    before = read_keypoints(folder)["a"]
    (folder / "a_keypoints.json").write_text(openpose_json(some_points(4)[None]))
    assert not np.array_equal(read_keypoints(folder)["a"], before, equal_nan=True)


def test_key_points_that_are_missing_throughout_are_refused(tmp_path: Path) -> None:
    nobody = np.full((18, 3), math.nan)
    path = tmp_path / "a.csv"
    path.write_text(annotation_csv({"a.png": nobody, "b.png": nobody}))
    with pytest.raises(
        InputError, match=r"a\.csv has no joint of any image \(2 in all\): all are -1"
    ):
        read_keypoints(path)
    (tmp_path / "a_keypoints.json").write_text(as_json())
    with pytest.raises(InputError, match="nobody is in a file, or all is 0, 0, 0"):
        read_keypoints(tmp_path)
    path.write_text(annotation_csv({"a.png": nobody, "b.png": some_points(1)}))
    assert len(read_keypoints(path)) == 2


def test_both_formats_give_the_same_key_points(tmp_path: Path) -> None:
    points = np.full((18, 3), 1.0)
    points[:, 0], points[:, 1] = X, Y
    points[5] = math.nan
    (tmp_path / "a.csv").write_text(annotation_csv({"a.png": points}))
    (tmp_path / "a_keypoints.json").write_text(openpose_json(points[None]))
    assert read_keypoints(tmp_path / "a.csv").digest == read_keypoints(tmp_path).digest


@pytest.mark.parametrize(
    ("text", "name"),
    [("a.jpg", "a"), ("a.b.PNG", "a.b"), ("x/a.jpeg", "x/a"), ("a", "a"), (" ./a.tif ", "a"),
     ("a.txt", "a.txt")],
)  # fmt: skip
def test_an_images_name_is_its_path_without_the_ending(text: str, name: str) -> None:
    assert image_name(text) == name


# The frame.


def placed(x: float, y: float) -> Keypoints:
    points = np.full((18, 2), math.nan)
    points[4] = (x, y)
    return Keypoints({"a": points}, "list.csv")


SIZE = np.array([[256, 176]])


def test_without_a_box_the_frame_is_the_image() -> None:
    for x, y in [(0, 0), (175, 255), (175.5, 255.5), (-0.5, -0.5), (33, 77)]:
        found = Frame().positions(placed(x, y), ["a"], SIZE)
        np.testing.assert_array_equal(found[0, 4], [x, y])
        assert np.isnan(found).sum() == 34


@pytest.mark.parametrize("place", [(176, 10), (-1, 10), (10, 256), (10, -0.6), (-31, 300)])
def test_a_joint_outside_of_its_image_is_refused(place: tuple[float, float]) -> None:
    told = f"the right_wrist is at x = {place[0]:g}, y = {place[1]:g} of an image 176 x 256"
    with pytest.raises(InputError) as caught:
        Frame().positions(placed(*place), ["a"], SIZE)
    message = str(caught.value)
    assert message.startswith("list.csv: 1 of 1 images have joints outside of the image, such as ")
    assert told in message
    assert "annotation_box" in message
    assert 'outside = "absent"' in message


def test_exchanged_coordinates_are_recognised_where_they_alone_fit() -> None:
    hint = "With x and y exchanged all of them fit"
    for place, found in [((200, 100), True), ((200, 180), False), ((200, 300), False)]:
        with pytest.raises(InputError) as caught:
            Frame().positions(placed(*place), ["a"], SIZE)
        assert (hint in str(caught.value)) == found


def test_joints_outside_count_as_absent_or_are_kept_where_that_is_said() -> None:
    assert np.isnan(Frame(outside="absent").positions(placed(176, 10), ["a"], SIZE)).all()
    kept = Frame(outside="keep").positions(placed(176, 10), ["a"], SIZE)
    np.testing.assert_array_equal(kept[0, 4], [176, 10])


def test_a_box_of_the_images_size_moves_by_whole_pixels() -> None:
    frame = Frame((40, 0, 216, 256))
    for x, y in [(40, 0), (215, 255), (100.25, 7)]:
        np.testing.assert_array_equal(frame.positions(placed(x, y), ["a"], SIZE)[0, 4], [x - 40, y])
    with pytest.raises(InputError, match="x = -1"):
        frame.positions(placed(39, 10), ["a"], SIZE)


def test_a_box_is_scaled_to_the_image_between_pixel_edges() -> None:
    """The corner of the box is the corner of the image: its edge, not the centre of a pixel."""
    frame, size = Frame((40, 0, 216, 256)), np.array([[512, 352]])
    for (x, y), place in [((39.5, -0.5), (-0.5, -0.5)), ((215.5, 255.5), (351.5, 511.5)),
                          ((40, 0), (0.5, 0.5)), ((127.5, 127.5), (175.5, 255.5))]:  # fmt: skip
        np.testing.assert_array_equal(frame.positions(placed(x, y), ["a"], size)[0, 4], place)


def test_images_may_differ_in_size() -> None:
    keypoints = Keypoints({"a": placed(100, 100)["a"], "b": placed(150, 200)["a"]})
    sizes = np.array([[128, 128], [256, 176], [256, 176]])
    found = Frame().positions(keypoints, ["a", "b", "a"], sizes)
    np.testing.assert_array_equal(found[:, 4], [[100, 100], [150, 200], [100, 100]])
    with pytest.raises(InputError, match=r"1 of 2 images .* such as 'b'"):
        Frame().positions(keypoints, ["a", "b"], sizes[[0, 0]])


def test_an_image_that_is_not_annotated_is_refused() -> None:
    with pytest.raises(InputError, match=r"list.csv lacks 1 of 1 images: 'b'"):
        Frame().positions(placed(1, 1), ["b"], SIZE)


@pytest.mark.parametrize(
    "name", [field.flat(1), field.tree(1), field.multimodal(1), field.below("img", field.tree)(1)]
)
def test_key_points_are_found_by_any_spelling_of_an_images_name(
    write: Callable[..., Path], name: str
) -> None:
    keypoints = read_annotation_csv(write(f"{field.flat(1)}.jpg: {Y}: {X}"))
    assert name in keypoints
    assert keypoints.of([name])[0, 0, :2].tolist() == [X[0], Y[0]]


def test_key_points_of_two_images_of_one_name_are_those_of_the_equal_name() -> None:
    folders = enumerate(("train", "test"))
    keypoints = Keypoints({f"{f}/{field.flat(1)}": some_points(n) for n, f in folders})
    assert field.flat(1) not in keypoints
    np.testing.assert_array_equal(keypoints[f"test/{field.flat(1)}"], some_points(1))
