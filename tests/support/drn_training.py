"""How trainings are compared."""

from __future__ import annotations

import torch


def gradient(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([one.grad.flatten() for one in module.parameters() if one.grad is not None])


def likeness(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the cosine between two gradients; 1 where they point the same way."""
    return torch.nn.functional.cosine_similarity(one, other, dim=0).item()


def equal(one: object, other: object) -> bool:
    """Compare nested values and tensors to the bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and one.equal(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other
