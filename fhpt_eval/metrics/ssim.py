"""Structural similarity, in the variants that published scripts use.

Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
Similarity", IEEE TIP 2004, equation 13 with K1 = 0.01 and K2 = 0.03. Everything is float64: in
float32 the variance of a bright flat region is lost in the square of its mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from fhpt_eval.metrics.base import Direction, PairMetric
from fhpt_eval.metrics.tensors import STEP, band, round_up, slide, symmetric_pad, to_grey, to_levels

_K1, _K2 = 0.01, 0.03
# Planes are filtered in groups of about this many pixels: larger ones leave the CPU's cache, and
# smaller ones drown in the cost of calls. A GPU has no such cache and wants large groups.
_PIXELS_CPU, _PIXELS_GPU = 2**16, 2**23
# Larger planes are filtered in bands of about so many pixels, since the filter holds a plane some
# twenty times in float64: 8,192 x 8,192 pixels would take 9 GB.
_PIXELS_BAND = 2**20


class SSIM(PairMetric):
    """Structural similarity, averaged over the image and its channels.

    Parameters:
        window: ``"gaussian"`` (Wang et al.) or ``"uniform"`` (scikit-image's default).
        size: side of the window in pixels, odd. ``None``: 11 for gaussian, 7 for uniform.
        sigma: standard deviation of the gaussian window, in pixels.
        border: pixels left out of the mean on each side. ``None``: half the window, so that every
            window lies inside the image. Where it is less, the image is mirrored.
        channels: ``"rgb"`` averages over the three channels; ``"grey"`` uses rounded BT.601 luma.
        data_range: ``"full"`` is 255 levels; ``"generated"`` is max - min of each generated image
            (over its channels), as several published scripts have it.
        sample_covariance: divide by n - 1 rather than n. ``None``: only with a uniform window,
            as scikit-image does.
        scale: ``"-1..1"`` computes on images in [-1, 1] with a data range of 2 in place of
            [0, 1] with 1: only the constant of the means tells them apart.

    Agrees with scikit-image's ``structural_similarity`` called with the same arguments.
    """

    name: ClassVar[str] = "ssim"
    title: ClassVar[str] = "SSIM"
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    undefined_when: ClassVar[str] = (
        "the image is smaller than the window, or its data range is taken from a flat image"
    )

    window: Literal["gaussian", "uniform"] = "gaussian"
    size: Annotated[int, Field(ge=3, le=1023)] | None = None
    sigma: Annotated[float, Field(gt=0, le=100)] = 1.5
    border: Annotated[int, Field(ge=0, le=511)] | None = None
    channels: Literal["rgb", "grey"] = "rgb"
    data_range: Literal["full", "generated"] = "full"
    sample_covariance: bool | None = None
    scale: Literal["0..1", "-1..1"] = "0..1"

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.size is not None and self.size % 2 == 0:
            raise ValueError(f"size must be odd, so that the window has a centre, not {self.size}")
        if self._border > self._size // 2:
            raise ValueError(f"border must be at most half the window, {self._size // 2}")
        return self

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: defaults that depend on the window are written out."""
        gaussian = self.window == "gaussian"
        resolved = {
            "size": self._size,
            "sigma": self.sigma if gaussian else None,
            "border": self._border,
            "sample_covariance": self._covariance_norm != 1,
        }
        return {**super().canonical(), **resolved}

    @property
    def _size(self) -> int:
        return self.size or (11 if self.window == "gaussian" else 7)

    @property
    def _border(self) -> int:
        return self._size // 2 if self.border is None else self.border

    @property
    def _covariance_norm(self) -> float:
        sample = self.window == "uniform"
        if self.sample_covariance is not None:
            sample = self.sample_covariance
        count = self._size**2
        return count / (count - 1) if sample else 1.0

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` float64 in [-1, 1]; NaN where the image is smaller than the window."""
        count, _, height, width = generated.shape
        if min(height, width) < self._size:
            return torch.full((count,), math.nan, dtype=torch.float64, device=generated.device)
        x, y = self._planes(generated), self._planes(ground_truth)
        ranges = self._ranges(x.reshape(count, -1))[:, None, None]
        group = max(1, (_PIXELS_CPU if x.device.type == "cpu" else _PIXELS_GPU) // (height * width))
        parts = [slice(at, at + group) for at in range(0, len(x), group)]
        values = [self._similarity(x[part], y[part], ranges[part]) for part in parts]
        # Without a range the constants vanish, and flat regions are rounding error over itself.
        similarity = torch.cat(values).masked_fill(ranges.flatten() == 0, math.nan)
        return similarity.view(count, -1).mean(dim=1)

    def _planes(self, images: Tensor) -> Tensor:
        """Return ``(N * channels, H, W)``, uint8 or float in [0, 1]."""
        if self.channels == "grey":
            rows = max(1, _PIXELS_BAND // images[:, 0, 0].numel())
            parts = (images[:, :, at : at + rows] for at in range(0, images.shape[2], rows))
            return torch.cat([to_grey(part).to(torch.uint8) for part in parts], 1)
        return images.flatten(0, 1)

    def _levels(self, planes: Tensor) -> Tensor:
        """Return a float64 copy on a scale whose black and white are 255 apart."""
        levels = to_levels(planes)
        return levels.sub_(127.5) if self.scale == "-1..1" else levels

    def _ranges(self, generated: Tensor) -> Tensor:
        """Return the data range of every plane of N flat images, ``(N * channels,)``."""
        if self.data_range == "full":
            ranges = torch.full((len(generated),), 255.0, dtype=torch.float64)
        else:
            ranges = to_levels(generated.amax(1)) - to_levels(generated.amin(1))
        planes = 1 if self.channels == "grey" else 3
        return ranges.to(generated.device).repeat_interleave(planes)

    def _similarity(self, x: Tensor, y: Tensor, ranges: Tensor) -> Tensor:
        """Return the mean of the SSIM map of each of P planes, ``(P, H, W)`` -> ``(P,)``.

        Of large planes the map is made in bands, with the same bits as in one.
        """
        pad = self._size // 2 - self._border
        x, y = symmetric_pad(x, pad), symmetric_pad(y, pad)
        count, height, width = x.shape
        reach = self._size - 1
        similarity = x.new_empty((count, height - reach, width - reach), dtype=torch.float64)
        bands, rows = self._bands(x)
        for at in bands:
            part = slice(at, at + rows)
            similarity[:, at : at + rows - reach] = self._map(x[:, part], y[:, part], ranges)
        mean: Tensor = similarity.mean(dim=(1, 2))
        return mean

    def _bands(self, planes: Tensor) -> tuple[list[int], int]:
        """Return the first row of every band, and the number of rows that each has.

        Sums come out alike to the bit where rows lie alike in the filter's windows of
        :data:`STEP`: so bands begin at a multiple of it, the last one as well, and the maps behind
        one another in a buffer are as far apart, beyond multiples, as those of the plane.
        Running sums over a column depend on where they begin, unless the levels are whole.
        """
        count, height, width = planes.shape
        inexact = self.window == "uniform" and planes.is_floating_point()
        if count * height * width <= 2 * _PIXELS_BAND or inexact:
            return [0], height
        wanted = round_up(max(_PIXELS_BAND // (count * width), 2 * STEP) + self._size)
        rows = min(height, wanted + height % STEP)
        step = (rows - self._size + 1) // STEP * STEP
        return [*range(0, height - rows, step), height - rows], rows

    def _map(self, x: Tensor, y: Tensor, ranges: Tensor) -> Tensor:
        """Return the SSIM map of P padded planes, as large as where the window fits."""
        maps = self._local_means(self._levels(x), self._levels(y))
        mean_x, mean_y, mean_squares, mean_product = maps
        norm = self._covariance_norm
        product = mean_x * mean_y
        squares = torch.addcmul(mean_x.square(), mean_y, mean_y)
        covariance = (mean_product - product).mul_(norm)
        variances = (mean_squares - squares).mul_(norm)
        c1, c2 = (_K1 * ranges).square(), (_K2 * ranges).square()
        numerator = product.mul_(2).add_(c1).mul_(covariance.mul_(2).add_(c2))
        denominator = squares.add_(c1).mul_(variances.add_(c2))
        similarity: Tensor = numerator.div_(denominator)
        return similarity

    def _local_means(self, x: Tensor, y: Tensor) -> Tensor:
        """Filter x, y, x² + y² and xy: ``(4, P, H - size + 1, W - size + 1)``.

        Only the sum of the two variances is needed, so their squares are filtered together.
        """
        count, height, width = x.shape
        reach = self._size - 1
        rows = 4 * count * height
        # What the last windows of the filter read beyond the maps has no part in what is kept.
        buffer = x.new_zeros(round_up(rows) + reach, round_up(width - reach) + reach)
        maps = buffer[:rows].view(4, count, height, -1)[..., :width]
        maps[0], maps[1] = x, y
        torch.mul(x, x, out=maps[2]).addcmul_(y, y)
        torch.mul(x, y, out=maps[3])
        if self.window == "uniform":
            return _box_mean(maps, self._size)
        matrix = band(_gaussian(self._size, self.sigma), 1, reach, x.device)
        means = slide(slide(buffer, matrix), matrix)[:rows].view(4, count, height, -1)
        return means.narrow(2, 0, height - reach).narrow(3, 0, width - reach)


@lru_cache(maxsize=32)
def _gaussian(size: int, sigma: float) -> tuple[float, ...]:
    """Return a sampled gaussian that sums to one."""
    half = size // 2
    taps = [math.exp(-0.5 * (at / sigma) ** 2) for at in range(-half, half + 1)]
    total = math.fsum(taps)
    return tuple(tap / total for tap in taps)


def _box_mean(planes: Tensor, size: int) -> Tensor:
    """Average over size x size windows by running sums: exact for integer levels."""
    for dim in (-2, -1):
        sums = planes.cumsum(dim)
        length = planes.shape[dim] - size + 1
        planes = sums.narrow(dim, size - 1, length).clone()
        planes.narrow(dim, 1, length - 1).sub_(sums.narrow(dim, 0, length - 1))
    return planes.div_(size**2)
