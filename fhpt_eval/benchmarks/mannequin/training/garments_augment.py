"""What is done to pictures before the garment network sees them in training.

All pictures are moved, half are mirrored, and half are scaled by up to a tenth. Light and
colour change little, since colours tell garments apart. Half are blurred, noisy or compressed, as
generated images are, and by how much is returned, so that the network can be asked for it: a
feature that measures images must see such faults instead of overlooking them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

from fhpt_eval.benchmarks.mannequin.training.spoiling import between, jpeg

_MOVE = 0.06
_SCALE = 0.1
_LIGHT, _CONTRAST, _TINT = 0.08, 0.08, 0.03
#: Shares of the pictures that are blurred, noisy, and compressed.
_BLURRED, _NOISY, _COMPRESSED = 0.22, 0.13, 0.15
_SIGMA = (0.3, 2.2)
_NOISE = (2 / 255, 32 / 255)
_QUALITY = (40, 98)
#: Half the width of the blur's window, three of the largest sigma.
_RADIUS = 7


def augmented(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return changed pictures, and how much each was spoilt.

    From ``(N, 3, H, W)`` uint8 on the CPU ``(N, 3, H, W)`` float32 in [0, 1], and ``(N, 2)``
    float32: the blur's sigma in pixels over 2, and the noise's deviation in levels over 20; 0 where
    there is none.
    """
    count = len(images)
    scaled = torch.rand(count, generator=generator) < 0.5
    x = _recoloured(_moved(images, generator).float(), generator)
    if scaled.any():
        x[scaled] = _scaled(x[scaled], generator)
    return _spoilt(x, generator)


def _moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror half of the pictures, and move each by whole pixels; what comes in is white."""
    count, _, height, width = images.shape
    mirror = torch.rand(count, generator=generator) < 0.5
    down = (between(generator, count, -_MOVE, _MOVE) * height).round().int().tolist()
    across = (between(generator, count, -_MOVE, _MOVE) * width).round().int().tolist()
    moved = torch.full_like(images, 255)
    for row, (y, x) in enumerate(zip(down, across, strict=True)):
        image = images[row].flip(2) if mirror[row] else images[row]
        part = image[:, max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)]
        moved[row, :, max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)] = part
    return moved


def _scaled(x: Tensor, generator: torch.Generator) -> Tensor:
    """Scale about the middle; what comes in is as the edge is."""
    count = len(x)
    affine = torch.zeros(count, 2, 3)
    affine[:, 0, 0] = affine[:, 1, 1] = 1 + between(generator, count, -_SCALE, _SCALE)
    places = affine_grid(affine, list(x.shape), align_corners=False)
    return grid_sample(x, places, padding_mode="border", align_corners=False)


def _recoloured(levels: Tensor, generator: torch.Generator) -> Tensor:
    """Change contrast about the middle, light, and the light's colour, and return [0, 1]."""
    count = len(levels)
    contrast = 1 + between(generator, (count, 1, 1, 1), -_CONTRAST, _CONTRAST)
    light = 1 + between(generator, (count, 1, 1, 1), -_LIGHT, _LIGHT)
    tint = light * (1 + between(generator, (count, 3, 1, 1), -_TINT, _TINT))
    return torch.addcmul((1 - contrast) / 2 * tint, levels, contrast * tint / 255).clamp_(0, 1)


def _spoilt(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    faults = torch.zeros(len(x), 2)
    lot = torch.rand(len(x), generator=generator)
    strength = torch.rand(len(x), generator=generator)
    blurred = lot < _BLURRED
    noisy = (lot >= _BLURRED) & (lot < _BLURRED + _NOISY)
    compressed = lot >= 1 - _COMPRESSED
    sigma = _SIGMA[0] + strength * (_SIGMA[1] - _SIGMA[0])
    deviation = _NOISE[0] + strength * (_NOISE[1] - _NOISE[0])
    quality = _QUALITY[0] + strength * (_QUALITY[1] - _QUALITY[0])
    if blurred.any():
        x[blurred] = blur(x[blurred], sigma[blurred])
        faults[blurred, 0] = sigma[blurred] / 2
    if noisy.any():
        noise = torch.randn(x[noisy].shape, generator=generator)
        x[noisy] = (x[noisy] + noise * deviation[noisy, None, None, None]).clamp_(0, 1)
        faults[noisy, 1] = deviation[noisy] * 255 / 20
    for row in compressed.nonzero().flatten().tolist():
        x[row] = jpeg(x[row] * 255, int(quality[row].item()), subsampling=0) / 255
    return x, faults


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each of N images by its own Gaussian, whose window ends after 7 pixels.

    Edges are as if the outermost pixels went on.
    """
    count, channels, height, width = x.shape
    away = torch.arange(-_RADIUS, _RADIUS + 1, dtype=torch.float32)
    kernels = torch.exp(-0.5 * (away / sigma[:, None]) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    flat = x.reshape(1, count * channels, height, width)
    flat = pad(flat, (_RADIUS,) * 4, mode="replicate")
    flat = conv2d(flat, kernels[:, None, :, None], groups=count * channels)
    flat = conv2d(flat, kernels[:, None, None, :], groups=count * channels)
    return flat.reshape(x.shape)
