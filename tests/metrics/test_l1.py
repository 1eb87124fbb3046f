"""L1 equals its definition."""

from __future__ import annotations

import numpy as np
import torch

from fhpt_eval.metrics import L1
from tests.conftest import Pixels, crops, tensor


def test_l1_is_the_mean_absolute_difference_of_images_in_0_to_1(
    photographs: dict[str, Pixels],
) -> None:
    x, y = crops(photographs, 2, 37, 23)
    expected = np.abs(x.astype(float) - y).mean() / 255
    np.testing.assert_allclose(L1()(tensor([x]), tensor([y])), [expected], rtol=1e-12)


def test_black_against_white_is_one() -> None:
    black = torch.zeros((2, 3, 5, 4), dtype=torch.uint8)
    assert L1()(black, black + 255).tolist() == [1.0, 1.0]


def test_float_images_give_the_value_of_their_levels(photographs: dict[str, Pixels]) -> None:
    x, y = (tensor([image]) for image in crops(photographs, 2, 33, 21))
    np.testing.assert_allclose(L1()(x / 255, y / 255), L1()(x, y), rtol=1e-6)
