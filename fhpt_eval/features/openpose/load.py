"""Weights of OpenPose's networks: checked, and loaded once per process and device.

The public files (``body_pose_model.pth``, ``pose_iter_584000.caffemodel.pt``) are Caffe's converted
by caffemodel2pytorch: their entries are Caffe's layers with ``.weight`` and ``.bias``, such as
``Mconv7_stage6_L2.bias``. The PyTorch ports hold these layers in modules, and a state dict saved by
one has the modules' names before them (``model6_2.Mconv7_stage6_L2.bias``,
``models.Mconv1_stage0_L2.0.Mconv1_stage0_L2_0.weight``). Both are read. Sources: ``transfer`` in
``src/util.py`` of Hzzone/pytorch-openpose and of TracelessLe/OpenPose.PyTorch, which maps one to
the other.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.features.loading import check_entries, loaded_once
from fhpt_eval.features.openpose.network import Network, NetworkName, shapes


@loaded_once(2)
def load_network(source: str, name: NetworkName, device: torch.device) -> Network:
    """Return the network with the weights of ``source``, a registered name or a file.

    Each is loaded once per process and device, however many threads ask at the same time; a file
    that has changed is another.

    Raises:
        WeightsError: there are no such weights, or they are not of this network.
    """
    return build_network(name, weights.load_state(source), device, source)


def build_network(
    name: NetworkName, state: Mapping[str, Tensor], device: torch.device, label: str
) -> Network:
    """Make a network of a state dict.

    Args:
        name: which network.
        state: the entries of :func:`network.shapes`, all of them and no others, of any floating
            type; each name may have module names and dots before it.
        device: where it shall compute.
        label: what an error calls the state dict.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
    """
    found = _checked(name, state, label)
    return Network(name, {entry: _placed(value, device) for entry, value in found.items()})


def _placed(value: Tensor, device: torch.device) -> Tensor:
    layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
    return value.detach().to(device, torch.float32).contiguous(memory_format=layout)


def _checked(name: NetworkName, state: Mapping[str, Tensor], label: str) -> dict[str, Tensor]:
    """Return the entries by the layers' own names, or say which are wrong."""
    expected = shapes(name)
    given: dict[str, list[str]] = {}
    for entry in state:
        given.setdefault(".".join(entry.split(".")[-2:]), []).append(entry)
    twice = [" and ".join(entries) for entries in given.values() if len(entries) > 1]
    there = {layer: entries[0] for layer, entries in given.items()}
    check_entries(
        {entry: state[entry] for entry in there.values()},
        {there.get(layer, layer): shape for layer, shape in expected.items()},
        label,
        f"the network {name}",
        twice=twice,
    )
    return {layer: state[there[layer]] for layer in expected}
