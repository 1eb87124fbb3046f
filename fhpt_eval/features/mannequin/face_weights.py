"""Weights of the networks of drawn faces: checked, and loaded once per process and device."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.features.loading import check_entries, loaded_once, shapes_of
from fhpt_eval.features.mannequin.face_network import FaceNetworks


@loaded_once(2)
def load_networks(source: str, device: torch.device) -> FaceNetworks:
    """Return both networks with the weights of ``source``, a registered name or a file.

    Each is loaded once per process and device, however many threads ask at the same time; a file
    that has changed is another.

    Raises:
        WeightsError: there are no such weights, or they are not of these networks.
    """
    return build_networks(weights.load_state(source), device, source)


def build_networks(state: Mapping[str, Tensor], device: torch.device, label: str) -> FaceNetworks:
    """Make both networks of a state dict, without gradients.

    Args:
        state: the entries of ``FaceNetworks``, all of them and no others, of any floating type.
        device: where they shall compute.
        label: what an error calls the state dict.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
    """
    with torch.device("meta"):  # no memory, and no random numbers drawn for nothing
        networks = FaceNetworks()
    expected = shapes_of(networks)
    check_entries(state, expected, label, "the networks of drawn faces")
    kept = {name: state[name].detach().to(device, torch.float32) for name in expected}
    networks.load_state_dict(kept, assign=True)
    return networks.requires_grad_(False)
