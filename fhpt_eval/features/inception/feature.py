"""The feature: from images to what an Inception network says of them.

May import: errors, weights, features.base, torch.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.base import Feature
from fhpt_eval.features.exact import exact
from fhpt_eval.features.inception.load import load_network
from fhpt_eval.features.inception.network import SMALLEST, Network, NetworkName, Outputs
from fhpt_eval.features.inception.resize import RESIZE, ResizeName

#: How far beyond [0, 1] levels may lie: a bicubic kernel overshoots, and scripts feed that.
OVERSHOOT = 0.5
#: Images that pass the network together. Always as many, because the shape decides in which order
#: a library adds. On a CPU 4 were fastest (1: +26 %, 2: +4 %, 8: +4 %, 16: +13 % time an image).
_BATCH_CPU = 4
_BATCH_ACCELERATOR = 32


class Inception(Feature):
    """Pool features and class logits of an Inception network.

    Fields:
        network: which one; see ``network.py``.
        resize: what is done to an image before; see ``resize.py``.
        weights: a registered name or a file, where they are not the network's registered ones.
    """

    name: ClassVar[str] = "inception"

    network: NetworkName = "inception-2015"
    resize: ResizeName = "pytorch-fid"
    weights: str | None = None

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
        self._check(images)
        network = load_network(self.network, self._source, images.device)
        size = _BATCH_CPU if images.device.type == "cpu" else _BATCH_ACCELERATOR
        with torch.no_grad(), exact(images.device):
            parts = [self._batch(network, part, size) for part in torch.split(images, size)]
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        return dict(zip(Outputs._fields, columns, strict=True))

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the network's weights; of registered ones without a file.

        Raises:
            WeightsError: an explicit file is not there.
        """
        return {self.network: weights.digest_of(self._source)}

    def canonical(self) -> dict[str, Any]:
        """See :meth:`Feature.canonical`: of weights the digest counts, not where they lie."""
        return super().canonical() | {
            "parameters": {"network": self.network, "resize": self.resize},
            "weights": sorted(self.digests().values()),
        }

    def lacks(self) -> str:
        """Say which weights are missing on this machine and what would cure it, or nothing."""
        return weights.available(self._source)

    def load(self, device: torch.device) -> None:
        """See :meth:`Feature.load`."""
        load_network(self.network, self._source, device)

    @property
    def _source(self) -> str:
        return self.weights or self.network

    def _batch(self, network: Network, images: Tensor, size: int) -> Outputs:
        """Run up to ``size`` images, the last one repeated to make that many."""
        count = len(images)
        if count < size:
            images = torch.cat([images, images[-1:].expand(size - count, -1, -1, -1)])
        levels = images.float() if images.dtype == torch.uint8 else images.float() * 255
        x = RESIZE[self.resize](levels.contiguous())
        outputs = network(x.contiguous(memory_format=torch.channels_last))
        return Outputs(*(column[:count] for column in outputs))

    def _check(self, images: object) -> None:
        if not isinstance(images, Tensor):
            raise ArgumentError(f"'images' must be a torch.Tensor, not {type(images).__name__}")
        if images.ndim != 4 or images.shape[1] != 3 or images.numel() == 0:
            raise ArgumentError(f"'images' must be (N, 3, H, W), not {tuple(images.shape)}")
        if self.resize == "none" and min(images.shape[2:]) < SMALLEST:
            raise ArgumentError(
                f"'images' must be at least {SMALLEST} x {SMALLEST} where they are not resized, "
                f"not {images.shape[3]} x {images.shape[2]}"
            )
        if images.dtype == torch.uint8:
            return
        if not images.is_floating_point():
            raise ArgumentError(f"'images' must be uint8 or float in [0, 1], not {images.dtype}")
        low, high = images.min().item(), images.max().item()
        if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
            raise ArgumentError(
                f"'images' must lie in [0, 1] (a resize may overshoot by {OVERSHOOT}) or be uint8; "
                f"their values run from {low:g} to {high:g}"
            )
