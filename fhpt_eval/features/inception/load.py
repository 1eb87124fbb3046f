"""Weights of the Inception networks: checked, batch norms folded in, once per process and device.

May import: errors, weights, torch.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.errors import WeightsError
from fhpt_eval.features.inception.network import (
    FEATURES,
    VARIANTS,
    Network,
    NetworkName,
    Shape,
    layout,
    shapes,
)

#: What TensorFlow and torchvision add to a batch norm's variance.
_EPSILON = 0.001
_NORM = ("weight", "bias", "running_mean", "running_var")
#: A count of training steps, which some files hold and evaluation does not use.
_COUNTER = ".bn.num_batches_tracked"
#: Names that an error lists before it only counts.
_LISTED = 5

_loading = threading.Lock()


def load_network(name: NetworkName, source: str, device: torch.device) -> Network:
    """Return the network with the weights of ``source``, a registered name or a file.

    Each is loaded once per process and device, however many threads ask at the same time; a file
    that has changed is another.

    Raises:
        WeightsError: there are no such weights, or they are not of this network.
    """
    with _loading:  # lru_cache alone would let two threads load the same file
        return _load(name, source, weights.digest_of(source), device)


@lru_cache(maxsize=4)
def _load(name: NetworkName, source: str, digest: str, device: torch.device) -> Network:  # noqa: ARG001 - a key of the cache
    state = weights.load_state(source)
    return build_network(name, state, device, source)


def build_network(
    name: NetworkName, state: Mapping[str, Tensor], device: torch.device, label: str
) -> Network:
    """Make a network of a state dict.

    Args:
        name: which network.
        state: for each convolution its ``conv.weight`` (O, I, h, w) and its batch norm's
            ``bn.weight``, ``bn.bias``, ``bn.running_mean``, ``bn.running_var`` (O,); ``fc.weight``
            (K, 2048) and ``fc.bias`` (K,).
        device: where it shall compute.
        label: what an error calls the state dict.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
    """
    _check(name, state, label)
    steps = layout(name)
    convolutions, _ = shapes(steps)
    return Network(
        steps,
        {conv: fold(state, conv, device) for conv in convolutions},
        state["fc.weight"].detach().to(device, torch.float32),
        state["fc.bias"].detach().to(device, torch.float32),
    )


def expected_shapes(name: NetworkName) -> dict[str, Shape]:
    """Return the shape of every entry that a state dict of this network must have."""
    convolutions, _ = shapes(layout(name))
    found: dict[str, Shape] = {}
    for conv, shape in convolutions.items():
        found[f"{conv}.conv.weight"] = shape
        found |= {f"{conv}.bn.{part}": shape[:1] for part in _NORM}
    classes = VARIANTS[name].classes
    return found | {"fc.weight": (classes, FEATURES), "fc.bias": (classes,)}


def fold(state: Mapping[str, Tensor], conv: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a convolution's weight, channels last, and bias with its batch norm folded in.

    The norm (x - mean) / sqrt(variance + eps) * weight + bias is a scale and an offset; their
    products with the weights are made in float64, and rounded once, to float32.
    """
    filters = state[f"{conv}.conv.weight"].detach().double()
    gain, offset, mean, variance = (state[f"{conv}.bn.{part}"].detach().double() for part in _NORM)
    scale = gain / (variance + _EPSILON).sqrt()
    weight = (filters * scale[:, None, None, None]).float()
    bias = (offset - mean * scale).float()
    return weight.to(device, memory_format=torch.channels_last), bias.to(device)


def _check(name: NetworkName, state: Mapping[str, Tensor], label: str) -> None:
    expected = expected_shapes(name)
    ignored = VARIANTS[name].ignored
    missing = [entry for entry in expected if entry not in state]
    unknown = [
        entry
        for entry in state
        if entry not in expected and not entry.endswith(_COUNTER) and not entry.startswith(ignored)
    ]
    faults = [
        f"{entry} {fault}"
        for entry, shape in expected.items()
        if entry in state and (fault := _fault(state[entry], shape))
    ]
    problems = [
        kind + _first(entries)
        for kind, entries in (("missing: ", missing), ("unknown: ", unknown), ("", faults))
        if entries
    ]
    if problems:
        raise WeightsError(
            f"weights '{label}' are not of the network {name}; {'; '.join(problems)}"
        )


def _fault(value: Tensor, shape: Shape) -> str:
    if tuple(value.shape) != shape:
        return f"is {tuple(value.shape)}, not {shape}"
    if not value.is_floating_point():
        return f"is {value.dtype}, not floats"
    return "" if value.isfinite().all() else "holds values that are no finite numbers"


def _first(entries: Sequence[str]) -> str:
    more = len(entries) - _LISTED
    return ", ".join(entries[:_LISTED]) + (f" and {more} more" if more > 0 else "")
