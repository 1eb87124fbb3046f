"""Models, inputs and drawn pairs that are small enough for a test."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fhpt_eval.benchmarks.mannequin import Drawing, draw
from fhpt_eval.reference_models.drn.configuration import (
    Configuration,
    LossSettings,
    ModelSettings,
)
from fhpt_eval.reference_models.drn.model.drn import Inputs

HEIGHT, WIDTH, FACE = 32, 24, 16


def settings(**changes: Any) -> ModelSettings:
    small: dict[str, Any] = {
        "base_channels": 4, "downsamplings": 2, "blocks": 2, "stem_kernel": 3, "pose_width": 1.0,
        "style_dimension": 8, "style_grid": (2, 1), "appearance_channels": 4,
        "appearance_downsamplings": 2, "detail_channels": 8, "detail_blocks": 1, "face_size": FACE,
        "face_blur_sigma": 1.5, "discriminator_channels": 4, "discriminator_downsamplings": 2,
        "discriminator_blocks": 1,
    }  # fmt: skip
    return ModelSettings(**{**small, **changes})


def configuration(height: int = HEIGHT, width: int = WIDTH, **changes: Any) -> Configuration:
    loss = LossSettings(perceptual_network="random")  # whose weights are always there
    return Configuration(
        name="test", height=height, width=width, model=settings(**changes), loss=loss
    )


def inputs(number: int = 2, height: int = HEIGHT, width: int = WIDTH, size: int = FACE) -> Inputs:
    """Return noise, the same every time, with a face box in the upper half."""
    generator = torch.Generator().manual_seed(7)

    def noise(*shape: int) -> Tensor:
        return torch.rand(number, *shape, generator=generator)

    box = torch.tensor([0.3 * width, 0.1 * height, 0.7 * width, 0.5 * height])
    return Inputs(
        source=noise(3, height, width) * 2 - 1,
        source_pose=noise(18, height, width),
        target_pose=noise(18, height, width),
        source_face=noise(3, size, size) * 2 - 1,
        target_face_pose=noise(18, size, size),
        face_box=box.repeat(number, 1),
    )


def heatmaps(points: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """Return (N, 18, height, width) of points (N, 18, 2), pixel centres at whole numbers."""
    x = torch.arange(width) - points[:, :, :1]  # (N, 18, W)
    y = torch.arange(height) - points[:, :, 1:]  # (N, 18, H)
    across, down = (torch.exp(-(d**2) / (2 * sigma**2)) for d in (x, y))
    return (down[:, :, :, None] * across[:, :, None, :]).float()


def drawn_pairs(number: int, height: int, width: int, size: int) -> tuple[Inputs, Tensor]:
    """Return pairs of the mannequin benchmark, each of another person, with exact poses."""
    from fhpt_eval.reference_models.drn.model.drn import crop_faces

    sources = [draw(0, person, 0, height, width) for person in range(number)]
    targets = [draw(0, person, 1, height, width) for person in range(number)]
    boxes = _boxes(targets)
    points = _points(targets)
    corner, extent = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    in_face = (points + 0.5 - corner) / extent * size - 0.5
    source = _images(sources)
    made = Inputs(
        source=source,
        source_pose=heatmaps(_points(sources), height, width, height / 40),
        target_pose=heatmaps(points, height, width, height / 40),
        source_face=crop_faces(source, _boxes(sources), size),
        target_face_pose=heatmaps(in_face, size, size, size / 10).nan_to_num(0.0),
        face_box=boxes,
    )
    return made, _images(targets)


def _images(drawings: list[Drawing]) -> Tensor:
    stack = np.stack([one.image for one in drawings]).astype(np.float32)
    return torch.from_numpy(stack).permute(0, 3, 1, 2) / 127.5 - 1


def _points(drawings: list[Drawing]) -> Tensor:
    return torch.from_numpy(np.stack([one.keypoints for one in drawings])).float()


def _boxes(drawings: list[Drawing]) -> Tensor:
    """Return face boxes as edges: of pixels whose centres are at whole numbers, plus a half."""
    rows = [one.face_box or (np.nan,) * 4 for one in drawings]
    return torch.tensor(rows, dtype=torch.float32) + 0.5
