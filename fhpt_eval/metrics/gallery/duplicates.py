"""Images that are saved anew: the same picture under another name, in another format or size."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fhpt_eval.features.base import Feature
from fhpt_eval.features.levels import as_levels

#: Cells along each side of a thumbnail, red, green and blue of each.
_SIDE = 8
CELLS = 3 * _SIDE * _SIDE
#: Levels (0..255) by which two thumbnails of one picture differ at most, in root mean square. Saved
#: as JPEG of quality 25 or more, as WebP, at half or twice the size, 144 DeepFashion photographs
#: moved by at most 2.1; no two different ones were nearer than 15 (docs/metrics/retrieval.md).
WITHIN = 2.5
#: Products that are held at a time.
_BLOCK = 2**22


class Thumbnail(Feature):
    """The mean levels of 8 x 8 cells of an image, which tell whether two show one picture."""

    name: ClassVar[str] = "thumbnail"

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return ``thumbnail``, ``(N, 192)`` uint8, of ``(N, 3, H, W)`` images.

        Raises:
            ArgumentError: the tensor has the wrong type, shape or range.
        """
        levels = as_levels(images).double()
        height, width = levels.shape[2:]
        down, across = (_overlaps(size).to(levels.device) for size in (height, width))
        # Whole numbers up to here, so that no order of sums moves a level.
        means = (down @ levels @ across.T) / (height * width)
        return {"thumbnail": means.round().to(torch.uint8).flatten(1)}


@lru_cache(maxsize=16)
def _overlaps(size: int) -> Tensor:
    """Return how much of each of N pixels lies in each of 8 cells, ``(8, N)``, in eighths."""
    cells = torch.arange(_SIDE)[:, None] * size
    pixels = torch.arange(size)[None] * _SIDE
    ends = torch.minimum(cells + size, pixels + _SIDE)
    return (ends - torch.maximum(cells, pixels)).clamp(min=0).double()


def near_duplicates(
    queries: NDArray[np.uint8], gallery: NDArray[np.uint8]
) -> list[NDArray[np.int64]]:
    """Return for each query the rows of the gallery whose picture is its own, ascending.

    All arithmetic is of whole numbers, so that no order of sums moves a limit.

    Args:
        queries: ``(Q, 192)`` thumbnails.
        gallery: ``(G, 192)``.
    """
    distinct, places = np.unique(queries, axis=0, return_inverse=True)
    shown = gallery.astype(np.float64)
    own = np.square(shown).sum(axis=1)
    limit = CELLS * WITHIN**2
    rows: list[NDArray[np.int64]] = []
    step = max(1, _BLOCK // max(1, len(gallery)))
    for start in range(0, len(distinct), step):
        block = distinct[start : start + step].astype(np.float64)
        squares = np.square(block).sum(axis=1)[:, None] + own - 2 * (block @ shown.T)
        rows += [np.flatnonzero(row <= limit) for row in squares]
    return [rows[place] for place in places.ravel().tolist()]
