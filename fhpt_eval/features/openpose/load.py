"""From a state dict to one of the pose networks: checked.

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

from fhpt_eval.features.loading import check_entries
from fhpt_eval.features.openpose.network import Network, PoseNetworkName, shapes


def build_network(
    name: PoseNetworkName, state: Mapping[str, Tensor], device: torch.device, label: str
) -> Network:
    """Make a network of a state dict, see :meth:`.WeightedNetwork.build`.

    ``state`` has the entries of :func:`network.shapes`, all of them and no others; each name may
    have module names and dots before it.
    """
    weights = {}
    for layer, value in _checked(name, state, label).items():
        order = torch.channels_last if value.ndim == 4 else torch.contiguous_format
        weights[layer] = value.detach().to(device, torch.float32).contiguous(memory_format=order)
    return Network(name, weights)


def _checked(name: PoseNetworkName, state: Mapping[str, Tensor], label: str) -> dict[str, Tensor]:
    """Return the entries by the layers' own names, or say which are wrong."""
    expected = shapes(name)
    by_layer: dict[str, list[str]] = {}
    for entry in state:
        by_layer.setdefault(".".join(entry.split(".")[-2:]), []).append(entry)
    twice = [" and ".join(entries) for entries in by_layer.values() if len(entries) > 1]
    entry_of = {layer: entries[0] for layer, entries in by_layer.items()}
    check_entries(
        {entry: state[entry] for entry in entry_of.values()},
        {entry_of.get(layer, layer): shape for layer, shape in expected.items()},
        label,
        f"the network {name}",
        twice=twice,
    )
    return {layer: state[entry_of[layer]] for layer in expected}
