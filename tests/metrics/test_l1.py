"""L1 equals its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fhpt_eval.errors import ProtocolError
from fhpt_eval.metrics import L1
from tests.support.photographs import Pixels, crops, tensor


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


def test_the_scale_is_the_distance_of_black_and_white(photographs: dict[str, Pixels]) -> None:
    x, y = crops(photographs, 2, 37, 23)
    patn = np.abs(2 * (x / 255 - 0.5) - 2 * (y / 255 - 0.5)).mean()
    pg2 = np.abs(x.astype(float) - y).sum() / x.size
    for scale, expected in (("-1..1", patn), ("0..255", pg2)):
        metric = L1.model_validate({"scale": scale})
        np.testing.assert_allclose(metric(tensor([x]), tensor([y])), [expected], rtol=1e-12)


def test_per_sum_divides_by_both_images(photographs: dict[str, Pixels]) -> None:
    x, y = crops(photographs, 2, 37, 23)
    a, b = x / 255, y / 255
    expected = np.abs(a - b).sum() / (a + b).sum()
    value = L1(per="sum")(tensor([x]), tensor([y]))
    np.testing.assert_allclose(value, [expected], rtol=1e-12)


def test_per_sum_of_two_black_images_is_undefined() -> None:
    black = torch.zeros((1, 3, 5, 4), dtype=torch.uint8)
    assert L1(per="sum")(black, black).isnan().all()
    assert L1(per="sum")(black, black + 9).item() == 1


def test_per_sum_has_no_scale() -> None:
    with pytest.raises(ProtocolError, match="leave scale and norm out"):
        L1(per="sum", scale="-1..1")
    with pytest.raises(ProtocolError, match="leave scale and norm out"):
        L1(per="sum", norm="l2")


def test_the_euclidean_length_is_divided_by_the_number_of_values(
    photographs: dict[str, Pixels],
) -> None:
    x, y = crops(photographs, 2, 37, 23)
    expected = np.sqrt(((x.astype(float) - y) ** 2).sum()) / x.size
    value = L1(norm="l2", scale="0..255")(tensor([x]), tensor([y]))
    np.testing.assert_allclose(value, [expected], rtol=1e-12)
