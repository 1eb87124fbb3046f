"""The feature: from images to what the garment network says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.levels import OVERSHOOT, checked_images
from fhpt_eval.features.loading import check_entries, loaded_once, shapes_of
from fhpt_eval.features.mannequin.garment_network import GarmentNetwork, Outputs, resized
from fhpt_eval.features.network_feature import NetworkFeature

#: The name of the weights in the registry, which is also the feature's.
REGISTERED = "mannequin-garments"
#: Images that pass the network together. Always as many, because the shape decides in which order
#: a library adds.
_BATCH_CPU, _BATCH_ACCELERATOR = 4, 32


class Garments(NetworkFeature):
    """What the garment network of the mannequin benchmark says of the clothes in an image.

    Fields:
        weights: a registered name or a file, where they are not the shipped ones.
    """

    name: ClassVar[str] = REGISTERED

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
        network = load_garments(self.source, batch.device)

        def prepare(images: Tensor) -> Tensor:
            # On [0, 1]; the division is made for uint8 only, so that floats stay what they are.
            x = images.float() / 255 if images.dtype == torch.uint8 else images.float()
            return resized(x.contiguous())

        def run(x: Tensor) -> Mapping[str, Tensor]:
            outputs: Outputs = network(x)
            return outputs._asdict()

        return run_in_batches(run, batch, _BATCH_CPU, _BATCH_ACCELERATOR, prepare)

    def load(self, device: torch.device) -> None:
        """See :meth:`Feature.load`."""
        load_garments(self.source, device)

    @property
    def registered(self) -> str:
        """See :attr:`NetworkFeature.registered`."""
        return REGISTERED


@loaded_once(4)
def load_garments(source: str, device: torch.device) -> GarmentNetwork:
    """Return the network with the weights of ``source``, a registered name or a file.

    Each is loaded once per process and device, however many threads ask at the same time; a file
    that has changed is another. Its parameters need no gradients and must not be changed; gradients
    pass through it to images.

    Raises:
        WeightsError: there are no such weights, or they are not of this network.
    """
    return build_garments(weights.load_state(source), device, source)


def build_garments(state: Mapping[str, Tensor], device: torch.device, label: str) -> GarmentNetwork:
    """Make a network of a state dict, by whose ``label`` errors call it.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
    """
    with torch.device("meta"):
        network = GarmentNetwork()
    expected = shapes_of(network)
    check_entries(state, expected, label, "the network of drawn garments")
    network.load_state_dict({name: state[name].float() for name in expected}, assign=True)
    network.eval().requires_grad_(False)
    return network.to(device).to(memory_format=torch.channels_last)
