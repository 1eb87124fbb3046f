"""Training of the networks of drawn faces: losses, augmentation, and what a run leaves behind."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from fhpt_eval.benchmarks.mannequin.draw import Drawing, draw
from fhpt_eval.benchmarks.mannequin.training import faces
from fhpt_eval.benchmarks.mannequin.training.faces import (
    DescriptorTask,
    FaceSettings,
    FinderTask,
    equal_error,
    finder_losses,
    identity_loss,
    jittered,
    moved,
    regions,
    split,
    train,
    turned,
    windows,
)
from fhpt_eval.benchmarks.mannequin.training.fit import FitSettings, fit
from fhpt_eval.benchmarks.mannequin.training.pictures import Pictures
from fhpt_eval.benchmarks.mannequin.training.spoiling import Spoiling, blurred, jpeg, spoil
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.mannequin.faces import MannequinFaces, lattice
from tests.support.progress import Kept

CPU = torch.device("cpu")
NO_FACE = [math.nan] * 4
TINY = FaceSettings(
    finder_steps=4, finder_batch=2, descriptor_steps=4, descriptor_batch=4, held_out=2
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Drawn:
    """Pictures of four people from the front, the side and the back, as ``Pictures`` has them."""

    digest = Pictures.digest

    def __init__(self) -> None:
        seen: list[tuple[int, Drawing]] = [
            (person, draw(5, person, view)) for person in range(4) for view in range(3)
        ]
        self.images = np.stack([drawing.image for _, drawing in seen])
        boxes = [drawing.face_box or NO_FACE for _, drawing in seen]
        self.truth = {
            "wearer": np.array([person for person, _ in seen], np.int32),
            "face_box": np.array(boxes, np.float32),
        }


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return cast(Pictures, Drawn())


# --- losses ---


def some_maps(seed: int) -> tuple[Tensor, Tensor]:
    maps = torch.randn((3, 5, 6, 4), generator=generator(seed))
    boxes = torch.tensor([[2.0, 3.0, 11.0, 16.0], NO_FACE, [4.0, 8.0, 8.0, 20.0]])
    return maps, boxes


def middles_and_outsides(boxes: Tensor) -> tuple[list[tuple[int, int, int]], ...]:
    """Return the cells (n, y, x) of maps of 6 x 4 in the middle of faces, and outside of them."""
    middle, outside = [], []
    for n, (left, top, right, bottom) in enumerate(boxes.tolist()):
        for y in range(6):
            for x in range(4):
                across = abs(4 * x + 1.5 - (left + right) / 2)
                down = abs(4 * y + 1.5 - (top + bottom) / 2)
                wide, high = (right - left) / 2, (bottom - top) / 2
                if across <= max(wide / 2, 2) and down <= max(high / 2, 2):
                    middle.append((n, y, x))
                elif math.isnan(left) or across > wide + 2 or down > high + 2:
                    outside.append((n, y, x))
    return middle, outside


def test_cells_are_in_a_faces_middle_outside_of_it_or_neither() -> None:
    _, boxes = some_maps(0)
    middle, outside = (
        [tuple(place) for place in region.nonzero().tolist()] for region in regions(boxes, 6, 4)
    )
    assert (middle, outside) == middles_and_outsides(boxes)
    assert 0 < len(middle) < 24
    assert 24 < len(outside) < 72 - len(middle)


def test_the_smallest_face_has_a_cell() -> None:
    for place in np.random.default_rng(0).uniform(3, 12, (50, 2)):
        box = torch.tensor([[*(place - 1), *(place + 1)]])
        assert regions(box, 6, 4)[0].any()


def test_the_finders_losses_are_what_the_formulas_say() -> None:
    maps, boxes = some_maps(1)
    middle, outside = middles_and_outsides(boxes)
    of_map, errors = 0.0, []
    for n, y, x in middle + outside:
        logit, *told = maps[n, :, y, x].tolist()
        p = 1 / (1 + math.exp(-logit))
        if (n, y, x) in outside:
            of_map -= p**2 * math.log(1 - p)
            continue
        of_map -= (1 - p) ** 2 * math.log(p)
        left, top, right, bottom = boxes[n].tolist()
        right_ones = (
            ((left + right) / 2 + 0.5) / 4 - (x + 0.5),
            ((top + bottom) / 2 + 0.5) / 4 - (y + 0.5),
            math.log((right - left) / 16),
            math.log((bottom - top) / 16),
        )
        errors += [abs(a - b) for a, b in zip(told, right_ones, strict=True)]
    losses = finder_losses(maps, boxes)
    assert losses["map"].item() == pytest.approx(of_map / len(middle), rel=1e-4)  # float32
    assert losses["box"].item() == pytest.approx(sum(errors) / len(errors), rel=1e-4)


def test_pictures_without_a_face_have_a_map_to_learn_and_no_box() -> None:
    maps, _ = some_maps(2)
    maps.requires_grad_()
    losses = finder_losses(maps, torch.tensor([NO_FACE] * 3))
    assert losses["box"].item() == 0
    cast(Any, losses["map"] + losses["box"]).backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()
    assert maps.grad[:, 0].abs().min() > 0
    assert not maps.grad[:, 1:].any()


def test_the_identity_loss_is_cosfaces() -> None:
    cosines = torch.rand((5, 7), generator=generator()) * 2 - 1
    who = torch.tensor([0, 6, 3, 3, 1])
    expected = 0.0
    for row, right in zip(cosines.double().tolist(), who.tolist(), strict=True):
        own = math.exp(20 * (row[right] - 0.2))
        others = sum(math.exp(20 * value) for n, value in enumerate(row) if n != right)
        expected -= math.log(own / (own + others)) / 5
    assert identity_loss(cosines, who).item() == pytest.approx(expected, rel=1e-5)
    assert identity_loss(cosines, who, 0.0) < identity_loss(cosines, who)


# --- what is done to pictures ---


def test_a_box_moves_with_what_is_in_it() -> None:
    images = torch.full((32, 3, 96, 64), 255.0)
    images[:, :, 20:41, 24:36] = 0
    boxes = torch.tensor([[24.0, 20.0, 35.0, 40.0]]).repeat(32, 1)
    changed, found = moved(images, boxes, generator())
    assert not torch.equal(changed[0], changed[1])
    for picture, box in zip(changed, found, strict=True):
        rows, columns = (picture[0] < 127).nonzero().unbind(1)
        seen = [columns.min(), rows.min(), columns.max(), rows.max()]
        # Pixels at the edge are half covered, and stretched up to 1.3 times.
        assert np.abs(np.array(seen) - box.numpy()).max() < 1.2


def test_a_face_that_leaves_the_picture_is_none() -> None:
    images = torch.zeros((64, 3, 96, 64))
    boxes = torch.tensor([[20.0, -2.0, 40.0, 4.0]]).repeat(64, 1)
    _, found = moved(images, boxes, generator())
    gone = found.isnan().any(dim=1)
    assert gone.any()
    assert not gone.all()
    assert found[~gone].min() >= 0
    _, none = moved(images, torch.full((64, 4), math.nan), generator())
    assert none.isnan().all()


def test_a_window_shows_the_rows_that_its_box_lies_in() -> None:
    images = torch.arange(200.0)[:, None].expand(64, 3, 200, 10).contiguous()
    boxes = torch.tensor([[2.0, 10.0, 6.0, 40.0], NO_FACE]).repeat(32, 1)
    shown, found = windows(images, boxes, generator())
    assert shown.shape == (64, 3, 128, 10)
    tops = shown[:, 0, 0, 0]
    assert tops.max() > 33 > tops.min()
    assert (tops[::2] <= 32).float().mean() > 0.6
    assert found[1::2].isnan().all()
    for top, box in zip(tops[::2].tolist(), found[::2].tolist(), strict=True):
        if top > 25:  # the middle is above the window
            assert np.isnan(box).all()
        else:
            assert box == [2, max(10 - top, 0), 6, 40 - top]


def test_a_picture_lower_than_a_window_is_shown_whole() -> None:
    images = torch.rand((2, 3, 96, 10), generator=generator())
    boxes = torch.tensor([[2.0, 10.0, 6.0, 40.0]]).repeat(2, 1)
    shown, found = windows(images, boxes, generator())
    assert torch.equal(shown, images)
    assert torch.equal(found, boxes)


def test_squares_are_moved_within_the_finders_errors() -> None:
    places = torch.tensor([[50.0, 40.0, 30.0]]).repeat(200, 1)
    found = jittered(places, generator())
    assert (found[:, :2] - places[:, :2]).abs().max() <= 0.06 * 30
    sides = found[:, 2] / 30
    assert 1 / 1.13 - 1e-5 <= sides.min() < 0.92 < 1.08 < sides.max() <= 1.13 + 1e-5


def test_turning_keeps_distances_and_mirrors_half() -> None:
    places = torch.tensor([[50.0, 40.0, 30.0]]).repeat(64, 1)
    plain = lattice(places)
    found = turned(plain, places, generator())
    middle = places[:, None, None, :2]
    for before, after in ((plain - middle, found - middle),):
        torch.testing.assert_close(before.norm(dim=-1), after.norm(dim=-1), rtol=1e-4, atol=1e-3)
    mirrored = found[:, 0, 0, 0] > found[:, 0, -1, 0]
    assert 20 < int(mirrored.sum()) < 44


def test_spoiling_is_drawn_from_the_generator_and_stays_in_range() -> None:
    pictures = torch.rand((16, 3, 40, 28), generator=generator(9)) * 255
    how = Spoiling()
    first, again, other = (spoil(pictures, how, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 255


def test_nothing_is_spoilt_where_nothing_may_be() -> None:
    pictures = torch.rand((4, 3, 20, 14), generator=generator(9)) * 255
    same = spoil(pictures, Spoiling(often=0.0, gain=0.0), generator())
    assert torch.equal(same, pictures)


@given(st.floats(0.3, 3.5), st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_a_blur_is_a_gaussian_cut_off_at_three_sigma(sigma: float, seed: int) -> None:
    pictures = torch.rand((2, 3, 23, 17), generator=generator(seed)) * 255
    radius = math.ceil(3 * sigma)
    expected = gaussian_filter(
        pictures.double().numpy(), sigma, axes=(2, 3), mode="nearest", radius=radius
    )
    np.testing.assert_allclose(blurred(pictures, sigma).numpy(), expected, atol=1e-3)  # float32


def test_jpeg_loses_more_at_a_lower_quality() -> None:
    picture = blurred(torch.rand((1, 3, 24, 16), generator=generator()) * 255, 1.5)[0]
    low, high = ((jpeg(picture, quality) - picture).abs().mean() for quality in (30, 95))
    assert low > 2 * high > 0


# --- runs ---


def test_people_held_out_are_in_no_picture_that_is_learnt_from(pictures: Pictures) -> None:
    seen, held = split(pictures, 2)
    wearers = pictures.truth["wearer"]
    assert sorted([*seen, *held]) == list(range(12))
    assert set(wearers[seen]) == {0, 1}
    assert set(wearers[held]) == {2, 3}
    with pytest.raises(ArgumentError, match="show 4 people; 3 are held out"):
        split(pictures, 3)


@pytest.mark.parametrize("wrong", [{"finder_steps": 0}, {"held_out": 1}, {"seed": -1}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        FaceSettings(**wrong)


@pytest.mark.parametrize(
    ("same", "other", "error", "distance"),
    [
        ([0.1, 0.2], [0.5, 0.9], 0.0, 0.2),
        ([0.1, 0.2, 0.3, 0.8], [0.25, 0.6, 0.7, 0.9], 0.25, 0.3),
    ],
)
def test_at_equal_error_as_many_are_parted_as_taken_for_one(
    same: list[float], other: list[float], error: float, distance: float
) -> None:
    assert equal_error(np.array(same), np.array(other)) == (error, distance)


def test_without_pairs_there_is_no_equal_error() -> None:
    assert np.isnan(equal_error(np.zeros(0), np.ones(3))).all()


TASKS: list[Callable[[Pictures, Any, FaceSettings, torch.device], FinderTask | DescriptorTask]] = [
    FinderTask,
    DescriptorTask,
]


class StoppedError(Exception):
    """Somebody pulled the plug."""


@pytest.mark.parametrize("kind", TASKS)
def test_a_stopped_run_goes_on_to_the_same_bits(
    pictures: Pictures, kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(12)

    def run(folder: str, stop: int = 99) -> dict[str, Tensor]:
        task = kind(pictures, rows, TINY, CPU)
        loss = task.loss

        def counted(chance: torch.Generator, step: int) -> dict[str, Tensor]:
            if step == stop:
                raise StoppedError
            found: dict[str, Tensor] = loss(chance, step)
            return found

        monkeypatch.setattr(task, "loss", counted)
        how = task.settings.model_copy(update={"save_every": 2})
        return fit(task, tmp_path / folder, how, Progress())

    whole = run("whole")
    with pytest.raises(StoppedError):
        run("parts", stop=3)
    resumed = run("parts")
    assert list(whole) == list(resumed)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("kind", TASKS)
def test_training_lowers_the_loss(pictures: Pictures, kind: Any, tmp_path: Path) -> None:
    task = kind(pictures, np.arange(12), TINY.model_copy(update={"descriptor_batch": 12}), CPU)
    first, *_, last = (task.loss(generator(1), 0)["loss"].item() for _ in range(2))
    assert first == last  # without a step between them
    fit(task, tmp_path, FitSettings(steps=14, learning_rate=3e-3, warmup=2), Progress())
    assert task.loss(generator(1), 0)["loss"].item() < 0.8 * first


def test_a_run_writes_weights_that_the_feature_takes_and_what_they_are_worth(
    pictures: Pictures, tmp_path: Path
) -> None:
    kept = Kept()
    path = train(pictures, tmp_path, TINY, CPU, kept)
    assert path == tmp_path / "mannequin-faces.safetensors"
    rows = MannequinFaces(weights=str(path)).compute(
        torch.from_numpy(pictures.images[:2]).permute(0, 3, 1, 2)
    )
    assert rows["found"].shape == (2,)
    measured = json.loads(path.with_suffix(".json").read_text())
    assert set(measured) == {"people", "recall", "false", "error", "distance"}
    assert any(line.startswith("descriptor: 4 faces of 2 people") for line in kept.said)
    before = path.read_bytes()
    train(pictures, tmp_path, TINY, CPU, kept)  # is finished, and gives the same
    assert path.read_bytes() == before
    with pytest.raises(ArgumentError, match=r"faces\.finder_batch is 2 there and 3 here"):
        train(pictures, tmp_path, TINY.model_copy(update={"finder_batch": 3}), CPU, kept)
    again = train(pictures, tmp_path / "again", TINY, CPU, kept)
    assert again.read_bytes() == before


def test_what_is_measured_is_what_a_count_says(pictures: Pictures) -> None:
    """By a feature that finds every face but one, sees one in a back view, and knows people."""
    wearers, boxes = pictures.truth["wearer"], pictures.truth["face_box"]
    shown = ~np.isnan(boxes[:, 0])
    found = shown.copy()
    found[0] = False  # the first front view
    found[2] = True  # a back view
    descriptors = np.where(found[:, None], np.eye(4)[wearers], math.nan)

    class Feature:
        def compute(self, images: Tensor) -> dict[str, Tensor]:
            assert len(images) == 12
            parts = {"found": found * 1, "descriptor": descriptors}
            return {name: torch.from_numpy(part) for name, part in parts.items()}

    values = faces.measure(cast(MannequinFaces, Feature()), pictures, np.arange(12), CPU)
    assert values["people"] == 4
    assert values["recall"] == pytest.approx((shown.sum() - 1) / shown.sum())
    assert values["false"] == pytest.approx(1 / (~shown).sum())
    assert (values["error"], values["distance"]) == (0, 0)
