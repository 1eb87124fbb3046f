"""What the field does to an image before Inception sees it.

Every number called FID or Inception score hides one of these; none converts into another. Each
takes N images ``(N, 3, H, W)`` float32 with levels 0..255 and gives ``(N, 3, 299, 299)`` float32
(``none``: the size as it was), of which each image depends on its own pixels only.

- ``pytorch-fid``: bilinear on [0, 1] without antialiasing, pixel centres at half (corners not
  aligned), then 2x - 1. Source: pytorch-fid 0.3.0, ``inception.py``.
- ``tensorflow``: what the TensorFlow graph of 2015 does itself. Bilinear on 0..255, where output
  pixel i samples input position i * (size / 299): up and left of where it should, by up to half a
  pixel; then (x - 128) / 128. Source: TensorFlow 1's ``resize_bilinear``, torch-fidelity 0.4.0.
- ``clean``: Pillow's bicubic with antialiasing, on each channel as float32, clipped to 0..255 but
  not rounded; then (x - 128) / 128. Source: clean-fid 0.1.35, ``resize.py`` (mode "clean") and
  ``inception_torchscript.py``.
- ``none``: 2x - 1 on [0, 1] at the size that the image has. Source: pytorch-fid 0.3.0 with
  ``resize_input=False``.
- ``torchvision``: (x - 0.5) / 0.5 on [0, 1], then bilinear as ``pytorch-fid``: but for rounding the
  same. Source: the Inception score scripts for torchvision's network with
  ``transform_input=False``, such as ``metrics/inception_score.py`` of prasunroy/pose-transfer.
- ``imagenet-mapped``: bilinear as ``pytorch-fid``, then per channel 0.458x - 0.030, 0.448x - 0.088,
  0.450x - 0.188 on [0, 1]: a map meant for images normalised to ImageNet's mean, which these are
  not, so that the network sees dim images between -0.19 and 0.43. Source: pytorch-fid before
  February 2019, and with it the pose-transfer repositories that copied its file (TVF).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

ResizeName = Literal["pytorch-fid", "tensorflow", "clean", "none", "torchvision", "imagenet-mapped"]

#: Height and width that the networks were trained on.
SIDE = 299

#: (scale, offset) of red, green and blue: ImageNet's (deviation, mean - 0.5) over 0.5.
_IMAGENET_MAP = ((0.458, -0.030), (0.448, -0.088), (0.450, -0.188))


def _tensorflow(levels: Tensor) -> Tensor:
    left, right, across = _asymmetric(levels.shape[3], levels.device)
    top, bottom, down = _asymmetric(levels.shape[2], levels.device)
    rows = _between(levels[..., left], levels[..., right], across)
    x = _between(rows[:, :, top], rows[:, :, bottom], down[:, None])
    return (x - 128) / 128


def _clean(levels: Tensor) -> Tensor:
    planes = levels.cpu().numpy().reshape(-1, *levels.shape[2:])
    images = [Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for p in planes]
    resized = np.stack([np.asarray(image) for image in images]).clip(0, 255)
    x = torch.from_numpy(resized).to(levels.device).view(-1, 3, SIDE, SIDE)
    return (x - 128) / 128


def _imagenet_mapped(levels: Tensor) -> Tensor:
    scale, offset = levels.new_tensor(_IMAGENET_MAP).view(3, 2, 1, 1).unbind(1)
    return _bilinear(levels / 255) * scale + offset


RESIZE: Mapping[ResizeName, Callable[[Tensor], Tensor]] = {
    "pytorch-fid": lambda levels: 2 * _bilinear(levels / 255) - 1,
    "tensorflow": _tensorflow,
    "clean": _clean,
    "none": lambda levels: 2 * (levels / 255) - 1,
    "torchvision": lambda levels: _bilinear((levels / 255 - 0.5) / 0.5),
    "imagenet-mapped": _imagenet_mapped,
}


def _bilinear(x: Tensor) -> Tensor:
    resized: Tensor = interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)
    return resized


def _between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    # In TensorFlow's order of operations, which torch.lerp has not.
    return first + (second - first) * share


@lru_cache(maxsize=64)
def _asymmetric(size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return for 299 pixels the input pixels on both sides and the share of the second one.

    In float32, as TensorFlow computes the positions.
    """
    scale = torch.tensor(size / SIDE, dtype=torch.float32)
    position = torch.arange(SIDE, dtype=torch.float32) * scale
    before = position.long()
    after = (before + 1).clamp(max=size - 1)
    return before.to(device), after.to(device), (position - before).to(device)
