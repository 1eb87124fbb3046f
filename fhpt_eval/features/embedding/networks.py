"""Rows by torchvision's ResNet-50, and by any model of timm. Nothing is downloaded.

Citation: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR
2016, arXiv:1512.03385.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fhpt_eval.errors import WeightsError, did_you_mean
from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.embedding.normalised import NormalisedInput, normalised, vectors
from fhpt_eval.features.levels import as_levels
from fhpt_eval.features.loading import loaded_once, module_of
from fhpt_eval.features.networks import Gift, Network
from fhpt_eval.features.weighted import WeightedNetwork
from fhpt_eval.weights.state import load_state
from fhpt_eval.weights.store import available, digest_of

#: Images that pass ResNet-50 together. Always as many, because the shape decides in which order a
#: library adds. A CPU gains little by more: 1: 230 ms an image, 2: 210, 4: 195, 8: 162, one thread.
_BATCH_CPU, _BATCH_ACCELERATOR = 4, 32

#: Length of the features.
FEATURES = 2048
#: Convolutions and the batch norms that follow them, by their names in a block, and in a shortcut.
_FOLLOWED = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1"))
#: Entries that the features do without: the last layer, and counts of training steps.
_CLASSIFIER, _COUNTER = "fc.", ".num_batches_tracked"

#: A network, and what makes its input of images.
_Fed = tuple[torch.nn.Module, Callable[[Tensor], Tensor]]


class ResNet50(NormalisedInput, WeightedNetwork):
    """Pooled features of torchvision's ResNet-50, trained on ImageNet.

    Fields:
        input_size, input_mean, input_std: see :class:`NormalisedInput`.
        weights: a registered name or a file, where they are not the registered ones.
    """

    name: ClassVar[str] = "resnet50"
    title: ClassVar[str] = "ResNet-50 (torchvision's)"
    gives: ClassVar[frozenset[Gift]] = frozenset({"rows"})
    dimensions: ClassVar[Mapping[str, int]] = {"embedding": FEATURES}
    made_for: ClassVar[str] = "photographs"
    registered: ClassVar[str] = "resnet50-imagenet"
    licence: ClassVar[str] = "BSD-3-Clause; ImageNet's terms may apply to the weights"
    citation: ClassVar[str] = "He et al., CVPR 2016"

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return ``embedding`` (N, 2048) float32 of ``(N, 3, H, W)`` images, on their device."""
        levels = as_levels(images)
        network: torch.nn.Module = self.loaded(levels.device)

        def run(x: Tensor) -> Mapping[str, Tensor]:
            return {"embedding": network(x.contiguous(memory_format=torch.channels_last))}

        return run_in_batches(run, levels, _BATCH_CPU, _BATCH_ACCELERATOR, self.normalised)

    @classmethod
    def build(
        cls, state: Mapping[str, Tensor], device: torch.device, label: str
    ) -> torch.nn.Module:
        return build_resnet50(state, device, label)


def build_resnet50(state: Mapping[str, Tensor], device: torch.device, label: str) -> nn.Module:
    """Make the network of a state dict, from normalised images to ``(N, 2048)`` float32.

    See :meth:`.WeightedNetwork.build`; entries of torchvision's classifier are passed over. Batch
    norms are folded in float64, and rounded once, to float32.
    """
    network = module_of(
        _layers,
        state,
        label,
        "torchvision's resnet50",
        unused=lambda name: name.startswith(_CLASSIFIER) or name.endswith(_COUNTER),
        ignored=lambda name: name.endswith(_COUNTER),
    ).double()
    for block in list(network.modules()):
        for conv, norm in _FOLLOWED:
            if isinstance(getattr(block, norm, None), nn.BatchNorm2d):
                folded = fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
                setattr(block, conv, folded)
                setattr(block, norm, nn.Identity())
    network.requires_grad_(False)
    return network.float().to(device).to(memory_format=torch.channels_last)


def _layers() -> nn.Module:
    from torchvision.models import resnet50  # takes a second to import

    network: nn.Module = resnet50(weights=None)
    network.fc = nn.Identity()
    return network


class Timm(Network):
    """Features of a model of timm (extra ``[timm]``) before its classifier.

    Size, mean and deviation of the input are those that timm states for the model; otherwise see
    :func:`normalised`.

    Fields:
        model: its name, as in ``timm.list_models()``.
        weights: a registered name or a file with its whole state dict, classifier included, as
            timm's own files have it.
    """

    name: ClassVar[str] = "timm"
    title: ClassVar[str] = "A model of timm"
    gives: ClassVar[frozenset[Gift]] = frozenset({"rows"})
    made_for: ClassVar[str] = "what the model was trained on"

    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$")]
    weights: Annotated[str, Field(min_length=1)] | None = None

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return ``embedding`` (N, D) float32 of ``(N, 3, H, W)`` images, on their device.

        One image at a time, so that nothing else can bear on a row.

        Raises:
            WeightsError: timm, the model or its weights are not there or do not fit together.
        """
        levels = as_levels(images)
        network, prepared = self._network(levels.device)

        def run(batch: Tensor) -> Mapping[str, Tensor]:
            return {"embedding": vectors(network(prepared(batch)), 1, f"timm:{self.model}")}

        return run_in_batches(run, levels, 1, 1)

    def load(self, device: torch.device) -> None:
        self._network(device)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights, if any are named.

        Raises:
            WeightsError: the file is not there.
        """
        return {f"timm:{self.model}": digest_of(self.weights)} if self.weights else {}

    def canonical(self) -> dict[str, Any]:
        """See :meth:`Feature.canonical`; timm's version may state another input for a model."""
        return super().canonical() | {
            "parameters": {"model": self.model, "timm": _version_of("timm")},
            "weights": sorted(self.digests().values()),
        }

    @property
    def label(self) -> str:
        return f"timm:{self.model}, timm {_version_of('timm')}"

    def lacks(self) -> str:
        if find_spec("timm") is None:
            return "needs timm (pip install 'fhpt-eval[timm]')"
        timm: Any = import_module("timm")
        known = timm.list_models()
        plain = self.model.partition(".")[0]
        if plain not in known:
            return f"is no model of timm {timm.__version__}.{did_you_mean(plain, known)}"
        if self.weights is None:
            return (
                "needs a file with its weights, which fhpt-eval never downloads "
                '(network_weights = "FILE"; timm.create_model(NAME, pretrained=True)'
                ".state_dict() is what it should hold)"
            )
        return available(self.weights)

    def _network(self, device: torch.device) -> _Fed:
        if lacking := self.lacks():
            raise WeightsError(f"timm:{self.model} {lacking}")
        return _load_timm(self.weights or "", self.model, device)


@loaded_once(2)
def _load_timm(source: str, model: str, device: torch.device) -> _Fed:
    timm: Any = import_module("timm")
    network = timm.create_model(model, pretrained=False)
    try:
        network.load_state_dict(load_state(source), strict=True)
    except RuntimeError as error:
        first = " ".join(str(error).split())[:500]
        raise WeightsError(f"{source} does not hold the weights of timm:{model}: {first}") from None
    config = timm.data.resolve_model_data_config(network)
    network.reset_classifier(0)
    size = tuple(config["input_size"][1:])
    network.eval().requires_grad_(False).to(device)
    return network, partial(normalised, size=size, mean=config["mean"], std=config["std"])


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
