"""The Detail Replenishing Network, from its inputs to the image, in the order of a forward pass.

"Human Pose Transfer" with detail replenishment, arXiv 2005.12494 ("the paper"; docs/drn.md tells
where its text leaves something open and what was chosen). With its symbols::

    I_c, F_t = G_P(I_s, P_s, P_t)                   pose transfer branch: coarse image, features
    R_t      = global module(F_t, I_s)              residual map, by a style code of the source
    I^_F     = face module(H_F, I_F)                face, by a style code of the source's face
    I_t      = (1 - M_F) * (I_c + R_t) + M_F * I^_F

Built from:

- Zhu, Huang, Shi, Yu, Wang, Bai, "Progressive Pose Attention Transfer for Person Image Generation",
  CVPR 2019 ("PATN"): the pose transfer branch;
- Huang, Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization",
  ICCV 2017 ("AdaIN"), with scale and bias of a style code as in Karras et al., "A Style-Based
  Generator Architecture", CVPR 2019 ("StyleGAN");
- He et al., "Deep Residual Learning", CVPR 2016, and "Delving Deep into Rectifiers", ICCV 2015.

Shapes in comments are (N, channels, height, width): H and W of the image; h = H / 2^k, w = W / 2^k
behind k halvings; F of the square of a face. Convolutions keep height and width unless their name
says otherwise; they pad with zeros, which also tells later layers where the border is. What the
paper lacks stands in :mod:`~fhpt_eval.reference_models.drn.model.extensions`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, grid_sample, instance_norm, leaky_relu, relu

from fhpt_eval.reference_models.drn.configuration import Configuration, ModelSettings, Precision
from fhpt_eval.reference_models.drn.model.extensions import (
    CoarseFilter,
    EvenDoubling,
    PlainInstanceNorm,
    Summary,
    Waves,
)

#: Joints of a pose, each with a heatmap of its own.
JOINTS = 18
#: Slope of leaky rectifiers below zero.
SLOPE = 0.2
#: Added to variances before their root is taken.
EPSILON = 1e-5

Layer = TypeVar("Layer", bound=nn.Conv2d | nn.ConvTranspose2d)


# ---- What goes in and what comes out -----------------------------------------------------------


@dataclass(frozen=True)
class Tensors:
    """Named tensors, or ``None``, with one row per pair, that go to a device together."""

    def to(self, device: torch.device | str, *, channels_last: bool = False) -> Self:
        """Return a copy on another device, by way of pinned memory where that is a GPU."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            if tensor is None:
                return None
            if torch.device(device).type == "cuda" and tensor.device.type == "cpu":
                tensor = tensor.pin_memory()
            copy = tensor.to(device, non_blocking=True)
            images = channels_last and copy.ndim == 4
            return copy.contiguous(memory_format=torch.channels_last) if images else copy

        return replace(self, **{f.name: moved(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True)
class Inputs(Tensors):
    """N pairs at the working size H x W, with face crops of F x F; all float32.

    Attributes:
        source: I_s, ``(N, 3, H, W)`` in [-1, 1].
        source_pose: P_s, ``(N, 18, H, W)`` in [0, 1]; the map of a missing joint is 0.
        target_pose: P_t, likewise.
        source_face: I_F, ``(N, 3, F, F)`` in [-1, 1], the part of the source in its face box; all
            0 (grey) where the source shows no face.
        target_face_pose: H_F, ``(N, 18, F, F)`` in [0, 1]: the target's joints in the frame of its
            face box; all 0 where the target shows no face.
        face_box: B_F, ``(N, 4)``: left, top, right, bottom of the target's face box as edges in
            pixels of the working size (pixel i reaches from i to i + 1), NaN where the target
            shows no face. A box may reach beyond the image.
    """

    source: Tensor
    source_pose: Tensor
    target_pose: Tensor
    source_face: Tensor
    target_face_pose: Tensor
    face_box: Tensor


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the model draws for N pairs; all float32.

    Attributes:
        coarse: I_c, ``(N, 3, H, W)`` in [-1, 1].
        residual: R_t, ``(N, 3, H, W)``, unbounded; ``None`` without the global module.
        face: I^_F, ``(N, 3, F, F)`` in [-1, 1], in the frame of the face box, and without meaning
            where the target has none; ``None`` without the face module.
        face_mask: M_F, ``(N, 1, H, W)`` in [0, 1]; 0 without a face box or the face module.
        final: I_t, ``(N, 3, H, W)``. It is not clamped, since beyond its bounds a clamped image
            has no gradient; clamp it to [-1, 1] before it is written.
    """

    coarse: Tensor
    residual: Tensor | None
    face: Tensor | None
    face_mask: Tensor
    final: Tensor


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context in which networks compute in a precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


# ---- Layers that all networks are made of ------------------------------------------------------


def convolution(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    """Return a convolution that keeps height and width; ``kernel`` is odd."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


def halving(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3 x 3 convolution with stride 2: (h, w) becomes (ceil(h / 2), ceil(w / 2))."""
    return nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)


def doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution: (h, w) becomes (2 h, 2 w).

    Its kernel, 4, is a multiple of its stride, 2, so that every pixel gets as many terms.
    """
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


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


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))), of "Deep Residual Learning"."""

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


# ---- G_P, the pose transfer branch: moves a person to the target pose, coarsely ----------------


class Coarse(NamedTuple):
    """What the pose transfer branch yields for N pairs."""

    image: Tensor  # I_c, (N, 3, H, W) float32 in [-1, 1]
    features: Tensor  # F_t, (N, d, h, w): aligned with the target pose


class PoseAttentionalBlock(nn.Module):
    """One step of the cascade (PATN, section 3.1).

    Image code and pose code go side by side: the pose says where the image code is to be updated,
    and then takes note of the update. With F^P and F^S of the step before (PATN's symbols)::

        S   = conv_S(F^S)                 two convolutions
        M   = sigmoid(S)                  the attention mask: where to update
        F^P = F^P + M * conv_P(F^P)       two convolutions; the rest of the image code stays
        F^S = S ++ F^P                    the pose code takes note of the update

    Args:
        channels: d, of the image code.
        pose_channels: of the pose code that comes in: d at first, 2 d after a block.
        hidden: between the two convolutions of conv_S.
    """

    def __init__(self, channels: int, pose_channels: int, hidden: int) -> None:
        super().__init__()
        self.image_path = ResidualBlock(channels).change
        self.pose_path = nn.Sequential(
            normalised(convolution(pose_channels, hidden)),
            convolution(hidden, channels),  # not normalised, so that a mask can be open or shut
        )

    def forward(self, image: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """(N, d, h, w) and (N, pose_channels, h, w) -> (N, d, h, w) and (N, 2 d, h, w)."""
        steps = self.pose_path(pose)  # (N, d, h, w)
        mask = torch.sigmoid(steps)  # (N, d, h, w), in [0, 1]
        image = image + mask * self.image_path(image)
        return image, torch.cat([steps, image], dim=1)


class PoseTransferBranch(nn.Module):
    """G_P(I_s, P_s, P_t) = (I_c, F_t): encoders, the cascade, and a decoder of the image code."""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        base, halvings, stem = settings.base_channels, settings.downsamplings, settings.stem_kernel
        self.channels = d = base * 2**halvings
        self.image_encoder = encoder(3, base, halvings, stem)
        self.pose_encoder = encoder(2 * JOINTS, base, halvings, stem)
        hidden = max(1, round(settings.pose_width * d))
        self.cascade = nn.ModuleList(
            PoseAttentionalBlock(d, 2 * d if number else d, hidden)
            for number in range(settings.blocks)
        )
        widths = [base * 2**level for level in range(halvings, -1, -1)]  # d, ..., base
        self.decoder = nn.Sequential(
            *(normalised(doubling(*pair)) for pair in pairwise(widths)),
            to_colours(base, stem),
        )

    def forward(self, source: Tensor, source_pose: Tensor, target_pose: Tensor) -> Coarse:
        """Return the coarse image and the features behind it; see :class:`Inputs`."""
        image = self.image_encoder(source)  # (N, d, h, w)
        pose = self.pose_encoder(torch.cat([source_pose, target_pose], dim=1))  # (N, d, h, w)
        for block in self.cascade:
            image, pose = block(image, pose)
        # In float32: where bfloat16 rounds a hyperbolic tangent to 1, no gradient would be left.
        colours = torch.tanh(self.decoder(image).float())  # (N, 3, H, W)
        return Coarse(colours, image)


# ---- The style code: what somebody looks like, as one vector -----------------------------------


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


class StyleEncoder(nn.Module):
    """Residual down-sampling blocks, adaptive average pooling, three fully connected layers.

    The paper leaves the pooled size open. Pooling to one place would mix the colours of shirt and
    trousers; a few rows and columns keep apart what is worn above and below.

    Args:
        settings: ``appearance_*`` and ``style_*``.
        summary: an extension, from which a linear map is added to the code; at first it is 0.
    """

    def __init__(self, settings: ModelSettings, summary: Summary | None = None) -> None:
        super().__init__()
        channels, length = settings.appearance_channels, settings.style_dimension
        rows, columns = settings.style_grid
        levels = range(settings.appearance_downsamplings + 1)
        widths = [channels * 2 ** min(level, 3) for level in levels]
        self.appearance = nn.Sequential(
            convolution(3, channels),
            *(ResidualHalving(*pair) for pair in pairwise(widths)),
            nn.LeakyReLU(SLOPE),
            nn.AdaptiveAvgPool2d((rows, columns)),
        )
        self.style = nn.Sequential(
            nn.Linear(widths[-1] * rows * columns, length),
            nn.LeakyReLU(SLOPE),
            nn.Linear(length, length),
            nn.LeakyReLU(SLOPE),
            nn.Linear(length, length),
        )
        self.apply(_keep_scale)
        self.summary = summary
        self.told: nn.Linear | None = None
        if summary is not None:
            self.told = nn.Linear(summary.length, length, bias=False)
            nn.init.zeros_(self.told.weight)

    def forward(self, image: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> z_s, (N, style_dimension)."""
        pooled = self.appearance(image)  # (N, widths[-1], rows, columns)
        code: Tensor = self.style(pooled.flatten(1))
        if self.summary is not None and self.told is not None:
            code = code + self.told(self.summary(image))
        return code


def _keep_scale(module: nn.Module) -> None:
    """Give a layer weights that keep the scale of a signal ("Delving Deep into Rectifiers").

    Nothing here is normalised. With torch's usual weights a signal loses more than half of its
    scale in each layer: behind all of them the style codes of 16 drawn people differed by 0.0003 at
    a scale of 0.04, so by nothing that a detail path could see; with these by 0.3 at one of 1.5.
    """
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def style_encoder(settings: ModelSettings, summary: Summary | None = None) -> StyleEncoder | None:
    """Return a style encoder, or nothing in an ablation that has no style code."""
    return StyleEncoder(settings, summary) if settings.style_code else None


# ---- Adaptive instance normalisation -----------------------------------------------------------


class AdaptiveInstanceNorm(nn.Module):
    """AdaIN(x, (s_w, s_b)) = s_w (x - mean) / sqrt(variance + epsilon) + s_b.

    Mean and variance (of the population) are those of each image and channel over all places. Scale
    s_w and bias s_b are affine in the style code z_s (StyleGAN, equation 1), where AdaIN's equation
    8 takes the statistics of a style image; s_w is 1 plus what is learnt, so that a new layer is
    nearly a plain normalisation.
    """

    def __init__(self, channels: int, style_dimension: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style_dimension, 2 * channels)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, channels, h, w) and z_s, (N, style_dimension) -> (N, channels, h, w)."""
        scale, bias = self.affine(style)[:, :, None, None].chunk(2, dim=1)  # (N, channels, 1, 1)
        adapted: Tensor = instance_norm(x, eps=EPSILON) * (1 + scale) + bias
        return adapted


def normalisation(channels: int, style_dimension: int | None) -> nn.Module:
    """Return the adaptive one, or the plain one where there is no style code (``None``)."""
    if style_dimension is None:
        return PlainInstanceNorm(channels, EPSILON)
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


# ---- The detail replenishing modules: what the coarse image lost -------------------------------
#
# Both are the same: a path of convolutions that starts at something aligned with the target pose,
# and whose every layer is normalised by the style code of what the source shows. The path knows
# where, the code knows what.


class DetailPath(nn.Module):
    """From features at low resolution to three channels at full size, adaptive in every layer.

    Args:
        inputs: channels of the features that the path starts at.
        settings: sizes; ``downsamplings`` is how often the path doubles height and width.
        waves: an extension: how many waves it is given at full size, 0 for none.
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
        """(N, inputs, h, w) and z_s, (N, style_dimension) -> (N, 3, H, W) float32, unbounded."""
        for layer in self.layers:
            x = layer(x, style)
        drawn: Tensor = self.colours(x).float()
        return drawn


class GlobalModule(nn.Module):
    """Turns F_t, of d = ``features`` channels, and I_s into the residual map R_t.

    R_t has no bounds, so that a wrong colour of I_c can be mended wherever it lies, and so that no
    gradient fades. Without a style code R_t is made of F_t alone, and of I_c where it is filtered.
    Of a ``summary``, an extension, the style code hears.
    """

    def __init__(
        self, features: int, settings: ModelSettings, summary: Summary | None = None
    ) -> None:
        super().__init__()
        self.style_encoder = style_encoder(settings, summary)
        self.path = DetailPath(features, settings, settings.waves)
        self.coarse_filter: CoarseFilter | None = None
        if settings.coarse_filter:
            self.coarse_filter = CoarseFilter(settings.coarse_filter)

    def forward(self, features: Tensor, source: Tensor, coarse: Tensor) -> Tensor:
        """F_t, (N, d, h, w), I_s and I_c, (N, 3, H, W) -> R_t, (N, 3, H, W)."""
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
        self.style_encoder = style_encoder(settings)
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


# ---- Composition: the face is put into the image -----------------------------------------------
#
# Coordinates of boxes are edges: pixel i of a row reaches from i to i + 1, its centre lies at
# i + 0.5. (Key points are given with pixel centres at whole numbers; add 0.5.) A face box B_F is
# left, top, right, bottom in these coordinates of the working size; the face's F x F pixels divide
# it evenly, so that the centre of its pixel i lies at left + (i + 0.5) / F * (right - left). A row
# of NaN, or one without area, is no box.


def compose(
    coarse: Tensor, residual: Tensor | None, face: Tensor | None, boxes: Tensor, sigma: float
) -> tuple[Tensor, Tensor]:
    """Return M_F and I_t = (1 - M_F) * (I_c + R_t) + M_F * I^_F.

    Args:
        coarse: I_c, ``(N, 3, H, W)``.
        residual: R_t of the same shape; ``None`` is 0.
        face: I^_F, ``(N, 3, F, F)``, placed at its box; with ``None`` M_F is 0.
        boxes: B_F, ``(N, 4)``.
        sigma: of the Gaussian that blurs the box's indicator, in pixels.
    """
    height, width = coarse.shape[2:]
    image = coarse if residual is None else coarse + residual
    if face is None:
        return coarse.new_zeros(len(coarse), 1, height, width), image
    mask = face_masks(boxes, height, width, sigma)  # (N, 1, H, W)
    placed = place_faces(face, boxes, height, width)  # (N, 3, H, W)
    return mask, (1 - mask) * image + mask * placed


def face_masks(boxes: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """Return M_F: the indicator of each box, blurred by a Gaussian of deviation ``sigma`` pixels.

    Exact, without a kernel that ends somewhere: in one dimension the indicator of [a, b], blurred,
    is (erf((b - x) / (sqrt(2) sigma)) - erf((a - x) / (sqrt(2) sigma))) / 2, and in two it is the
    product. Of ``(N, 4)`` boxes ``(N, 1, height, width)`` float32 in [0, 1]; 0 where there is none.
    """
    known, safe = _safe(boxes)
    left, top, right, bottom = safe.float()[:, :, None].unbind(dim=1)  # (N, 1) each
    across = _blurred(left, right, _centres(width, boxes), sigma)  # (N, width)
    down = _blurred(top, bottom, _centres(height, boxes), sigma)  # (N, height)
    mask = (down[:, None, :, None] * across[:, None, None, :]).clamp(0, 1)
    return torch.where(known[:, None, None, None], mask, 0.0)


def place_faces(faces: Tensor, boxes: Tensor, height: int, width: int) -> Tensor:
    """Draw each face into its box, bilinearly; differentiable in the faces.

    Around its box a face goes on with the colours of its border, which the mask's soft edge needs.
    Of faces ``(N, C, F, F)`` and boxes ``(N, 4)`` it is ``(N, C, height, width)`` float32; 0 where
    there is no box.
    """
    known, safe = _safe(boxes)
    left, top, right, bottom = safe.float().unbind(dim=1)
    # In grid_sample's coordinates a square reaches from -1 to 1 (corners not aligned).
    x = 2 * (_centres(width, boxes) - left[:, None]) / (right - left)[:, None] - 1  # (N, width)
    y = 2 * (_centres(height, boxes) - top[:, None]) / (bottom - top)[:, None] - 1  # (N, height)
    drawn = _sample(faces, x, y)
    return torch.where(known[:, None, None, None], drawn, 0.0)


def crop_faces(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Cut the square of each box out of its image, bilinearly; undoes :func:`place_faces`.

    Bilinear means that a box more than twice as large as ``size``, F, loses pixels between samples.
    Of images ``(N, C, H, W)`` and boxes ``(N, 4)`` in their pixels it is ``(N, C, F, F)`` float32;
    0 where there is no box. Beyond the image its border goes on.
    """
    known, safe = _safe(boxes)
    left, top, right, bottom = safe.float().unbind(dim=1)
    height, width = images.shape[2:]
    steps = _centres(size, boxes) / size  # (F,), from 0 to 1
    x = 2 * (left[:, None] + steps * (right - left)[:, None]) / width - 1  # (N, F)
    y = 2 * (top[:, None] + steps * (bottom - top)[:, None]) / height - 1  # (N, F)
    return torch.where(known[:, None, None, None], _sample(images, x, y), 0.0)


def has_box(boxes: Tensor) -> Tensor:
    """(N, 4) -> (N,) bool: whether the row is a box, finite and with an area."""
    left, top, right, bottom = boxes.unbind(dim=1)
    return boxes.isfinite().all(dim=1) & (right > left) & (bottom > top)


def _safe(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return which rows are boxes, and boxes with a harmless one in place of what is none."""
    known = has_box(boxes)
    # Made on the device: a tensor of Python's numbers would be copied there, and waited for.
    harmless = torch.cat([boxes.new_zeros(2), boxes.new_ones(2)])
    return known, torch.where(known[:, None], boxes, harmless)


def _centres(size: int, like: Tensor) -> Tensor:
    """Return the centres of a row's pixels, ``(size,)`` float32."""
    return torch.arange(size, device=like.device, dtype=torch.float32) + 0.5


def _blurred(low: Tensor, high: Tensor, x: Tensor, sigma: float) -> Tensor:
    scale = 1 / (math.sqrt(2) * sigma)
    return (torch.erf((high - x) * scale) - torch.erf((low - x) * scale)) / 2


def _sample(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read images at the crossings of columns x ``(N, w)`` and rows y ``(N, h)``, in [-1, 1]."""
    shape = (len(x), y.shape[1], x.shape[1])
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=3)
    return grid_sample(
        images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
    )


# ---- The whole model ---------------------------------------------------------------------------


class Model(nn.Module):
    """The Detail Replenishing Network, or what an ablation leaves of it.

    Without both modules it is the pose transfer branch alone, whose final image is I_c. A new one
    has random weights, drawn from torch's global generator, and is on the CPU.

    Attributes:
        pose_branch: G_P.
        global_module, face_module: ``None`` where the configuration leaves them out.
    """

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        settings = configuration.model
        self.sigma = settings.face_blur_sigma
        self.pose_branch = PoseTransferBranch(settings)
        self.global_module: GlobalModule | None = None
        if settings.global_module:
            network = configuration.loss.perceptual_network
            summary = Summary(network) if settings.hears_summary else None
            self.global_module = GlobalModule(self.pose_branch.channels, settings, summary)
        self.face_module = FaceModule(settings) if settings.face_module else None

    def forward(self, inputs: Inputs, *, coarse_only: bool = False) -> Outputs:
        """Draw the target images.

        Args:
            inputs: N pairs; height and width are multiples of 2^k, k the downsamplings.
            coarse_only: leave the detail branch out, as in the first part of the training; the
                final image is then I_c.
        """
        coarse, features = self.pose_branch(inputs.source, inputs.source_pose, inputs.target_pose)
        residual = face = None
        if self.global_module is not None and not coarse_only:
            residual = self.global_module(features, inputs.source, coarse)  # (N, 3, H, W)
        if self.face_module is not None and not coarse_only:
            face = self.face_module(inputs.target_face_pose, inputs.source_face)  # (N, 3, F, F)
        mask, final = compose(coarse, residual, face, inputs.face_box, self.sigma)
        return Outputs(coarse, residual, face, mask, final)


# ---- D_A and D_S: which patches are photographs, given who and given where -----------------------


class PatchDiscriminator(nn.Module):
    """Scores for patches of an image: near 1 where it looks real, near 0 elsewhere.

    Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
    with residual blocks as PATN's. There is no sigmoid at its end: its loss is one of least squares
    (Mao et al., ICCV 2017). Beside the image it is shown ``condition`` channels.
    """

    def __init__(self, condition: int, settings: ModelSettings) -> None:
        super().__init__()
        width = settings.discriminator_channels
        layers: list[nn.Module] = [
            _patches(condition + 3, width),
            nn.LeakyReLU(SLOPE, inplace=True),
        ]
        for _ in range(settings.discriminator_downsamplings - 1):
            layers.append(unbiased(_patches(width, 2 * width)))
            layers.append(nn.InstanceNorm2d(2 * width, affine=True))
            layers.append(nn.LeakyReLU(SLOPE, inplace=True))
            width *= 2
        layers += [ResidualBlock(width) for _ in range(settings.discriminator_blocks)]
        layers.append(nn.Conv2d(width, 1, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, condition: Tensor, image: Tensor) -> Tensor:
        """Score N images, (N, 3, H, W) in [-1, 1], beside (N, ``condition``, H, W).

        Scores are (N, 1, H / 2^k, W / 2^k) float32, k the halvings, rounded down.
        """
        scores: Tensor = self.layers(torch.cat([condition, image], dim=1)).float()
        return scores


class Discriminators(nn.Module):
    """D_A(I_s ++ I), is it who the source shows?, and D_S(P_t ++ I), is it somebody in the pose?"""

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__()
        self.appearance = PatchDiscriminator(3, settings)
        self.pose = PatchDiscriminator(JOINTS, settings)

    def forward(self, source: Tensor, pose: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Score images, given their sources, (N, 3, H, W), and target poses, (N, 18, H, W)."""
        return self.appearance(source, image), self.pose(pose, image)


def _patches(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a convolution that halves an even height and width."""
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
