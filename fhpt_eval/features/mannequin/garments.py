"""From images to what the garment network says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.levels import OVERSHOOT, checked_images
from fhpt_eval.features.loading import module_of
from fhpt_eval.features.mannequin.garment_network import (
    EMBEDDING,
    POOL,
    GarmentNetwork,
    Outputs,
    resized,
)
from fhpt_eval.features.networks import Gift
from fhpt_eval.features.perceptual import scaled
from fhpt_eval.features.weighted import WeightedNetwork

#: The name of the weights in the registry.
REGISTERED = "mannequin-garments"
#: Images that pass the network together. Always as many, because the shape decides in which order
#: a library adds.
_BATCH_CPU, _BATCH_ACCELERATOR = 4, 32


class Garments(WeightedNetwork):
    """What the garment network of the mannequin benchmark says of the clothes in an image.

    Fields:
        weights: a registered name or a file, where they are not the shipped ones.
    """

    name: ClassVar[str] = "mannequin"
    title: ClassVar[str] = "Garments of the mannequin benchmark"
    gives: ClassVar[frozenset[Gift]] = frozenset({"rows", "logits", "maps"})
    dimensions: ClassVar[Mapping[str, int]] = {"pool": POOL, "embedding": EMBEDDING}
    made_for: ClassVar[str] = "drawn people"
    takes_floats: ClassVar[bool] = True
    registered: ClassVar[str] = REGISTERED
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "this package; docs/mannequin-networks.md"

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of N images in one pass, on their device.

        An image's features do not depend on the other images, nor on its place among them: on a
        CPU not by a single bit.

        Args:
            images: ``(N, 3, H, W)``, uint8 or float in [0, 1], up to :data:`OVERSHOOT` beyond.
                Images that are not 256 x 176 are resized to that: see ``garment_network.resized``.

        Returns:
            float32: ``pool`` (N, 128); ``logits`` (N, 77) of the classes, which are pairs of a kind
            and a texture of the upper garment, and ``logits_unbiased`` (N, 77), without biases; see
            ``garment_network.Outputs``; ``embedding`` (N, 64), of length 1, alike for pictures of
            the same clothes.

        Raises:
            ArgumentError: the tensor has the wrong type, shape or range.
            WeightsError: the weights are not there, or not this network's.
        """
        batch = checked_images(images, OVERSHOOT)
        network: GarmentNetwork = self.loaded(batch.device)

        def prepare(images: Tensor) -> Tensor:
            # On [0, 1]; the division is made for uint8 only, so that floats stay what they are.
            x = images.float() / 255 if images.dtype == torch.uint8 else images.float()
            return resized(x.contiguous())

        def run(x: Tensor) -> Mapping[str, Tensor]:
            outputs: Outputs = network(x)
            return outputs._asdict()

        return run_in_batches(run, batch, _BATCH_CPU, _BATCH_ACCELERATOR, prepare)

    def maps(self, images: Tensor) -> list[Tensor]:
        """See :meth:`Network.maps`: the four stages, of images of any size, which are resized.

        Nobody's judgements have weighed their channels: all count alike.
        """
        checked_images(images, OVERSHOOT)
        network: GarmentNetwork = self.loaded(images.device)
        gain = torch.ones(3, 1, 1, device=images.device)
        return network.maps(scaled(images, gain, torch.zeros_like(gain)))

    @classmethod
    def build(cls, state: Mapping[str, Tensor], device: torch.device, label: str) -> GarmentNetwork:
        """See :meth:`WeightedNetwork.build`; gradients pass through it to images."""
        network = module_of(GarmentNetwork, state, label, "the network of drawn garments")
        return network.to(device).to(memory_format=torch.channels_last)
