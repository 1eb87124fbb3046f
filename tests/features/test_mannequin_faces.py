"""Drawn faces: what is found and described, independence of the batch, which weights are taken.

With the shipped networks, on people of the benchmark's test split, whom they have never seen.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import save_file
from scipy.ndimage import convolve
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.benchmarks.mannequin.draw import Drawing, draw, render
from fhpt_eval.benchmarks.mannequin.identity import dressed, make_person
from fhpt_eval.benchmarks.mannequin.layout import split_of
from fhpt_eval.benchmarks.mannequin.pose import make_pose
from fhpt_eval.errors import WeightsError
from fhpt_eval.features.faces.find import ROW
from fhpt_eval.features.mannequin.faces import (
    CROP,
    FOUND,
    FaceNetworks,
    MannequinFaces,
    boxes,
    lattice,
    peaks,
    sample,
    softened,
    squares,
    start,
    wanted,
)
from tests.support.photographs import tensor

CPU = torch.device("cpu")
SAME_PERSON = MannequinFaces.same_person or 0.0
SEED, PEOPLE = 77, 4
FRONT, SIDE, BACK, FULL = range(4)


def unseen_people() -> list[int]:
    return list(islice((n for n in count() if split_of(n) == "test"), PEOPLE))


@pytest.fixture(scope="module")
def drawings() -> list[Drawing]:
    """Four views of each of four people."""
    return [draw(SEED, person, view) for person in unseen_people() for view in range(4)]


@pytest.fixture(scope="module")
def images(drawings: list[Drawing]) -> Tensor:
    return tensor([drawing.image for drawing in drawings])


@pytest.fixture(scope="module")
def rows(images: Tensor) -> dict[str, Tensor]:
    return MannequinFaces().compute(images)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights that training could start from."""
    networks = FaceNetworks()
    for part in (networks.finder, networks.descriptor):
        start(part, torch.Generator().manual_seed(3))
    path = tmp_path_factory.mktemp("weights") / "untrained.safetensors"
    save_file(networks.state_dict(), path)
    return path


def overlap(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the share of two boxes' union that both cover."""
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    both = np.prod(np.clip(high - low, 0, None))
    return float(both / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - both))


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    """Whether rows are equal to the bit; NaN equals NaN."""
    return all(np.array_equal(ours[name], theirs[name], equal_nan=True) for name in ours)


# --- what is found ---


def test_names_and_types_are_those_of_dlibs_faces(rows: dict[str, Tensor]) -> None:
    """So that a metric can take either."""
    assert tuple(rows) == ROW.names
    for name, values in rows.items():
        kind, shape = ROW[name].subdtype or (ROW[name], ())
        assert values.numpy().dtype == kind
        assert values.shape == (4 * PEOPLE, *shape)


def test_a_face_is_found_where_it_is_drawn(
    rows: dict[str, Tensor], drawings: list[Drawing]
) -> None:
    """All but some profiles that an arm hides are found, and nothing in back views."""
    found = rows["found"].reshape(PEOPLE, 4).sum(dim=0).tolist()
    assert found[SIDE] >= PEOPLE - 1
    assert (found[FRONT], found[BACK], found[FULL]) == (PEOPLE, 0, PEOPLE)
    for n, drawing in enumerate(drawings):
        assert (drawing.face_box is None) == (n % 4 == BACK)
        if rows["found"][n]:
            least = 0.5 if n % 4 == SIDE else 0.7
            assert overlap(rows["box"][n].numpy(), np.array(drawing.face_box)) > least


def test_what_is_not_found_is_not_a_number(rows: dict[str, Tensor]) -> None:
    shown = rows["found"] > 0
    for name in ("box", "score", "descriptor"):
        assert rows[name][shown].isfinite().all()
        assert rows[name][~shown].isnan().all()
    assert rows["score"][shown].min() >= FOUND
    assert rows["score"][shown].max() <= 1


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nobody_has_no_face(level: int) -> None:
    nobody = torch.full((1, 3, 256, 176), level, dtype=torch.uint8)
    assert MannequinFaces().compute(nobody)["found"].tolist() == [0]


# --- what is described ---


def test_descriptors_have_length_1(rows: dict[str, Tensor]) -> None:
    lengths = rows["descriptor"][rows["found"] > 0].norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=1e-6)  # of float32


def test_one_person_is_recognised_in_other_clothes_and_two_are_told_apart(
    rows: dict[str, Tensor],
) -> None:
    people = [make_person(SEED, person) for person in unseen_people()]
    others = [dressed(person, people[n - 1]) for n, person in enumerate(people)]
    pictures = tensor([render(one, make_pose(SEED, one, FRONT, 1)).image for one in others])
    again = MannequinFaces().compute(pictures)["descriptor"]
    gaps = torch.cdist(again, rows["descriptor"][FRONT::4]).numpy()
    own = np.eye(PEOPLE, dtype=bool)
    assert gaps[own].max() <= SAME_PERSON < np.median(gaps[~own])
    # Whoever wears the same clothes is no nearer for it than the person is.
    assert (gaps[own] < np.roll(gaps, 1, axis=1)[own]).all()


# --- images of other kinds ---


@pytest.mark.parametrize("factor", [0.75, 2.0])
def test_places_are_pixels_of_the_image_whatever_its_size(
    drawings: list[Drawing], rows: dict[str, Tensor], factor: float
) -> None:
    size = round(176 * factor), round(256 * factor)
    image = Image.fromarray(drawings[FRONT].image).resize(size, Image.Resampling.BICUBIC)
    found = MannequinFaces().compute(tensor([np.asarray(image)]))
    expected = (rows["box"][FRONT] + 0.5) * factor - 0.5
    assert (found["box"][0] - expected).abs().max() < 2 * factor
    gap = (found["descriptor"][0] - rows["descriptor"][FRONT]).norm()
    assert gap < SAME_PERSON / 2


@pytest.mark.parametrize("width", [1, 131, 176, 179, 300])
def test_an_image_may_have_any_width(images: Tensor, width: int) -> None:
    image = images[FULL : FULL + 1]
    wide = torch.cat([image, image, image], dim=3)[..., :width]
    found = MannequinFaces().compute(wide)
    assert found["box"].shape == (1, 4)
    assert found["found"].item() == (0 if width == 1 else 1)


# --- independence ---


# --- places ---


@given(st.tuples(st.floats(0, 60), st.floats(0, 80), st.floats(3, 60), st.floats(3, 60)))
@settings(max_examples=40, deadline=None)
def test_a_cell_tells_of_the_box_that_it_should_tell_of(
    face: tuple[float, float, float, float],
) -> None:
    left, top, wide, high = face
    box = torch.tensor([[left, top, left + wide, top + high]], dtype=torch.float64)
    maps = torch.cat([torch.zeros((1, 1, 6, 4)).double(), wanted(box, 6, 4)], dim=1)
    torch.testing.assert_close(boxes(maps), box.expand(1, 6, 4, 4), rtol=1e-6, atol=1e-4)


def test_the_likeliest_cell_tells_of_the_face() -> None:
    maps = torch.randn((3, 5, 6, 4), generator=torch.Generator().manual_seed(0))
    found = peaks(maps)
    for n in range(3):
        row, column = divmod(int(maps[n, 0].argmax()), 4)
        x, y, wide, high = maps[n, 1:, row, column].double().tolist()
        middle = 4 * (column + 0.5 + x) - 0.5, 4 * (row + 0.5 + y) - 0.5
        half = 8 * math.exp(min(max(wide, -2), 2)), 8 * math.exp(min(max(high, -2), 2))
        expected = [
            middle[0] - half[0],
            middle[1] - half[1],
            middle[0] + half[0],
            middle[1] + half[1],
        ]
        np.testing.assert_allclose(found.boxes[n].numpy(), expected, rtol=1e-6)
        share = 1 / (1 + math.exp(-maps[n, 0].max().item()))
        assert found.scores[n].item() == pytest.approx(share, rel=1e-6)


def test_a_square_holds_the_head_and_ends_below_the_chin() -> None:
    x, y, side = squares(torch.tensor([[10.0, 20.0, 30.0, 60.0]]))[0].tolist()
    assert (x, side) == pytest.approx((20, 1.36 * 40))
    assert y + side / 2 == pytest.approx(60 + 0.04 * 40)


def test_images_are_smoothed_by_a_binomial_of_three() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 9, 7))
    kernel = np.outer([1, 2, 1], [1, 2, 1])[None, None] / 16
    expected = convolve(image, kernel, mode="nearest")
    np.testing.assert_allclose(softened(torch.from_numpy(image)), expected, rtol=1e-12)


@given(st.integers(0, 99), st.floats(-8, 20), st.floats(-8, 16), st.floats(2, 40))
@settings(max_examples=15, deadline=None)
def test_samples_are_bilinear_and_the_edge_goes_on(
    seed: int, x: float, y: float, side: float
) -> None:
    image = torch.rand((1, 3, 11, 7), generator=torch.Generator().manual_seed(seed))
    found = sample(image, lattice(torch.tensor([[x, y, side]])))[0].numpy()
    places = np.arange(CROP) / CROP + 0.5 / CROP - 0.5
    columns, lines = (np.clip(c + side * places, 0, n - 1) for c, n in ((x, 7), (y, 11)))
    pixels = image[0].numpy()
    for row in range(0, CROP, 11):
        for column in range(0, CROP, 13):
            u, v = columns[column], lines[row]
            left, top = min(int(u), 5), min(int(v), 9)
            a, b = u - left, v - top
            expected = (
                pixels[:, top, left] * (1 - a) * (1 - b) + pixels[:, top, left + 1] * a * (1 - b)
                + pixels[:, top + 1, left] * (1 - a) * b + pixels[:, top + 1, left + 1] * a * b
            )  # fmt: skip
            # Places are normalised to [-1, 1] in float32 on the way.
            np.testing.assert_allclose(found[:, row, column], expected, atol=2e-4)


# --- input that cannot be used ---


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="upsample"):
        MannequinFaces(upsample=2)  # type: ignore[call-arg]


# --- weights ---


def test_the_shipped_weights_are_small_registered_and_there() -> None:
    found = weights.find("mannequin-faces")
    assert weights.registered()["mannequin-faces"].shipped
    assert found.path.stat().st_size < 3_000_000
    assert hashlib.sha256(found.path.read_bytes()).hexdigest() == found.sha256
    assert MannequinFaces().lacks() == ""
    MannequinFaces().load(CPU)


def test_what_fixes_the_rows_is_the_weights_content(untrained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(untrained.read_bytes())
    one, other = (MannequinFaces(weights=str(path)) for path in (untrained, copy))
    assert one.canonical() == other.canonical() != MannequinFaces().canonical()
    assert one.digests() == {"mannequin-faces": hashlib.sha256(copy.read_bytes()).hexdigest()}


def test_other_weights_give_other_descriptors(
    untrained: Path, images: Tensor, rows: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhpt_eval.features.mannequin.faces.FOUND", 0.0)
    found = MannequinFaces(weights=str(untrained)).compute(images[:1])
    assert found["found"].item() == 1
    assert (found["descriptor"] - rows["descriptor"][:1]).norm() > 0.1


def test_networks_are_loaded_once_and_a_changed_file_again(untrained: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(untrained.read_bytes())
    feature = MannequinFaces(weights=str(path))
    first = feature.loaded(CPU)
    assert feature.loaded(CPU) is first
    state = {name: value + 1 for name, value in first.state_dict().items()}
    save_file(state, path)
    assert feature.loaded(CPU) is not first


Change = Callable[[dict[str, Tensor]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("finder.maps.bias"), "missing: finder.maps.bias"),
        (lambda state: state.update(extra=torch.zeros(1)), "unknown: extra"),
        (lambda state: state.update({"descriptor.out.bias": torch.zeros(7)}), "not .128,."),
        (lambda state: state.update({"descriptor.out.bias": torch.zeros(128).int()}), "not floats"),
        (
            lambda state: state.update({"descriptor.out.bias": torch.full((128,), math.nan)}),
            "no finite numbers",
        ),
        (lambda state: state.clear(), "and 51 more"),
    ],
)  # fmt: skip
def test_weights_of_other_networks_are_refused(
    untrained: Path, change: Change, message: str
) -> None:
    state = weights.load_state(untrained)
    change(state)
    with pytest.raises(WeightsError, match=message):
        MannequinFaces.build(state, CPU, "some.file")


def test_a_missing_file_is_told_before_any_work(tmp_path: Path) -> None:
    feature = MannequinFaces(weights=str(tmp_path / "none.safetensors"))
    assert "none.safetensors" in feature.lacks()
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        feature.load(CPU)


def test_in_a_very_wide_image_there_is_no_face() -> None:
    found = MannequinFaces().compute(torch.zeros((2, 3, 8, 8 * 600), dtype=torch.uint8))
    here = MannequinFaces().compute(torch.zeros((2, 3, 64, 44), dtype=torch.uint8))
    assert found["found"].tolist() == [0, 0]
    assert {name: (rows.shape, rows.dtype) for name, rows in found.items()} == {
        name: (rows.shape, rows.dtype) for name, rows in here.items()
    }
    assert found["descriptor"].isnan().all()
