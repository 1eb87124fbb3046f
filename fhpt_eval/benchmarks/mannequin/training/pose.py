"""The pose network of the benchmark: what its maps should be, and how it learns them.

Heatmaps and part affinity fields are those of Cao et al., "Realtime Multi-Person 2D Pose Estimation
using Part Affinity Fields", CVPR 2017, sections 2.2 and 2.3. Every stage is compared with them by
the mean squared error, in which cells with a joint or a limb weigh more: most cells have neither,
and a network that says nothing anywhere would be nearly right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from safetensors.torch import save
from torch import Generator, Tensor

from fhpt_eval.benchmarks.mannequin.training.fit import Count, FitSettings, Rate, Seed, fit
from fhpt_eval.benchmarks.mannequin.training.pictures import Pictures
from fhpt_eval.benchmarks.mannequin.training.pose_augment import augment
from fhpt_eval.common.files import write_atomically
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.openpose.layout import COCO_18
from fhpt_eval.features.openpose.network import STRIDE, Maps, Network, PoseNetworkName, shapes
from fhpt_eval.keypoints import HEAD, JOINTS

#: Name of the network, and of the file of its weights.
NETWORK: PoseNetworkName = "mannequin-pose"
FILE = "mannequin-pose.safetensors"

#: Sigma of a joint's Gaussian in pixels of the picture, as OpenPose was trained with
#: (``rmpe_dataset_server`` of Realtime_Multi-Person_Pose_Estimation: sigma 7.0).
SIGMA = 7.0
#: Half a limb's width in pixels: one cell, as there.
HALF_WIDTH = 8.0
#: Weight of a cell without and with a joint (times its heatmap), and of one with a limb.
_JOINT_WEIGHT, _LIMB_WEIGHT = 4.0, 2.0
#: Joints that count only where they are seen: a hidden eye says nothing of where a head is.
_HEAD = tuple(joint for joint in HEAD if JOINTS[joint] != "neck")


class PoseSettings(FitSettings):
    """What the training depends on, beside the pictures; the defaults made the shipped network.

    Parameters:
        batch: pictures in a step.
        precision: in which convolutions are computed; bfloat16 takes half the time on processors
            that have it.
    """

    steps: Count = 5000
    learning_rate: Rate = 1.5e-3
    warmup: Annotated[int, Field(ge=0)] = 200
    seed: Seed = 2026
    batch: Annotated[int, Field(ge=1, le=4096)] = 8
    precision: Literal["float32", "bfloat16"] = "bfloat16"


def train(
    pictures: Pictures, out: Path, settings: PoseSettings, device: torch.device, progress: Progress
) -> Path:
    """Train the network and return the file of weights, see :mod:`~.training`.

    The pictures' height and width are multiples of 8.
    """
    height, width = pictures.images.shape[1:3]
    if height % STRIDE or width % STRIDE:
        raise ArgumentError(
            f"'pictures' must have sides that are multiples of {STRIDE}, not {width} x {height}."
        )
    about = {"device": device.type, "pictures": pictures.digest("keypoints")}
    state = fit(PoseTask(pictures, settings, device), out, settings, progress, about)
    write_atomically(out / FILE, save(state))
    return out / FILE


class PoseTask:
    """The network and what it learns; see :class:`~.fit.Lesson`."""

    def __init__(self, pictures: Pictures, settings: PoseSettings, device: torch.device) -> None:
        self._pictures = pictures
        self._settings = settings
        self.images = settings.batch
        self._device = device
        self.parameters: Mapping[str, Tensor] = initial_weights(settings.seed, device)
        self._network = Network(NETWORK, self.parameters)

    def loss(self, generator: Generator, step: int) -> dict[str, Tensor]:  # noqa: ARG002 - a Task's
        """Return the loss of randomly chosen, randomly changed pictures."""
        rows = torch.randint(len(self._pictures), (self.images,), generator=generator).numpy()
        images = torch.from_numpy(self._pictures.images[rows]).permute(0, 3, 1, 2).float()
        keypoints = torch.from_numpy(self._pictures.truth["keypoints"][rows])
        visible = torch.from_numpy(self._pictures.truth["visible"][rows])
        images, keypoints, visible = augment(images.contiguous(), keypoints, visible, generator)
        joints = torch.where(learnt(visible)[..., None], keypoints, torch.nan)
        height, width = images.shape[2:]
        wanted = targets(joints[:, None], (height // STRIDE, width // STRIDE))
        wanted = Maps(*(part.to(self._device) for part in wanted))
        first, last = (squared_error(maps, wanted) for maps in self._stages(images))
        return {
            "loss": first[0] + first[1] + last[0] + last[1],
            "heatmaps": last[0].detach(),
            "fields": last[1].detach(),
        }

    def _stages(self, images: Tensor) -> tuple[Maps, Maps]:
        """Return what both stages say of pictures, which they see as ``OpenPose`` shows them."""
        x = (images.flip(1) / 256 - 0.5).to(self._device)
        x = x.contiguous(memory_format=torch.channels_last)
        reduced = self._settings.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=reduced):
            stages = self._network.stages(x)
        first, last = (
            Maps(stages[f"stage{number}_L2"].float(), stages[f"stage{number}_L1"].float())
            for number in (1, 2)
        )
        return first, last


def initial_weights(seed: int, device: torch.device) -> dict[str, Tensor]:
    """Return the network's start: filters by He et al. (ICCV 2015), biases of 0."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes(NETWORK).items():
        value = torch.zeros(shape)
        if len(shape) == 4:
            value.normal_(0, math.sqrt(2 / math.prod(shape[1:])), generator=generator)
            value = value.contiguous(memory_format=torch.channels_last)
        weights[name] = value.to(device).requires_grad_()
    return weights


def learnt(visible: Tensor) -> Tensor:
    """Return which joints count, ``(N, 18)`` bool: of the head those seen, else those inside.

    ``visible`` is ``(N, 18)``: 0 outside of the picture, 1 hidden, 2 seen.
    """
    counted = visible >= 1
    counted[:, list(_HEAD)] = visible[:, list(_HEAD)] == 2
    return counted


def targets(keypoints: Tensor, cells: tuple[int, int]) -> Maps:
    """Return the maps that a network should make of people, ``cells`` high and wide.

    Heatmaps ``(N, 19, *cells)``: a Gaussian around each joint, the greatest of all persons'; for
    the background 1 less the greatest of all joints. Fields ``(N, 38, *cells)``: the unit vector of
    a limb within ``HALF_WIDTH`` of the line between its joints, the mean of the persons' where they
    overlap; 0 elsewhere. ``keypoints`` are ``(N, P, 18, 2)`` x and y in pixels, of P persons in a
    picture; NaN where a joint is missing.
    """
    y, x = (STRIDE * (torch.arange(side) + 0.5) - 0.5 for side in cells)
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    squares = (grid - keypoints[..., None, None, :]).square().sum(-1)
    blobs = torch.exp(-squares / (2 * SIGMA**2)).nan_to_num(0.0).amax(1)
    background = 1 - blobs.amax(1, keepdim=True)
    return Maps(torch.cat([blobs, background], 1), _fields(keypoints, grid))


def _fields(keypoints: Tensor, grid: Tensor) -> Tensor:
    """Return part affinity fields ``(N, 38, H, W)``."""
    starts = keypoints[:, :, [limb.start for limb in COCO_18.limbs], None, None]
    ends = keypoints[:, :, [limb.end for limb in COCO_18.limbs], None, None]
    limb = ends - starts
    length = limb.norm(dim=-1, keepdim=True)
    unit = limb / length  # NaN where joints are missing or in one place: no field
    along = ((grid - starts) * unit).sum(-1, keepdim=True)
    nearest = starts + unit * along.clamp(min=0).minimum(length)
    near = ((grid - nearest).norm(dim=-1, keepdim=True) <= HALF_WIDTH) & unit.isfinite()
    count = near.sum(1).clamp(min=1)
    mean: Tensor = torch.where(near, unit, 0.0).sum(1) / count
    order = torch.tensor([limb.channel // 2 for limb in COCO_18.limbs]).argsort()
    return mean[:, order].permute(0, 1, 4, 2, 3).flatten(1, 2)


def squared_error(maps: Maps, wanted: Maps) -> tuple[Tensor, Tensor]:
    """Return the weighted squared errors of heatmaps and of fields.

    Summed over the channels, averaged over cells and pictures.
    """
    heat_weight = 1 + _JOINT_WEIGHT * wanted.heatmaps
    heat_weight[:, -1] = 1  # the background is nearly everywhere
    limb = (wanted.pafs[:, 0::2] != 0) | (wanted.pafs[:, 1::2] != 0)
    field_weight = 1 + _LIMB_WEIGHT * limb.repeat_interleave(2, dim=1)
    heat = heat_weight * (maps.heatmaps - wanted.heatmaps).square()
    fields = field_weight * (maps.pafs - wanted.pafs).square()
    return heat.sum(1).mean(), fields.sum(1).mean()
