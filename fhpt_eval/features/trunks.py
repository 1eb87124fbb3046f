"""Convolutional trunks of ImageNet classifiers, cut open where a perceptual distance looks in.

Needs no torchvision, but reads its state dicts: layers bear the names that they have in
``torchvision.models`` (``features.0.weight``, ``features.3.squeeze.bias``, ...), and entries that
no trunk has a use for, as the classifier's, are passed over.

Architectures, each without its classifier and without the layers behind the last tap:

- ``alexnet``: Krizhevsky, "One weird trick for parallelizing convolutional neural networks",
  arXiv 1404.5997, 2014, with the numbers of channels of torchvision's ``alexnet``.
- ``vgg16``, ``vgg19``: Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale
  Image Recognition", ICLR 2015, configurations D and E.
- ``squeezenet1_1``: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters
  and <0.5MB model size", arXiv 1602.07360, 2016, in its authors' release 1.1.

The taps are those of Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", CVPR 2018: after certain ReLUs, before the pooling that follows. ``vgg19``, which no metric
uses, has those of Gatys et al., "Image Style Transfer Using Convolutional Neural Networks",
CVPR 2016: after the first ReLU of each stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fhpt_eval.features.loading import check_entries, shapes_of

TrunkName = Literal["alexnet", "vgg16", "vgg19", "squeezenet1_1"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a trunk is made of.

    Attributes:
        layers: makes its layers, numbered as torchvision numbers them.
        taps: numbers of the layers whose outputs are returned, ascending.
        channels: how many channels each tap has.
        smallest: the least height and width, in pixels, for which no map is empty.
        behind: how the names of torchvision's entries begin that lie behind the last tap.
    """

    layers: Callable[[], Iterator[nn.Module]]
    taps: tuple[int, ...]
    channels: tuple[int, ...]
    smallest: int
    behind: tuple[str, ...] = ()


class Trunk(nn.Module):
    """A network in evaluation mode and without gradients; make it with :func:`load_trunk`."""

    def __init__(self, name: TrunkName) -> None:
        super().__init__()
        architecture = TRUNKS[name]
        self.taps = architecture.taps
        with torch.device("meta"):  # no memory, and no random numbers drawn for nothing
            self.features = nn.Sequential(*architecture.layers())
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps at the taps.

        Args:
            images: ``(N, 3, H, W)`` float32, normalised as the caller wants it; channels-last is
                fastest. Height and width are at least the architecture's ``smallest``.

        Returns:
            A ``(N, C, h, w)`` float32 tensor per tap, not negative, C as in ``channels``.
        """
        maps = []
        for number, layer in enumerate(self.features):
            images = layer(images)
            if number in self.taps:
                maps.append(images)
        return maps


def layout(name: TrunkName) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every entry of a state dict that the trunk reads."""
    return shapes_of(Trunk(name))


def load_trunk(
    name: TrunkName,
    state: Mapping[str, Tensor],
    device: torch.device,
    label: str,
) -> Trunk:
    """Build a trunk from the state dict of the whole classifier, or of its features alone.

    Args:
        name: which architecture.
        state: tensors by torchvision's names, of any floating type. Those of the classifier and
            behind the last tap are passed over; there must be no others than those of
            :func:`layout`.
        device: where the trunk shall compute.
        label: what an error calls the state dict.

    Raises:
        WeightsError: lists what is missing, unknown, of another shape, or no finite number.
    """
    expected = layout(name)
    passed_over = ("classifier.", *TRUNKS[name].behind)
    check_entries(
        state,
        expected,
        label,
        f"torchvision's {name}",
        unused=lambda key: key.startswith(passed_over),
    )
    trunk = Trunk(name)
    kept = {key: state[key].detach().to(device, torch.float32) for key in expected}
    trunk.load_state_dict(kept, assign=True)
    return trunk.requires_grad_(False).to(memory_format=torch.channels_last)


class _Fire(nn.Module):
    """SqueezeNet's module: few channels by a 1 x 1 convolution, many by 1 x 1 and by 3 x 3."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu_()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1).relu_()


def _alexnet() -> Iterator[nn.Module]:
    yield nn.Conv2d(3, 64, 11, stride=4, padding=2)
    yield nn.ReLU(inplace=True)
    yield nn.MaxPool2d(3, stride=2)
    yield nn.Conv2d(64, 192, 5, padding=2)
    yield nn.ReLU(inplace=True)
    yield nn.MaxPool2d(3, stride=2)
    for inputs, outputs in ((192, 384), (384, 256), (256, 256)):
        yield nn.Conv2d(inputs, outputs, 3, padding=1)
        yield nn.ReLU(inplace=True)


def _vgg16() -> Iterator[nn.Module]:
    yield from _vgg(((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3))


def _vgg19() -> Iterator[nn.Module]:
    # Of the last stage only what the last tap looks at.
    yield from _vgg(((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,)))


def _vgg(stages: Iterable[tuple[int, ...]]) -> Iterator[nn.Module]:
    inputs = 3
    for number, stage in enumerate(stages):
        if number:
            yield nn.MaxPool2d(2)
        for outputs in stage:
            yield nn.Conv2d(inputs, outputs, 3, padding=1)
            yield nn.ReLU(inplace=True)
            inputs = outputs


def _squeezenet1_1() -> Iterator[nn.Module]:
    yield nn.Conv2d(3, 64, 3, stride=2)
    yield nn.ReLU(inplace=True)
    inputs = 64
    for squeezed, expanded, modules in ((16, 64, 2), (32, 128, 2), (48, 192, 2), (64, 256, 2)):
        if squeezed != 64:  # release 1.1 does not pool before its last two modules
            yield nn.MaxPool2d(3, stride=2, ceil_mode=True)
        for _ in range(modules):
            yield _Fire(inputs, squeezed, expanded)
            inputs = 2 * expanded


TRUNKS: Mapping[TrunkName, Architecture] = {
    "alexnet": Architecture(
        _alexnet, taps=(1, 4, 7, 9, 11), channels=(64, 192, 384, 256, 256), smallest=31
    ),
    "vgg16": Architecture(
        _vgg16, taps=(3, 8, 15, 22, 29), channels=(64, 128, 256, 512, 512), smallest=16
    ),
    "vgg19": Architecture(
        _vgg19,
        taps=(1, 6, 11, 20, 29),
        channels=(64, 128, 256, 512, 512),
        smallest=16,
        behind=("features.30.", "features.32.", "features.34."),
    ),
    "squeezenet1_1": Architecture(
        _squeezenet1_1,
        taps=(1, 4, 7, 9, 10, 11, 12),
        channels=(64, 128, 256, 384, 384, 512, 512),
        smallest=17,
    ),
}
