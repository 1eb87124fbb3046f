"""From a state dict to an Inception network: checked, batch norms folded."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.utils.fusion import fuse_conv_bn_weights

from fhpt_eval.features.inception.network import (
    FEATURES,
    VARIANTS,
    InceptionName,
    Network,
    Shape,
    layout,
    shapes,
)
from fhpt_eval.features.loading import check_entries

#: What TensorFlow and torchvision add to a batch norm's variance.
_EPSILON = 0.001
_NORM = ("weight", "bias", "running_mean", "running_var")
#: A count of training steps, which some files hold and evaluation does not use.
_COUNTER = ".bn.num_batches_tracked"


def build_network(
    name: InceptionName, state: Mapping[str, Tensor], device: torch.device, label: str
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
    check_entries(
        state,
        expected_shapes(name),
        label,
        f"the network {name}",
        unused=lambda entry: entry.endswith(_COUNTER) or entry.startswith(VARIANTS[name].ignored),
    )
    steps = layout(name)
    convolutions, _ = shapes(steps)
    return Network(
        steps,
        {conv: fold(state, conv, device) for conv in convolutions},
        state["fc.weight"].detach().to(device, torch.float32),
        state["fc.bias"].detach().to(device, torch.float32),
    )


def expected_shapes(name: InceptionName) -> dict[str, Shape]:
    """Return the shape of every entry that a state dict of this network must have."""
    convolutions, _ = shapes(layout(name))
    entries: dict[str, Shape] = {}
    for conv, shape in convolutions.items():
        entries[f"{conv}.conv.weight"] = shape
        entries |= {f"{conv}.bn.{part}": shape[:1] for part in _NORM}
    classes = VARIANTS[name].classes
    return entries | {"fc.weight": (classes, FEATURES), "fc.bias": (classes,)}


def fold(state: Mapping[str, Tensor], conv: str, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a convolution's weight, channels last, and bias with its batch norm folded in.

    Computed in float64, and rounded once, to float32.
    """
    gain, offset, mean, variance = (state[f"{conv}.bn.{part}"].detach().double() for part in _NORM)
    filters = state[f"{conv}.conv.weight"].detach().double()
    weight, bias = fuse_conv_bn_weights(filters, None, mean, variance, _EPSILON, gain, offset)
    placed = weight.detach().float().to(device, memory_format=torch.channels_last)
    return placed, bias.detach().float().to(device)
