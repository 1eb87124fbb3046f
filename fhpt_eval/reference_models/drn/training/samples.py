"""Sample grids: what the model makes of a few pairs, to be looked at.

A row is a pair: source, target pose, coarse image, final image, ground truth.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.data.batches import Batches, Decoded
from fhpt_eval.reference_models.drn.data.inputs import to_bytes, to_inputs
from fhpt_eval.reference_models.drn.data.pairs import PairSet
from fhpt_eval.reference_models.drn.training.skeleton import draw_skeleton
from fhpt_eval.reference_models.drn.training.trainer import Trainer

#: Pairs of a grid.
_ROWS = 6
#: White pixels between two images.
_GAP = 2


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
    rows, height, width = columns[0].shape[:3]
    grid = np.full(
        (rows * (height + _GAP) - _GAP, len(columns) * (width + _GAP) - _GAP, 3), 255, np.uint8
    )
    for across, column in enumerate(columns):
        for down, image in enumerate(column):
            top, left = down * (height + _GAP), across * (width + _GAP)
            grid[top : top + height, left : left + width] = image
    return grid
