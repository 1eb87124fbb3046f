"""Networks whose weights cannot be had here, with seeded random ones: a writer of each's file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from fhpt_eval.features.inception import InceptionName
from fhpt_eval.features.openpose import PoseNetworkName
from tests.support.random_inception import random_state
from tests.support.random_openpose import write_openpose
from tests.support.random_resnet50 import resnet50_state
from tests.support.random_trunks import ARCHITECTURES, seeded_state


def _inception(name: InceptionName, path: Path) -> Path:
    torch.save(random_state(name), path)
    return path


def _openpose(name: PoseNetworkName, path: Path) -> Path:
    return write_openpose(path, name)


def _resnet50(path: Path) -> Path:
    torch.save(resnet50_state(), path)
    return path


def _trunk(name: str, path: Path) -> Path:
    torch.save(seeded_state(name), path)
    return path


#: What writes a file of weights, by the network's name.
WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "inception-2015": partial(_inception, "inception-2015"),
    "inception_v3-imagenet": partial(_inception, "inception_v3-imagenet"),
    "openpose-coco18": partial(_openpose, "openpose-coco18"),
    "openpose-body25": partial(_openpose, "openpose-body25"),
    "resnet50": _resnet50,
    **{name: partial(_trunk, name) for name in ARCHITECTURES},
}
