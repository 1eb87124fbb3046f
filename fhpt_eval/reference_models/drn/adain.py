"""Adaptive instance normalisation, and its plain counterpart for an ablation.

Huang, Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization",
ICCV 2017. Its equation 8 takes scale and bias from the statistics of a style image; here, as in the
paper and in Karras et al. (StyleGAN, CVPR 2019, equation 1), they come from a style code.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import instance_norm, relu

from fhpt_eval.reference_models.drn.blocks import convolution, unbiased

#: Added to variances before their root is taken.
EPSILON = 1e-5


class AdaptiveInstanceNorm(nn.Module):
    """AdaIN(x, (s_w, s_b)) = s_w (x - mean) / sqrt(variance + epsilon) + s_b.

    Mean and variance (of the population) are those of each image and channel over all places. Scale
    s_w and bias s_b are affine in the style code z_s; s_w is 1 plus what is learnt, so that a new
    layer is nearly a plain normalisation.
    """

    def __init__(self, channels: int, style_dimension: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_dimension, 2 * channels)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, channels, h, w) and z_s, (N, style_dimension) -> (N, channels, h, w)."""
        scale, bias = self.affine(style)[:, :, None, None].chunk(2, dim=1)  # (N, channels, 1, 1)
        found: Tensor = instance_norm(x, eps=EPSILON) * (1 + scale) + bias
        return found


class PlainInstanceNorm(nn.Module):
    """The same with one learnt scale and bias for all images, called alike: no style code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, eps=EPSILON, affine=True)

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:  # noqa: ARG002 - as AdaIN is called
        """(N, channels, h, w) -> the same shape; the style code is not looked at."""
        found: Tensor = self.norm(x)
        return found


def normalisation(channels: int, style_dimension: int | None) -> nn.Module:
    """Return the adaptive one, or the plain one where there is no style code (``None``)."""
    if style_dimension is None:
        return PlainInstanceNorm(channels)
    return AdaptiveInstanceNorm(channels, style_dimension)


class AdaptiveLayer(nn.Module):
    """A convolution, adaptive normalisation, a rectifier."""

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d, style_dimension: int | None) -> None:
        super().__init__()
        self.layer = unbiased(layer)
        self.norm = normalisation(layer.out_channels, style_dimension)

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:
        """(N, inputs, h, w) -> the shape that the layer makes of it."""
        return relu(self.norm(self.layer(x), style))


class AdaptiveResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), with both normalisations adaptive."""

    def __init__(self, channels: int, style_dimension: int | None) -> None:
        super().__init__()
        self.first = AdaptiveLayer(convolution(channels, channels), style_dimension)
        self.second = unbiased(convolution(channels, channels))
        self.norm = normalisation(channels, style_dimension)

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:
        """(N, channels, h, w) -> the same shape."""
        changed: Tensor = x + self.norm(self.second(self.first(x, style)), style)
        return changed
