"""What the model can have beyond the paper, each switched on by a setting of its own.

None of it is in the networks of ``drn-256`` and ``patn-256``, which are the paper's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, layer_norm, pad

from fhpt_eval.reference_models.drn.configuration import PerceptualName
from fhpt_eval.reference_models.drn.model.perceptual import (
    SUMMARY_LENGTHS,
    PerceptualNetwork,
    perceptual_network,
)


class EvenDoubling(nn.ConvTranspose2d):
    """A transposed convolution whose kernels cannot draw a checkerboard of even inputs.

    A kernel of 4 with stride 2 gives every pixel as many terms, but uneven weights can still draw a
    lattice. Along rows and along columns a kernel's part that alternates from tap to tap,
    +1 -1 +1 -1, is taken away before it is used. What is left are the kernels of a doubling by the
    nearest neighbour and a 3 x 3 convolution, as Odena et al. advise ("Deconvolution and
    Checkerboard Artifacts", Distill, 2016), at 4/9 of its multiplications.
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


class Summary(nn.Module):
    """What a perceptual network says of whole images, for a style code to hear.

    A second opinion of a network that has seen more: the texture encoder of ADGAN (Men et al., CVPR
    2020) joins features of a fixed VGG to learnt ones so. The network is loaded when it is first
    asked, and is in no state dict.
    """

    def __init__(self, name: PerceptualName) -> None:
        super().__init__()
        self.name, self.length = name, SUMMARY_LENGTHS[name]
        # A dictionary, so that torch does not take the network for a part of the model.
        self._loaded: dict[torch.device, PerceptualNetwork] = {}

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) in [-1, 1] -> (N, length) float32: mean 0 and variance 1 in each row.

        Raises:
            WeightsError: the network's weights are missing.
        """
        if images.device not in self._loaded:
            # The loaded network may be shared, and what a step draws must not depend on whether it
            # is the first.
            with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
                self._loaded[images.device] = perceptual_network(self.name, images.device)
        with torch.no_grad():
            summary = self._loaded[images.device].summary((images + 1) / 2)
            return layer_norm(summary.float(), (self.length,))


class PlainInstanceNorm(nn.Module):
    """Instance normalisation with one learnt scale and bias for all images, called as AdaIN is.

    It stands in AdaIN's place in an ablation that has no style code.
    """

    def __init__(self, channels: int, epsilon: float) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, eps=epsilon, affine=True)

    def forward(self, x: Tensor, style: Tensor | None) -> Tensor:  # noqa: ARG002 - as AdaIN is called
        """(N, channels, h, w) -> the same shape; the style code is not looked at."""
        normal: Tensor = self.norm(x)
        return normal
