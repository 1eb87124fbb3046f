"""Adaptive instance normalisation equals its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fhpt_eval.reference_models.drn.model.drn import (
    EPSILON,
    AdaptiveInstanceNorm,
    AdaptiveLayer,
    AdaptiveResidualBlock,
    convolution,
    normalisation,
)
from fhpt_eval.reference_models.drn.model.extensions import PlainInstanceNorm


def test_it_equals_its_definition() -> None:
    """Written with loops in float64; float32 is good for 1e-5 of values of order one."""
    norm = AdaptiveInstanceNorm(3, 5)
    x, style = torch.randn(2, 3, 7, 5) * 4 + 2, torch.randn(2, 5)
    found = norm(x, style).detach().numpy()
    weight, bias = (p.detach().double().numpy() for p in norm.affine.parameters())
    for row in range(2):
        learnt = weight @ style[row].double().numpy() + bias  # scales, then biases
        for channel in range(3):
            values = x[row, channel].double().numpy()
            deviation = np.sqrt(((values - values.mean()) ** 2).mean() + EPSILON)
            scale, shift = 1 + learnt[channel], learnt[3 + channel]
            expected = scale * (values - values.mean()) / deviation + shift
            np.testing.assert_allclose(found[row, channel], expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.5, 20), st.floats(-10, 10), st.integers(0, 99))
def test_brightness_and_contrast_of_what_comes_in_do_not_matter(
    contrast: float, brightness: float, seed: int
) -> None:
    torch.manual_seed(seed)
    norm = AdaptiveInstanceNorm(2, 3)
    x, style = torch.randn(1, 2, 8, 9), torch.randn(1, 3)
    # Not exactly: epsilon is added to the variance, and float32 cancels at the mean's height.
    torch.testing.assert_close(
        norm(x * contrast + brightness, style), norm(x, style), atol=2e-4, rtol=0
    )


def test_mean_and_deviation_are_the_styles() -> None:
    norm = AdaptiveInstanceNorm(4, 6)
    x, style = torch.randn(3, 4, 16, 16), torch.randn(3, 6)
    found = norm(x, style)
    scale, bias = norm.affine(style).chunk(2, dim=1)
    torch.testing.assert_close(found.mean((2, 3)), bias, atol=1e-5, rtol=1e-5)
    deviation = found.std((2, 3), correction=0)
    torch.testing.assert_close(deviation, (1 + scale).abs(), atol=1e-4, rtol=1e-4)


def test_each_image_is_normalised_alone() -> None:
    norm = AdaptiveInstanceNorm(4, 6)
    x, style = torch.randn(3, 4, 8, 8), torch.randn(3, 6)
    torch.testing.assert_close(norm(x, style)[1:2], norm(x[1:2], style[1:2]))


def test_the_plain_one_has_one_affine_for_all_images_and_no_ear_for_style() -> None:
    norm = PlainInstanceNorm(4, EPSILON)
    x = torch.randn(3, 4, 8, 8)
    assert sorted(name for name, _ in norm.named_parameters()) == ["norm.bias", "norm.weight"]
    assert torch.equal(norm(x, None), norm(x, torch.randn(3, 6)))
    adaptive = AdaptiveInstanceNorm(4, 6)
    torch.testing.assert_close(norm(x, None), adaptive(x, torch.zeros(3, 6)))


@pytest.mark.parametrize("style_dimension", [None, 6])
def test_a_layer_is_convolution_normalisation_rectifier(style_dimension: int | None) -> None:
    layer = AdaptiveLayer(convolution(3, 4), style_dimension)
    x = torch.randn(2, 3, 6, 5)
    style = None if style_dimension is None else torch.randn(2, 6)
    expected = layer.norm(layer.layer(x), style).clamp(min=0)
    torch.testing.assert_close(layer(x, style), expected)


def test_a_residual_block_is_its_formula() -> None:
    block = AdaptiveResidualBlock(4, 6)
    x, style = torch.randn(2, 4, 6, 5), torch.randn(2, 6)
    inner = block.first.norm(block.first.layer(x), style).clamp(min=0)
    torch.testing.assert_close(block(x, style), x + block.norm(block.second(inner), style))


def test_the_choice_of_a_normalisation_is_by_the_style_code() -> None:
    assert isinstance(normalisation(4, None), PlainInstanceNorm)
    assert isinstance(normalisation(4, 8), AdaptiveInstanceNorm)
