"""D_A and D_S score patches, and look at what they are shown beside the image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from fhpt_eval.reference_models.drn.model.drn import Discriminators, PatchDiscriminator
from fhpt_eval.reference_models.drn.training import losses
from tests.support import drn_models as tiny

#: Channels of what D_A and D_S are shown beside the image.
CONDITIONS = [3, 18]


def given(channels: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    condition = torch.rand(2, channels, 32, 24, generator=generator)
    return condition, torch.rand(2, 3, 32, 24, generator=generator)


@pytest.mark.parametrize("channels", CONDITIONS)
@pytest.mark.parametrize("downsamplings", [1, 3])
def test_scores_are_of_patches(channels: int, downsamplings: int) -> None:
    network = PatchDiscriminator(channels, tiny.settings(discriminator_downsamplings=downsamplings))
    scores = network(*given(channels))
    assert scores.shape == (2, 1, 32 >> downsamplings, 24 >> downsamplings)


@pytest.mark.parametrize("channels", CONDITIONS)
def test_both_the_condition_and_the_image_matter(channels: int) -> None:
    network = PatchDiscriminator(channels, tiny.settings())
    condition, image = given(channels)
    scores = network(condition, image)
    assert not torch.allclose(network(condition.flip(3), image), scores, atol=1e-4)
    assert not torch.allclose(network(condition, image.flip(3)), scores, atol=1e-4)


@pytest.mark.parametrize("channels", CONDITIONS)
def test_gradients_reach_every_parameter_and_the_image(channels: int) -> None:
    network = PatchDiscriminator(channels, tiny.settings())
    condition, image = given(channels)
    image.requires_grad_()
    losses.discriminator_loss(network(condition, image), network(condition, image * 0.5)).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert image.grad is not None
    assert (image.grad != 0).any()


def test_scores_are_not_squeezed_into_a_range_and_are_float32_under_bfloat16() -> None:
    network = PatchDiscriminator(18, tiny.settings())
    last = network.layers[-1]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.constant_(last.bias, 5.0)
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(*given(18))
    assert scores.dtype == torch.float32
    assert scores.max() > 1


@pytest.mark.parametrize("blocks", [0, 2])
def test_it_has_as_many_residual_blocks_as_is_set(blocks: int) -> None:
    from fhpt_eval.reference_models.drn.model.drn import ResidualBlock

    network = PatchDiscriminator(3, tiny.settings(discriminator_blocks=blocks))
    assert sum(isinstance(m, ResidualBlock) for m in network.modules()) == blocks


def test_the_source_is_what_one_is_shown_and_the_pose_the_other() -> None:
    both = Discriminators(tiny.settings())
    source, image = given(3)
    pose, _ = given(18)
    appearance, posed = both(source, pose, image)
    assert appearance.equal(both.appearance(source, image))
    assert posed.equal(both.pose(pose, image))
