"""What every network takes: a batch of images, checked."""

from __future__ import annotations

import pytest
import torch

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.levels import OVERSHOOT, as_levels, checked_images
from fhpt_eval.testing.clauses import bad_images

IMAGES = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).reshape(2, 3, 4, 5)


@pytest.mark.parametrize("fault", bad_images(IMAGES))
def test_what_is_no_batch_of_images_is_refused_by_the_arguments_name(fault: str) -> None:
    for check in (as_levels, checked_images):
        with pytest.raises(ArgumentError, match="'images'"):
            check(bad_images(IMAGES)[fault])


def test_levels_are_those_that_floats_stand_for() -> None:
    assert torch.equal(as_levels(IMAGES), IMAGES)
    for kind in (torch.float16, torch.float32, torch.float64):
        assert torch.equal(as_levels((IMAGES.double() / 255).to(kind)), IMAGES)


@pytest.mark.parametrize("level", [1.0000001, 1 + 9e-7, -1e-7])
def test_what_rounding_took_beyond_the_range_is_clipped(level: float) -> None:
    images = checked_images(torch.full((1, 3, 4, 4), level))
    assert images.min() >= 0
    assert images.max() <= 1


def test_what_lies_further_beyond_the_range_is_refused_with_all_its_digits() -> None:
    with pytest.raises(ArgumentError, match=r"from 0.5 to 1.00001"):
        checked_images(torch.tensor([0.5, 1.00001] * 24).reshape(1, 3, 4, 4))


def test_what_a_resize_leaves_may_lie_beyond_white() -> None:
    bright = torch.full((1, 3, 4, 4), 1.25)
    assert checked_images(bright, OVERSHOOT) is bright
    with pytest.raises(ArgumentError, match=r"lie in \[0, 1\] or be uint8; .* from 1.25 to 1.25"):
        checked_images(bright)
    with pytest.raises(ArgumentError, match="a resize may overshoot by 0"):
        checked_images(bright + 1, OVERSHOOT)
