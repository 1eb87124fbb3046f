"""What networks are fed, images of one size, normalised; and what they give: rows, checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import BaseModel, Field
from torch import Tensor
from torch.nn.functional import interpolate

from fhpt_eval.errors import WeightsError

Side = Annotated[int, Field(ge=1, le=2048)]
Level = Annotated[float, Field(ge=-10, le=10)]
Deviation = Annotated[float, Field(gt=0, le=10)]

#: Of red, green and blue over ImageNet's training images, levels in [0, 1]; what torchvision and
#: timm state with most of their weights.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class NormalisedInput(BaseModel):
    """The settings of a network that is fed images of one size, normalised.

    Fields:
        input_size: height and width in pixels. The whole image is resized to it, whatever its
            shape: a crop in the middle, as for ImageNet, would cut off heads and shoes.
        input_mean, input_std: of red, green and blue, levels in [0, 1].
    """

    input_size: tuple[Side, Side] = Field(default=(224, 224), strict=False)
    input_mean: tuple[Level, Level, Level] = Field(default=IMAGENET_MEAN, strict=False)
    input_std: tuple[Deviation, Deviation, Deviation] = Field(default=IMAGENET_STD, strict=False)

    def normalised(self, levels: Tensor) -> Tensor:
        """Return ``(N, 3, H, W)`` uint8 levels as ``(N, 3, *input_size)`` float32."""
        return normalised(levels, self.input_size, self.input_mean, self.input_std)


def normalised(
    levels: Tensor, size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Return ``(N, 3, H, W)`` uint8 levels as ``(N, 3, *size)`` float32.

    Bicubic with antialiasing (``torch.nn.functional.interpolate``, corners not aligned), clipped to
    [0, 1], less the mean, over the deviation. Images of the size are not resized.
    """
    x = levels.float().contiguous() / 255
    if tuple(x.shape[2:]) != size:
        x = interpolate(x, size, mode="bicubic", align_corners=False, antialias=True)
        x = x.clamp_(0, 1)
    means, deviations = (torch.tensor(three, device=x.device) for three in (mean, std))
    return (x - means[:, None, None]) / deviations[:, None, None]


def vectors(output: object, count: int, label: str) -> Tensor:
    """Return what a network gave for ``count`` images as ``(count, D)`` float32.

    Raises:
        WeightsError: that is not what it gave; ``label`` names the network.
    """
    if not isinstance(output, Tensor):
        raise WeightsError(f"{label} gives a {type(output).__name__}; rows are one tensor (N, D).")
    if output.ndim != 2 or len(output) != count or not output.shape[1]:
        raise WeightsError(
            f"{label} gives {tuple(output.shape)} for {count} image; rows are (N, D): "
            "pool feature maps and flatten them inside the network."
        )
    if not output.is_floating_point():
        raise WeightsError(f"{label} gives {output.dtype}; rows are floats.")
    if not output.isfinite().all():
        raise WeightsError(f"{label} gives values that are no finite numbers.")
    return output.float()
