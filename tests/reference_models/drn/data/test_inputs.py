"""Pixels and key points become the network's inputs."""

from __future__ import annotations

import math

import torch

from fhpt_eval.reference_models.drn.data.inputs import (
    Batch,
    heatmaps,
    in_box,
    to_bytes,
    to_inputs,
    to_unit,
)

MISSING = [math.nan, math.nan]


def batch(box: list[float] | None = None) -> Batch:
    """Return a batch of one pair, 20 x 16, of which the target's face box can be chosen."""
    points = torch.full((1, 18, 2), math.nan)
    points[0, 0] = torch.tensor([5.0, 7.0])
    pixels = torch.arange(3 * 20 * 16, dtype=torch.int64).remainder(256).to(torch.uint8)
    image = pixels.reshape(1, 3, 20, 16)
    boxes = torch.tensor([box or [math.nan] * 4])
    return Batch(image, 255 - image, points, points + 1, boxes, boxes)


def test_a_heatmap_is_the_gaussian_of_its_joint() -> None:
    points = torch.tensor([[[4.0, 9.5], MISSING, [-3.0, 40.0]]])
    maps = heatmaps(points, 12, 10, 2.5)
    assert maps.shape == (1, 3, 12, 10)
    for joint, (x, y) in ((0, (4.0, 9.5)), (2, (-3.0, 40.0))):
        for row in range(12):
            for column in range(10):
                wanted = math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * 2.5**2))
                # float32 exponentials and their product.
                assert abs(maps[0, joint, row, column].item() - wanted) < 1e-6
    assert maps[0, 1].eq(0).all()


def test_every_byte_survives_the_way_to_the_network_and_back() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    unit = to_unit(every)
    assert unit.min() == -1
    assert unit.max() == 1
    assert to_bytes(unit).equal(every)


def test_pixels_beyond_the_range_are_cut() -> None:
    assert to_bytes(torch.tensor([-3.0, -1.0, 1.0, 1.7])).tolist() == [0, 0, 255, 255]


def test_points_in_a_face_box_are_in_the_crops_pixels() -> None:
    boxes = torch.tensor([[10.0, 20.0, 30.0, 40.0]])
    points = torch.tensor([[[9.5, 19.5], [19.5, 29.5], [29.5, 39.5]]])
    # The box's corners are the crop's: its first pixel's centre lies half a pixel inside.
    assert in_box(points, boxes, 40).tolist() == [[[-0.5, -0.5], [19.5, 19.5], [39.5, 39.5]]]


def test_the_source_face_is_what_lies_in_the_box() -> None:
    inputs = to_inputs(batch([4.0, 2.0, 12.0, 10.0]), 2.0, 8)
    # Eight pixels wide, as the box is: the crop's pixels are the image's; float32 positions.
    torch.testing.assert_close(
        inputs.source_face, inputs.source[:, :, 2:10, 4:12], atol=1e-4, rtol=0
    )


def test_without_a_face_crop_and_face_pose_are_empty_and_the_box_is_nan() -> None:
    inputs = to_inputs(batch(), 2.0, 8)
    assert inputs.source_face.eq(0).all()
    assert inputs.target_face_pose.eq(0).all()
    assert inputs.face_box.isnan().all()


def test_the_target_pose_is_the_targets_and_its_image_is_the_target() -> None:
    one = batch([4.0, 2.0, 12.0, 10.0])
    inputs = to_inputs(one, 2.0, 8)
    assert inputs.source_pose[0, 0].argmax() == 7 * 16 + 5
    assert inputs.target_pose[0, 0].argmax() == 8 * 16 + 6
    assert inputs.target_face_pose[0, 0].argmax() == 6 * 8 + 2
    assert one.target is not None
    assert to_bytes(to_unit(one.target)).equal(one.target)
