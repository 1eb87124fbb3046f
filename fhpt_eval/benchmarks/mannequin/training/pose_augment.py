"""Pictures changed at random, so that the pose network knows more than what was drawn.

First the place of everything: mirrored, turned, scaled, moved, with the key points along. Then what
levels are: colours, blur, noise, and the blocks of a JPEG, which generated pictures have and drawn
ones do not. All chance comes from one generator on the CPU.

Pictures are ``(N, 3, H, W)`` float32 levels 0..255; key points ``(N, 18, 2)`` x and y in pixels,
pixel centres at whole numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import grid_sample

from fhpt_eval.benchmarks.mannequin.training.spoiling import between
from fhpt_eval.keypoints import JOINTS

#: For every joint the one that it is in a mirror: right and left change places.
MIRRORED = tuple(
    JOINTS.index(
        joint.replace("right", "left") if "right" in joint else joint.replace("left", "right")
    )
    for joint in JOINTS
)

#: Largest turn in radians, scales, and largest shift as a share of the picture's height.
_TURN, _SCALES, _SHIFT = 0.21, (0.75, 1.25), 0.08
#: How often pictures are blurred, noisy, and damaged as by JPEG.
_BLURRED, _NOISY, _BLOCKED = 0.4, 0.3, 0.3
#: Largest sigma of blur in pixels, and of noise in levels; factors of JPEG's tables, of which 1 is
#: a quality of 50 in libjpeg, 0.5 of 75 and 4 of 12.
_BLUR, _NOISE, _FACTORS = 2.5, 14.0, (0.5, 4.0)

#: Tables K.1 and K.2 of ITU-T T.81: what coefficients of brightness and colour are rounded to.
_BRIGHTNESS = (
    (16, 11, 10, 16, 24, 40, 51, 61), (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56), (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77), (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101), (72, 92, 95, 98, 112, 100, 103, 99),
)  # fmt: skip
_COLOUR = (
    (17, 18, 24, 47, 99, 99, 99, 99), (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99), (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)  # fmt: skip
#: From red, green, blue to brightness and two colours (ITU-T T.871, section 7).
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def augment(
    images: Tensor, keypoints: Tensor, visible: Tensor, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Change pictures at random; their height and width are multiples of 8.

    ``visible``, ``(N, 18)`` uint8, is 0 outside of the picture, 1 hidden, 2 seen. Joints that leave
    the picture are outside; those that were outside stay so, since nothing is drawn where they come
    to lie.
    """
    turned = turns(len(images), images.shape[2], generator)
    images, keypoints, visible = move(images, keypoints, visible, *turned)
    return degrade(images, generator), keypoints, visible


def turns(count: int, height: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draw how pictures are moved: see :func:`move`."""
    angle = between(generator, count, -_TURN, _TURN)
    scale = between(generator, count, *_SCALES)
    sign = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = angle.cos() * scale, angle.sin() * scale
    matrix = torch.stack([torch.stack([cos * sign, -sin], 1), torch.stack([sin * sign, cos], 1)], 1)
    reach = _SHIFT * height
    shift = torch.stack([between(generator, count, -reach, reach) for _ in range(2)], 1)
    return matrix, shift


def move(
    images: Tensor, keypoints: Tensor, visible: Tensor, matrix: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Bring every point p of a picture to ``matrix (p - c) + c + shift``, c being the middle.

    What comes from outside of the picture has the colour of most of its upper edge. Where the
    matrix mirrors (its determinant is negative), right and left joints change their names. The
    matrix is ``(N, 2, 2)``, of x and y, and the shift ``(N, 2)``, x and y in pixels.
    """
    height, width = images.shape[2:]
    size = torch.tensor([width, height])
    middle = (size - 1) / 2
    moved = (keypoints - middle) @ matrix.mT + (middle + shift)[:, None]
    mirror = torch.linalg.det(matrix) < 0
    swapped = list(MIRRORED)
    moved = torch.where(mirror[:, None, None], moved[:, swapped], moved)
    seen = torch.where(mirror[:, None], visible[:, swapped], visible)
    inside = ((moved > -0.5) & (moved < size - 0.5)).all(dim=2)
    ground = images[:, :, :1].median(dim=3, keepdim=True).values
    back = torch.linalg.inv(matrix)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = (torch.stack([x, y], 2) - middle).view(1, -1, 2) - shift[:, None]
    grid = (points @ back.mT / middle).view(len(images), height, width, 2)
    pixels = grid_sample(images - ground, grid, align_corners=True) + ground
    return pixels, moved, seen * inside


def degrade(images: Tensor, generator: Generator) -> Tensor:
    """Change colours; blur some pictures, add noise to some, and the blocks of a JPEG to some."""

    def noisy(images: Tensor, sigma: Tensor) -> Tensor:  # grains of one pixel
        return images + sigma.view(-1, 1, 1, 1) * torch.randn(images.shape, generator=generator)

    images = _recoloured(images, generator)
    for share, low, high, damage in (
        (_BLURRED, 0.4, _BLUR, _blurred),
        (_NOISY, 1.0, _NOISE, noisy),
        (_BLOCKED, *_FACTORS, _jpeg),
    ):
        chosen = torch.rand(len(images), generator=generator) < share
        strength = between(generator, len(images), low, high)
        if chosen.any():
            images[chosen] = damage(images[chosen], strength[chosen])
    return images.clamp_(0, 255).round_()


def _recoloured(images: Tensor, generator: Generator) -> Tensor:
    """Change saturation, the gain of each colour, gamma and brightness."""
    count = len(images)
    grey = images.mean(dim=1, keepdim=True)
    saturation = between(generator, count, 0.4, 1.4).view(-1, 1, 1, 1)
    gain = torch.stack([between(generator, count, 0.85, 1.15) for _ in range(3)], 1)
    gamma = between(generator, count, -0.35, 0.35).exp().view(-1, 1, 1, 1)
    offset = between(generator, count, -20, 20).view(-1, 1, 1, 1)
    images = (grey + saturation * (images - grey)) * gain[..., None, None]
    return 255 * (images / 255).clamp(0, 1) ** gamma + offset


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture by its own Gaussian."""
    rows, columns = (_gaussian(side, sigma)[:, None] for side in images.shape[2:])
    return rows @ images @ columns.mT


def _gaussian(side: int, sigma: Tensor) -> Tensor:
    """Return (N, side, side) matrices whose rows are Gaussians that sum to 1."""
    place = torch.arange(side)
    squares = (place[:, None] - place).square()
    weights = torch.exp(-squares / (2 * sigma.square()).view(-1, 1, 1))
    return weights / weights.sum(dim=2, keepdim=True)


def _jpeg(images: Tensor, factors: Tensor) -> Tensor:
    """Round the cosines of 8 x 8 blocks as a JPEG does that keeps colours at full size."""
    count, _, height, width = images.shape
    colours = torch.tensor(_YCC)
    planes = torch.einsum("kc,nchw->nkhw", colours, images - 128)
    blocks = planes.view(count, 3, height // 8, 8, width // 8, 8).transpose(3, 4)
    cosines = _cosines()
    tables = torch.tensor([_BRIGHTNESS, _COLOUR, _COLOUR], dtype=torch.float32)
    step = (tables * factors.view(-1, 1, 1, 1)).view(count, 3, 1, 1, 8, 8)
    rounded = (cosines @ blocks @ cosines.T / step).round() * step
    planes = (cosines.T @ rounded @ cosines).transpose(3, 4).reshape(count, 3, height, width)
    return torch.einsum("ck,nkhw->nchw", torch.linalg.inv(colours), planes) + 128


def _cosines() -> Tensor:
    """Return the orthonormal cosine transform of 8 samples, (8, 8)."""
    number = torch.arange(8.0)
    matrix = torch.cos(math.pi / 8 * (number + 0.5) * number[:, None]) / 2
    matrix[0] /= math.sqrt(2)
    return matrix
