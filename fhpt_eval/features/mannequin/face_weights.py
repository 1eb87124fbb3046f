"""Weights of the networks of drawn faces: checked, and loaded once per process and device.

May import: errors, weights, face_network, torch.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.errors import WeightsError
from fhpt_eval.features.mannequin.face_network import FaceNetworks

#: Wrong entries that an error lists before it only counts.
_LISTED = 5

_loading = threading.Lock()


def load_networks(source: str, device: torch.device) -> FaceNetworks:
    """Return both networks with the weights of ``source``, a registered name or a file.

    Each is loaded once per process and device, however many threads ask at the same time; a file
    that has changed is another.

    Raises:
        WeightsError: there are no such weights, or they are not of these networks.
    """
    with _loading:  # lru_cache alone would let two threads load the same file
        return _load(source, weights.digest_of(source), device)


@lru_cache(maxsize=2)
def _load(source: str, digest: str, device: torch.device) -> FaceNetworks:  # noqa: ARG001 - a key of the cache
    return build_networks(weights.load_state(source), device, source)


def build_networks(
    state: Mapping[str, Tensor], device: torch.device, label: str = "the state dict"
) -> FaceNetworks:
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
    expected = {name: tuple(value.shape) for name, value in networks.state_dict().items()}
    faults = [f"{name} is missing" for name in expected if name not in state]
    faults += [f"{name} is unknown" for name in state if name not in expected]
    faults += [
        f"{name} {fault}"
        for name, shape in expected.items()
        if name in state and (fault := _fault(state[name], shape))
    ]
    if faults:
        more = f"; and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
        raise WeightsError(
            f"weights '{label}' are not of the networks of drawn faces: "
            + "; ".join(faults[:_LISTED])
            + more
        )
    kept = {name: state[name].detach().to(device, torch.float32) for name in expected}
    networks.load_state_dict(kept, assign=True)
    return networks.requires_grad_(False)


def _fault(value: Tensor, shape: tuple[int, ...]) -> str:
    if tuple(value.shape) != shape:
        return f"is {tuple(value.shape)}, not {shape}"
    if not value.is_floating_point():
        return f"is {value.dtype}, not floats"
    return "" if value.isfinite().all() else "holds values that are no finite numbers"
