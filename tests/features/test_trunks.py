"""torchvision's trunks against the layers of their papers, written out: the same bits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from fhpt_eval.features.trunks import TRUNKS, TrunkName, layout, load_trunk

State = dict[str, Tensor]

#: Convolutions of VGG's stages by their numbers, up to the last tap, and the taps among them.
VGG: dict[str, Any] = {
    "vgg16": ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)),
    "vgg19": ((0, 2), (5, 7), (10, 12, 14, 16), (19, 21, 23, 25), (28,)),
}


def convolved(x: Tensor, state: State, name: str, stride: int = 1, padding: int = 0) -> Tensor:
    weight = state[f"{name}.weight"].contiguous(memory_format=torch.channels_last)
    return conv2d(x, weight, state[f"{name}.bias"], stride, padding).relu_()


def alexnet(x: Tensor, state: State) -> list[Tensor]:
    maps = [convolved(x, state, "features.0", 4, 2)]
    maps.append(convolved(max_pool2d(maps[-1], 3, 2), state, "features.3", padding=2))
    maps.append(convolved(max_pool2d(maps[-1], 3, 2), state, "features.6", padding=1))
    for number in (8, 10):
        maps.append(convolved(maps[-1], state, f"features.{number}", padding=1))
    return maps


def vgg(x: Tensor, state: State, name: str) -> list[Tensor]:
    maps: list[Tensor] = []
    for stage in VGG[name]:
        x = max_pool2d(x, 2) if maps else x
        outputs = []
        for number in stage:
            x = convolved(x, state, f"features.{number}", padding=1)
            outputs.append(x)
        maps.append(outputs[0] if name == "vgg19" else outputs[-1])
    return maps


def squeezenet(x: Tensor, state: State) -> list[Tensor]:
    maps = [convolved(x, state, "features.0", 2)]
    for stage in ((3, 4), (6, 7), (9,), (10,), (11,), (12,)):
        x = max_pool2d(maps[-1], 3, 2, ceil_mode=True) if stage[0] in (3, 6, 9) else maps[-1]
        for number in stage:
            fire = f"features.{number}"
            x = convolved(x, state, f"{fire}.squeeze")
            wide = convolved(x, state, f"{fire}.expand3x3", padding=1)
            x = torch.cat([convolved(x, state, f"{fire}.expand1x1"), wide], 1)
        maps.append(x)
    return maps


@pytest.mark.parametrize("name", TRUNKS)
@pytest.mark.parametrize(("count", "height", "width"), [(2, 97, 71), (1, 64, 44)])
@torch.no_grad()
def test_torchvisions_layers_are_those_of_the_papers_to_the_bit(
    name: TrunkName, count: int, height: int, width: int
) -> None:
    generator = torch.Generator().manual_seed(0)
    state = {
        entry: torch.randn(shape, generator=generator) / max(1, shape[0]) ** 0.5
        for entry, shape in layout(name).items()
    }
    x = torch.randn(count, 3, height, width, generator=generator)
    x = x.contiguous(memory_format=torch.channels_last)
    trunk = load_trunk(name, state, torch.device("cpu"), "random")
    expected = {"alexnet": alexnet, "squeezenet1_1": squeezenet}.get(name)
    written_out = expected(x, state) if expected else vgg(x, state, name)
    maps = trunk(x.clone(memory_format=torch.channels_last))
    assert len(maps) == len(written_out) == len(TRUNKS[name].taps)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(maps, written_out, strict=True))
    assert all(bool(layer.any()) for layer in maps)


@pytest.mark.parametrize("name", TRUNKS)
def test_the_smallest_image_has_maps_and_a_smaller_one_has_none(name: TrunkName) -> None:
    architecture = TRUNKS[name]
    assert all(before < after for before, after in pairwise(architecture.taps))
    state = {entry: torch.zeros(shape) for entry, shape in layout(name).items()}
    trunk = load_trunk(name, state, torch.device("cpu"), "zeros")
    side = architecture.smallest
    maps = trunk(torch.zeros(1, 3, side, side))
    assert [layer.shape[1] for layer in maps] == list(architecture.channels)
    with pytest.raises(RuntimeError):
        trunk(torch.zeros(1, 3, side - 1, side - 1))
