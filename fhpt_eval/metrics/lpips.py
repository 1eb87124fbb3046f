"""LPIPS: the distance of two images in the feature maps of a network that recognises objects.

Zhang, Isola, Efros, Shechtman, Wang, "The Unreasonable Effectiveness of Deep Features as a
Perceptual Metric", CVPR 2018 ("the paper" below), with the linear layers of its authors' package
``lpips`` 0.1.4 ("the release"; metrics/data/lpips_heads.LICENSE.txt). The trunks' own weights are
not part of this package (fhpt_eval/weights.py).

Precision: float32 in the network, as in the release, whose sums over channels and positions have
another order; float64 from the mean over positions on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import safetensors.torch
import torch
from pydantic import Field, model_validator
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.errors import WeightsError
from fhpt_eval.features.loading import loaded_once
from fhpt_eval.features.mannequin.garments import load_garments
from fhpt_eval.features.trunks import TRUNKS, Trunk, TrunkName, load_trunk
from fhpt_eval.metrics.base import Direction, PairMetric

Net = Literal["alex", "vgg", "squeeze", "mannequin"]
Release = Literal["0.1", "0.0"]
Scale = Literal["-1..1", "0..1"]

_HEADS_FILE = "lpips_heads.safetensors"

#: The architecture of each net of the release. Its registered weights are called after it.
_ARCHITECTURES: Mapping[str, TrunkName] = {
    "alex": "alexnet",
    "vgg": "vgg16",
    "squeeze": "squeezenet1_1",
}
#: The weights of the net that is not of the release. It resizes images, so none is too small.
_MANNEQUIN = "mannequin-garments"

#: Red, green and blue are shifted and scaled by these before the trunk, from release 0.1 on; for
#: images in [-1, 1] that is the usual normalisation by ImageNet's means and deviations.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)

#: Added to the length of a feature vector before dividing by it (the release).
_EPSILON = 1e-10

#: Pixels of both images that go through an accelerator at once: VGG-16's first maps of so many
#: take half a gigabyte each. A CPU takes pair by pair: larger batches gain next to nothing there,
#: and some convolutions choose another order of sums for another batch size.
_ACCELERATOR_PIXELS = 2**21


class LPIPS(PairMetric):
    """Learned perceptual distance: differences of unit-length features, weighted per channel.

    Parameters:
        net: the trunk: ``"alex"`` (AlexNet), ``"vgg"`` (VGG-16) or ``"squeeze"`` (SqueezeNet 1.1);
            or ``"mannequin"``, that of the mannequin benchmark, which nobody's judgements have
            weighed: all its channels count alike, and it has no release and no scale.
        release: of the linear layers. ``"0.0"`` (2018) does not normalise colours before the
            trunk; ``"0.1"`` is what is used today.
        scale: where the trunk is fed the image's black and white, before the normalisation:
            ``"-1..1"`` as intended, or ``"0..1"`` as scripts that forgot to shift it.
        trunk: weights of the trunk: a registered name, or the path of a file that holds
            torchvision's state dict. ``None``: the registered ones of the net.

    Agrees with ``lpips`` 0.1.4.
    """

    name: ClassVar[str] = "lpips"
    title: ClassVar[str] = "LPIPS"
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)
    undefined_when: ClassVar[str] = (
        "the image is too small for the network: less than 31 pixels on a side for alex, "
        "16 for vgg, 17 for squeeze"
    )

    by_content: ClassVar[frozenset[str]] = frozenset({"trunk"})

    net: Net = "alex"
    release: Release = "0.1"
    scale: Scale = "-1..1"
    trunk: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.net == "mannequin" and (self.release, self.scale) != ("0.1", "-1..1"):
            raise ValueError("the net 'mannequin' has no release and no scale; leave them out")
        others = {_registered(net) for net in (*_ARCHITECTURES, "mannequin") if net != self.net}
        if self.trunk in others:
            raise ValueError(
                f"trunk '{self.trunk}' is of another network than net '{self.net}', whose "
                f"registered one is '{_registered(self.net)}'"
            )
        return self

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: without what the net has no use for."""
        settings = dict(super().canonical())
        unused = {"release": None, "scale": None} if self.net == "mannequin" else {}
        return settings | unused

    def weights(self) -> Mapping[str, str]:
        """See :meth:`Metric.weights`; a trunk's file that cannot be read is "unavailable"."""
        registered = _registered(self.net)
        architecture, heads = registered, {}
        if self.net != "mannequin":
            architecture = _ARCHITECTURES[self.net]
            heads = {_HEADS_FILE: hashlib.sha256(_heads_bytes()).hexdigest()}
        try:
            digest = weights.digest_of(self._source)
            known = weights.digest_of(registered)
        except WeightsError:
            return {**heads, architecture: "unavailable"}
        # Files of one content have one name, so that they give one protocol digest.
        return {**heads, registered if digest == known else f"{architecture}-{digest[:8]}": digest}

    def lacks(self) -> str:
        """See :meth:`Metric.lacks`."""
        return weights.available(self._source)

    def load(self, device: torch.device) -> None:
        """See :meth:`Metric.load`."""
        _network(self.net, self.release, self._source, device)

    @property
    def _source(self) -> str:
        return self.trunk or _registered(self.net)

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` float64, at least 0; NaN where the image is too small for the trunk.

        Raises:
            WeightsError: there are no weights, or they are not the trunk's.
        """
        count, _, height, width = generated.shape
        if min(height, width) < _smallest(self.net):
            return torch.full((count,), math.nan, dtype=torch.float64, device=generated.device)
        network = _network(self.net, self.release, self._source, generated.device)
        pairs = 1
        if generated.device.type != "cpu":
            pairs = max(1, _ACCELERATOR_PIXELS // (2 * height * width))
        sides = (torch.split(images, pairs) for images in (generated, ground_truth))
        blocks = zip(*sides, strict=True)
        with torch.inference_mode():
            values = [_distance(network, self._prepared(torch.cat(block))) for block in blocks]
        return torch.cat(values)

    def _prepared(self, images: Tensor) -> Tensor:
        """Return images as the trunk is fed them, float32 and channels last; may overwrite them."""
        release, scale = ("0.0", "0..1") if self.net == "mannequin" else (self.release, self.scale)
        gain, offset = _normalisation(release, scale, images.device)
        if images.dtype == torch.uint8:
            gain = gain / 255
        single = images.to(torch.float32, memory_format=torch.channels_last)
        return single.mul_(gain).add_(offset)


class _Network(NamedTuple):
    """A trunk, and the weights of the channels at each of its taps, ``(C,)`` float32."""

    trunk: Callable[[Tensor], list[Tensor]]
    heads: tuple[Tensor, ...]


def _distance(network: _Network, images: Tensor) -> Tensor:
    """Compare the first half of the images with the second: ``(N,)`` float64 of ``(2 N, ...)``."""
    layers = zip(network.trunk(images), network.heads, strict=True)
    return torch.stack([_layer_distance(maps, head) for maps, head in layers]).sum(0)


def _layer_distance(maps: Tensor, head: Tensor) -> Tensor:
    """Return the distance in one layer (paper, equation 1), ``(N,)`` of ``(2 N, C, h, w)``.

    The paper scales channels before it squares, the release after; its weights are the squares.
    """
    vectors = maps.permute(0, 2, 3, 1)  # channels side by side in memory, if the maps are so
    lengths = vectors.square().sum(-1, keepdim=True).sqrt_().add_(_EPSILON)
    x, y = (vectors / lengths).chunk(2)
    squares = (x - y).square_()
    return (squares @ head).mean((1, 2), dtype=torch.float64)


@lru_cache(maxsize=32)
def _normalisation(release: str, scale: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return by what to multiply images in [0, 1], and what to add, ``(3, 1, 1)`` float32 each."""
    span, low = (2.0, -1.0) if scale == "-1..1" else (1.0, 0.0)
    shifts, scales = (_SHIFT, _SCALE) if release == "0.1" else ((0.0,) * 3, (1.0,) * 3)
    gain = [span / s for s in scales]
    offset = [(low - shift) / s for shift, s in zip(shifts, scales, strict=True)]
    figures = torch.tensor([gain, offset], device=device)[..., None, None]
    return figures[0], figures[1]


def _registered(net: str) -> str:
    return _MANNEQUIN if net == "mannequin" else f"{_ARCHITECTURES[net]}-imagenet"


def _smallest(net: str) -> int:
    return 1 if net == "mannequin" else TRUNKS[_ARCHITECTURES[net]].smallest


def _network(net: str, release: str, source: str, device: torch.device) -> _Network:
    """Return the network; its trunk is loaded once per process and device."""
    if net == "mannequin":
        garments = load_garments(source, device)
        heads = tuple(torch.ones(channels, device=device) for channels in garments.taps_channels)
        return _Network(garments.maps, heads)
    trunk = _loaded_trunk(source, _ARCHITECTURES[net], device)
    return _Network(trunk, _loaded_heads(net, release, device))


@loaded_once(6)
def _loaded_trunk(source: str, name: TrunkName, device: torch.device) -> Trunk:
    return load_trunk(name, weights.load_state(source), device, label=source)


@lru_cache(maxsize=32)
def _loaded_heads(net: str, release: str, device: torch.device) -> tuple[Tensor, ...]:
    heads = safetensors.torch.load(_heads_bytes())
    layers = len(TRUNKS[_ARCHITECTURES[net]].taps)
    return tuple(heads[f"v{release}.{net}.{layer}"].to(device) for layer in range(layers))


@lru_cache(maxsize=1)
def _heads_bytes() -> bytes:
    return resources.files("fhpt_eval.metrics").joinpath("data", _HEADS_FILE).read_bytes()
