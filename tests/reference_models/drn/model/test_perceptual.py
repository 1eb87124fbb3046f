"""Networks behind the perceptual and the style loss."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from fhpt_eval import weights
from fhpt_eval.errors import WeightsError
from fhpt_eval.features.mannequin.garments import GarmentNetwork, Garments
from fhpt_eval.features.trunks import layout
from fhpt_eval.reference_models.drn.configuration import PerceptualName
from fhpt_eval.reference_models.drn.model.extensions import Summary
from fhpt_eval.reference_models.drn.model.perceptual import (
    SUMMARY_LENGTHS,
    PerceptualNetwork,
    perceptual_network,
)


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.fixture
def vgg_state() -> dict[str, Tensor]:
    """Random weights in the layout of torchvision's file, with what lies behind the last tap."""
    generator = torch.Generator().manual_seed(2)
    shapes = layout("vgg19")
    state = {
        name: torch.randn(shape, generator=generator) * (0.05 if len(shape) == 4 else 0.1)
        for name, shape in shapes.items()
    }
    for unused in ("features.30.weight", "features.34.bias", "classifier.0.weight"):
        state[unused] = torch.zeros(1)
    return state


def check_maps(network: PerceptualNetwork, images: Tensor, channels: list[int]) -> None:
    images = images.clone().requires_grad_()
    found = network(images)
    assert [one.shape[1] for one in found] == channels
    assert all(later.shape[2] < one.shape[2] for one, later in pairwise(found))
    torch.stack([one.mean() for one in found]).sum().backward()
    assert images.grad is not None
    assert (images.grad != 0).any()
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert not network.training


def test_the_random_network_is_the_same_every_time_and_says_what_it_is(images: Tensor) -> None:
    one = perceptual_network("random", "cpu")
    state = torch.random.get_rng_state()
    torch.manual_seed(99)
    other = perceptual_network("random", "cpu")
    torch.random.set_rng_state(state)
    check_maps(one, images, [16, 32, 64, 128])
    assert all(torch.equal(a, b) for a, b in zip(one(images), other(images), strict=True))
    assert one.record == other.record
    assert one.record["network"] == "random"
    assert "never trained" in one.record["weights"]


def test_the_random_networks_signal_neither_fades_nor_grows(images: Tensor) -> None:
    scales = [
        one.square().mean().sqrt().item() for one in perceptual_network("random", "cpu")(images)
    ]
    assert max(scales) / min(scales) < 4


@pytest.mark.parametrize("name", ["random", "mannequin"])
def test_a_summary_has_its_length_and_tells_images_apart(
    name: PerceptualName, images: Tensor
) -> None:
    summary = Summary(name)
    assert list(summary.state_dict()) == list(summary.parameters()) == []
    found = summary(images)
    assert found.shape == (len(images), SUMMARY_LENGTHS[name])
    assert not found.requires_grad
    torch.testing.assert_close(found.mean(1), torch.zeros(len(images)), atol=1e-5, rtol=0)
    again = summary(images.flip(0)).flip(0)
    torch.testing.assert_close(again, found, atol=1e-4, rtol=1e-4)
    assert (found[0] - found[1]).abs().max() > 0.01


def test_a_summary_draws_no_random_numbers(images: Tensor) -> None:
    """It is loaded in the midst of a step, and in that of another one when a training goes on."""
    before = torch.random.get_rng_state()
    Summary("random")(images)
    assert torch.random.get_rng_state().equal(before)


def test_a_summary_asked_in_inference_mode_leaves_the_network_fit_for_training() -> None:
    with torch.inference_mode():
        Summary("mannequin")(torch.zeros(1, 3, 128, 88))
    image = torch.zeros(1, 3, 32, 24, requires_grad=True)
    perceptual_network("mannequin", "cpu")(image)[0].sum().backward()
    assert image.grad is not None


def test_vgg19_gives_the_first_relu_of_each_stage(
    images: Tensor, vgg_state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "load_state", lambda _: vgg_state)
    monkeypatch.setattr(weights, "digest_of", lambda _: "0" * 64)
    network = perceptual_network("vgg19-imagenet", "cpu")
    check_maps(network, images, [64, 128, 256, 512, 512])
    assert network.record == {
        "network": "vgg19-imagenet",
        "weights": "0" * 64,
        "maps": "relu1_1, relu2_1, relu3_1, relu4_1, relu5_1",
    }
    assert Summary("vgg19-imagenet")(images).shape == (2, SUMMARY_LENGTHS["vgg19-imagenet"])
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    x = ((images + 1) / 2 - mean) / deviation
    number, expected = 0, []
    for convolutions in (2, 2, 4, 4, 1):  # configuration E, as far as relu5_1
        for position in range(convolutions):
            weight, bias = (vgg_state[f"features.{number}.{kind}"] for kind in ("weight", "bias"))
            x = conv2d(x, weight, bias, padding=1).clamp(min=0)
            number += 2  # a convolution and its ReLU
            if position == 0:
                expected.append(x)
        if convolutions > 1:  # behind the last one nothing is looked at
            x = max_pool2d(x, 2)
            number += 1
    for found, wanted in zip(network(images), expected, strict=True):
        # float32 sums of up to 4,608 terms in another order, layer upon layer.
        torch.testing.assert_close(found, wanted, atol=1e-5 * wanted.max().item(), rtol=0)


def test_without_its_weights_vgg19_says_how_to_get_them(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match="vgg19-imagenet"):
        perceptual_network("vgg19-imagenet", "cpu")


def test_the_mannequin_network_is_a_garment_network_and_not_the_one_that_scores(
    images: Tensor,
) -> None:
    network = perceptual_network("mannequin", "cpu")
    check_maps(network, images, list(GarmentNetwork.taps_channels))
    assert network.record["network"] == "mannequin"
    assert network.record["weights"] == weights.digest_of("mannequin-perceptual")
    assert network.record["weights"] != weights.digest_of("mannequin-garments")
    own = Garments(weights="mannequin-perceptual").loaded(torch.device("cpu"))
    expected = own.stages((images + 1) / 2)
    assert expected[0].shape[2:] == (16, 12)  # half of what came in, which was not enlarged
    for found, wanted in zip(network(images), expected, strict=True):
        torch.testing.assert_close(found, wanted)
