"""Convolutional trunks of torchvision's classifiers, cut where a perceptual distance looks in.

- ``alexnet``: Krizhevsky, "One weird trick for parallelizing convolutional neural networks",
  arXiv 1404.5997, 2014.
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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from fhpt_eval.features.loading import module_of, shapes_of

TrunkName = Literal["alexnet", "vgg16", "vgg19", "squeezenet1_1"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """What a trunk is made of.

    ``taps`` are the numbers of the layers whose outputs are returned, ascending, the last of which
    is the end; ``channels`` how many channels each has. ``smallest`` is the least height and width,
    in pixels, for which no map is empty; ``behind`` how the names of torchvision's entries begin
    that lie behind the last tap.
    """

    taps: tuple[int, ...]
    channels: tuple[int, ...]
    smallest: int
    behind: tuple[str, ...] = ()


TRUNKS: Mapping[TrunkName, Architecture] = {
    "alexnet": Architecture((1, 4, 7, 9, 11), (64, 192, 384, 256, 256), smallest=31),
    "vgg16": Architecture((3, 8, 15, 22, 29), (64, 128, 256, 512, 512), smallest=16),
    "vgg19": Architecture(
        (1, 6, 11, 20, 29),
        (64, 128, 256, 512, 512),
        smallest=16,
        behind=("features.30.", "features.32.", "features.34."),
    ),
    "squeezenet1_1": Architecture(
        (1, 4, 7, 9, 10, 11, 12), (64, 128, 256, 384, 384, 512, 512), smallest=17
    ),
}


class Trunk(nn.Module):
    """A classifier's layers up to the last tap; make it with :func:`load_trunk`."""

    def __init__(self, name: TrunkName) -> None:
        super().__init__()
        from torchvision import models  # takes a second to import

        self.taps = TRUNKS[name].taps
        self.features = getattr(models, name)(weights=None).features[: self.taps[-1] + 1]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return ``(N, C, h, w)`` float32 at each tap, not negative, C as in ``channels``.

        The images are ``(N, 3, H, W)`` float32, normalised as the caller wants it; channels-last is
        fastest. Height and width are at least the architecture's ``smallest``.
        """
        maps = []
        for number, layer in enumerate(self.features):
            images = layer(images)
            if number in self.taps:
                maps.append(images)
        return maps


def layout(name: TrunkName) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every entry of a state dict that the trunk reads."""
    with torch.device("meta"):
        return shapes_of(Trunk(name))


def load_trunk(
    name: TrunkName,
    state: Mapping[str, Tensor],
    device: torch.device,
    label: str,
) -> Trunk:
    """Build a trunk of the state dict of the whole classifier, or of its features alone.

    See :meth:`.WeightedNetwork.build`. Entries of the classifier and behind the last tap are passed
    over; there must be no others than those of :func:`layout`.
    """
    passed_over = ("classifier.", *TRUNKS[name].behind)
    trunk = module_of(
        lambda: Trunk(name),
        state,
        label,
        f"torchvision's {name}",
        unused=lambda key: key.startswith(passed_over),
    )
    return trunk.to(device).to(memory_format=torch.channels_last)
