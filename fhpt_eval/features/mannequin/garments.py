"""The feature: from images to what the garment network says of them.

May import: errors, weights, features, pydantic, torch.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.errors import ArgumentError, WeightsError
from fhpt_eval.features.base import Feature
from fhpt_eval.features.exact import exact
from fhpt_eval.features.mannequin.garment_network import GarmentNetwork, Outputs, resized

#: The name of the weights in the registry, which is also the feature's.
REGISTERED = "mannequin-garments"
#: How far beyond [0, 1] levels may lie: a bicubic kernel overshoots.
OVERSHOOT = 0.5
#: Images that pass the network together. Always as many, because the shape decides in which order
#: a library adds.
_BATCH_CPU, _BATCH_ACCELERATOR = 4, 32
#: Names that an error lists before it only counts.
_LISTED = 5

_loading = threading.Lock()


class Garments(Feature):
    """What the garment network of the mannequin benchmark says of the clothes in an image.

    Fields:
        weights: a registered name or a file, where they are not the shipped ones.
    """

    name: ClassVar[str] = REGISTERED

    weights: Annotated[str, Field(min_length=1)] | None = None

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the features of N images in one pass, on their device.

        An image's features do not depend on the other images, nor on its place among them: on a
        CPU not by a single bit.

        Args:
            images: ``(N, 3, H, W)``, uint8 or float in [0, 1], up to :data:`OVERSHOOT` beyond.
                Images that are not 256 x 176 are resized to that: see ``garment_network.resized``.

        Returns:
            float32: ``pool`` (N, 128); ``logits`` (N, 77) of the classes, which are pairs of a kind
            and a texture of the upper garment, and ``logits_unbiased`` (N, 77), without biases; see
            ``garment_network.Outputs``; ``embedding`` (N, 64), of length 1, alike for pictures of
            the same clothes.

        Raises:
            ArgumentError: the tensor has the wrong type, shape or range.
            WeightsError: the weights are not there, or not this network's.
        """
        levels = _checked(images)
        network = load_garments(levels.device, self._source)
        size = _BATCH_CPU if levels.device.type == "cpu" else _BATCH_ACCELERATOR
        with torch.no_grad(), exact(levels.device):
            parts = [_batch(network, part, size) for part in torch.split(levels, size)]
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        return dict(zip(Outputs._fields, columns, strict=True))

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights; of registered ones without a file.

        Raises:
            WeightsError: an explicit file is not there.
        """
        return {REGISTERED: weights.digest_of(self._source)}

    def canonical(self) -> dict[str, Any]:
        """See :meth:`Feature.canonical`: of weights the digest counts, not where they lie."""
        return super().canonical() | {
            "parameters": {},
            "weights": sorted(self.digests().values()),
        }

    def lacks(self) -> str:
        """Say which weights are missing on this machine and what would cure it, or nothing."""
        return weights.available(self._source)

    def load(self, device: torch.device) -> None:
        """See :meth:`Feature.load`."""
        load_garments(device, self._source)

    @property
    def _source(self) -> str:
        return self.weights or REGISTERED


def load_garments(device: torch.device, source: str = REGISTERED) -> GarmentNetwork:
    """Return the network with the weights of ``source``, a registered name or a file.

    Each is loaded once per process and device, however many threads ask at the same time; a file
    that has changed is another. Its parameters need no gradients and must not be changed; gradients
    pass through it to images.

    Raises:
        WeightsError: there are no such weights, or they are not of this network.
    """
    with _loading:  # lru_cache alone would let two threads load the same file
        return _load(source, weights.digest_of(source), device)


@lru_cache(maxsize=4)
def _load(source: str, digest: str, device: torch.device) -> GarmentNetwork:  # noqa: ARG001 - a key of the cache
    return build_garments(weights.load_state(source), device, source)


def build_garments(state: Mapping[str, Tensor], device: torch.device, label: str) -> GarmentNetwork:
    """Make a network of a state dict, by whose ``label`` errors call it.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
    """
    with torch.device("meta"):
        network = GarmentNetwork()
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    problems = [
        kind + _first(entries)
        for kind, entries in (
            ("missing: ", [name for name in expected if name not in state]),
            ("unknown: ", [name for name in state if name not in expected]),
            ("", _faults(expected, state)),
        )
        if entries
    ]
    if problems:
        raise WeightsError(f"weights '{label}' are not of {REGISTERED}; {'; '.join(problems)}")
    network.load_state_dict({name: state[name].float() for name in expected}, assign=True)
    network.eval().requires_grad_(False)
    return network.to(device).to(memory_format=torch.channels_last)


def _faults(expected: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> list[str]:
    found = []
    for name, shape in expected.items():
        value = state.get(name)
        if value is None:
            continue
        if tuple(value.shape) != shape:
            found.append(f"{name} is {tuple(value.shape)}, not {shape}")
        elif not value.is_floating_point():
            found.append(f"{name} is {value.dtype}, not floats")
        elif not value.isfinite().all():
            found.append(f"{name} holds values that are no finite numbers")
    return found


def _first(entries: list[str]) -> str:
    more = len(entries) - _LISTED
    return ", ".join(entries[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _batch(network: GarmentNetwork, images: Tensor, size: int) -> Outputs:
    """Run up to ``size`` images, the last one repeated to make that many."""
    count = len(images)
    # On [0, 1]; the division is made for uint8 only, so that floats stay what they are.
    x = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    x = resized(x.contiguous())
    if count < size:
        x = torch.cat([x, x[-1:].expand(size - count, -1, -1, -1)])
    return Outputs(*(column[:count] for column in network(x)))


def _checked(images: object) -> Tensor:
    if not isinstance(images, Tensor):
        raise ArgumentError(f"'images' must be a torch.Tensor, not {type(images).__name__}")
    if images.ndim != 4 or images.shape[1] != 3 or images.numel() == 0:
        raise ArgumentError(f"'images' must be (N, 3, H, W), not {tuple(images.shape)}")
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise ArgumentError(f"'images' must be uint8 or float in [0, 1], not {images.dtype}")
    low, high = images.min().item(), images.max().item()
    if not (low >= -OVERSHOOT and high <= 1 + OVERSHOOT):
        raise ArgumentError(
            f"'images' must lie in [0, 1] (a resize may overshoot by {OVERSHOOT}) or be uint8; "
            f"their values run from {low:g} to {high:g}"
        )
    return images
