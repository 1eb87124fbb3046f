"""BRISQUE: no-reference naturalness of images, with the figures of the authors' release.

Two departures from the release (docs/metrics/brisque.md). Values that are nothing but rounding
error count as zero, so that flat areas do not depend on the machine: this moves images with flat
areas, one of which 30 percent is flat by 2.2. And features reach the regression as they are, not
through text files of six digits, which is worth up to 0.0005.

Precision: float64 wherever large numbers cancel (filters, variance, fits, regression); float32 for
the normalised coefficients and their products, whose errors of 6e-8 average out, and again float64
for their sums. Against float64 throughout, scores of 256 x 176 images differ by less than 1e-5.

Citation: A. Mittal, A. K. Moorthy, A. C. Bovik, "No-Reference Image Quality Assessment in the
Spatial Domain", IEEE Transactions on Image Processing 21(12), 2012, doi:10.1109/TIP.2012.2214050;
"the paper" below. "The release" is the same authors' "BRISQUE Software Release", 2011.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import hardshrink, pad

from fhpt_eval.features.levels import checked_images
from fhpt_eval.metrics.base import Batch, Direction, ImageMetric, Part
from fhpt_eval.metrics.tensors import STEP, band, round_up, slide, to_grey

_MODEL_FILE = "brisque_live.libsvm"

#: The Gaussian window has 7 taps, 3 to each side, and a standard deviation of 7/6 (the release).
_REACH = 3
_TAPS = [math.exp(-(at**2) / (2 * (7 / 6) ** 2)) for at in range(-_REACH, _REACH + 1)]
_WINDOW = tuple(tap / sum(_TAPS) for tap in _TAPS)

#: Matlab's ``imresize(x, 0.5)``: the cubic kernel (a = -1/2), stretched to twice its width against
#: aliasing, at distances -1.75, -1.25, ..., 1.75. Dyadic, so that halving makes no rounding error.
_HALVING = (-3 / 256, -9 / 256, 29 / 256, 111 / 256, 111 / 256, 29 / 256, -9 / 256, -3 / 256)

#: Grey levels (0..255) closer than this to their local mean are equal to it: filters leave about
#: 1e-13 of rounding error, which real differences exceed.
_ROUNDING = 1e-9

#: Neighbours whose products are modelled (paper, equations 7-10): (rows down, columns right), in
#: the release's order; its last, up and right, makes the same pairs as down and left.
_LAGS = ((0, 1), (1, 0), (1, 1), (1, -1))

#: Shapes considered for both distributions: 0.2, 0.201, ..., 10 (the release).
_SHAPES = 9801
_FIRST_SHAPE, _SHAPE_STEP = 0.2, 0.001

#: Lowest and highest value of each feature in training, mapped to -1 and 1 (the release's
#: "allrange"). Each line is a distribution: the coefficients', then the four lags', per scale.
_FEATURE_RANGE = (
    ((0.338, 10), (0.017204, 0.806612)),
    ((0.236, 1.642), (-0.123884, 0.20293), (0.000155, 0.712298), (0.001122, 0.470257)),
    ((0.244, 1.641), (-0.123586, 0.179083), (0.000152, 0.710456), (0.000975, 0.470984)),
    ((0.249, 1.555), (-0.135687, 0.100858), (0.000174, 0.684173), (0.000913, 0.534174)),
    ((0.258, 1.561), (-0.143408, 0.100486), (0.000179, 0.685696), (0.000888, 0.536508)),
    ((0.471, 3.264), (0.012809, 0.703171)),
    ((0.218, 1.046), (-0.094876, 0.187459), (0.000015, 0.442057), (0.001272, 0.40803)),
    ((0.222, 1.042), (-0.115772, 0.162604), (0.000016, 0.444362), (0.001374, 0.40243)),
    ((0.227, 0.996), (-0.117188, 0.098323), (0.00003, 0.531903), (0.001122, 0.369589)),
    ((0.228, 0.99), (-0.12243, 0.098658), (0.000028, 0.530092), (0.001118, 0.370399)),
)

_FEATURES = 36

#: Pixels worked on at once. On a CPU few, since what fits its cache is fast (two of 256 x 176); on
#: an accelerator many, in less than 1 GB of its memory.
_CPU_PIXELS, _ACCELERATOR_PIXELS = 2**17, 2**21


def brisque(images: Tensor) -> Tensor:
    """Score images without a reference; lower is more natural.

    Args:
        images: ``(N, 3, H, W)``, uint8 or float in [0, 1]; float is rounded to the 256 levels.

    Returns:
        ``(N,)`` float64 on the images' device. Mostly 0 to 100, but bounded by neither. NaN where
        a feature is undefined (see :func:`brisque_features`).

    Raises:
        ArgumentError: the tensor has the wrong type, shape or range.
    """
    return _scores(checked_images(images))[0]


def flat_share(images: Tensor) -> Tensor:
    """Return which share of the pixels is flat: equal to the mean of their 7 x 7 neighbours.

    There the release takes rounding error for contrast, and this package takes none.

    Args:
        images: ``(N, 3, H, W)``, uint8 or float in [0, 1]; float is rounded to the 256 levels.

    Returns:
        ``(N,)`` float64 in [0, 1], of the grey images at their own size.

    Raises:
        ArgumentError: the tensor has the wrong type, shape or range.
    """
    return _features(checked_images(images))[1]


def brisque_features(images: Tensor) -> Tensor:
    """Compute the 36 features that BRISQUE judges by (paper, table I), unscaled.

    Args:
        images: ``(N, 3, H, W)``, uint8 or float in [0, 1]; float is rounded to the 256 levels.

    Returns:
        ``(N, 36)`` float64: for the image and then for it at half its size, shape and variance of
        the coefficients, then shape, mean, left and right variance of the products with each of
        four neighbours. Where no product is negative the left variance is a mean over nothing, and
        NaN, as are the shape and mean fitted with it; likewise where none is positive. So it is
        with flat images, single pixels, and some images that are tiny or strictly regular.

    Raises:
        ArgumentError: the tensor has the wrong type, shape or range.
    """
    return _features(checked_images(images))[0]


@torch.no_grad()
def _scores(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(N,)`` scores, and ``(N,)`` shares of flat pixels."""
    features, flat = _features(images)
    model = _model(features.device)
    scaled = (features - model.low) / (model.high - model.low) * 2 - 1
    # On a CPU one by one: a matrix product adds up in another order for one row than for several,
    # and a score should not depend on its neighbours at all.
    size = 1 if scaled.device.type == "cpu" else _ACCELERATOR_PIXELS // len(model.weights)
    scores = torch.cat([_regress(block, model) for block in torch.split(scaled, size)])
    return scores, flat


@torch.no_grad()
def _features(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``(N, 36)`` features, and ``(N,)`` shares of flat pixels."""
    height, width = images.shape[2:]
    limit = _CPU_PIXELS if images.device.type == "cpu" else _ACCELERATOR_PIXELS
    blocks = torch.split(images, max(1, limit // (height * width)))
    sums = torch.cat([_both_scales(block) for block in blocks])
    areas = sums.new_tensor([[height * width], [(height + 1) // 2 * ((width + 1) // 2)]])
    whole = _fit_coefficients(sums[..., :2] / areas)
    pairs = _fit_products(sums[..., 2:-1].reshape(-1, 2, 5, len(_LAGS)), areas)
    flat = (height * width - sums[:, 0, -1]) / (height * width)
    return torch.cat([whole, pairs.flatten(2)], dim=2).flatten(1), flat


def _both_scales(images: Tensor) -> Tensor:
    """Return the ``(N, 2, 23)`` sums of images at their own and at half their size."""
    if images.is_floating_point():
        images = (images.double() * 255).round_().to(torch.uint8)
    grey = to_grey(images)
    return torch.stack([_sums(_normalise(plane)) for plane in (grey, _halve(grey))], dim=1)


def _normalise(grey: Tensor) -> Tensor:
    """Return the mean-subtracted contrast-normalised coefficients (paper, equations 1-3).

    Args:
        grey: ``(N, H, W)`` float64, 0..255; outside it is taken as 0 (Matlab's ``filter2``).

    Returns:
        ``(N, H, W)`` float32.
    """
    count, height, width = grey.shape
    # One image below the other, with rows of zeros between them and columns of zeros around them.
    rows, columns = round_up(height + _REACH), round_up(width) + 2 * _REACH
    plane = grey.new_zeros(count * rows + 2 * _REACH, columns)
    inner = plane[: count * rows].view(count, rows, columns)
    inner[:, _REACH : _REACH + height, _REACH : _REACH + width] = grey
    window = band(_WINDOW, 1, 2 * _REACH, grey.device)
    blurred = [slide(slide(levels, window), window) for levels in (plane, plane.square())]
    mean, variance = (b.view(count, rows, -1)[:, :height, :width] for b in blurred)
    variance.addcmul_(mean, mean, value=-1).abs_()
    deviation = variance.float().sqrt_().add_(1)
    detail = torch.sub(grey, mean, out=mean).float()
    return hardshrink(detail, _ROUNDING).div_(deviation)


def _halve(grey: Tensor) -> Tensor:
    """Return ``(N, ceil(H / 2), ceil(W / 2))``: Matlab's ``imresize(grey, 0.5)``, unrounded."""
    count, height, width = grey.shape
    # One image below the other, each with its margins.
    down = _mirrored(height, count, grey.device)
    across = _mirrored(width, 1, grey.device)[:-STEP]
    plane = grey.reshape(-1, width).index_select(0, down)
    before, after = across[:_REACH], across[_REACH + width :]
    plane = torch.cat([plane.index_select(1, before), plane, plane.index_select(1, after)], dim=1)
    cubic = band(_HALVING, 2, 2 * _REACH, grey.device)
    halved = slide(slide(plane, cubic), cubic).view(count, -1, len(across) // 2 - _REACH)
    return halved[:, : (height + 1) // 2, : (width + 1) // 2]


def _sums(mscn: Tensor) -> Tensor:
    """Sum what both fits need: ``(N, 23)`` of ``(N, H, W)`` coefficients.

    First the coefficients' magnitudes and squares. Then, of the products of neighbours (around the
    edges, as ``circshift`` has them), over the four lags each: their magnitudes, the squares of the
    negative ones (with a minus sign) and of the positive ones, their signs, and how many
    are not 0. Last how many coefficients are not 0.
    """
    count, height, width = mscn.shape
    wrapped = pad(mscn, (1, 1, 0, 1), mode="circular")
    products = mscn.new_empty(count, len(_LAGS), height, width)
    for lag, (down, across) in enumerate(_LAGS):
        neighbour = wrapped[:, down : down + height, 1 + across : 1 + across + width]
        torch.mul(mscn, neighbour, out=products[:, lag])
    own = mscn[:, None]
    # One buffer and one order of steps in place, since new memory costs more than arithmetic.
    buffer = products.sign()
    sign = buffer.sum(3)
    nonzero = buffer.abs_().sum(3)
    magnitude = torch.abs(products, out=buffer).sum(3)
    signed_square = buffer.mul_(products)
    right = torch.clamp(signed_square, min=0, out=products).sum(3)
    left = signed_square.clamp_(max=0).sum(3)
    rows = [own.abs().sum(3), own.square().sum(3), magnitude, left, right, sign, nonzero]
    rows.append((own != 0).float().sum(3))
    return torch.cat(rows, dim=1).double().sum(2)


def _fit_coefficients(means: Tensor) -> Tensor:
    """Fit generalised Gaussians (paper, equations 4-6) to mean magnitude and mean square.

    Returns:
        ``(..., 2)``, shape and variance, from ``(..., 2)``.
    """
    magnitude, variance = means.unbind(-1)
    _, table = _shape_tables(means.device)
    shape, _ = _nearest_shape(table, -variance / magnitude.square())
    return torch.stack([shape, variance], dim=-1)


def _fit_products(sums: Tensor, areas: Tensor) -> Tensor:
    """Fit asymmetric generalised Gaussians (paper, equations 11-15) by their moments.

    Args:
        sums: ``(N, 2, 5, 4)``: five sums for each of four lags, in the order of :func:`_sums`.
        areas: ``(2, 1)``, the number of products of which they are sums.

    Returns:
        ``(N, 2, 4, 4)``: for each lag shape, mean, left and right variance.
    """
    magnitude, left_squares, right_squares, sign, nonzero = sums.unbind(2)
    left = -2 * left_squares / (nonzero - sign)
    right = 2 * right_squares / (nonzero + sign)
    skew = (left / right).sqrt()
    ratio = (magnitude / areas).square() / ((right_squares - left_squares) / areas)
    ratio = ratio * (skew**3 + 1) * (skew + 1) / (skew.square() + 1).square()
    table, _ = _shape_tables(sums.device)
    shape, moment = _nearest_shape(table, ratio)
    # The paper's factor of gamma functions (equation 15) is the root of the tabulated ratio.
    mean = (right.sqrt() - left.sqrt()) * moment.sqrt()
    return torch.stack([shape, mean, left, right], dim=-1)


def _nearest_shape(table: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Find the shapes whose tabulated values are nearest, the first of two that are as near.

    The same entry as the minimum over the whole table, at the cost of a bisection.

    Returns:
        Shapes and their tabulated values, of the shape of ``values``; NaN where that is NaN.
    """
    above = torch.searchsorted(table, values.contiguous()).clamp_(1, _SHAPES - 1)
    below = above - 1
    nearer_above = table[above] - values < values - table[below]
    index = torch.where(nearer_above, above, below)
    shape = _FIRST_SHAPE + _SHAPE_STEP * index.double()
    return torch.where(values.isnan(), values, shape), table[index]


@lru_cache(maxsize=64)
def _mirrored(size: int, count: int, device: torch.device) -> Tensor:
    """Return which pixels to take for lines that are to be halved, their ends mirrored (b a | a b).

    ``(8 B + 6,)``: for each of ``count`` lines, one after the other, the 3 pixels before it, its
    own and at least 5 after it; then 6 of any, which complete the last window.
    """
    at = torch.arange(-_REACH, round_up(size) + STEP - _REACH, device=device) % (2 * size)
    at = torch.minimum(at, 2 * size - 1 - at)
    starts = torch.arange(0, count * size, size, device=device)
    return torch.cat([(starts[:, None] + at).flatten(), at[: 2 * _REACH]])


@lru_cache(maxsize=8)
def _shape_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Tabulate what moment matching compares with, by shape a, ascending: ``(9801,)`` each.

    The first is G(2/a)^2 / (G(1/a) G(3/a)), the squared mean magnitude over the mean square (paper,
    below equation 13), G being the gamma function; the second its reciprocal with a minus sign.
    """
    shapes = (_FIRST_SHAPE + _SHAPE_STEP * step for step in range(_SHAPES))
    gammas = [(math.gamma(1 / a), math.gamma(2 / a), math.gamma(3 / a)) for a in shapes]
    ratios = [second**2 / (first * third) for first, second, third in gammas]
    table = torch.tensor(ratios, dtype=torch.float64, device=device)
    return table, -table.reciprocal()


class _Model(NamedTuple):
    """LIVE's support vector regression, and the map of features to [-1, 1]: all float64."""

    vectors: Tensor  # (774, 36)
    squares: Tensor  # (774,), their squared lengths
    weights: Tensor  # (774,)
    gamma: float
    offset: float
    low: Tensor  # (36,)
    high: Tensor  # (36,)


def _regress(scaled: Tensor, model: _Model) -> Tensor:
    """Return the ``(N,)`` scores of ``(N, 36)`` features: a sum of Gaussian kernels (LIBSVM)."""
    # The squared distance to each support vector, multiplied out.
    own = scaled.square().sum(1, keepdim=True)
    distance = torch.addmm(own + model.squares, scaled, model.vectors.T, alpha=-2)
    return distance.mul_(-model.gamma).exp_() @ model.weights - model.offset


@lru_cache(maxsize=1)
def _model_bytes() -> bytes:
    return resources.files("fhpt_eval.metrics").joinpath("data", _MODEL_FILE).read_bytes()


@lru_cache(maxsize=8)
def _model(device: torch.device) -> _Model:
    """Read LIBSVM's text format: "name value" lines, "SV", then "weight 1:x 2:x ..." lines."""
    header, _, body = _model_bytes().decode("ascii").partition("\nSV\n")
    fields = dict(line.split(" ", 1) for line in header.splitlines())
    lines = [line.split() for line in body.splitlines()]
    figures = np.zeros((len(lines), 1 + _FEATURES))  # features that are 0 are left out of a line
    for row, (weight, *pairs) in zip(figures, lines, strict=True):
        row[0] = float(weight)
        for pair in pairs:
            feature, _, value = pair.partition(":")
            row[int(feature)] = float(value)
    bounds = [bound for distribution in _FEATURE_RANGE for bound in distribution]
    low, high = torch.tensor(bounds, dtype=torch.float64, device=device).unbind(1)
    vectors = torch.tensor(figures[:, 1:], device=device)
    weights = torch.tensor(figures[:, 0], device=device)
    squares = vectors.square().sum(1)
    return _Model(
        vectors, squares, weights, float(fields["gamma"]), float(fields["rho"]), low, high
    )


class BRISQUE(ImageMetric):
    """How natural an image looks by the statistics of its local contrast, without a reference.

    The model that its authors trained on the LIVE database, as in their Matlab release: 36 features
    of the grey image at two scales, and a support vector regression of people's opinions. The lower
    the better; scores are mostly 0 to 100, but may be negative.
    """

    name: ClassVar[str] = "brisque"
    title: ClassVar[str] = "BRISQUE"
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    undefined_when: ClassVar[str] = (
        "the image is flat, tiny or strictly regular: no neighbouring contrasts differ in sign, "
        "or none agree"
    )

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        """See :meth:`Metric.parts`: the score, and the share of pixels that it says little of."""
        return {
            "": Part(cls.title, cls.direction, cls.range),
            "flat": Part("Flat pixels", "none", (0.0, 1.0)),
        }

    def weights(self) -> Mapping[str, str]:
        return {_MODEL_FILE: hashlib.sha256(_model_bytes()).hexdigest()}

    def measure(self, images: Tensor) -> Tensor:
        """Return ``(N,)`` float64 scores, NaN where undefined."""
        return _scores(images)[0]

    def columns(self, shown: Batch) -> Mapping[str, Tensor]:
        scores, flat = _scores(shown.generated)
        return {"": scores, "flat": flat}
