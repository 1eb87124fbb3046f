"""BRISQUE reproduces the authors' Matlab values and a slow oracle written from the paper."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import correlate1d, gaussian_filter
from scipy.special import gamma

from fhpt_eval.errors import ArgumentError
from fhpt_eval.metrics.base import Batch
from fhpt_eval.metrics.brisque import BRISQUE, brisque, brisque_features, flat_share
from tests.support.photographs import Pixels, crops, spoilt, tensor

Array = NDArray[np.float64]

MODEL_SHA256 = "7c8e239223d4ff930cbfad4bfbceb685dbf0977804794979d2a9ed54f5d8bf1f"

# Frozen: the authors' Matlab code on images of pyiqa's calibration set (see the fixtures). The
# release rounds features to six decimals and its filters leave rounding error in flat areas, of
# which I06 has some: hence its wider tolerance there. Ours differ by 0.00004, 0.0013, 0.0005 and
# 0.0016.
MATLAB = {
    "reference/I01": (10.259409019043119, 0.0001),
    "distorted/I03": (94.6421, 0.005),
    "distorted/I04": (-0.1076, 0.001),
    "distorted/I06": (0.9929, 0.005),
}


# Of images with flat areas, where the release takes rounding error for contrast: the authors'
# value, ours, and the share of flat pixels. Not all collections of fixtures have the first two.
FLAT = {
    "distorted/I19": (72.2617, 74.4304, 0.3034),
    "distorted/I08": (5.3583, 5.9038, 0.0206),
    "distorted/I06": (0.9929, 0.9913, 0.0059),
    "distorted/I03": (94.6421, 94.6409, 0.0190),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Work on one thread: on a busy machine threads wait for each other 100 times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model_bytes() -> bytes:
    return resources.files("fhpt_eval.metrics").joinpath("data/brisque_live.libsvm").read_bytes()


# The oracle: formulas of the paper and of Matlab's documentation, one image at a time, float64.


def oracle_grey(image: Pixels) -> Array:
    weights = np.linalg.inv([[1, 0.956, 0.621], [1, -0.272, -0.647], [1, -1.106, 1.703]])[0]
    grey: Array = np.floor(image @ weights + 0.5)
    return grey


def oracle_half(line: Array) -> Array:
    """imresize(line, 0.5) of a column or matrix, along the first axis, pixel by pixel."""
    size = len(line)
    out = np.zeros(((size + 1) // 2, *line.shape[1:]))
    for target in range(len(out)):
        centre, total = 2 * target + 0.5, 0.0
        for source in range(2 * target - 5, 2 * target + 7):
            x = abs(source - centre) / 2
            near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
            weight = near if x <= 1 else far if x <= 2 else 0.0
            mirrored = source % (2 * size)
            out[target] += weight * line[min(mirrored, 2 * size - 1 - mirrored)]
            total += weight
        out[target] /= total
    return out


def oracle_mscn(grey: Array, smallest: float) -> Array:
    taps = np.array([math.exp(-(x**2) / (2 * (7 / 6) ** 2)) for x in range(-3, 4)])
    taps /= taps.sum()

    def blur(plane: Array) -> Array:
        rows = correlate1d(plane, taps, axis=1, mode="constant")
        blurred: Array = correlate1d(rows, taps, axis=0, mode="constant")
        return blurred

    mean = blur(grey)
    detail = grey - mean
    detail[np.abs(detail) < smallest] = 0  # our rule: rounding error is no signal
    mscn: Array = detail / (np.sqrt(np.abs(blur(grey**2) - mean**2)) + 1)
    return mscn


SHAPES = np.arange(9801) * 0.001 + 0.2
RATIO = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))


def oracle_features(image: Pixels, smallest: float = 1e-9) -> Array:
    features: list[float] = []
    grey = oracle_grey(image)
    for _ in range(2):
        mscn = oracle_mscn(grey, smallest)
        variance = float(np.mean(mscn**2))
        rho = variance / np.mean(np.abs(mscn)) ** 2
        features += [SHAPES[np.argmin(np.abs(rho - 1 / RATIO))], variance]
        for shift in ((0, 1), (1, 0), (1, 1), (-1, 1)):
            features += oracle_products(mscn * np.roll(mscn, shift, axis=(0, 1)))
        grey = oracle_half(oracle_half(grey).T).T
    return np.array(features)


def oracle_products(product: Array) -> list[float]:
    negative, positive = product[product < 0], product[product > 0]
    left = math.sqrt(np.mean(negative**2)) if negative.size else math.nan
    right = math.sqrt(np.mean(positive**2)) if positive.size else math.nan
    if math.isnan(left + right):  # one side is a mean over nothing, so nothing can be fitted
        return [math.nan, math.nan, left**2, right**2]
    skew = left / right
    ratio = np.mean(np.abs(product)) ** 2 / np.mean(product**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = SHAPES[np.argmin((RATIO - ratio) ** 2)]
    scale = math.sqrt(gamma(1 / shape) / gamma(3 / shape))
    mean = (right - left) * gamma(2 / shape) / gamma(1 / shape) * scale
    return [shape, mean, left**2, right**2]


@lru_cache(maxsize=1)
def support_vectors() -> list[tuple[float, Array]]:
    found = []
    for line in model_bytes().decode().split("\nSV\n")[1].splitlines():
        weight, *pairs = line.split()
        vector = np.zeros(36)
        for pair in pairs:
            index, value = pair.split(":")
            vector[int(index) - 1] = float(value)
        found.append((float(weight), vector))
    return found


def oracle_score(features: Array) -> float:
    score = 153.591
    for weight, vector in support_vectors():
        score += weight * math.exp(-0.05 * np.sum((scaled(features) - vector) ** 2))
    return score


def scaled(features: Array) -> Array:
    from fhpt_eval.metrics.brisque import _FEATURE_RANGE  # facts, frozen by the Matlab values

    low, high = np.array([bound for line in _FEATURE_RANGE for bound in line]).T
    result: Array = 2 * (features - low) / (high - low) - 1
    return result


@pytest.mark.parametrize("name", MATLAB)
def test_brisque_equals_the_authors_matlab(fixtures: Path, name: str) -> None:
    path = fixtures / "calibration" / f"{name}.png"
    if not path.is_file():
        pytest.skip(f"the fixtures lack calibration/{name}.png")
    expected, tolerance = MATLAB[name]
    image = np.asarray(Image.open(path).convert("RGB"))
    assert brisque(tensor([image])).item() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("name", FLAT)
def test_flat_areas_part_the_score_from_the_authors_by_what_the_card_says(
    fixtures: Path, name: str
) -> None:
    paths = [fixtures / "calibration" / f"{name}{ending}" for ending in (".png", ".bmp")]
    path = next(filter(Path.is_file, paths), None)
    if path is None:
        pytest.skip(f"the fixtures lack calibration/{name}.png")
    authors, ours, flat = FLAT[name]
    image = tensor([np.asarray(Image.open(path).convert("RGB"))])
    assert brisque(image).item() == pytest.approx(ours, abs=1e-4)
    assert flat_share(image).item() == pytest.approx(flat, abs=5e-5)
    card = (Path(__file__).parents[2] / "docs" / "metrics" / "brisque.md").read_text()
    row = next(line for line in card.splitlines() if line.startswith(f"| {name[-3:]},"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert [float(cell) for cell in cells[1:3]] == pytest.approx([authors, ours], abs=1e-4)
    assert float(cells[3].removesuffix("%")) == pytest.approx(100 * flat, abs=0.05)


def with_flat_area(photographs: dict[str, Pixels], level: int = 255) -> Pixels:
    """Return a photograph whose upper part is of one level, as a studio's wall is."""
    image = crops(photographs, 1, 256, 176)[0].copy()
    image[:90] = level
    return image


def test_the_rule_for_flat_areas_moves_an_image_with_a_plain_wall(
    photographs: dict[str, Pixels],
) -> None:
    """By how much depends on the level, and on the machine that leaves the rounding error."""
    moves = []
    for level in (255, 254, 200, 128):
        image = with_flat_area(photographs, level)
        assert flat_share(tensor([image])).item() > 0.3
        without = oracle_score(oracle_features(image, smallest=0))
        moves.append(abs(without - brisque(tensor([image])).item()))
    assert max(moves) > 1
    assert max(moves) - min(moves) > 1  # without the rule, white and almost white are 3.4 apart


def test_a_pixel_is_flat_where_its_neighbours_all_are_its_equals(
    photographs: dict[str, Pixels],
) -> None:
    images = [with_flat_area(photographs), crops(photographs, 1, 256, 176)[0]]
    for image, share in zip(images, flat_share(tensor(images)).tolist(), strict=True):
        padded = np.pad(oracle_grey(image), 3)  # black outside, so that no border is flat
        windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7)).reshape(
            *image.shape[:2], 49
        )
        assert share == (np.ptp(windows, axis=2) == 0).mean()
    columns = BRISQUE().columns(Batch(("a", "b"), tensor(images)))
    assert torch.equal(columns["flat"], flat_share(tensor(images)))
    assert torch.equal(columns[""], brisque(tensor(images)))
    assert BRISQUE.parts()["flat"].direction == "none"


def test_the_frozen_values_are_those_of_the_fixtures(fixtures: Path) -> None:
    with (fixtures / "calibration" / "reference_values.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "brisque_live"]
    listed = {row["image"]: float(row["value"]) for row in rows}
    frozen = {name.removeprefix("distorted/"): value for name, (value, _) in MATLAB.items()}
    assert listed == frozen


SIZES = [(256, 176), (255, 175), (64, 97), (97, 64), (33, 17), (16, 8), (9, 12), (7, 7)]
SIZES += [(5, 3), (1, 40), (40, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_features_and_scores_equal_the_oracle(
    photographs: dict[str, Pixels], size: tuple[int, int]
) -> None:
    images = crops(photographs, 4, *size)
    features = np.stack([oracle_features(image) for image in images])
    # Coefficients and products are float32: 6e-8 each, averaged over the pixels.
    np.testing.assert_allclose(
        brisque_features(tensor(images)), features, rtol=2e-6, atol=1e-7, equal_nan=True
    )
    expected = [oracle_score(row) for row in features]
    np.testing.assert_allclose(brisque(tensor(images)), expected, atol=1e-4, equal_nan=True)


def test_odd_and_patterned_images_equal_the_oracle() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 4)[:, None, None], (60, 44, 3))
    checks = np.indices((60, 44)).sum(0)[..., None].repeat(3, 2) % 2 * 255
    dot = np.full((60, 44, 3), 255)
    dot[30, 20] = 254
    page = np.full((60, 44, 3), 255)
    page[20:40, 10:30] = np.random.default_rng(0).integers(0, 256, (20, 20, 3))
    images = [image.astype(np.uint8) for image in (ramp, checks, dot, page)]
    features = np.stack([oracle_features(image) for image in images])
    np.testing.assert_allclose(
        brisque_features(tensor(images)), features, rtol=2e-6, atol=1e-7, equal_nan=True
    )


@pytest.mark.parametrize("size", [(256, 176), (65, 43), (16, 8)])
def test_scores_do_not_depend_on_the_batch(
    photographs: dict[str, Pixels], size: tuple[int, int]
) -> None:
    images = tensor(crops(photographs, 7, *size))
    alone = torch.cat([brisque(image[None]) for image in images])
    for batch, expected in ((images, alone), (images.flip(0), alone.flip(0))):
        torch.testing.assert_close(brisque(batch), expected, rtol=0, atol=1e-9, equal_nan=True)


def test_blocks_of_any_size_give_the_same_features(
    photographs: dict[str, Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = tensor(crops(photographs, 5, 37, 50))
    expected = brisque_features(images)
    for pixels in (1, 2 * 37 * 50):
        monkeypatch.setattr("fhpt_eval.metrics.brisque._CPU_PIXELS", pixels)
        torch.testing.assert_close(brisque_features(images), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_float_images_score_as_their_levels(
    photographs: dict[str, Pixels], dtype: torch.dtype
) -> None:
    images = tensor(crops(photographs, 4, 96, 80))
    assert torch.equal(brisque(images.to(dtype) / 255), brisque(images))


def test_noise_raises_the_score(photographs: dict[str, Pixels]) -> None:
    images = crops(photographs, 4, 256, 176)
    noisy = [spoilt(image, seed, sigma=40) for seed, image in enumerate(images)]
    assert bool((brisque(tensor(noisy)) > brisque(tensor(images))).all())


def test_blur_raises_the_score(photographs: dict[str, Pixels]) -> None:
    images = crops(photographs, 4, 256, 176)
    blurred = [gaussian_filter(image, (3, 3, 0)) for image in images]
    assert bool((brisque(tensor(blurred)) > brisque(tensor(images))).all())


@pytest.mark.parametrize("level", [0, 1, 128, 255])
@pytest.mark.parametrize("size", [(64, 48), (1, 1)])
def test_a_flat_image_has_no_score(level: int, size: tuple[int, int]) -> None:
    flat = torch.full((1, 3, *size), level, dtype=torch.uint8)
    assert brisque(flat).isnan().all()


def test_an_undefined_image_leaves_its_neighbours_alone(photographs: dict[str, Pixels]) -> None:
    images = tensor(crops(photographs, 3, 64, 44))
    mixed = images.clone()
    mixed[1] = 255
    assert brisque(mixed).isnan().tolist() == [False, True, False]
    assert torch.equal(brisque(mixed)[::2], brisque(images)[::2])


def test_the_images_are_left_alone_and_need_no_gradient(photographs: dict[str, Pixels]) -> None:
    images = (tensor(crops(photographs, 1, 40, 40)).double() / 255).requires_grad_()
    before = images.detach().clone()
    assert not brisque(images).requires_grad
    assert torch.equal(images, before)


def test_images_in_any_memory_layout_score_alike(photographs: dict[str, Pixels]) -> None:
    images = tensor(crops(photographs, 2, 64, 44))
    layout = images.to(memory_format=torch.channels_last)
    assert torch.equal(brisque(layout), brisque(images))


def test_the_model_is_the_one_of_the_release() -> None:
    assert hashlib.sha256(model_bytes()).hexdigest() == MODEL_SHA256
    assert BRISQUE().weights() == {"brisque_live.libsvm": MODEL_SHA256}


def test_the_metric_is_the_function(photographs: dict[str, Pixels]) -> None:
    images = tensor(crops(photographs, 2, 64, 44))
    values = BRISQUE()(images)
    assert isinstance(values, torch.Tensor)
    assert torch.equal(values, brisque(images))


def test_what_is_no_batch_of_images_is_refused() -> None:
    with pytest.raises(ArgumentError, match="images"):
        brisque(torch.zeros(3, 8, 8, dtype=torch.uint8))


@pytest.mark.gpu
def test_a_gpu_gives_the_same_scores(photographs: dict[str, Pixels]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    images = tensor(crops(photographs, 9, 97, 71))
    torch.testing.assert_close(brisque(images.cuda()).cpu(), brisque(images), rtol=0, atol=1e-5)
