"""Metrics over sets on features that cost nothing: means of patches in place of a network's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from fhpt_eval.features.base import Feature
from fhpt_eval.metrics import FID, KID, FIDInfinity, InceptionScore


class Patches(Feature):
    """Means of a 2 x 2 grid of patches; counts the images that it has seen."""

    name: ClassVar[str] = "patches"
    seen: ClassVar[list[int]] = []

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        """See :meth:`Feature.compute`."""
        self.seen.append(len(images))
        unit = images.double() / (255 if images.dtype == torch.uint8 else 1)
        means = torch.nn.functional.adaptive_avg_pool2d(unit, 2).flatten(1)
        return {"pool": means, "logits": means * 9, "logits_unbiased": means * 10}


class PatchFID(FID):
    """FID of patches."""

    @property
    def dimensions(self) -> int:
        """See :attr:`NetworkMetric.dimensions`."""
        return 12

    def features(self) -> Mapping[str, Feature]:
        """See :meth:`FeatureMetric.features`."""
        return {"network": Patches()}


class PatchFIDInfinity(FIDInfinity):
    """FID of patches, extrapolated."""

    @property
    def dimensions(self) -> int:
        """See :attr:`NetworkMetric.dimensions`."""
        return 12

    def features(self) -> Mapping[str, Feature]:
        """See :meth:`FeatureMetric.features`."""
        return {"network": Patches()}


class PatchKID(KID):
    """KID of patches."""

    @property
    def dimensions(self) -> int:
        """See :attr:`NetworkMetric.dimensions`."""
        return 12

    def features(self) -> Mapping[str, Feature]:
        """See :meth:`FeatureMetric.features`."""
        return {"network": Patches()}


class PatchScore(InceptionScore):
    """Inception score of patches."""

    def features(self) -> Mapping[str, Feature]:
        """See :meth:`FeatureMetric.features`."""
        return {"network": Patches()}
