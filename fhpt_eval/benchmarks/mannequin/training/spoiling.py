"""Spoils pictures as generated images are spoilt, so that networks bear it.

Blur, lost resolution, other levels, noise and JPEG; all chance is drawn from the caller's
generator.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

from fhpt_eval.images.files import encode

#: Groups of a batch; the pictures of a group share a blur and a resolution.
_GROUPS = 8


@dataclass(frozen=True, slots=True)
class Spoiling:
    """How far pictures are spoilt at most, and how often.

    Attributes:
        often: chance of each kind.
        sigma: of a Gaussian blur, in pixels.
        smallest: share of the resolution that is left.
        noise: standard deviation, in levels.
        quality: of JPEG, at least.
        gain: how far levels are multiplied from 1, either way.
    """

    often: float = 0.4
    sigma: float = 2.5
    smallest: float = 0.35
    noise: float = 10.0
    quality: int = 30
    gain: float = 0.06


def spoil(pictures: Tensor, how: Spoiling, generator: torch.Generator) -> Tensor:
    """Return spoilt copies of ``(N, 3, H, W)`` float32 levels in [0, 255], on the CPU."""
    groups = [_softened(group, how, generator) for group in pictures.chunk(_GROUPS)]
    x = torch.cat(groups)
    count = len(x)
    gains = 1 + (torch.rand((count, 3, 1, 1), generator=generator) * 2 - 1) * how.gain / 2
    gains = gains + (torch.rand((count, 1, 1, 1), generator=generator) - 0.5) * how.gain
    noisy = torch.rand((count, 1, 1, 1), generator=generator) < how.often
    deviation = torch.rand((count, 1, 1, 1), generator=generator) * how.noise * noisy
    x = x * gains + torch.randn(x.shape, generator=generator) * deviation
    x = x.clamp(0, 255)
    packed = torch.rand(count, generator=generator) < how.often / 2
    qualities = torch.randint(how.quality, 96, (count,), generator=generator)
    for number in packed.nonzero()[:, 0].tolist():
        x[number] = jpeg(x[number], int(qualities[number]))
    return x


def blurred(pictures: Tensor, sigma: float) -> Tensor:
    """Return ``(N, C, H, W)`` smoothed by a Gaussian, cut off at 3 sigma; edges repeated."""
    radius = math.ceil(3 * sigma)
    steps = torch.arange(-radius, radius + 1, dtype=pictures.dtype)
    weights = torch.exp(-0.5 * (steps / sigma) ** 2)
    weights = weights / weights.sum()
    count, channels, height, width = pictures.shape
    flat = pad(pictures, (radius, radius, radius, radius), mode="replicate")
    flat = flat.reshape(count * channels, 1, *flat.shape[2:])
    flat = conv2d(conv2d(flat, weights[None, None, None]), weights[None, None, :, None])
    return flat.reshape(count, channels, height, width)


def jpeg(picture: Tensor, quality: int, **options: Any) -> Tensor:
    """Return a picture ``(3, H, W)`` of levels as JPEG of some quality leaves it."""
    levels = picture.round().byte().permute(1, 2, 0).numpy()
    with Image.open(io.BytesIO(encode(levels, "JPEG", quality=quality, **options))) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).to(picture.dtype)


def between(
    generator: torch.Generator, shape: int | tuple[int, ...], low: float, high: float
) -> Tensor:
    """Return numbers in [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def _softened(pictures: Tensor, how: Spoiling, generator: torch.Generator) -> Tensor:
    chances = torch.rand(4, generator=generator).tolist()
    if chances[0] < how.often:
        pictures = blurred(pictures, 0.3 + chances[1] * (how.sigma - 0.3))
    if chances[2] < how.often:
        height, width = pictures.shape[2:]
        share = how.smallest + chances[3] * (1 - how.smallest)
        small = max(round(height * share), 1), max(round(width * share), 1)
        pictures = interpolate(pictures, small, mode="bilinear", antialias=True)
        pictures = interpolate(pictures, (height, width), mode="bicubic").clamp(0, 255)
    return pictures
