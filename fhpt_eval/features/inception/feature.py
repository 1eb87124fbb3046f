"""From images to what an Inception network says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.inception.network import FEATURES, SMALLEST, InceptionName, build_network
from fhpt_eval.features.inception.network import Network as _Layers
from fhpt_eval.features.inception.resize import RESIZE, ResizeName
from fhpt_eval.features.levels import OVERSHOOT, checked_images
from fhpt_eval.features.networks import Gift
from fhpt_eval.features.weighted import WeightedNetwork

#: Images that pass the network together. Always as many, because the shape decides in which order
#: a library adds. On a CPU 4 were fastest (1: +26 %, 2: +4 %, 8: +4 %, 16: +13 % time an image).
_BATCH_CPU = 4
_BATCH_ACCELERATOR = 32


class Inception(WeightedNetwork):
    """Pool features and class logits of an Inception network; see ``network.py`` for the two.

    Fields:
        resize: what is done to an image before; see ``resize.py``.
        weights: a registered name or a file, where they are not the network's registered ones.
    """

    name: ClassVar[InceptionName]
    gives: ClassVar[frozenset[Gift]] = frozenset({"rows", "logits"})
    dimensions: ClassVar[Mapping[str, int]] = {"pool": FEATURES}
    made_for: ClassVar[str] = "photographs"
    takes_floats: ClassVar[bool] = True

    resize: ResizeName = "pytorch-fid"

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of N images, on their device.

        Args:
            images: ``(N, 3, H, W)``, uint8 or float in [0, 1], up to :data:`OVERSHOOT` beyond; at
                least 75 x 75 if not resized.

        Returns:
            float32: ``pool`` (N, 2048), ``logits`` (N, K), and ``logits_unbiased`` (N, K), the
            logits without the classifier's bias, as the Inception score of 2016 has them. K is
            1008 for ``inception-2015`` and 1000 for ``inception_v3-imagenet``.
        """
        batch = self._checked(images)
        network: _Layers = self.loaded(batch.device)

        def prepare(images: Tensor) -> Tensor:
            levels = images.float() if images.dtype == torch.uint8 else images.float() * 255
            return RESIZE[self.resize](levels.contiguous())

        def run(x: Tensor) -> Mapping[str, Tensor]:
            return network(x.contiguous(memory_format=torch.channels_last))._asdict()

        return run_in_batches(run, batch, _BATCH_CPU, _BATCH_ACCELERATOR, prepare)

    @classmethod
    def build(cls, state: Mapping[str, Tensor], device: torch.device, label: str) -> _Layers:
        return build_network(cls.name, state, device, label)

    def _checked(self, images: object) -> Tensor:
        batch = checked_images(images, OVERSHOOT)
        if self.resize == "none" and min(batch.shape[2:]) < SMALLEST:
            raise ArgumentError(
                f"'images' must be at least {SMALLEST} x {SMALLEST} where they are not resized, "
                f"not {batch.shape[3]} x {batch.shape[2]}"
            )
        return batch


class Inception2015(Inception):
    """The network on which FID, KID and the Inception score were defined; K is 1008."""

    name: ClassVar[InceptionName] = "inception-2015"
    title: ClassVar[str] = "Inception of 2015 (TensorFlow's)"
    registered: ClassVar[str] = "inception-2015"
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "Szegedy et al., CVPR 2016; weights as used by Heusel et al., 2017"


class InceptionImageNet(Inception):
    """torchvision's network of the same design; K is 1000."""

    name: ClassVar[InceptionName] = "inception_v3-imagenet"
    title: ClassVar[str] = "Inception v3 (torchvision's)"
    registered: ClassVar[str] = "inception_v3-imagenet"
    licence: ClassVar[str] = "BSD-3-Clause; ImageNet's terms may apply to the weights"
    citation: ClassVar[str] = "Szegedy et al., CVPR 2016"
