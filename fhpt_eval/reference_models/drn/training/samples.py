"""Sample grids: what the model makes of a few pairs, to be looked at.

A row is a pair: source, target pose, coarse image, final image, ground truth.
"""

from __future__ import annotations

import colorsys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.utils import make_grid

from fhpt_eval.features.openpose.layout import COCO_18
from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.data.batches import Batches, Decoded
from fhpt_eval.reference_models.drn.data.inputs import to_bytes, to_inputs
from fhpt_eval.reference_models.drn.data.pairs import PairSet
from fhpt_eval.reference_models.drn.training.trainer import Trainer

#: Pairs of a grid.
_ROWS = 6
#: White pixels between two images.
_GAP = 2
#: Joints at the ends of each limb: OpenPose's, in its order, but for those that join no person.
LIMBS = tuple((limb.start, limb.end) for limb in COCO_18.limbs if limb.founds)
#: Half of a limb's width, as a share of the image's height.
_RADIUS = 1 / 80


class Samples:
    """A few pairs, evenly spread over their list and the same in every grid."""

    def __init__(
        self,
        data: PairSet,
        configuration: Configuration,
        device: torch.device,
        decoders: ThreadPoolExecutor,
    ) -> None:
        """Decode them.

        Raises:
            InputError: an image cannot be decoded.
        """
        self._configuration, self._device = configuration, device
        size = configuration.height, configuration.width
        count = min(_ROWS, len(data))
        rows = np.arange(count, dtype=np.int64) * len(data) // count
        # One further each time: lists often go through everybody's views in the same order.
        if rows[-1] + count <= len(data):
            rows += np.arange(count)
        pixels = Decoded(data.people, *size, decoders)
        self._batch = Batches(data, pixels, *size)(rows)

    def draw(self, trainer: Trainer) -> NDArray[np.uint8]:
        """Return a grid of what the model draws now, ``(rows, columns, 3)`` uint8.

        In the coarse stage the final image is the coarse one, as the details know nothing yet.
        """
        configuration, batch = self._configuration, self._batch
        inputs = to_inputs(batch.to(self._device), configuration.heatmap_sigma,
                           configuration.model.face_size)  # fmt: skip
        trainer.model.eval()
        with torch.no_grad(), trainer.autocast():
            outputs = trainer.model(inputs, coarse_only=trainer.coarse_only)
        trainer.model.train()
        assert batch.target is not None  # noqa: S101 - grids are of pairs whose targets are there
        size = configuration.height, configuration.width
        poses = [draw_skeleton(points, *size) for points in batch.target_points.numpy()]
        columns = [
            batch.source,
            torch.from_numpy(np.stack(poses)).permute(0, 3, 1, 2),
            to_bytes(outputs.coarse).cpu(),
            to_bytes(outputs.final).cpu(),
            batch.target,
        ]
        return grid_of([column.permute(0, 2, 3, 1).cpu().numpy() for column in columns])


def grid_of(columns: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Put columns of images ``(rows, H, W, 3)`` side by side, with white gaps between them."""
    images = torch.from_numpy(np.stack(columns, axis=1)).flatten(0, 1).permute(0, 3, 1, 2)
    framed = make_grid(images, nrow=len(columns), padding=_GAP, pad_value=255).permute(1, 2, 0)
    grid: NDArray[np.uint8] = framed[_GAP:-_GAP, _GAP:-_GAP].numpy()
    return grid


def draw_skeleton(points: NDArray[np.floating], height: int, width: int) -> NDArray[np.uint8]:
    """Draw a person's limbs on black, ``(height, width, 3)`` uint8; each has a hue of its own.

    Points are ``(18, 2)``: x and y in pixels, NaN where a joint is missing; a limb is drawn where
    both of its ends are there.
    """
    image = np.zeros((height, width, 3))
    rows, columns = np.mgrid[:height, :width]
    places = np.stack([columns, rows], axis=-1).astype(np.float64)
    for number, (start, end) in enumerate(LIMBS):
        if np.isnan(points[[start, end]]).any():
            continue
        distance = _to_segment(places, points[start], points[end])
        # Less than a pixel around the edge the limb is half there.
        cover = np.clip(max(1.0, height * _RADIUS) + 0.5 - distance, 0, 1)[..., None]
        colour = np.array(colorsys.hsv_to_rgb(number / len(LIMBS), 0.85, 1.0)) * 255
        image = image * (1 - cover) + colour * cover
    return image.round().astype(np.uint8)


def _to_segment(
    places: NDArray[np.float64], start: NDArray[np.floating], end: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the distance of each place ``(H, W, 2)`` to a line segment."""
    along = end - start
    length = float(along @ along)
    share = np.clip((places - start) @ along / length, 0, 1) if length else np.zeros(1)
    distance: NDArray[np.float64] = np.linalg.norm(
        places - start - share[..., None] * along, axis=-1
    )
    return distance
