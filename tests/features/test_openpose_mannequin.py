"""The shipped pose network on drawn people that it was not trained on."""

from __future__ import annotations

from itertools import count, islice
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from fhpt_eval import weights
from fhpt_eval.benchmarks.mannequin import SEEN, VIEWS, render
from fhpt_eval.benchmarks.mannequin.identity import make_person
from fhpt_eval.benchmarks.mannequin.layout import split_of
from fhpt_eval.benchmarks.mannequin.pose import make_pose
from fhpt_eval.features.openpose import MannequinPose, estimate
from fhpt_eval.metrics.pck import pckh_counts

POSE = MannequinPose()
#: Another seed than that of the pictures that it was trained and chosen on.
SEED, PEOPLE = 77, 10
#: In a mirror right joints are left ones.
SWAPPED = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]


class Drawn(NamedTuple):
    """Pictures (N, 3, 256, 176) uint8, and where the joints are that are seen (N, 18, 2)."""

    images: Tensor
    keypoints: NDArray[np.float64]


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    images, keypoints = [], []
    for identity in islice((n for n in count() if split_of(n) == "test"), PEOPLE):
        person = make_person(SEED, identity)
        for view in range(len(VIEWS)):
            drawing = render(person, make_pose(SEED, person, view), 256, 176)
            images.append(drawing.image.transpose(2, 0, 1))
            seen = np.asarray(drawing.visible)[:, None] == SEEN
            keypoints.append(np.where(seen, np.asarray(drawing.keypoints, np.float64), np.nan))
    return Drawn(torch.from_numpy(np.stack(images)), np.stack(keypoints))


@pytest.fixture(scope="module")
def found(drawn: Drawn) -> NDArray[np.float32]:
    return keypoints_in(drawn.images)


def keypoints_in(images: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = POSE.compute(images)["keypoints"].numpy()
    return found


def pckh(found: NDArray[np.float32], target: NDArray[np.float64]) -> float:
    """Share of the joints that are seen which are right."""
    counts = pckh_counts(found, target)
    assert counts.counted.sum() > 300
    return float(counts.correct.sum() / counts.counted.sum())


# docs/openpose.md has its figures on 504 pictures; the bounds leave room for chance in 40.


def test_joints_that_are_seen_are_found(drawn: Drawn, found: NDArray[np.float32]) -> None:
    assert pckh(found, drawn.keypoints) >= 0.93


def test_everybody_is_found_and_found_once(drawn: Drawn, found: NDArray[np.float32]) -> None:
    assert (~np.isnan(found[..., 0])).any(axis=1).all()
    assert [len(estimate(image, POSE)) for image in drawn.images[:8]] == [1] * 8


def test_right_and_left_are_the_person_s_own(drawn: Drawn) -> None:
    """A person in a mirror raises the other arm."""
    mirrored = drawn.keypoints[:, SWAPPED].copy()
    mirrored[..., 0] = 175 - mirrored[..., 0]
    found = keypoints_in(drawn.images.flip(3))
    assert pckh(found, mirrored) >= 0.93
    assert pckh(found, mirrored[:, SWAPPED]) < 0.6


def test_images_of_another_size_have_key_points_in_their_own_pixels(drawn: Drawn) -> None:
    large = interpolate(drawn.images.float(), scale_factor=2, mode="bicubic").clamp(0, 255)
    found = keypoints_in(large.round().to(torch.uint8))
    assert pckh(found, drawn.keypoints * 2 + 0.5) >= 0.93


def test_an_image_has_the_same_bits_alone_and_in_any_place(
    drawn: Drawn, found: NDArray[np.float32]
) -> None:
    some = drawn.images[3:8]
    np.testing.assert_array_equal(keypoints_in(some.flip(0))[::-1], found[3:8])
    np.testing.assert_array_equal(keypoints_in(some[2:3]), found[5:6])


@pytest.mark.parametrize("level", [0, 128, 255])
def test_nobody_is_in_a_blank_image(level: int) -> None:
    blank = torch.full((1, 3, 256, 176), level, dtype=torch.uint8)
    assert np.isnan(keypoints_in(blank)).all()


def test_its_weights_are_part_of_the_package_and_named_by_digest() -> None:
    entry = weights.registered()["mannequin-pose"]
    assert entry.shipped
    assert entry.size is not None
    assert entry.size < 5.5e6
    assert POSE.lacks() == ""
    assert POSE.digests() == {"mannequin-pose": entry.sha256}
    assert weights.find("mannequin-pose").sha256 == entry.sha256
