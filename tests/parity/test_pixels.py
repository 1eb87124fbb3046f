"""Pixel metrics against scikit-image on 64 photographs of 256 x 176: a table of differences.

``make parity`` prints it. Tolerances are those that the project promises; what is measured lies far
below them, since both sides compute in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fhpt_eval.metrics import L1, PSNR, SSIM, PairMetric
from fhpt_eval.metrics.tensors import to_grey
from tests.conftest import Pixels, crops, spoilt, tensor

pytestmark = pytest.mark.parity
Reference = Callable[[Pixels, Pixels], float]

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def ssim(x: Any, y: Any, **arguments: Any) -> float:
    return float(structural_similarity(x, y, **{"channel_axis": 2, "data_range": 255} | arguments))


def grey(image: Pixels) -> Any:
    return to_grey(tensor([image]))[0].numpy()


CASES: dict[str, tuple[PairMetric, Reference, float]] = {
    "ssim gaussian 11, sigma 1.5": (SSIM(), lambda x, y: ssim(x, y, **WANG), 1e-6),
    "ssim gaussian, range of the generated image": (
        SSIM(data_range="generated"),
        lambda x, y: ssim(x, y, **WANG | {"data_range": int(x.max()) - int(x.min())}),
        1e-6,
    ),
    "ssim gaussian 9, sigma 1.2": (
        SSIM(size=9, sigma=1.2),
        lambda x, y: ssim(x, y, **WANG | {"sigma": 1.2}),
        1e-6,
    ),
    "ssim uniform 7": (SSIM(window="uniform"), lambda x, y: ssim(x, y), 1e-6),
    "ssim uniform 51 on floats": (
        SSIM(window="uniform", size=51),
        lambda x, y: ssim(x / 255, y / 255, win_size=51, data_range=1),
        1e-6,
    ),
    "ssim gaussian, grey": (
        SSIM(channels="grey"),
        lambda x, y: ssim(grey(x), grey(y), **WANG | {"channel_axis": None}),
        1e-6,
    ),
    "psnr": (PSNR(), lambda x, y: float(peak_signal_noise_ratio(y, x, data_range=255)), 1e-6),
    "l1": (L1(), lambda x, y: float(np.abs(x / 255 - y / 255).mean()), 1e-6),
}


@pytest.fixture(scope="module")
def pairs(photographs: dict[str, Pixels]) -> tuple[list[Pixels], list[Pixels]]:
    truth = crops(photographs, 64, 256, 176)
    return [spoilt(image, seed, 5 + seed % 20) for seed, image in enumerate(truth)], truth


@pytest.mark.parametrize("case", CASES)
def test_a_pixel_metric_agrees_with_its_reference(
    pairs: tuple[list[Pixels], list[Pixels]], case: str
) -> None:
    metric, reference, tolerance = CASES[case]
    generated, truth = pairs
    values_there = [reference(x, y) for x, y in zip(*pairs, strict=True)]
    expected = torch.tensor(values_there, dtype=torch.float64)
    values = metric(tensor(generated), tensor(truth))
    difference = (values - expected).abs().max().item()
    print(f"\n{case:<46}largest difference {difference:.1e}, allowed {tolerance:.0e} ", end="")
    assert difference <= tolerance
