"""Networks that a perceptual distance looks into: three trunks with the channel weights of LPIPS.

Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018, with the linear layers of its authors' package ``lpips`` 0.1.4 ("the
release"; features/data/lpips_heads.LICENSE.txt). The trunks' own weights are not part of this
package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Any, ClassVar, Literal

import safetensors.torch
import torch
from torch import Tensor

from fhpt_eval.features.levels import OVERSHOOT, checked_images
from fhpt_eval.features.networks import Gift
from fhpt_eval.features.trunks import TRUNKS, Trunk, TrunkName, load_trunk
from fhpt_eval.features.weighted import WeightedNetwork

_HEADS_FILE = "lpips_heads.safetensors"

#: Red, green and blue are shifted and scaled by these before the trunk, from release 0.1 on; for
#: images in [-1, 1] that is the usual normalisation by ImageNet's means and deviations.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class PerceptualTrunk(WeightedNetwork):
    """Feature maps of a classifier of photographs, and how much people's eyes weigh each channel.

    Fields:
        release: of the channel weights. ``"0.0"`` (2018) does not normalise colours before the
            trunk; ``"0.1"`` is what is used today.
        scale: where the trunk is fed the image's black and white, before the normalisation:
            ``"-1..1"`` as intended, or ``"0..1"`` as scripts that forgot to shift it.
        weights: a registered name, or a file with torchvision's state dict, where they are not the
            registered ones.
    """

    gives: ClassVar[frozenset[Gift]] = frozenset({"maps"})
    made_for: ClassVar[str] = "photographs"
    licence: ClassVar[str] = "BSD-3-Clause; ImageNet's terms may apply to the weights"
    takes_floats: ClassVar[bool] = True
    trunk: ClassVar[TrunkName]

    release: Literal["0.1", "0.0"] = "0.1"
    scale: Literal["-1..1", "0..1"] = "-1..1"

    @classmethod
    def build(cls, state: Mapping[str, Tensor], device: torch.device, label: str) -> Trunk:
        return load_trunk(cls.trunk, state, device, label)

    def compute(self, images: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Return nothing: the network gives maps alone."""
        return {}

    def maps(self, images: Tensor) -> list[Tensor]:
        """See :meth:`Network.maps`; not negative."""
        checked_images(images, OVERSHOOT)
        trunk: Trunk = self.loaded(images.device)
        return trunk(scaled(images, *_normalisation(self.release, self.scale, images.device)))  # type: ignore[no-any-return]

    def channel_weights(self, device: torch.device) -> Sequence[Tensor]:
        return _heads(self.name, self.release, len(TRUNKS[self.trunk].taps), device)

    def digests(self) -> dict[str, str]:
        heads = hashlib.sha256(_heads_bytes()).hexdigest()
        return {_HEADS_FILE: heads, **super().digests()}


class Alex(PerceptualTrunk):
    """AlexNet: the fastest, and the paper's choice."""

    name: ClassVar[str] = "alex"
    title: ClassVar[str] = "AlexNet (torchvision's), LPIPS"
    trunk: ClassVar[TrunkName] = "alexnet"
    registered: ClassVar[str] = "alexnet-imagenet"
    smallest: ClassVar[int] = TRUNKS["alexnet"].smallest
    citation: ClassVar[str] = "Krizhevsky, arXiv 1404.5997; Zhang et al., CVPR 2018"


class VGG(PerceptualTrunk):
    """VGG-16."""

    name: ClassVar[str] = "vgg"
    title: ClassVar[str] = "VGG-16 (torchvision's), LPIPS"
    trunk: ClassVar[TrunkName] = "vgg16"
    registered: ClassVar[str] = "vgg16-imagenet"
    smallest: ClassVar[int] = TRUNKS["vgg16"].smallest
    citation: ClassVar[str] = "Simonyan and Zisserman, ICLR 2015; Zhang et al., CVPR 2018"


class Squeeze(PerceptualTrunk):
    """SqueezeNet 1.1."""

    name: ClassVar[str] = "squeeze"
    title: ClassVar[str] = "SqueezeNet 1.1 (torchvision's), LPIPS"
    trunk: ClassVar[TrunkName] = "squeezenet1_1"
    registered: ClassVar[str] = "squeezenet1_1-imagenet"
    smallest: ClassVar[int] = TRUNKS["squeezenet1_1"].smallest
    citation: ClassVar[str] = "Iandola et al., arXiv 1602.07360; Zhang et al., CVPR 2018"


def scaled(images: Tensor, gain: Tensor, offset: Tensor) -> Tensor:
    """Return ``(N, 3, H, W)`` images times a gain plus an offset, float32 and channels last.

    Gain and offset, ``(3, 1, 1)`` float32, are for images in [0, 1], whatever these are in.
    """
    if images.dtype == torch.uint8:
        gain = gain / 255
    single = images.to(torch.float32, memory_format=torch.channels_last, copy=True)
    return single.mul_(gain).add_(offset)


@lru_cache(maxsize=32)
def _normalisation(release: str, scale: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return by what to multiply images in [0, 1], and what to add, ``(3, 1, 1)`` float32 each."""
    span, low = (2.0, -1.0) if scale == "-1..1" else (1.0, 0.0)
    shifts, scales = (_SHIFT, _SCALE) if release == "0.1" else ((0.0,) * 3, (1.0,) * 3)
    gain = [span / s for s in scales]
    offset = [(low - shift) / s for shift, s in zip(shifts, scales, strict=True)]
    figures = torch.tensor([gain, offset], device=device)[..., None, None]
    return figures[0], figures[1]


@lru_cache(maxsize=32)
def _heads(name: str, release: str, layers: int, device: torch.device) -> tuple[Tensor, ...]:
    heads: dict[str, Any] = safetensors.torch.load(_heads_bytes())
    return tuple(heads[f"v{release}.{name}.{layer}"].to(device) for layer in range(layers))


@lru_cache(maxsize=1)
def _heads_bytes() -> bytes:
    return resources.files("fhpt_eval.features").joinpath("data", _HEADS_FILE).read_bytes()
