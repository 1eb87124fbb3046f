"""From decoded images to the tensors that metrics and features are shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from fhpt_eval.images.preparation import NAMELESS, Names, Side, Step, prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray


def prepared_tensor(
    images: Sequence[NDArray[np.uint8]],
    steps: Sequence[Step],
    side: Side,
    names: Sequence[Names] = (),
) -> torch.Tensor:
    """Prepare images of one size: ``(N, 3, H, W)``, uint8, or float64 where a resize says so.

    Floats are levels / 255, in [0, 1] but for what a kernel overshoots.
    """
    pairs = zip(images, names or [NAMELESS] * len(images), strict=True)
    stacked = np.stack([prepare(pixels, steps, side, name) for pixels, name in pairs])
    tensor = torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()
    return tensor if tensor.dtype == torch.uint8 else as_floats(tensor)


def as_floats(images: torch.Tensor) -> torch.Tensor:
    """Return levels, uint8 or float32, over 255; float64 images are so already."""
    return images if images.dtype == torch.float64 else images.double().div_(255)
