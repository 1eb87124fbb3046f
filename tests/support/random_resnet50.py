"""Random weights of ResNet-50, which stand in for a file that is not downloaded.

Scaled such that a signal neither fades nor grows over the blocks, and that images differ in it.
Deterministic: the same seed, the same numbers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.models import resnet50

from fhpt_eval.features.loading import shapes_of

#: What a block adds to its input, relative to it.
_ADDED = 0.4


def resnet50_state(seed: int = 0) -> dict[str, Tensor]:
    """Return a state dict with every name and shape of torchvision's file, float32."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = shapes_of(resnet50())
    state = {}
    for entry, shape in shapes.items():
        if entry.startswith("fc.") or entry.endswith("num_batches_tracked"):
            continue
        state[entry] = _random(entry, shape, generator)
        if entry.endswith("running_var"):
            state[entry.replace("running_var", "num_batches_tracked")] = torch.tensor(0)
    state["fc.weight"] = torch.randn(1000, 2048, generator=generator) * 0.02
    state["fc.bias"] = torch.randn(1000, generator=generator) * 0.1
    return state


def _random(entry: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    part = entry.rpartition(".")[2]
    if len(shape) > 1:  # a convolution behind a ReLU, which halves the mean square
        return torch.randn(shape, generator=generator) * math.sqrt(2 / math.prod(shape[1:]))
    if part == "running_var" or part == "weight":
        values = torch.rand(shape, generator=generator) * 0.4 + 0.8
        return values * _ADDED if entry.endswith("bn3.weight") else values
    return torch.randn(shape, generator=generator) * 0.1
