"""The feature: from images to what an Inception network says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.inception.load import load_network
from fhpt_eval.features.inception.network import SMALLEST, NetworkName
from fhpt_eval.features.inception.resize import RESIZE, ResizeName
from fhpt_eval.features.levels import OVERSHOOT, checked_images
from fhpt_eval.features.network_feature import NetworkFeature

#: Images that pass the network together. Always as many, because the shape decides in which order
#: a library adds. On a CPU 4 were fastest (1: +26 %, 2: +4 %, 8: +4 %, 16: +13 % time an image).
_BATCH_CPU = 4
_BATCH_ACCELERATOR = 32


class Inception(NetworkFeature):
    """Pool features and class logits of an Inception network.

    Fields:
        network: which one; see ``network.py``.
        resize: what is done to an image before; see ``resize.py``.
        weights: a registered name or a file, where they are not the network's registered ones.
    """

    name: ClassVar[str] = "inception"

    network: NetworkName = "inception-2015"
    resize: ResizeName = "pytorch-fid"

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of N images, on their device.

        An image's features do not depend on the other images, nor on its place among them: on a
        CPU not by a single bit.

        Args:
            images: ``(N, 3, H, W)``, uint8 or float in [0, 1], up to :data:`OVERSHOOT` beyond; at
                least 75 x 75 if not resized.

        Returns:
            float32: ``pool`` (N, 2048), ``logits`` (N, K), and ``logits_unbiased`` (N, K), the
            logits without the classifier's bias, as the Inception score of 2016 has them. K is
            1008 for ``inception-2015`` and 1000 for ``inception_v3-imagenet``.

        Raises:
            ArgumentError: the tensor has the wrong type, shape or range.
            WeightsError: the weights are not there, or not this network's.
        """
        batch = self._checked(images)
        network = load_network(self.source, self.network, batch.device)

        def prepare(images: Tensor) -> Tensor:
            levels = images.float() if images.dtype == torch.uint8 else images.float() * 255
            return RESIZE[self.resize](levels.contiguous())

        def run(x: Tensor) -> Mapping[str, Tensor]:
            return network(x.contiguous(memory_format=torch.channels_last))._asdict()

        return run_in_batches(run, batch, _BATCH_CPU, _BATCH_ACCELERATOR, prepare)

    def load(self, device: torch.device) -> None:
        """See :meth:`Feature.load`."""
        load_network(self.source, self.network, device)

    @property
    def registered(self) -> str:
        """See :attr:`NetworkFeature.registered`: each network's weights bear its name."""
        return self.network

    def _checked(self, images: object) -> Tensor:
        batch = checked_images(images, OVERSHOOT)
        if self.resize == "none" and min(batch.shape[2:]) < SMALLEST:
            raise ArgumentError(
                f"'images' must be at least {SMALLEST} x {SMALLEST} where they are not resized, "
                f"not {batch.shape[3]} x {batch.shape[2]}"
            )
        return batch
