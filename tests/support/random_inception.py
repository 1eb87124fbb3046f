"""Random weights of the Inception networks, which stand in for files that are not downloaded.

Scaled such that a signal neither fades nor grows over the layers, and that images differ in it: of
each filter half of its mean is taken away, so that less of the mean level, which after a ReLU all
images share, is handed on. (Without it images hardly differ; with all of the mean taken away the
network is chaotic, and rounding errors of 1e-7 grow to 1e-5 as images' differences grow.)
Deterministic: the same seed, the same numbers.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from fhpt_eval.features.inception.network import InceptionName, torchvisions
from fhpt_eval.features.loading import shapes_of

#: Share of a filter's mean that is taken away.
_CENTRED = 0.5
#: What such filters make of max(0, x) for a standard normal x, whose mean square is 1/2 and whose
#: squared mean 1/(2 pi).
_POWER = 1 / 2 - (1 - (1 - _CENTRED) ** 2) / (2 * math.pi)

#: Entries of torchvision's file that evaluation does not use, and their shapes.
_AUXILIARY = {
    "AuxLogits.conv0.conv.weight": (128, 768, 1, 1),
    "AuxLogits.conv0.bn.weight": (128,),
    "AuxLogits.conv0.bn.bias": (128,),
    "AuxLogits.conv0.bn.running_mean": (128,),
    "AuxLogits.conv0.bn.running_var": (128,),
    "AuxLogits.conv1.conv.weight": (768, 128, 5, 5),
    "AuxLogits.conv1.bn.weight": (768,),
    "AuxLogits.conv1.bn.bias": (768,),
    "AuxLogits.conv1.bn.running_mean": (768,),
    "AuxLogits.conv1.bn.running_var": (768,),
    "AuxLogits.fc.weight": (1000, 768),
    "AuxLogits.fc.bias": (1000,),
}


def expected_shapes(name: InceptionName) -> dict[str, tuple[int, ...]]:
    """Return the shape of every entry that a state dict of this network must have."""
    with torch.device("meta"):
        shapes = shapes_of(torchvisions(name))
    counter = ".bn.num_batches_tracked"
    return {entry: shape for entry, shape in shapes.items() if not entry.endswith(counter)}


def random_state(name: InceptionName = "inception-2015", seed: int = 0) -> dict[str, Tensor]:
    """Return a state dict with every name and shape of the registered file, float32."""
    shapes = expected_shapes(name)
    if name == "inception_v3-imagenet":
        shapes |= _AUXILIARY
    generator = torch.Generator().manual_seed(seed)
    state = {entry: _random(entry, shape, generator) for entry, shape in shapes.items()}
    for entry in shapes:
        if entry.endswith("running_var"):
            counter = entry.replace("running_var", "num_batches_tracked")
            state[counter] = torch.tensor(0)
    return state


def write_inception_2015(path: Path, seed: int = 0) -> Path:
    """Write random weights with the layout of pytorch-fid's file (95 MB, half a second)."""
    torch.save(random_state(seed=seed), path)
    return path


def _random(entry: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    part = entry.rpartition(".")[2]
    if part == "running_var" or (part == "weight" and len(shape) == 1):
        return torch.rand(shape, generator=generator) * 0.4 + 0.8
    if len(shape) == 1:
        return torch.randn(shape, generator=generator) * 0.1
    values = torch.randn(shape, generator=generator)
    inputs = tuple(range(1, len(shape)))
    values -= _CENTRED * values.mean(dim=inputs, keepdim=True)
    values /= math.sqrt(_POWER * math.prod(shape[1:]))
    return values * 3 if entry == "fc.weight" else values  # classes to be told apart
