"""``fhpt-eval keypoints``: what it writes, what it refuses, what it exits with.

The network is replaced by a reader of coloured dots, so that images say which persons they show.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import fhpt_eval.features.openpose as openpose
from fhpt_eval.keypoints import read_keypoints, read_openpose_json
from tests.support.command import fhpt_eval

Points = NDArray[np.float64]
SEEN: list[openpose.OpenPose] = []


def dots(image: torch.Tensor, pose: openpose.OpenPose) -> Points:
    """Return the persons of an image: joint by red level, person by green level, blue is 255.

    A person's confidence is 0.9 less a tenth of its number; places are 0.3 pixels to the right, and
    in the last column at the image's edge.
    """
    SEEN.append(pose)
    red, green, blue = image.cpu().numpy().astype(int)
    count = int(green[blue == 255].max(initial=-1)) + 1
    persons = np.full((count, 18, 3), math.nan)
    for y, x in zip(*np.nonzero(blue == 255), strict=True):
        number, offset = green[y, x], 0.5 if x == red.shape[1] - 1 else 0.3
        persons[number, red[y, x]] = (x + offset, y, 0.9 - number / 10)
    return persons


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.clear()
    monkeypatch.setattr(openpose, "estimate", dots)
    monkeypatch.setattr(openpose.OpenPose, "lacks", lambda _: "")


def paint(path: Path, *persons: dict[int, tuple[int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((64, 44, 3), np.uint8)
    for number, joints in enumerate(persons):
        for joint, (x, y) in joints.items():
            pixels[y, x] = (joint, number, 255)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Images of one person, of two (the second one has more joints), and of nobody."""
    folder = tmp_path / "images"
    paint(folder / "alone.png", {0: (10, 5), 4: (43, 63)})
    paint(folder / "id1" / "two.png", {1: (1, 1)}, {1: (20, 20), 2: (30, 30)})
    paint(folder / "nobody.png")
    return folder


def run(images: Path, out: Path, *more: str) -> Any:
    return fhpt_eval("keypoints", "--images", images, "--out", out, "--device", "cpu", *more)


def test_help_has_examples() -> None:
    finished = fhpt_eval("keypoints", "--help")
    assert finished.status == 0
    assert "fhpt-eval keypoints --images test/ --out test.csv" in finished.out


def test_the_csv_has_the_main_person_of_every_image_by_file_name(
    images: Path, tmp_path: Path
) -> None:
    finished = run(images, tmp_path / "out" / "list.csv")
    assert finished.status == 0
    assert "2 of 3 images show a person. Written to" in finished.out
    lines = (tmp_path / "out" / "list.csv").read_text().splitlines()
    assert lines[0] == "name:keypoints_y:keypoints_x"
    assert lines[1].startswith("alone.png: [5, -1, -1, -1, 63, -1,")
    found = read_keypoints(tmp_path / "out" / "list.csv")
    assert list(found) == ["alone", "id1/two", "nobody"]
    np.testing.assert_array_equal(found["id1/two"][1:3], [[20, 20, 1], [30, 30, 1]])
    assert np.isnan(found["nobody"]).all()


def test_places_in_the_last_half_pixel_stay_in_the_image(images: Path, tmp_path: Path) -> None:
    paint(images / "edge.png", {0: (43, 63)})
    run(images, tmp_path / "list.csv")
    np.testing.assert_array_equal(read_keypoints(tmp_path / "list.csv")["edge"][0], [43, 63, 1])


def test_the_json_has_all_persons_and_their_confidence(images: Path, tmp_path: Path) -> None:
    finished = run(images, tmp_path / "pose", "--format", "json")
    assert finished.status == 0
    persons = read_openpose_json(tmp_path / "pose" / "id1" / "two_keypoints.json")
    assert persons.shape == (2, 18, 3)
    np.testing.assert_allclose(persons[1, 2], [30.3, 30, 0.8], rtol=1e-8)
    assert json.loads((tmp_path / "pose" / "nobody_keypoints.json").read_text())["people"] == []
    found = read_keypoints(tmp_path / "pose")
    assert sorted(found) == ["alone", "id1/two", "nobody"]


def test_both_formats_choose_the_same_person(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "list.csv")
    run(images, tmp_path / "pose", "--format", "json")
    by_csv, by_json = read_keypoints(tmp_path / "list.csv"), read_keypoints(tmp_path / "pose")
    for name, points in by_csv.items():
        np.testing.assert_allclose(points[:, :2], by_json[name][:, :2], atol=0.5)


def test_the_network_is_the_one_that_was_asked_for(images: Path, tmp_path: Path) -> None:
    more = ("--network", "openpose-body25", "--network-weights", "mine.pth")
    assert run(images, tmp_path / "list.csv", *more).status == 0
    assert (SEEN[0].name, SEEN[0].weights) == ("openpose-body25", "mine.pth")


def test_an_empty_name_of_weights_is_refused_in_a_sentence(images: Path, tmp_path: Path) -> None:
    finished = run(images, tmp_path / "list.csv", "--network-weights", "")
    assert finished.status == 2
    assert finished.err == (
        "Error: --network-weights is empty: give a registered name or a file.\n"
    )
    assert not (tmp_path / "list.csv").exists()


def test_repeating_a_command_gives_the_same_files(images: Path, tmp_path: Path) -> None:
    for more in ((), ("--format", "json")):
        out = tmp_path / ("pose" if more else "list.csv")
        assert run(images, out, *more).status == 0
        before = read_keypoints(out).digest
        assert run(images, out, *more).status == 0
        assert read_keypoints(out).digest == before


def test_missing_weights_are_named_before_any_work(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    finished = run(images, tmp_path / "list.csv", "--weights-dir", str(tmp_path / "weights"))
    assert finished.status == 2
    assert "Key points cannot be estimated: needs the weights openpose-coco18" in finished.err
    assert "fhpt-eval weights pull openpose-coco18 --weights-dir" in finished.err
    assert not (tmp_path / "list.csv").exists()


def test_every_image_that_cannot_be_used_is_listed_before_any_work(
    images: Path, tmp_path: Path
) -> None:
    (images / "broken.png").write_bytes(b"no image")
    (images / "alone.jpg").write_bytes((images / "alone.png").read_bytes())
    finished = run(images, tmp_path / "list.csv")
    assert finished.status == 2
    assert "2 images cannot be used." in finished.err
    assert "broken.png: is not an image" in finished.err
    assert "alone: several files have this name" in finished.err
    assert not SEEN


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, format_: str) -> None:
    finished = run(tmp_path / "none", tmp_path / "out", "--format", format_)
    assert finished.status == 2
    assert "--images: there is no folder" in finished.err


def test_a_csv_is_no_folder_and_a_folder_no_file(images: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a folder; give the CSV a name" in run(images, images).err
    finished = run(images, tmp_path / "file", "--format", "json")
    assert finished.status == 2
    assert "is a file; with --format json give a folder" in finished.err
    assert not SEEN


def test_key_points_of_other_images_in_the_folder_are_refused(images: Path, tmp_path: Path) -> None:
    (tmp_path / "pose").mkdir()
    (tmp_path / "pose" / "other_keypoints.json").write_text("{}")
    finished = run(images, tmp_path / "pose", "--format", "json")
    assert finished.status == 2
    assert "holds key points of other images, such as other_keypoints.json" in finished.err
    assert not SEEN


def test_a_name_that_the_csv_cannot_hold_is_refused_before_any_work(
    images: Path, tmp_path: Path
) -> None:
    paint(images / "a:b.png", {0: (1, 1)})
    finished = run(images, tmp_path / "list.csv")
    assert finished.status == 2
    assert "'a:b.png' cannot stand in a CSV" in finished.err
    assert "say --format json" in finished.err
    assert not SEEN
    assert run(images, tmp_path / "pose", "--format", "json").status == 0


def test_an_unknown_device_is_refused(images: Path, tmp_path: Path) -> None:
    finished = fhpt_eval(
        "keypoints", "--images", images, "--out", tmp_path / "a.csv", "--device", "tpu"
    )
    assert finished.status == 2
    assert "--device tpu: use auto, cpu, cuda or cuda:N" in finished.err
