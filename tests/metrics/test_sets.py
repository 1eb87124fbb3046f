"""FID, KID and IS keep the contract of metrics, on features that cost nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from fhpt_eval.features.base import Feature
from fhpt_eval.metrics import FID, KID, FeatureSetMetric, InceptionScore
from fhpt_eval.testing import check_metric


class Patches(Feature):
    """Means of a 2 x 2 grid of patches, in place of a network's features."""

    name: ClassVar[str] = "patches"

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        means = torch.nn.functional.adaptive_avg_pool2d(images.double() / 255, 2).flatten(1)
        return {"pool": means, "logits": means * 9, "logits_unbiased": means * 10}


class PatchFID(FID):
    """FID of patches."""

    def features(self) -> Mapping[str, Feature]:
        return {"inception": Patches()}


class PatchKID(KID):
    """KID of patches."""

    def features(self) -> Mapping[str, Feature]:
        return {"inception": Patches()}


class PatchScore(InceptionScore):
    """Inception score of patches."""

    def features(self) -> Mapping[str, Feature]:
        return {"inception": Patches()}


@pytest.mark.parametrize(
    "metric", [PatchFID(), PatchFID(ground_truth="pairs"), PatchScore(splits=1)], ids=type
)
def test_a_metric_over_sets_conforms(metric: FeatureSetMetric) -> None:
    check_metric(metric)


def test_kid_conforms_with_one_subset_of_all_images() -> None:
    """Subsets go by the order of keys, which the kit turns round: only the whole set is alike."""
    check_metric(PatchKID(subsets=1, subset_size=6))
