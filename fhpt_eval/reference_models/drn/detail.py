"""The detail replenishing modules: what the coarse image lost, drawn from a style code.

Both are the same: a path of convolutions that starts at something aligned with the target pose, and
whose every layer is normalised by the style code of what the source shows. The path knows where,
the code knows what.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from fhpt_eval.reference_models.drn.adain import AdaptiveLayer, AdaptiveResidualBlock
from fhpt_eval.reference_models.drn.blocks import (
    EvenDoubling,
    convolution,
    doubling,
    encoder,
    to_colours,
)
from fhpt_eval.reference_models.drn.configuration import ModelSettings
from fhpt_eval.reference_models.drn.perceptual import Summary
from fhpt_eval.reference_models.drn.pose_branch import JOINTS
from fhpt_eval.reference_models.drn.style_encoder import StyleEncoder


class DetailPath(nn.Module):
    """From features at low resolution to three channels at full size, adaptive in every layer.

    Args:
        inputs: channels of the features that the path starts at.
        settings: sizes; ``downsamplings`` is how often the path doubles height and width.
        waves: how many waves it is given at full size, 0 for none.
    """

    def __init__(self, inputs: int, settings: ModelSettings, waves: int = 0) -> None:
        super().__init__()
        style = settings.style_dimension if settings.style_code else None
        width = settings.detail_channels
        twice = EvenDoubling if settings.even_doubling else doubling
        layers: list[nn.Module] = [AdaptiveLayer(convolution(inputs, width, 1), style)]
        layers += [AdaptiveResidualBlock(width, style) for _ in range(settings.detail_blocks)]
        for level in range(settings.downsamplings):
            half = max(1, width // 2)
            layers.append(AdaptiveLayer(twice(width, half), style))
            if waves and level == settings.downsamplings - 1:
                layers.append(Waves(waves))
                layers.append(AdaptiveLayer(convolution(half + 8 * waves, half), style))
            layers.append(AdaptiveLayer(convolution(half, half), style))
            width = half
        self.layers = nn.ModuleList(layers)
        self.colours = to_colours(width, settings.stem_kernel)

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:
        """(N, inputs, H / 2^k, W / 2^k) and z_s, (N, S) -> (N, 3, H, W) float32, unbounded."""
        for layer in self.layers:
            x = layer(x, style)
        drawn: Tensor = self.colours(x).float()
        return drawn


class Waves(nn.Module):
    """Appends sine and cosine waves across the image, the same for all images.

    Fourier features (Tancik et al., NeurIPS 2020): meant to spare a small network of convolutions
    inventing what repeats every few pixels; no gain was seen in 2,000 steps. ``number`` lengths
    from :data:`SHORTEST` on, each :data:`RATIO` times the one before, in four directions.
    """

    #: Length of the shortest wave in pixels, and of each one relative to the one before.
    SHORTEST, RATIO = 3.0, 1.5

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:  # noqa: ARG002 - as layers are called
        """(N, d, h, w) -> (N, d + 8 number, h, w); the style code is not looked at."""
        height, width = x.shape[2:]
        down = torch.arange(height, device=x.device, dtype=torch.float32)[:, None]  # (h, 1)
        across = torch.arange(width, device=x.device, dtype=torch.float32)  # (w,)
        ways = torch.stack([
            down.expand(height, width), across.expand(height, width),
            (across + down) * math.sqrt(0.5), (across - down) * math.sqrt(0.5),
        ])  # (4, h, w): pixels along each direction  # fmt: skip
        lengths = [self.SHORTEST * self.RATIO**power for power in range(self.number)]
        turns = torch.stack([ways * (2 * math.pi / length) for length in lengths])
        waves = torch.cat([turns.sin(), turns.cos()]).flatten(0, 1).to(x.dtype)  # (8 number, h, w)
        return torch.cat([x, waves.expand(len(x), -1, -1, -1)], dim=1)


class CoarseFilter(nn.Conv2d):
    """A linear filter of I_c that is added to R_t; it starts at 0, and of even areas it gives 0.

    A trained pose transfer branch leaves a faint lattice in I_c, which is the same everywhere. The
    detail path would have to draw its negative; a filter of a few pixels takes it away. Each of its
    kernels is used less its mean: else every update would tint the whole background.
    """

    def __init__(self, side: int) -> None:
        super().__init__(3, 3, side, bias=False)
        nn.init.zeros_(self.weight)

    def forward(self, coarse: Tensor) -> Tensor:
        """I_c, (N, 3, H, W) -> (N, 3, H, W), both float32."""
        with torch.autocast(coarse.device.type, enabled=False):  # bfloat16 would round I_c's greys
            kernels = self.weight - self.weight.mean(dim=(2, 3), keepdim=True)
            border = [self.kernel_size[0] // 2] * 4
            return conv2d(pad(coarse.float(), border, mode="replicate"), kernels)


class GlobalModule(nn.Module):
    """Turns F_t and I_s into the residual map R_t.

    R_t has no bounds, so that a wrong colour of I_c can be mended wherever it lies, and so that no
    gradient fades. Without a style code R_t is made of F_t alone, and of I_c where it is filtered.

    Args:
        features: d, channels of F_t.
        settings: sizes, and what is left out.
        summary: of a perceptual network, which the style code hears of.
    """

    def __init__(
        self, features: int, settings: ModelSettings, summary: Summary | None = None
    ) -> None:
        super().__init__()
        self.style_encoder = _style_encoder(settings, summary)
        self.path = DetailPath(features, settings, settings.waves)
        self.coarse_filter: CoarseFilter | None = None
        if settings.coarse_filter:
            self.coarse_filter = CoarseFilter(settings.coarse_filter)

    def forward(self, features: Tensor, source: Tensor, coarse: Tensor) -> Tensor:
        """F_t, (N, d, H / 2^k, W / 2^k), I_s and I_c, (N, 3, H, W) -> R_t, (N, 3, H, W)."""
        style = None if self.style_encoder is None else self.style_encoder(source)
        drawn: Tensor = self.path(features, style)
        return drawn if self.coarse_filter is None else drawn + self.coarse_filter(coarse)


class FaceModule(nn.Module):
    """Turns H_F and I_F into the face I^_F, in a square of F x F.

    Without a style code the source's face is given to the path beside the pose, since the face
    would else be nobody's: the ablation is of how it gets in, not of whether.
    """

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.style_encoder = _style_encoder(settings)
        inputs = JOINTS if settings.style_code else JOINTS + 3
        base, halvings = settings.base_channels, settings.downsamplings
        self.pose_encoder = encoder(inputs, base, halvings, settings.stem_kernel)
        self.path = DetailPath(base * 2**halvings, settings)

    def forward(self, target_face_pose: Tensor, source_face: Tensor) -> Tensor:
        """H_F, (N, 18, F, F), and I_F, (N, 3, F, F) -> I^_F, (N, 3, F, F) float32 in [-1, 1]."""
        if self.style_encoder is None:
            known, style = torch.cat([target_face_pose, source_face], dim=1), None
        else:
            known, style = target_face_pose, self.style_encoder(source_face)
        features = self.pose_encoder(known)  # (N, d, F / 2^k, F / 2^k)
        return torch.tanh(self.path(features, style))


def _style_encoder(settings: ModelSettings, summary: Summary | None = None) -> StyleEncoder | None:
    if not settings.style_code:
        return None
    return StyleEncoder(
        settings.appearance_channels,
        settings.appearance_downsamplings,
        settings.style_grid,
        settings.style_dimension,
        summary,
    )
