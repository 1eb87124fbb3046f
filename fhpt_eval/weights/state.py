"""From a file of weights to tensors by name; nothing in the file is executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fhpt_eval.common.files import opened
from fhpt_eval.errors import WeightsError
from fhpt_eval.weights.registry import MAX_BYTES
from fhpt_eval.weights.store import find

if TYPE_CHECKING:
    from torch import Tensor


def load_state(name_or_path: str | Path) -> dict[str, Tensor]:
    """Load a network's tensors by name, on the CPU, from a safetensors or a PyTorch file.

    The digest is checked first (see :func:`find`). Nothing in the file is executed.

    Raises:
        WeightsError: the file is missing, damaged, not what the registry says, would have to be
            executed to be read, or is no state dict.
    """
    weights = find(name_or_path)
    try:
        state = _read(weights.path)
    except Exception as error:  # a hostile file may make its reader fail in any way
        raise WeightsError(
            f"{weights.path} cannot be read as weights ({type(error).__name__}: "
            f"{_first_line(error)}). Only plain tensors are read, nothing is executed: save them "
            "with torch.save(network.state_dict(), FILE) or as safetensors."
        ) from error
    return _checked(state, weights.path)


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do: with the length of a JSON header, and the header."""
    with opened(path, MAX_BYTES) as file:
        return file.read(9)[8:] == b"{"


def _read(path: Path) -> object:
    if is_safetensors(path):
        from safetensors.torch import load_file

        return load_file(path, device="cpu")
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return text if len(text) <= 300 else text[:300] + "..."


def _checked(state: object, path: Path) -> dict[str, Tensor]:
    """Refuse what is not a state dict; parameters become plain tensors."""
    import torch

    cure = "Save one with torch.save(network.state_dict(), FILE)."
    if not isinstance(state, Mapping):
        kind = type(state).__name__
        raise WeightsError(f"{path} holds a {kind}, not a state dict (tensors by name). {cure}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            where, kind = str(name)[:100], type(value).__name__
            raise WeightsError(
                f"{path} is no state dict: under {where!r} it holds a {kind}, not a tensor. {cure}"
            )
    if not state:
        raise WeightsError(f"{path} is a state dict without any tensor.")
    return {name: value.detach() for name, value in state.items()}
