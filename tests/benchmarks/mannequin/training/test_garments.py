"""Training of the garment network: its loss, its batches, what is folded, and that it resumes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn.functional import normalize, relu

from fhpt_eval.benchmarks.mannequin.training import garments, pictures
from fhpt_eval.benchmarks.mannequin.training.fit import step_generator
from fhpt_eval.benchmarks.mannequin.training.garments import (
    GarmentSettings,
    GarmentTask,
    contrastive,
    filters,
    folded,
    train,
)
from fhpt_eval.benchmarks.mannequin.training.garments_augment import augmented, blur
from fhpt_eval.benchmarks.mannequin.training.pictures import Pictures
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.mannequin.garments import Garments
from tests.support.progress import Kept

CPU = torch.device("cpu")


def write_pictures(folder: Path, items: int, size: tuple[int, int] = (256, 176)) -> Pictures:
    """Write stand-ins for drawn pictures: each item a colour and stripes of a width."""
    generator = np.random.default_rng(0)
    images = np.full((items * 8, *size, 3), 255, np.uint8)
    rows = np.arange(size[0])
    for number in range(items):
        colours = generator.integers(0, 200, (2, 3))
        stripes = colours[rows // (2 + 3 * (number % 3)) % 2].astype(np.uint8)
        for row in range(8):
            left = 30 + 8 * row
            images[number * 8 + row, 40:220, left : left + 60] = stripes[40:220, None]
    np.save(folder / "images.npy", images)
    item = np.arange(items).repeat(8)
    known: dict[str, Any] = {
        "item": item,
        "wearer": (item + np.tile(np.arange(8) >= 4, items)) % items,
        "kind": item % 7,
        "texture": item % 3,
    }
    known["keypoints"] = np.full((items * 8, 18, 2), items)
    for name, (kind, tail) in pictures._TRUTH.items():
        values = known.get(name, np.zeros((items * 8, *tail)))
        np.save(folder / f"{name}.npy", values.astype(kind))
    return Pictures(folder)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    return write_pictures(tmp_path_factory.mktemp("few"), 3)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Tiny pictures of 60 items, for what only reads their truth."""
    return write_pictures(tmp_path_factory.mktemp("many"), 60, (8, 8))


# --- the loss ---


def plain_contrastive(embedding: Tensor, item: list[int], temperature: float) -> float:
    """Khosla et al. 2020, equation 2, picture by picture."""
    total = 0.0
    for i, own in enumerate(item):
        others = [a for a in range(len(item)) if a != i]
        positives = [p for p in others if item[p] == own]
        below = sum(math.exp(float(embedding[i] @ embedding[a]) / temperature) for a in others)
        logs = [
            math.log(math.exp(float(embedding[i] @ embedding[p]) / temperature) / below)
            for p in positives
        ]
        total -= sum(logs) / len(positives)
    return total / len(item)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_contrastive_loss_is_the_papers(temperature: float) -> None:
    generator = torch.Generator().manual_seed(2)
    embedding = normalize(torch.randn(9, 5, generator=generator, dtype=torch.float64))
    item = [3, 3, 1, 1, 1, 7, 7, 3, 1]
    found = float(contrastive(embedding, torch.tensor(item), temperature))
    assert found == pytest.approx(plain_contrastive(embedding, item, temperature), rel=1e-12)


def test_the_contrastive_loss_is_least_where_items_are_apart() -> None:
    item = torch.tensor([0, 0, 1, 1])
    corners = torch.eye(2).repeat_interleave(2, 0)
    apart = contrastive(corners, item, 0.1)
    mixed = contrastive(corners[[0, 2, 1, 3]], item, 0.1)
    # Two others at cosine 0 beside one at cosine 1, by the formula.
    assert float(apart) == pytest.approx(math.log(1 + 2 * math.exp(-10)), abs=1e-6)
    assert mixed > apart + 5


# --- batches ---


def test_each_item_of_a_batch_is_seen_on_two_people(many: Pictures) -> None:
    batches = garments._Batches(many)
    for step in range(5):
        rows = batches.rows(step_generator(0, step))
        items = many.truth["item"][rows].reshape(-1, 2)
        assert len(rows) == 48
        assert (items[:, 0] == items[:, 1]).all()
        assert len(set(items[:, 0])) == 24
        assert (many.truth["wearer"][rows].reshape(-1, 2)[:, 0] == items[:, 0]).all()
        assert (many.truth["wearer"][rows].reshape(-1, 2)[:, 1] != items[:, 1]).all()


def test_the_first_items_of_a_batch_are_hard_to_tell_apart(many: Pictures) -> None:
    batches = garments._Batches(many)
    likeness = []
    for step in range(20):
        rows = batches.rows(step_generator(0, step))
        first, other, both, texture = many.truth["item"][rows][:8:2]
        assert other == (first + 1) % 60  # the item of its second wearer
        likeness.append((both % 21 == first % 21, texture % 3 == first % 3))
    # An item may itself be drawn as one that is like it; then any takes its place.
    assert np.mean(likeness, axis=0).min() >= 0.6


def test_batches_depend_on_the_generator_alone(many: Pictures) -> None:
    batches = garments._Batches(many)
    first, again, next_one = (batches.rows(step_generator(0, step)) for step in (4, 4, 5))
    assert (first == again).all()
    assert (first != next_one).any()


# --- augmentation ---


def test_a_blur_is_a_gaussian_of_each_images_own_sigma() -> None:
    x = torch.rand(2, 3, 31, 20, generator=torch.Generator().manual_seed(0))
    sigmas = torch.tensor([0.6, 2.0])
    found = blur(x, sigmas).numpy()
    for image, blurred, sigma in zip(x.numpy(), found, sigmas.tolist(), strict=True):
        for plane, one in zip(image, blurred, strict=True):
            expected = gaussian_filter(plane.astype(np.float64), sigma, mode="nearest", radius=7)
            np.testing.assert_allclose(one, expected, atol=1e-5)


def test_augmented_pictures_are_told_how_they_were_spoilt() -> None:
    image = np.zeros((64, 44, 3), np.uint8)
    image[::2] = 200
    images = torch.from_numpy(image).permute(2, 0, 1).expand(200, -1, -1, -1).contiguous()
    x, faults = augmented(images, torch.Generator().manual_seed(0))
    assert x.shape == images.shape
    assert 0 <= x.min() < x.max() <= 1
    assert ((faults > 0).sum(1) <= 1).all()
    share = (faults > 0).float().mean(0)
    assert 0.15 < share[0] < 0.3
    assert 0.08 < share[1] < 0.2
    # What is blurred more has less of the rows' contrast.
    contrast = x.diff(dim=2)[:, :, 8:-8, 8:-8].abs().mean((1, 2, 3))
    soft = faults[:, 0] > 0
    assert contrast[soft & (faults[:, 0] > 0.7)].max() < contrast[faults.sum(1) == 0].median()


def test_augmentation_depends_on_the_generator_alone() -> None:
    images = torch.randint(0, 256, (4, 3, 16, 12), dtype=torch.uint8)
    first, again, other = (
        augmented(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


# --- what is folded ---


def test_standardised_filters_have_no_mean_and_the_size_of_their_gain() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 8, 3, 3, generator=generator) * 0.3 + 0.1
    gain = torch.tensor([1.0, 2.0, 0.5, 0.0])
    bias = torch.ones(4)
    plain = filters({"a.weight": weight, "a.gain": gain, "a.bias": bias, "b.weight": weight})
    assert set(plain) == {"a.weight", "a.bias", "b.weight"}
    assert plain["b.weight"] is weight
    found = plain["a.weight"]
    torch.testing.assert_close(found.mean((1, 2, 3)), torch.zeros(4), atol=1e-7, rtol=0)
    # A ReLU of normal numbers has the variance (1 - 1/pi) / 2; 72 inputs are added.
    expected = gain * math.sqrt(2 / (1 - 1 / math.pi) / 72)
    size = found.square().mean((1, 2, 3)).sqrt()
    torch.testing.assert_close(size, expected, atol=1e-6, rtol=1e-3)


def test_the_first_layer_keeps_the_mean_of_its_filters() -> None:
    weight = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(0)) + 1
    found = filters({"network.stem.weight": weight, "network.stem.gain": torch.ones(4)})
    assert found["network.stem.weight"].mean((1, 2, 3)).min() > 0.05


def test_the_folded_layer_does_what_both_norms_did() -> None:
    generator = torch.Generator().manual_seed(0)
    read = torch.randn(50, 6, generator=generator, dtype=torch.float64) * 0.2 + 3
    weight = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    gain, bias = torch.rand(2, 4, generator=generator, dtype=torch.float64)
    normal = garments._normal
    expected = normal(normal(read) @ weight.T) * gain + bias
    layer = folded(weight, bias, gain, read)
    found = read @ layer["hidden.weight"].double().T + layer["hidden.bias"].double()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


# --- training ---


def test_pictures_of_another_size_are_refused(many: Pictures) -> None:
    with pytest.raises(ArgumentError, match="'pictures' must be 176 x 256, not 8 x 8"):
        GarmentTask(many, 0, CPU)


def test_training_lowers_the_loss_and_leaves_a_network(
    few: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garments, "_CALIBRATION", 2)
    kept = Kept()
    file = train(few, tmp_path, GarmentSettings(steps=20, learning_rate=3e-3, warmup=5), CPU, kept)
    task = GarmentTask(few, 0, CPU)
    before = float(task.loss(step_generator(1, 0), 0)["loss"].detach())
    after = float(kept.said[-1].split("loss ")[1].split(",")[0])
    assert after < 0.8 * before
    network = Garments.build(load_file(file), CPU, "trained")
    images = torch.from_numpy(few.images[[0, 4, 8, 12]]).permute(0, 3, 1, 2) / 255
    likeness = network(images).embedding
    likeness = likeness @ likeness.T
    assert likeness[0, 1] > likeness[0, 2:].max()


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    few: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garments, "_CALIBRATION", 2)
    settings = GarmentSettings(steps=4, learning_rate=1e-3, warmup=1, save_every=2)
    whole = train(few, tmp_path / "whole", settings, CPU, Progress())
    loss = GarmentTask.loss

    def stopped(task: GarmentTask, generator: torch.Generator, step: int) -> dict[str, Tensor]:
        if step == 3:
            raise KeyboardInterrupt
        return loss(task, generator, step)

    with monkeypatch.context() as patch:
        patch.setattr(GarmentTask, "loss", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(few, tmp_path / "halves", settings, CPU, Progress())
    assert not (tmp_path / "halves" / garments.FILE).exists()
    kept = Kept()
    halves = train(few, tmp_path / "halves", settings, CPU, kept)
    assert "after step 2 of 4" in kept.said[0]
    assert halves.read_bytes() == whole.read_bytes()


def test_a_run_does_not_go_on_with_other_pictures(
    few: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garments, "_CALIBRATION", 1)
    (tmp_path / "pictures").mkdir()
    others = write_pictures(tmp_path / "pictures", 2)
    settings = GarmentSettings(steps=1, learning_rate=1e-3)
    train(others, tmp_path / "run", settings, CPU, Progress())
    with pytest.raises(ArgumentError, match="pictures is"):
        train(few, tmp_path / "run", settings, CPU, Progress())


def test_the_shipped_network_says_what_was_trained(
    few: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch normalised by its own statistics, against the plain network made of them."""
    task = GarmentTask(few, 3, CPU)
    images = torch.from_numpy(few.images[[0, 5, 9, 14, 18, 23]]).permute(0, 3, 1, 2) / 255
    monkeypatch.setattr(garments, "_CALIBRATION", 1)
    monkeypatch.setattr(task, "_batch", lambda _: (None, images, None))
    network = Garments.build(task.shipped(task.parameters), CPU, "start")
    plain = {name: value.detach() for name, value in filters(task.parameters).items()}
    with torch.no_grad():
        read = network.read(network.maps(images))
        hidden = garments._normal(garments._normal(read) @ plain["network.hidden.weight"].T)
        hidden = hidden * plain["gain"] + plain["network.hidden.bias"]
        expected = relu(hidden) @ plain["network.pool.weight"].T + plain["network.pool.bias"]
        found = network(images).pool
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
