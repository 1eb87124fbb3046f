"""D_A and D_S: which patches of an image are photographs, given who and given where.

A patch discriminator (Isola et al., "Image-to-Image Translation with Conditional Adversarial
Networks", CVPR 2017) with residual blocks, as PATN's (Zhu et al., CVPR 2019). There is no sigmoid
at its end: its loss is one of least squares (Mao et al., ICCV 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fhpt_eval.reference_models.drn.configuration import ModelSettings
from fhpt_eval.reference_models.drn.model.drn import JOINTS, SLOPE, ResidualBlock, unbiased


class PatchDiscriminator(nn.Module):
    """Scores for patches of an image: near 1 where it looks real, near 0 elsewhere.

    Args:
        condition: channels of what it is shown beside the image.
        settings: sizes, ``discriminator_*``.
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
        """Score N images.

        Args:
            condition: (N, ``condition``, H, W).
            image: (N, 3, H, W) in [-1, 1].

        Returns:
            (N, 1, H / 2^k, W / 2^k) float32, k the halvings, rounded down.
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
