"""Seeded weights of LPIPS's trunks, which stand in for files that are not downloaded."""

from __future__ import annotations

import math

import numpy as np
import torch

from fhpt_eval.features.trunks import TrunkName, layout

ARCHITECTURES: dict[str, TrunkName] = {
    "alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1",
}  # fmt: skip


def seeded_state(net: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return a torchvision state dict of weights that keep the scale of maps (He et al., 2015).

    From a generator whose numbers NumPy promises not to change.
    """
    random = np.random.RandomState(seed)
    state = {}
    for name, shape in layout(ARCHITECTURES[net]).items():
        deviation = math.sqrt(2 / math.prod(shape[1:])) if len(shape) == 4 else 0.1
        figures = random.standard_normal(shape) * deviation
        state[name] = torch.from_numpy(figures.astype(np.float32))
    return {**state, "classifier.1.weight": torch.zeros(2, 2)}
