"""A stream gives what a metric over sets gives of all images at once."""

from __future__ import annotations

import pytest
import torch

from fhpt_eval.errors import ArgumentError
from fhpt_eval.metrics import SSIM, FeatureSetMetric, Stream
from tests.support.patches import PatchFID, PatchKID, PatchScore

GENERATOR = torch.Generator().manual_seed(0)
GENERATED, REAL = (
    torch.randint(0, 256, (count, 3, 16, 12), generator=GENERATOR, dtype=torch.uint8)
    for count in (14, 21)
)


@pytest.mark.parametrize(
    "metric", [PatchFID(), PatchKID(subsets=3, subset_size=9), PatchScore(splits=2)], ids=type
)
def test_batches_give_the_value_of_all_images_at_once(metric: FeatureSetMetric) -> None:
    stream = Stream(metric)
    for ours, theirs in zip(GENERATED.split(4), REAL.split(6), strict=True):
        stream.update(ours, theirs)
    assert stream.compute() == pytest.approx(metric(GENERATED, REAL), rel=1e-12)


def test_a_reset_forgets_all_batches() -> None:
    stream = Stream(PatchFID())
    stream.update(255 - GENERATED, REAL)
    stream.reset()
    stream.update(GENERATED, REAL)
    assert stream.compute() == PatchFID()(GENERATED, REAL)


def test_a_batch_that_is_refused_adds_nothing() -> None:
    stream = Stream(PatchFID())
    stream.update(GENERATED, REAL)
    with pytest.raises(ArgumentError, match="'ground_truth' is missing"):
        stream.update(GENERATED)
    assert stream.compute() == PatchFID()(GENERATED, REAL)


def test_a_metric_of_pairs_is_called_and_not_streamed() -> None:
    with pytest.raises(ArgumentError, match="ssim judges each pair: call it"):
        Stream(SSIM())


def test_keys_are_one_for_each_image() -> None:
    with pytest.raises(ArgumentError, match="'keys' must hold 14 names, not 1"):
        PatchFID().add(PatchFID().empty(), GENERATED, REAL, keys=["a"])
