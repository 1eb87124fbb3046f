"""PSNR agrees with scikit-image and with its formula."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from fhpt_eval.metrics import PSNR
from tests.support.photographs import Pixels, calibration, crops, spoilt, tensor


@pytest.mark.parametrize("size", [(256, 176), (97, 71), (1, 1)])
def test_psnr_equals_scikit_image(photographs: dict[str, Pixels], size: tuple[int, int]) -> None:
    truth = crops(photographs, 4, *size)
    generated = [spoilt(image, seed, sigma=40) for seed, image in enumerate(truth)]
    expected = [
        peak_signal_noise_ratio(y, x, data_range=255) for x, y in zip(generated, truth, strict=True)
    ]
    np.testing.assert_allclose(
        PSNR()(tensor(generated), tensor(truth)).numpy(), np.array(expected), rtol=1e-12
    )


def test_one_level_off_everywhere_is_48_dB() -> None:  # noqa: N802 - the unit's own spelling
    truth = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    expected = 20 * math.log10(255)
    np.testing.assert_allclose(PSNR()(truth + 1, truth), [expected], rtol=1e-12)


def test_equal_images_give_infinity() -> None:
    truth = torch.zeros((1, 3, 8, 8), dtype=torch.uint8)
    assert PSNR()(truth, truth) == math.inf


def test_float_images_give_the_value_of_their_levels(photographs: dict[str, Pixels]) -> None:
    x, y = (tensor([image]) for image in crops(photographs, 2, 33, 21))
    np.testing.assert_allclose(PSNR()(x / 255, y / 255), PSNR()(x, y), rtol=1e-6)


@pytest.mark.parametrize("image", ["I03", "I04", "I06"])
def test_psnr_equals_the_calibration_values(fixtures: Path, image: str) -> None:
    pair, expected, tolerance = calibration(fixtures, "psnr", image)
    assert PSNR()(*pair).item() == pytest.approx(expected, abs=tolerance)


def test_the_overflow_is_that_of_uint8_arrays(photographs: dict[str, Pixels]) -> None:
    truth = crops(photographs, 4, 97, 71)
    generated = [spoilt(image, seed, sigma=40) for seed, image in enumerate(truth)]
    wrapped = [((x - y) ** 2).mean() for x, y in zip(generated, truth, strict=True)]
    values = PSNR(overflow="uint8")(tensor(generated), tensor(truth))
    np.testing.assert_allclose(values, 20 * np.log10(255) - 10 * np.log10(wrapped), rtol=1e-12)
    assert (values > PSNR()(tensor(generated), tensor(truth)) + 3).all()


def test_the_overflow_sees_the_levels_of_float_images(photographs: dict[str, Pixels]) -> None:
    x, y = (tensor([image]) for image in crops(photographs, 2, 33, 21))
    metric = PSNR(overflow="uint8")
    np.testing.assert_allclose(metric(x / 255, y / 255), metric(x, y), rtol=1e-12)


def test_differences_of_16_levels_overflow_to_nothing() -> None:
    truth = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    assert PSNR(overflow="uint8")(truth + 16, truth) == math.inf
