"""From pixels and key points to the network's inputs.

Everything here runs on the device of what it is given: a batch travels as bytes and coordinates,
which are a hundredth of the maps that are made of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fhpt_eval.reference_models.drn.model.drn import Inputs, Tensors, crop_faces

#: Standard deviation of a joint's heatmap in a face crop, as a share of the crop's side.
_FACE_SIGMA = 1 / 16


@dataclass(frozen=True)
class Batch(Tensors):
    """N pairs as they are stored, in the frame of the working size H x W.

    Attributes:
        source: ``(N, 3, H, W)`` uint8.
        target: ``(N, 3, H, W)`` uint8; ``None`` where nobody knows it.
        source_points: ``(N, 18, 2)`` float32: x and y, pixel centres at whole numbers, NaN where a
            joint is missing.
        target_points: likewise.
        source_box: ``(N, 4)`` float32 face boxes, as :func:`~.faces.face_boxes` gives them.
        target_box: likewise.
    """

    source: Tensor
    target: Tensor | None
    source_points: Tensor
    target_points: Tensor
    source_box: Tensor
    target_box: Tensor


def to_inputs(batch: Batch, sigma: float, face_size: int) -> Inputs:
    """Return the network's inputs; ``sigma`` is of a joint's heatmap, in pixels.

    Raises nothing: whatever is missing is empty, as :class:`Inputs` says.
    """
    source = to_unit(batch.source)
    height, width = source.shape[-2:]
    face_points = in_box(batch.target_points, batch.target_box, face_size)
    return Inputs(
        source=source,
        source_pose=heatmaps(batch.source_points, height, width, sigma),
        target_pose=heatmaps(batch.target_points, height, width, sigma),
        source_face=crop_faces(source, batch.source_box, face_size),
        target_face_pose=heatmaps(face_points, face_size, face_size, face_size * _FACE_SIGMA),
        face_box=batch.target_box,
    )


def to_unit(image: Tensor) -> Tensor:
    """Return uint8 pixels as float32 in [-1, 1]."""
    return image.float() / 127.5 - 1


def to_bytes(image: Tensor) -> Tensor:
    """Return pixels in [-1, 1] as uint8, rounded to the nearest; beyond is cut."""
    return ((image.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def heatmaps(points: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """Return a Gaussian with maximum 1 around each joint, ``(N, 18, height, width)`` float32.

    The map of a missing joint (NaN) is 0. A Gaussian of x and y is the product of one of x and one
    of y, so a map takes ``height + width`` exponentials and not their product.
    """
    known = ~points.isnan().any(dim=-1, keepdim=True)
    points = points.float().nan_to_num(0.0)

    def along(places: Tensor, size: int) -> Tensor:
        centres = torch.arange(size, dtype=torch.float32, device=places.device)
        return torch.exp(-((centres - places[..., None]) ** 2) / (2 * sigma**2))

    rows = along(points[..., 1], height) * known
    columns = along(points[..., 0], width)
    return rows[..., :, None] * columns[..., None, :]


def in_box(points: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Return points in the frame of a crop ``side`` pixels wide; NaN where there is no box."""
    corner, size = boxes[:, None, :2], (boxes[:, 2:] - boxes[:, :2])[:, None]
    return (points + 0.5 - corner) / size * side - 0.5
