"""Drawn people of the benchmark are told from photographs, so that networks can say so."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fhpt_eval.benchmarks.mannequin import Settings, write_benchmark
from fhpt_eval.benchmarks.mannequin.canvas import BACKGROUND as DRAWN_BEFORE
from fhpt_eval.features.kinds import BACKGROUND, DRAWN_PEOPLE, background, doubt, is_drawn
from fhpt_eval.features.networks import network_names, network_type
from tests.support.photographs import crops

Pixels = NDArray[np.uint8]


def as_jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


def with_noise(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    noise = np.random.default_rng(0).normal(0, 5, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "JPEG of quality 30": as_jpeg,
    "noise of 5 levels": with_noise,
    "twice as large": lambda image: image.resize((image.width * 2, image.height * 2)),
    "a quarter as large": lambda image: image.resize((image.width // 4, image.height // 4)),
}
ways = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    root = tmp_path_factory.mktemp("drawn")
    write_benchmark(root / "set", Settings(identities=4, seed=5))
    files = sorted((root / "set").glob("t*/*.jpg"))
    return [Image.open(file).convert("RGB") for file in files]


@ways
def test_a_drawn_person_is_known_whatever_became_of_the_image(
    drawn: list[Image.Image], way: str
) -> None:
    assert all(is_drawn(np.asarray(WAYS[way](image).convert("RGB"))) for image in drawn)


@ways
def test_a_photograph_is_no_drawn_person(photographs: dict[str, Pixels], way: str) -> None:
    for image in crops(photographs, 16, 256, 176):
        assert not is_drawn(np.asarray(WAYS[way](Image.fromarray(image)).convert("RGB")))


def test_nor_is_one_of_a_person_in_a_studio(fixtures: Path) -> None:
    strips = [Image.open(file) for file in sorted(fixtures.glob("result_strips/vunet/*.jpg"))]
    people = [np.asarray(strip.crop((0, 0, 256, 256)))[:, 40:216] for strip in strips]
    assert people
    assert not any(map(is_drawn, people))


def test_the_background_is_the_benchmarks() -> None:
    assert BACKGROUND == DRAWN_BEFORE


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 9, 3), (5, 2, 3), (13, 7, 3)])
def test_small_images_have_a_margin_too(shape: tuple[int, ...]) -> None:
    image = np.full(shape, BACKGROUND, np.uint8)
    assert background(image) == 1.0
    assert background(255 - image) == 0.0


def test_a_network_of_drawn_people_doubts_what_is_none(photographs: dict[str, Pixels]) -> None:
    plain = np.full((8, 8, 3), BACKGROUND, np.uint8)
    photograph = next(iter(photographs.values()))
    assert doubt(DRAWN_PEOPLE, lambda: [plain] * 6 + [photograph] * 2) == ""
    assert doubt(DRAWN_PEOPLE, list) == ""
    reason = doubt(DRAWN_PEOPLE, lambda: [plain] * 5 + [photograph] * 3)
    assert reason.startswith("3 of the 8 images looked at are no drawn people of the mannequin")


@pytest.mark.parametrize("made_for", ["photographs", "any people", ""])
def test_other_networks_do_not_look(made_for: str) -> None:
    def look() -> Any:
        raise AssertionError

    assert doubt(made_for, look) == ""


def test_the_benchmarks_networks_are_those_of_drawn_people() -> None:
    known = {n for n in network_names() if network_type(n).made_for == DRAWN_PEOPLE}
    assert known == {"mannequin", "mannequin-faces", "mannequin-pose"}
