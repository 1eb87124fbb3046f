"""The pieces of the networks, and the pose transfer branch that is made of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from fhpt_eval.reference_models.drn.model import drn as blocks
from fhpt_eval.reference_models.drn.model.drn import PoseAttentionalBlock, PoseTransferBranch
from fhpt_eval.reference_models.drn.model.extensions import EvenDoubling
from tests.support import drn_models as tiny


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 5), (1, 3)])
def test_halving_rounds_up(height: int, width: int) -> None:
    found = blocks.halving(2, 3)(torch.rand(1, 2, height, width))
    assert found.shape == (1, 3, math.ceil(height / 2), math.ceil(width / 2))


def test_doubling_gives_every_pixel_as_many_terms() -> None:
    layer = blocks.doubling(1, 1)
    nn.init.ones_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    found = layer(torch.ones(1, 1, 5, 4))
    assert found.shape == (1, 1, 10, 8)
    assert (found[0, 0, 1:-1, 1:-1] == 4).all()  # no checkerboard


def even(inputs: int, outputs: int) -> EvenDoubling:
    torch.manual_seed(0)
    return EvenDoubling(inputs, outputs)


def test_an_even_doubling_gives_an_even_image_of_an_even_one_whatever_its_weights() -> None:
    found = even(3, 4)(torch.full((2, 3, 6, 5), 0.7))[:, :, 1:-1, 1:-1]  # padding ends at 1 pixel
    assert found.std((2, 3)).max() < 1e-6
    torch.manual_seed(0)
    usual = blocks.doubling(3, 4)(torch.full((2, 3, 6, 5), 0.7))[:, :, 1:-1, 1:-1]
    assert usual.std((2, 3)).max() > 1e-2  # what a transposed convolution does


def test_an_even_doubling_repeats_pixels_and_convolves_by_3_by_3() -> None:
    """Its kernels are all those, and only those, that the two steps together can have."""
    small = torch.randn(3, 4, 3, 3)
    box = torch.ones(1, 1, 2, 2)
    layer = even(3, 4)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    together = conv2d(small.flatten(0, 1)[:, None], box, padding=1).reshape(3, 4, 4, 4)
    with torch.no_grad():
        layer.weight.copy_(together)
    torch.testing.assert_close(layer.kernels(), together)
    x = torch.randn(2, 3, 6, 5)
    pixels = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    # A transposed convolution turns its kernels about.
    torch.testing.assert_close(
        layer(x), conv2d(pixels, small.flip(2, 3).transpose(0, 1), padding=1), atol=1e-4, rtol=1e-4
    )
    assert torch.linalg.matrix_rank(even(20, 1).kernels().reshape(20, 16)) == 9


def test_an_encoder_halves_and_doubles() -> None:
    found = blocks.encoder(5, 4, downsamplings=3, stem_kernel=7)(torch.rand(2, 5, 32, 16))
    assert found.shape == (2, 4 * 8, 4, 2)


def test_normalised_layers_have_mean_zero_and_deviation_one_before_the_rectifier() -> None:
    layer = blocks.normalised(blocks.convolution(3, 4))
    found = layer[:2](torch.rand(2, 3, 16, 12) * 9 - 3)
    torch.testing.assert_close(found.mean((2, 3)), torch.zeros(2, 4), atol=1e-5, rtol=0)
    # The variance that is divided by has 1e-5 added to it.
    torch.testing.assert_close(found.std((2, 3), correction=0), torch.ones(2, 4), atol=1e-3, rtol=0)


def test_a_drawing_layer_starts_with_a_tenth_of_the_usual_weights() -> None:
    torch.manual_seed(0)
    usual = blocks.convolution(64, 3, 7)
    torch.manual_seed(0)
    found = blocks.to_colours(64, 7)
    torch.testing.assert_close(found.weight * 10, usual.weight)
    assert found.bias is not None
    assert (found.bias == 0).all()


@pytest.mark.parametrize(("height", "width"), [(8, 6), (7, 5)])
def test_residual_halving_is_its_formula(height: int, width: int) -> None:
    block = blocks.ResidualHalving(3, 4)
    x = torch.randn(2, 3, height, width)

    def leaky(values: Tensor) -> Tensor:
        return torch.maximum(values, 0.2 * values)

    long = block.second(leaky(block.first(leaky(x))))
    short = conv2d(avg_pool2d(x, 2, ceil_mode=True), block.shortcut.weight)
    torch.testing.assert_close(block(x), (long + short) / math.sqrt(2))
    assert long.shape == (2, 4, math.ceil(height / 2), math.ceil(width / 2))


def test_a_residual_block_adds_its_change() -> None:
    block = blocks.ResidualBlock(4)
    x = torch.randn(2, 4, 6, 5)
    torch.testing.assert_close(block(x), x + block.change(x))


def test_a_pose_attentional_block_is_its_formula() -> None:
    block = PoseAttentionalBlock(channels=4, pose_channels=8, hidden=3)
    image, pose = torch.randn(2, 4, 6, 5), torch.randn(2, 8, 6, 5)
    found_image, found_pose = block(image, pose)
    steps = block.pose_path(pose)
    updated = image + 1 / (1 + torch.exp(-steps)) * block.image_path(image)
    torch.testing.assert_close(found_image, updated)
    torch.testing.assert_close(found_pose, torch.cat([steps, updated], dim=1))


def test_where_the_mask_is_shut_the_image_code_stays() -> None:
    block = PoseAttentionalBlock(4, 4, 4)
    last = block.pose_path[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.constant_(last.bias, -100.0)
    image = torch.randn(1, 4, 6, 5)
    assert torch.equal(block(image, torch.randn(1, 4, 6, 5))[0], image)


@pytest.mark.parametrize("downsamplings", [1, 2])
def test_the_pose_branch_draws_at_full_size_from_features_at_a_fraction(downsamplings: int) -> None:
    branch = PoseTransferBranch(tiny.settings(downsamplings=downsamplings))
    x = tiny.inputs()
    image, features = branch(x.source, x.source_pose, x.target_pose)
    share = 2**downsamplings
    assert branch.channels == 4 * share
    assert features.shape == (2, 4 * share, tiny.HEIGHT // share, tiny.WIDTH // share)
    assert image.shape == x.source.shape
    assert image.abs().max() <= 1


def test_the_pose_branch_looks_at_each_of_its_inputs() -> None:
    branch = PoseTransferBranch(tiny.settings())
    x = tiny.inputs()
    given = [x.source, x.source_pose, x.target_pose]
    image = branch(*given).image
    for number in range(3):
        changed = [values.flip(3) if at == number else values for at, values in enumerate(given)]
        assert not torch.allclose(branch(*changed).image, image, atol=1e-4)


def test_a_saturated_colour_keeps_a_gradient_under_bfloat16() -> None:
    """bfloat16 rounds tanh(4) to 1, whose gradient 1 - 1 is none: the network would be stuck."""
    branch = PoseTransferBranch(tiny.settings())
    last = branch.decoder[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.constant_(last.bias, 4.0)
    x = tiny.inputs()
    with torch.autocast("cpu", torch.bfloat16):
        image = branch(x.source, x.source_pose, x.target_pose).image
    assert image.dtype == torch.float32
    image.mean().backward()
    assert last.bias.grad is not None
    assert (last.bias.grad > 1e-5).all()
