"""LPIPS: the distance of two images in the feature maps of a network.

Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018 ("the paper" below), and its authors' package ``lpips`` 0.1.4 ("the
release"). What the networks are, and how much each channel weighs, is in features.perceptual.

Precision: float32 in the network, as in the release, whose sums over channels and positions have
another order; float64 from the mean over positions on.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from fhpt_eval.features.networks import Gift, Network
from fhpt_eval.metrics.base import Direction, PairMetric
from fhpt_eval.metrics.networks import NetworkMetric, Text

#: Added to the length of a feature vector before dividing by it (the release).
_EPSILON = 1e-10

#: Pixels of both images that go through an accelerator at once: VGG-16's first maps of so many
#: take half a gigabyte each. A CPU takes pair by pair: larger batches gain next to nothing there,
#: and some convolutions choose another order of sums for another batch size.
_ACCELERATOR_PIXELS = 2**21


class LPIPS(NetworkMetric, PairMetric):
    """Learned perceptual distance: differences of unit-length features, weighted per channel.

    Parameters:
        network: one that gives maps, such as ``"alex"`` (AlexNet), ``"vgg"`` (VGG-16) or
            ``"squeeze"`` (SqueezeNet 1.1).
        network_weights: a registered name or a file with torchvision's state dict, where they are
            not the registered ones.
        release, scale: of these three; see
            :class:`fhpt_eval.features.perceptual.PerceptualTrunk`.

    Agrees with ``lpips`` 0.1.4.
    """

    name: ClassVar[str] = "lpips"
    title: ClassVar[str] = "LPIPS"
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    undefined_when: ClassVar[str] = "the image is too small for the network"
    wants: ClassVar[Gift] = "maps"
    of_network: ClassVar[tuple[str, ...]] = ("release", "scale")

    network: Text = "alex"
    release: Text | None = None
    scale: Text | None = None

    def rests_on(self) -> tuple[Network]:
        return (self.chosen(),)

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` float64, at least 0; NaN where the image is too small for the network.

        Raises:
            WeightsError: there are no weights, or they are not the network's.
        """
        network = self.chosen()
        count, _, height, width = generated.shape
        if min(height, width) < network.smallest:
            return torch.full((count,), math.nan, dtype=torch.float64, device=generated.device)
        pairs = 1
        if generated.device.type != "cpu":
            pairs = max(1, _ACCELERATOR_PIXELS // (2 * height * width))
        sides = (torch.split(images, pairs) for images in (generated, ground_truth))
        with torch.inference_mode():
            blocks = map(torch.cat, zip(*sides, strict=True))
            values = [_distance(network, block) for block in blocks]
        return torch.cat(values)


def _distance(network: Network, images: Tensor) -> Tensor:
    """Compare the first half of the images with the second: ``(N,)`` float64 of ``(2 N, ...)``."""
    maps = network.maps(images)
    weights = network.channel_weights(images.device) or (None,) * len(maps)
    layers = zip(maps, weights, strict=True)
    return torch.stack([_layer_distance(layer, each) for layer, each in layers]).sum(0)


def _layer_distance(maps: Tensor, weights: Tensor | None) -> Tensor:
    """Return the distance in one layer (paper, equation 1), ``(N,)`` of ``(2 N, C, h, w)``.

    The paper scales channels before it squares, the release after; its weights are the squares.
    Without weights all channels count alike.
    """
    vectors = maps.permute(0, 2, 3, 1)  # channels side by side in memory, if the maps are so
    lengths = vectors.square().sum(-1, keepdim=True).sqrt_().add_(_EPSILON)
    x, y = (vectors / lengths).chunk(2)
    squares = (x - y).square_()
    if weights is None:
        weights = torch.ones(squares.shape[-1], device=squares.device)
    return (squares @ weights).mean((1, 2), dtype=torch.float64)
