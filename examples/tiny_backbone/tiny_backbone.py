"""A network of your own for FID, KID and retrieval: random filters, which nobody trained.

Random filters respond to edges and textures (Amir, Weiss, "Understanding and Simplifying Perceptual
Distances", CVPR 2021), so that rows tell garments apart; put your trained backbone in their place.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor, nn

from fhpt_eval.features import Gift, Network, as_levels, run_in_batches

#: Filters of the last layer; a row has the mean and the deviation of what each one sees.
FILTERS = 48


class TinyBackbone(Network):
    """Means and deviations of 48 random filters over an image.

    Fields:
        seed: of the filters.
    """

    name: ClassVar[str] = "tiny_backbone"
    title: ClassVar[str] = "48 random filters"
    gives: ClassVar[frozenset[Gift]] = frozenset({"rows"})
    dimensions: ClassVar[Mapping[str, int]] = {"embedding": 2 * FILTERS}
    made_for: ClassVar[str] = "any images"

    seed: int = 0

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Return ``embedding`` (N, 96) float32 of ``(N, 3, H, W)`` images, on their device."""
        levels = as_levels(images).contiguous()
        layers = backbone(self.seed, levels.device)

        def run(batch: Tensor) -> dict[str, Tensor]:
            maps = layers(batch.float() / 127.5 - 1).flatten(2)
            return {"embedding": torch.cat([maps.mean(2), maps.std(2)], 1)}

        # Always as many at a time (4 on a CPU, 32 elsewhere): the shape decides the order of sums,
        # and a row must not depend on how many images there are.
        return run_in_batches(run, levels, 4, 32)


@lru_cache(maxsize=4)
def backbone(seed: int, device: torch.device) -> nn.Module:
    """Return the filters, from levels in [-1, 1] to ``(N, 48, h, w)``; the same for each seed."""
    generator = torch.Generator().manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv2d(3, 16, 7, stride=2, padding=3), nn.ReLU(),
        nn.Conv2d(16, FILTERS, 5, stride=2, padding=2), nn.ReLU(),
    )  # fmt: skip
    with torch.no_grad():
        for parameter in layers.parameters():
            deviation = (2 / max(parameter[0].numel(), 50)) ** 0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * deviation)
    return layers.eval().requires_grad_(False).to(device)
