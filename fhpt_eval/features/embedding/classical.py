"""An embedding without weights: colours and local texture of a figure, by thirds of its height.

Each image by itself, W x H pixels, levels 0..255:

1. Its longer side is resized to 128 (Pillow, bicubic), so that texture has one scale.
2. Each channel is divided by its 98th percentile, which becomes white: a bright background, or
   something bright in the figure, so that the light's colour and strength cancel ("white patch":
   Land, McCann, "Lightness and Retinex Theory", JOSA 61, 1971).
3. A pixel weighs 1 - exp(-(d / 20)^2), d its CIE Lab distance from white, and never less than 0.02:
   nothing has to decide where a background ends.
4. Rows are shared out to three bands, each with a third of the weight, that fade into each other;
   the whole image counts as a fourth one. So the bands follow the figure, not the frame.
5. In each band four kinds of histograms, of weights: CIE Lab colours (6 x 7 x 7 bins, shared out
   linearly); ranks of the red, green and blue level within the image (4 x 4 x 4 bins), which any
   rising change of a channel's levels leaves alone (Finlayson, Hordley, Schaefer, Tian, "Illuminant
   and device invariant colour using histogram equalisation", Pattern Recognition 38, 2005); uniform
   local binary patterns of 8 points at radius 1, 2 and 4, rotation invariant (Ojala, Pietikäinen,
   Mäenpää, TPAMI 24, 2002); directions of the gradient, left and right folded into one, by its
   size (4 sectors, after Dalal, Triggs, CVPR 2005).
6. Each histogram is divided by its sum, and replaced by its root: products of vectors then are sums
   of Bhattacharyya coefficients. The vector has length 1.

All of it is the same for a mirrored image but for rounding in the resize, and changes little with a
crop. The figures were chosen on one half of the images that the test has, and are tested on the
other: see docs/networks.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fhpt_eval.features.levels import as_levels
from fhpt_eval.features.networks import Gift, Network

Floats = NDArray[np.float64]

_SIDE, _LEAST_SIDE = 128, 16
_WHITE_PERCENTILE, _LEAST_WHITE = 98, 0.25
_FADE, _LEAST_WEIGHT = 20.0, 0.02
_BANDS = 3
_LAB_BINS, _LAB_CHROMA = (6, 7, 7), 60.0
_RANK_BINS = (4, 4, 4)
_RADII, _POINTS = (1, 2, 4), 8
_SECTORS = 4
#: ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class _Histogram:
    """Which of ``bins`` bins each pixel counts in, with which share, and how much pixels weigh.

    A value between two bins is shared out to both, so there may be several of ``cells``: bins
    (H, W) int64 and shares (H, W) each.
    """

    bins: int
    cells: list[tuple[NDArray[np.int64], Floats]]
    weights: Floats

    def by_row(self) -> Floats:
        """Return the sums for each row of pixels, ``(H, bins)``."""
        height = len(self.weights)
        rows = np.arange(height)[:, None] * self.bins
        total = np.zeros(height * self.bins)
        for bins, shares in self.cells:
            where, what = (rows + bins).ravel(), (shares * self.weights).ravel()
            total += np.bincount(where, what, minlength=len(total))
        return total.reshape(height, self.bins)


class Classical(Network):
    """Colours and local texture of a figure; needs no weights, and no parameters."""

    name: ClassVar[str] = "classical"
    title: ClassVar[str] = "Colours and texture of a figure"
    gives: ClassVar[frozenset[Gift]] = frozenset({"rows"})
    dimensions: ClassVar[Mapping[str, int]] = {"embedding": 1572}
    made_for: ClassVar[str] = "any people"

    def software(self) -> dict[str, str]:
        return {"scikit-image": version("scikit-image")}

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return ``embedding`` (N, 1572), float32 of length 1, of ``(N, 3, H, W)`` images."""
        levels = as_levels(images).permute(0, 2, 3, 1).cpu().numpy()
        rows = np.stack([embed(image) for image in levels]).astype(np.float32)
        return {"embedding": torch.from_numpy(rows).to(images.device)}


def embed(image: NDArray[np.uint8]) -> Floats:
    """Return the vector of one ``(H, W, 3)`` image."""
    from skimage.color import rgb2lab

    colours = _white_balanced(_resized(image))
    lab = rgb2lab(colours)
    white = np.array([100.0, 0.0, 0.0])
    gap = np.square(lab - white).sum(axis=2)
    weights = np.maximum(1 - np.exp(-gap / _FADE**2), _LEAST_WEIGHT)
    bands = _bands(weights)
    roots = []
    for histogram in _histograms(colours, lab, weights):
        for counts in np.einsum("bh,hk->bk", bands, histogram.by_row()):  # in one order, always
            total = counts.sum()
            roots.append(np.sqrt(counts / total) if total > 0 else counts)
    vector = np.concatenate(roots)
    return np.asarray(vector / np.sqrt(np.square(vector).sum()))


def _resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = _SIDE / max(height, width)
    size = tuple(max(_LEAST_SIDE, round(side * scale)) for side in (width, height))
    if size == (width, height):
        return image
    resized = Image.fromarray(np.ascontiguousarray(image)).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized)


def _white_balanced(image: NDArray[np.uint8]) -> Floats:
    """Return levels in [0, 1] with each channel's bright end at 1."""
    levels = image / 255.0
    white = np.percentile(levels, _WHITE_PERCENTILE, axis=(0, 1))
    return np.minimum(levels / np.maximum(white, _LEAST_WHITE), 1.0)


def _bands(weights: Floats) -> Floats:
    """Return how much each row belongs to the whole (1) and to each band, ``(1 + bands, H)``."""
    below = np.cumsum(weights.sum(axis=1))
    place = below / below[-1] * _BANDS - 0.5
    numbers = np.arange(_BANDS)[:, None]
    shares = np.clip(1 - np.abs(place.clip(0, _BANDS - 1) - numbers), 0, 1)
    return np.concatenate([np.ones((1, len(below))), shares])


def _histograms(colours: Floats, lab: Floats, weights: Floats) -> Iterator[_Histogram]:
    from skimage.feature import local_binary_pattern

    scaled = [lab[..., 0] / 100, *((lab[..., axis] / _LAB_CHROMA + 1) / 2 for axis in (1, 2))]
    yield _grid(scaled, _LAB_BINS, weights)
    levels = (colours * 255).round().astype(np.uint8)
    yield _grid(
        [_ranks(levels[..., channel], weights) for channel in range(3)], _RANK_BINS, weights
    )
    red, green, blue = (colours[..., channel] * share for channel, share in enumerate(_LUMA))
    grey = red + green + blue
    shades = (grey * 255).round().astype(np.uint8)
    for radius in _RADII:
        patterns = local_binary_pattern(  # type: ignore[no-untyped-call]
            shades, _POINTS, radius, "uniform"
        ).astype(np.int64)
        yield _Histogram(_POINTS + 2, [(patterns, np.ones(patterns.shape))], weights)
    down, across = np.gradient(grey)
    angle = np.arctan2(np.abs(down), np.abs(across)) / (np.pi / 2)  # mirrored images are alike
    yield _grid([angle], (_SECTORS + 1,), weights * np.hypot(down, across))


def _grid(values: list[Floats], sizes: tuple[int, ...], weights: Floats) -> _Histogram:
    """Share pixels out to the points of a grid; values are in [0, 1], or clipped to it."""
    cells = [(np.zeros(weights.shape, np.int64), np.ones(weights.shape))]
    for value, size in zip(values, sizes, strict=True):
        place = value.clip(0, 1) * (size - 1)
        lower = np.minimum(place.astype(np.int64), size - 2)
        above = place - lower
        cells = [
            (bins * size + lower + step, shares * (above if step else 1 - above))
            for bins, shares in cells
            for step in (0, 1)
        ]
    return _Histogram(math.prod(sizes), cells, weights)


def _ranks(levels: NDArray[np.uint8], weights: Floats) -> Floats:
    """Return for each pixel which share of the weight is darker, half of its own level's added."""
    counts = np.bincount(levels.ravel(), weights.ravel(), minlength=256)
    ranks: Floats = (np.cumsum(counts) - counts / 2) / counts.sum()
    return ranks[levels]
