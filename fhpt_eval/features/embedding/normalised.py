"""What networks are fed: images of one size, normalised."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import interpolate

Side = Annotated[int, Field(ge=1, le=2048)]
Level = Annotated[float, Field(ge=-10, le=10)]
Deviation = Annotated[float, Field(gt=0, le=10)]

#: Of red, green and blue over ImageNet's training images, levels in [0, 1]; what torchvision and
#: timm state with most of their weights.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class NetworkInput(BaseModel):
    """How an image becomes a network's input.

    Fields:
        size: height and width in pixels. The whole image is resized to it, whatever its shape: a
            crop in the middle, as for ImageNet, would cut off heads and shoes.
        mean, std: of red, green and blue, levels in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    size: tuple[Side, Side] = Field(default=(224, 224), strict=False)
    mean: tuple[Level, Level, Level] = Field(default=IMAGENET_MEAN, strict=False)
    std: tuple[Deviation, Deviation, Deviation] = Field(default=IMAGENET_STD, strict=False)

    def of(self, levels: Tensor) -> Tensor:
        """Return ``(N, 3, H, W)`` uint8 levels as ``(N, 3, *size)`` float32.

        Bicubic with antialiasing (``torch.nn.functional.interpolate``, corners not aligned),
        clipped to [0, 1], less the mean, over the deviation. Images of the size are not resized.
        """
        x = levels.float().contiguous() / 255
        if tuple(x.shape[2:]) != self.size:
            x = interpolate(x, self.size, mode="bicubic", align_corners=False, antialias=True)
            x = x.clamp_(0, 1)
        mean, std = (torch.tensor(three, device=x.device) for three in (self.mean, self.std))
        return (x - mean[:, None, None]) / std[:, None, None]
