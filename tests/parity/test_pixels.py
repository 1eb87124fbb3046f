"""Pixel metrics against scikit-image, on 64 photographs of 256 x 176 and a few of an odd size.

What is measured lies far below the tolerances, since both sides compute in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fhpt_eval.metrics import L1, PSNR, SSIM, PairMetric
from fhpt_eval.metrics.tensors import to_grey
from tests.parity.conftest import Agree
from tests.support.photographs import Pixels, crops, spoilt, tensor

pytestmark = pytest.mark.parity
Reference = Callable[[Pixels, Pixels], float]

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def ssim(x: Any, y: Any, **arguments: Any) -> float:
    return float(structural_similarity(x, y, **{"channel_axis": 2, "data_range": 255} | arguments))


def grey(image: Pixels) -> Any:
    return to_grey(tensor([image]))[0].numpy()


CASES: dict[str, tuple[PairMetric, Reference]] = {
    "ssim": (SSIM(), lambda x, y: ssim(x, y, **WANG)),
    'ssim, `data_range = "generated"`': (
        SSIM(data_range="generated"),
        lambda x, y: ssim(x, y, **WANG | {"data_range": int(x.max()) - int(x.min())}),
    ),
    "ssim, `size = 9`, `sigma = 1.2`": (
        SSIM(size=9, sigma=1.2),
        lambda x, y: ssim(x, y, **WANG | {"sigma": 1.2}),
    ),
    'ssim, `window = "uniform"`': (SSIM(window="uniform"), ssim),
    'ssim, `window = "uniform"`, `size = 51`': (
        SSIM(window="uniform", size=51),
        lambda x, y: ssim(x / 255, y / 255, win_size=51, data_range=1),
    ),
    'ssim, `channels = "grey"`': (
        SSIM(channels="grey"),
        lambda x, y: ssim(grey(x), grey(y), **WANG | {"channel_axis": None}),
    ),
    "psnr": (PSNR(), lambda x, y: float(peak_signal_noise_ratio(y, x, data_range=255))),
    "l1": (L1(), lambda x, y: float(np.abs(x / 255 - y / 255).mean())),
}


@pytest.mark.parametrize(("count", "height", "width"), [(64, 256, 176), (8, 299, 131)])
@pytest.mark.parametrize("case", CASES)
def test_a_pixel_metric_agrees_with_its_reference(
    agree: Agree, photographs: dict[str, Pixels], case: str, count: int, height: int, width: int
) -> None:
    metric, reference = CASES[case]
    truth = crops(photographs, count, height, width)
    generated = [spoilt(image, seed, 5 + seed % 20) for seed, image in enumerate(truth)]
    expected = [reference(x, y) for x, y in zip(generated, truth, strict=True)]
    x, y = tensor(generated), tensor(truth)
    agree(case, metric(x, y), expected, x)
