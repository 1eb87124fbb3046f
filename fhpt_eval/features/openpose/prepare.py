"""What an image is made into before OpenPose sees it.

Sources: ``src/body.py`` of Hzzone/pytorch-openpose (size, kernel, padding, channels),
``uCharCvMatToFloatPtr`` in ``src/openpose/utilities/openCv.cpp`` of
CMU-Perceptual-Computing-Lab/openpose (x / 256 - 0.5), ``tool/compute_coordinates.py`` of
tengteng95/Pose-Transfer (x / 255 - 0.5).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.levels import checked_images
from fhpt_eval.features.openpose.network import STRIDE

#: Largest height and width of a network's input, in pixels.
MAX_SIDE = 4096
#: Level of the padding, which is 0 for the network where levels are divided by 256.
_PADDING = 128


def float_levels(images: object) -> Tensor:
    """Return ``(N, 3, H, W)`` images, uint8 or float in [0, 1], as whole levels, float32 0..255.

    Raises:
        ArgumentError: they are something else.
    """
    batch = checked_images(images)
    return batch.float() if batch.dtype == torch.uint8 else (batch.float() * 255).round()


def scaled_size(height: int, width: int, target: float) -> tuple[int, int]:
    """Return height and width of an image scaled to ``target`` pixels of height, at least 1 x 1.

    Raises:
        ArgumentError: the width would exceed ``MAX_SIDE``.
    """
    size = max(round(target), 1), max(round(width * target / height), 1)
    if max(size) > MAX_SIDE:
        raise ArgumentError(
            f"'images' of {width} x {height} pixels are too wide: scaled to a height of {size[0]} "
            f"they would be {size[1]} wide, and {MAX_SIDE} is the most"
        )
    return size


def network_input(image: Tensor, size: tuple[int, int], divisor: int) -> Tensor:
    """Return a network's input of one image, ``(1, 3, h, w)`` float32.

    Bicubic interpolation to ``size``, height and width (a = -0.75, pixel centres at half, edges
    repeated, no antialiasing: the kernel of OpenCV's INTER_CUBIC), rounded to whole levels as an
    image is; blue, green, red; padded at the right and the bottom with level 128 to multiples of 8;
    divided by 255 or 256, less 0.5. The image is ``(1, 3, H, W)`` float32 levels, red, green, blue.
    """
    x = interpolate(image, size, mode="bicubic", align_corners=False).clamp_(0, 255).round_()
    x = pad(x.flip(1), (0, -size[1] % STRIDE, 0, -size[0] % STRIDE), value=_PADDING)
    return x / divisor - 0.5
