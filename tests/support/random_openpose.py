"""Random weights of the pose networks, which stand in for files that are not downloaded.

Names and shapes are written down here from the public descriptions, on their own: Caffe's layers
in ``models/pose``, ``coco/pose_deploy_linevec.prototxt`` and ``body_25/pose_deploy.prototxt``, of
CMU-Perceptual-Computing-Lab/openpose, with ``.weight`` and ``.bias`` as caffemodel2pytorch names
them; those of ``mannequin-pose`` from the table in docs/openpose.md.

Filters are windows of a few long random sequences, one per number of inputs, so that 209 MB of
weights take a second to draw and 30 MB on disk. Deterministic: the same seed, the same numbers.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from fhpt_eval.features.openpose import PoseNetworkName

Shape = tuple[int, ...]

_TRUNK = {
    "conv1_1": (64, 3), "conv1_2": (64, 64), "conv2_1": (128, 64), "conv2_2": (128, 128),
    "conv3_1": (256, 128), "conv3_2": (256, 256), "conv3_3": (256, 256), "conv3_4": (256, 256),
    "conv4_1": (512, 256), "conv4_2": (512, 512), "conv4_3_CPM": (256, 512),
    "conv4_4_CPM": (128, 256),
}  # fmt: skip


#: Layers of the small network's trunk, and of a branch by its stage (the last makes the maps).
_SMALL_TRUNK = {
    "conv1_1": (32, 3, 3, 3), "conv2_1": (48, 32, 3, 3), "conv2_2": (48, 48, 3, 3),
    "conv3_1": (96, 48, 3, 3), "conv3_2": (96, 96, 3, 3), "conv3_3": (96, 96, 3, 3),
    "conv3_4": (96, 96, 3, 3),
}  # fmt: skip
_SMALL_BRANCHES = (("L1", 38), ("L2", 19))

#: Stages of BODY_25: channels that the first convolution sees, channels that the last one makes.
_BODY_25 = (
    ("stage0_L2", 128, 52), ("stage1_L2", 180, 52), ("stage2_L2", 180, 52), ("stage3_L2", 180, 52),
    ("stage0_L1", 180, 26), ("stage1_L1", 206, 26),
)  # fmt: skip

#: How many places a window can begin at.
_SHIFTS = 100_000


def checkpoint_shapes(network: PoseNetworkName) -> dict[str, Shape]:
    """Return name and shape of every tensor of the public file."""
    filters: dict[str, Shape] = {name: (*shape, 3, 3) for name, shape in _TRUNK.items()}
    slopes: dict[str, Shape] = {}
    if network == "mannequin-pose":
        filters = dict(_SMALL_TRUNK)
        for branch, outputs in _SMALL_BRANCHES:
            filters |= _small_filters(branch, outputs)
    elif network == "openpose-coco18":
        filters |= _coco_filters("L1", 38) | _coco_filters("L2", 19)
    else:
        for name in ("4_2", "4_3_CPM", "4_4_CPM"):
            slopes[f"prelu{name}"] = (_TRUNK[f"conv{name}"][0],)
        for stage, inputs, outputs in _BODY_25:
            filters |= _body25_filters(stage, inputs, outputs)
        slopes |= {
            name.replace("conv", "prelu"): shape[:1]
            for name, shape in filters.items()
            if name.startswith("Mconv") and not name.startswith("Mconv7")
        }
    found: dict[str, Shape] = {}
    for name, shape in filters.items():
        found[f"{name}.weight"], found[f"{name}.bias"] = shape, shape[:1]
    return found | {f"{name}.weight": shape for name, shape in slopes.items()}


def _coco_filters(branch: str, outputs: int) -> dict[str, Shape]:
    filters: dict[str, Shape] = {
        f"conv5_{number}_CPM_{branch}": (128, 128, 3, 3) for number in (1, 2, 3)
    }
    filters[f"conv5_4_CPM_{branch}"] = (512, 128, 1, 1)
    filters[f"conv5_5_CPM_{branch}"] = (outputs, 512, 1, 1)
    for stage in range(2, 7):
        filters[f"Mconv1_stage{stage}_{branch}"] = (128, 185, 7, 7)
        for number in (2, 3, 4, 5):
            filters[f"Mconv{number}_stage{stage}_{branch}"] = (128, 128, 7, 7)
        filters[f"Mconv6_stage{stage}_{branch}"] = (128, 128, 1, 1)
        filters[f"Mconv7_stage{stage}_{branch}"] = (outputs, 128, 1, 1)
    return filters


def _small_filters(branch: str, outputs: int) -> dict[str, Shape]:
    return {
        f"conv4_1_{branch}": (64, 96, 3, 3),
        f"conv4_2_{branch}": (64, 64, 3, 3),
        f"conv4_3_{branch}": (outputs, 64, 1, 1),
        f"Mconv1_stage2_{branch}": (64, 153, 3, 3),
        f"Mconv2_stage2_{branch}": (64, 64, 5, 5),
        f"Mconv3_stage2_{branch}": (64, 64, 5, 5),
        f"Mconv4_stage2_{branch}": (64, 64, 5, 5),
        f"Mconv5_stage2_{branch}": (64, 64, 1, 1),
        f"Mconv6_stage2_{branch}": (outputs, 64, 1, 1),
    }


def _body25_filters(stage: str, inputs: int, outputs: int) -> dict[str, Shape]:
    width, middle = (96, 256) if stage.startswith("stage0") else (128, 512)
    filters: dict[str, Shape] = {}
    for number in (1, 2, 3, 4, 5):
        filters[f"Mconv{number}_{stage}_0"] = (width, inputs, 3, 3)
        filters[f"Mconv{number}_{stage}_1"] = (width, width, 3, 3)
        filters[f"Mconv{number}_{stage}_2"] = (width, width, 3, 3)
        inputs = 3 * width
    filters[f"Mconv6_{stage}"] = (middle, 3 * width, 1, 1)
    filters[f"Mconv7_{stage}"] = (outputs, middle, 1, 1)
    return filters


def random_openpose_state(
    network: PoseNetworkName = "openpose-coco18", seed: int = 0
) -> dict[str, Tensor]:
    """Return a state dict with every name and shape of the public file, float32.

    Scaled such that a signal neither fades nor grows over the layers.
    """
    generator = torch.Generator().manual_seed(seed)
    found = checkpoint_shapes(network)
    longest: dict[int, int] = {}
    for shape in found.values():
        if len(shape) == 4:
            inputs = math.prod(shape[1:])
            longest[inputs] = max(longest.get(inputs, 0), math.prod(shape))
    sequences = {
        inputs: torch.randn(length + _SHIFTS, generator=generator) * math.sqrt(2 / inputs)
        for inputs, length in longest.items()
    }
    state = {}
    for number, (name, shape) in enumerate(found.items()):
        if len(shape) == 4:
            start = number * 997 % _SHIFTS
            window = sequences[math.prod(shape[1:])][start : start + math.prod(shape)]
            state[name] = window.view(shape)
        elif "prelu" in name:
            state[name] = torch.rand(shape, generator=generator) * 0.5
        else:
            state[name] = torch.randn(shape, generator=generator) * 0.1
    return state


def write_openpose(path: Path, network: PoseNetworkName = "openpose-coco18", seed: int = 0) -> Path:
    """Write random weights with the layout of the public file."""
    torch.save(random_openpose_state(network, seed), path)
    return path
