"""The pieces that several networks are made of.

Shapes in comments are (N, channels, height, width). Convolutions keep height and width unless
their name says otherwise; they pad with zeros, which also tells later layers where the border is.
"""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv_transpose2d, leaky_relu

Layer = TypeVar("Layer", bound=nn.Conv2d | nn.ConvTranspose2d)

#: Slope of leaky rectifiers below zero.
SLOPE = 0.2


def convolution(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """Return a convolution that keeps height and width; ``kernel`` is odd."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def halving(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution with stride 2: (h, w) becomes (ceil(h / 2), ceil(w / 2))."""
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution: (h, w) becomes (2 h, 2 w).

    Its kernel, 4, is a multiple of its stride, 2, so that every pixel gets as many terms: else a
    checkerboard shows (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill, 2016).
    Uneven weights can still draw one (:class:`EvenDoubling`).
    """
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


class EvenDoubling(nn.ConvTranspose2d):
    """As :func:`doubling`, with kernels that cannot draw a checkerboard of even inputs.

    Along rows and along columns a kernel's part that alternates from tap to tap, +1 -1 +1 -1, is
    taken away before it is used. What is left are the kernels of a doubling by the nearest
    neighbour and a 3 x 3 convolution, as Odena et al. advise, at 4/9 of its multiplications.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1)

    def kernels(self) -> Tensor:
        """Return the kernels as they are used, (inputs, outputs, 4, 4) float32."""
        return _without_alternation(_without_alternation(self.weight, 2), 3)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: ARG002
        """(N, inputs, h, w) -> (N, outputs, 2 h, 2 w); ``output_size`` is the base class's."""
        return conv_transpose2d(x, self.kernels(), self.bias, stride=2, padding=1)


def _without_alternation(kernels: Tensor, dimension: int) -> Tensor:
    """Take +q -q +q -q away along a dimension of 4: as a sum, since autocast rounds products."""
    a, b, c, d = kernels.unbind(dimension)
    q = (a - b + c - d) / 4
    return torch.stack([a - q, b + q, c - q, d + q], dimension)


def unbiased(layer: Layer) -> Layer:
    """Return the layer without its bias, which a normalisation behind it would take away again."""
    layer.register_parameter("bias", None)
    return layer


def normalised(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """Return the layer, then instance normalisation with learnt affine, then a rectifier."""
    norm = nn.InstanceNorm2d(layer.out_channels, affine=True)
    return nn.Sequential(unbiased(layer), norm, nn.ReLU(inplace=True))


def encoder(inputs: int, channels: int, downsamplings: int, stem_kernel: int) -> nn.Sequential:
    """Return (N, inputs, H, W) -> (N, channels * 2^k, H / 2^k, W / 2^k), k = ``downsamplings``."""
    layers = [normalised(convolution(inputs, channels, stem_kernel))]
    for _ in range(downsamplings):
        layers.append(normalised(halving(channels, 2 * channels)))
        channels *= 2
    return nn.Sequential(*layers)


def to_colours(channels: int, kernel: int) -> nn.Conv2d:
    """Return the last convolution of a network that draws, whose output starts near zero.

    A tenth of the usual weights: a new residual map changes the coarse image little, and a new
    image is grey, where a hyperbolic tangent passes gradients on.
    """
    layer = convolution(channels, 3, kernel)
    with torch.no_grad():
        layer.weight.mul_(0.1)
        if layer.bias is not None:
            layer.bias.zero_()
    return layer


class ResidualHalving(nn.Module):
    """A residual block that halves height and width, without normalisation.

    Instance normalisation would take away means and contrasts, which are what a style encoder is
    after. The sum is divided by the root of 2, so that its variance stays.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = halving(inputs, outputs)
        self.second = convolution(outputs, outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) -> (N, outputs, ceil(h / 2), ceil(w / 2))."""
        long: Tensor = self.second(leaky_relu(self.first(leaky_relu(x, SLOPE)), SLOPE))
        short: Tensor = self.shortcut(avg_pool2d(x, 2, ceil_mode=True))
        return (long + short) / math.sqrt(2)


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))): He et al., "Deep Residual Learning", CVPR 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            normalised(convolution(channels, channels)),
            unbiased(convolution(channels, channels)),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        changed: Tensor = x + self.change(x)
        return changed
