"""G_P: moves a person from the source pose to the target pose, coarsely.

Zhu, Huang, Shi, Yu, Wang, Bai, "Progressive Pose Attention Transfer for Person Image Generation",
CVPR 2019 ("PATN" below). Image code and pose code go side by side through a cascade of blocks; in
each, the pose says where the image code is to be updated, and then takes note of the update.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fhpt_eval.reference_models.drn.blocks import (
    ResidualBlock,
    convolution,
    doubling,
    encoder,
    normalised,
    to_colours,
)
from fhpt_eval.reference_models.drn.configuration import ModelSettings

#: Joints of a pose, each with a heatmap of its own.
JOINTS = 18


class Coarse(NamedTuple):
    """What the pose transfer branch yields for N pairs."""

    image: Tensor  # I_c, (N, 3, H, W) float32 in [-1, 1]
    features: Tensor  # F_t, (N, d, H / 2^k, W / 2^k): aligned with the target pose


class PoseAttentionalBlock(nn.Module):
    """One step of the cascade (PATN, section 3.1).

    With the image code F^P and the pose code F^S of the step before (its symbols)::

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
        """Return the coarse image and the features behind it.

        Args:
            source: I_s, (N, 3, H, W) in [-1, 1].
            source_pose: P_s, (N, 18, H, W) in [0, 1].
            target_pose: P_t, likewise.
        """
        image = self.image_encoder(source)  # (N, d, h, w), h = H / 2^k, w = W / 2^k
        pose = self.pose_encoder(torch.cat([source_pose, target_pose], dim=1))  # (N, d, h, w)
        for block in self.cascade:
            image, pose = block(image, pose)
        # In float32: where bfloat16 rounds a hyperbolic tangent to 1, no gradient would be left.
        colours = torch.tanh(self.decoder(image).float())
        return Coarse(colours, image)
