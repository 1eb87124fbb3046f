"""OpenPose's two body networks and a small one: what is connected to what, and running them.

OpenPose's begin with the first ten convolutions of VGG-19 and two more, which give 128 maps on a
grid of 8 x 8 pixels, and refine guesses stage by stage, each stage seeing these maps and earlier
guesses.

- ``openpose-coco18`` (Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity
  Fields", CVPR 2017): six stages, each with a branch for 38 part affinity channels (L1) and one for
  19 heatmaps (L2), of 7 x 7 convolutions from the second stage on.
- ``openpose-body25`` (Cao et al., "OpenPose: Realtime Multi-Person 2D Pose Estimation using Part
  Affinity Fields", TPAMI 2019): four stages for 52 part affinity channels (L2), then two for 26
  heatmaps (L1), of blocks of three 3 x 3 convolutions whose outputs are stacked, with PReLU.

Layers bear the names that they have in ``models/pose/coco/pose_deploy_linevec.prototxt`` and
``models/pose/body_25/pose_deploy.prototxt`` of CMU-Perceptual-Computing-Lab/openpose, which is also
where every number here is from. As there, no activation follows a stage's last convolution.
(Hzzone/pytorch-openpose puts a ReLU behind the last heatmaps, by a slip in its list of exceptions.)

``mannequin-pose`` is made for drawn people of 256 x 176 pixels (benchmarks/mannequin) and trained
on them: the layout, the two branches and the stages of ``openpose-coco18``, two of them, with 1.3
million weights instead of 52. Strides take the place of pooling; dilated convolutions (Yu and
Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", ICLR 2016) let a cell see most of
the person, without which left and right cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, prelu

from fhpt_eval.features.openpose.layout import BODY_25, COCO_18, Layout

PoseNetworkName = Literal["openpose-coco18", "openpose-body25", "mannequin-pose"]
Shape = tuple[int, ...]

#: Pixels of the input per cell of the output.
STRIDE = 8

LAYOUTS: Mapping[PoseNetworkName, Layout] = {
    "openpose-coco18": COCO_18,
    "openpose-body25": BODY_25,
    "mannequin-pose": COCO_18,
}


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution, and what follows it: nothing, or a (P)ReLU.

    It divides height and width by ``stride``; its taps lie ``dilation`` cells apart. ``pooled``:
    the maximum over 2 x 2 follows, which halves the size.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int
    then: Literal["", "relu", "prelu"]
    stride: int = 1
    dilation: int = 1
    pooled: bool = False

    @property
    def slopes(self) -> str:
        """Name of its PReLU: the convolution's with ``prelu`` for ``conv``."""
        return self.name.replace("conv", "prelu")


class Dense(NamedTuple):
    """Convolutions one after the other, the outputs of all stacked along the channels."""

    convolutions: tuple[Conv, ...]


Step = Conv | Dense
Chain = tuple[Step, ...]


class Stage(NamedTuple):
    """A chain, what it sees (names of chains, stacked in this order), and its own name."""

    name: str
    sees: tuple[str, ...]
    chain: Chain


class Maps(NamedTuple):
    """What a network says of N inputs: see :class:`Layout` for the channels.

    Attributes:
        heatmaps: ``(N, 19, H / 8, W / 8)``, or 26 channels for BODY_25.
        pafs: ``(N, 38, H / 8, W / 8)``, or 52 channels.
    """

    heatmaps: Tensor
    pafs: Tensor


class Network:
    """A network with its weights, ready to run."""

    def __init__(self, name: PoseNetworkName, weights: Mapping[str, Tensor]) -> None:
        self._stages = tuple(stages(name))
        self._outputs = OUTPUTS[name]
        self._weights = weights

    def __call__(self, images: Tensor) -> Maps:
        """Run it on ``(N, 3, H, W)`` float32 on the weights' device, H and W multiples of 8.

        Channels are blue, green and red, each level divided by 256 less 0.5.
        """
        outputs = self.stages(images)
        return Maps(*(outputs[name] for name in self._outputs))

    def stages(self, images: Tensor) -> dict[str, Tensor]:
        """Run it, and return what every stage says, by its name; arguments as above."""
        outputs: dict[str, Tensor] = {}
        for stage in self._stages:
            seen = [outputs[name] for name in stage.sees]
            x = torch.cat(seen, 1) if len(seen) > 1 else (seen or [images])[0]
            for step in stage.chain:
                x = self._run(step, x)
            outputs[stage.name] = x
        return outputs

    def _run(self, step: Step, x: Tensor) -> Tensor:
        if isinstance(step, Dense):
            outputs = []
            for convolution in step.convolutions:
                x = self._run(convolution, x)
                outputs.append(x)
            return torch.cat(outputs, 1)
        weight, bias = self._weights[f"{step.name}.weight"], self._weights[f"{step.name}.bias"]
        padding = step.kernel // 2 * step.dilation
        x = conv2d(x, weight, bias, step.stride, padding, step.dilation)
        if step.then == "prelu":
            return prelu(x, self._weights[f"{step.slopes}.weight"])
        x = x.relu_() if step.then == "relu" else x
        return max_pool2d(x, 2) if step.pooled else x


def shapes(name: PoseNetworkName) -> dict[str, Shape]:
    """Return name and shape of every tensor of a network, in the order of its layers."""
    tensors: dict[str, Shape] = {}
    for stage in stages(name):
        for conv in _convolutions(stage.chain):
            tensors[f"{conv.name}.weight"] = (conv.outputs, conv.inputs, conv.kernel, conv.kernel)
            tensors[f"{conv.name}.bias"] = (conv.outputs,)
            if conv.then == "prelu":
                tensors[f"{conv.slopes}.weight"] = (conv.outputs,)
    return tensors


#: Chains that give heatmaps and part affinity fields.
OUTPUTS: Mapping[PoseNetworkName, tuple[str, str]] = {
    "openpose-coco18": ("stage6_L2", "stage6_L1"),
    "openpose-body25": ("stage1_L1", "stage3_L2"),
    "mannequin-pose": ("stage2_L2", "stage2_L1"),
}


def stages(name: PoseNetworkName) -> Iterator[Stage]:
    """Return the chains of a network in the order in which they run."""
    if name == "openpose-body25":
        return _stages_of_body25(LAYOUTS[name])
    if name == "openpose-coco18":
        return _stages_of_branches(_trunk("relu"), _coco, 6)
    return _stages_of_branches(_small_trunk(), _small, 2)


def _stages_of_branches(
    trunk: Chain, branch: Callable[[int, str, int], Iterator[Conv]], count: int
) -> Iterator[Stage]:
    """Return a trunk and stages of two branches, each of which sees both of the stage before."""
    yield Stage("trunk", (), trunk)
    sees: tuple[str, ...] = ("trunk",)
    for number in range(1, count + 1):
        for name, outputs in (("L1", COCO_18.pafs), ("L2", COCO_18.heatmaps)):
            yield Stage(f"stage{number}_{name}", sees, tuple(branch(number, name, outputs)))
        sees = (f"stage{number}_L1", f"stage{number}_L2", "trunk")


def _stages_of_body25(layout: Layout) -> Iterator[Stage]:
    yield Stage("trunk", (), _trunk("prelu"))
    inputs = 128
    sees: tuple[str, ...] = ("trunk",)
    for number in range(4):
        yield Stage(f"stage{number}_L2", sees, tuple(_body25(number, "L2", inputs, layout.pafs)))
        inputs, sees = 128 + layout.pafs, ("trunk", f"stage{number}_L2")
    for number in range(2):
        chain = tuple(_body25(number, "L1", inputs, layout.heatmaps))
        yield Stage(f"stage{number}_L1", sees, chain)
        inputs += layout.heatmaps
        sees = ("trunk", f"stage{number}_L1", "stage3_L2")


def _trunk(last: Literal["relu", "prelu"]) -> Chain:
    """Return the convolutions of VGG-19 up to conv4_2, and two of OpenPose's own."""
    return (
        Conv("conv1_1", 3, 64, 3, "relu"),
        Conv("conv1_2", 64, 64, 3, "relu", pooled=True),
        Conv("conv2_1", 64, 128, 3, "relu"),
        Conv("conv2_2", 128, 128, 3, "relu", pooled=True),
        Conv("conv3_1", 128, 256, 3, "relu"),
        Conv("conv3_2", 256, 256, 3, "relu"),
        Conv("conv3_3", 256, 256, 3, "relu"),
        Conv("conv3_4", 256, 256, 3, "relu", pooled=True),
        Conv("conv4_1", 256, 512, 3, "relu"),
        Conv("conv4_2", 512, 512, 3, last),
        Conv("conv4_3_CPM", 512, 256, 3, last),
        Conv("conv4_4_CPM", 256, 128, 3, last),
    )


def _coco(number: int, branch: str, outputs: int) -> Iterator[Conv]:
    if number == 1:
        for place in (1, 2, 3):
            yield Conv(f"conv5_{place}_CPM_{branch}", 128, 128, 3, "relu")
        yield Conv(f"conv5_4_CPM_{branch}", 128, 512, 1, "relu")
        yield Conv(f"conv5_5_CPM_{branch}", 512, outputs, 1, "")
        return
    inputs = 128 + COCO_18.heatmaps + COCO_18.pafs
    for place in (1, 2, 3, 4, 5):
        yield Conv(f"Mconv{place}_stage{number}_{branch}", inputs, 128, 7, "relu")
        inputs = 128
    yield Conv(f"Mconv6_stage{number}_{branch}", 128, 128, 1, "relu")
    yield Conv(f"Mconv7_stage{number}_{branch}", 128, outputs, 1, "")


def _small_trunk() -> Chain:
    """Return 96 maps on a grid of 8 x 8 pixels, each cell of which sees some 16 around it."""
    return (
        Conv("conv1_1", 3, 32, 3, "relu", stride=2),
        Conv("conv2_1", 32, 48, 3, "relu", stride=2),
        Conv("conv2_2", 48, 48, 3, "relu"),
        Conv("conv3_1", 48, 96, 3, "relu", stride=2),
        Conv("conv3_2", 96, 96, 3, "relu"),
        Conv("conv3_3", 96, 96, 3, "relu", dilation=2),
        Conv("conv3_4", 96, 96, 3, "relu", dilation=4),
    )


def _small(number: int, branch: str, outputs: int) -> Iterator[Conv]:
    if number == 1:
        yield Conv(f"conv4_1_{branch}", 96, 64, 3, "relu")
        yield Conv(f"conv4_2_{branch}", 64, 64, 3, "relu")
        yield Conv(f"conv4_3_{branch}", 64, outputs, 1, "")
        return
    inputs = 96 + COCO_18.heatmaps + COCO_18.pafs
    yield Conv(f"Mconv1_stage{number}_{branch}", inputs, 64, 3, "relu")
    for place, dilation in ((2, 1), (3, 2), (4, 1)):
        yield Conv(f"Mconv{place}_stage{number}_{branch}", 64, 64, 5, "relu", dilation=dilation)
    yield Conv(f"Mconv5_stage{number}_{branch}", 64, 64, 1, "relu")
    yield Conv(f"Mconv6_stage{number}_{branch}", 64, outputs, 1, "")


def _body25(number: int, branch: str, inputs: int, outputs: int) -> Iterator[Step]:
    width, middle = (96, 256) if number == 0 else (128, 512)
    for place in (1, 2, 3, 4, 5):
        block = f"Mconv{place}_stage{number}_{branch}_"
        yield Dense((
            Conv(f"{block}0", inputs, width, 3, "prelu"),
            Conv(f"{block}1", width, width, 3, "prelu"),
            Conv(f"{block}2", width, width, 3, "prelu"),
        ))  # fmt: skip
        inputs = 3 * width
    yield Conv(f"Mconv6_stage{number}_{branch}", inputs, middle, 1, "prelu")
    yield Conv(f"Mconv7_stage{number}_{branch}", middle, outputs, 1, "")


def _convolutions(chain: Chain) -> Iterator[Conv]:
    for step in chain:
        yield from step.convolutions if isinstance(step, Dense) else (step,)
