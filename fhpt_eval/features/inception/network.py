"""Inception v3 in its two forms: what is connected to what, and running it.

``inception-2015`` is TensorFlow's graph ``inception-2015-12-05`` (1008 classes), on which the
Inception score and the Fréchet distance were defined, as ported to PyTorch by pytorch-fid.
``inception_v3-imagenet`` is torchvision's network (1000 classes). Both take 299 x 299 pixels in
[-1, 1] and consist of the same convolutions; they differ in three ways:

- an average over a 3 x 3 window that leaves the image is taken over the pixels inside it (2015),
  or counts those outside as zeros (torchvision);
- the last block's pooling branch takes the maximum (2015), or the average (torchvision);
- the number of classes.

Names and shapes are those of both files. Each convolution is followed by a batch norm (eps 0.001),
which at evaluation is a scale and an offset per channel, and is folded into it (``load``).

Citation: C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
Architecture for Computer Vision", CVPR 2016, arXiv:1512.00567.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, max_pool2d

InceptionName = Literal["inception-2015", "inception_v3-imagenet"]

#: Length of the pool features.
FEATURES = 2048
#: The smallest height and width for which every layer has an output.
SMALLEST = 75


@dataclass(frozen=True, slots=True)
class Variant:
    """In what one network differs from the other; entries that begin with ``ignored`` are known."""

    classes: int
    count_padding: bool
    last_pool: Literal["max", "average"]
    ignored: tuple[str, ...] = ()


VARIANTS: Mapping[InceptionName, Variant] = {
    "inception-2015": Variant(classes=1008, count_padding=False, last_pool="max"),
    # AuxLogits is a second classifier that only training uses.
    "inception_v3-imagenet": Variant(1000, True, "average", ignored=("AuxLogits.",)),
}


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution, its batch norm and a ReLU."""

    name: str
    outputs: int
    kernel: tuple[int, int]
    stride: int
    padding: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Pool:
    """A 3 x 3 pooling: ``halve`` takes every second maximum, the others keep the size."""

    kind: Literal["halve", "max", "average"]
    count_padding: bool = False


@dataclass(frozen=True, slots=True)
class Branches:
    """Several chains of steps from one input, whose outputs are stacked along the channels."""

    chains: tuple[Chain, ...]


Step = Conv | Pool | Branches
Chain = tuple[Step, ...]
Shape = tuple[int, ...]

_HALVE = Pool("halve")


def layout(name: InceptionName) -> Chain:
    """Return the steps from ``(N, 3, H, W)`` to the last feature map, ``(N, 2048, h, w)``."""
    variant = VARIANTS[name]
    average = Pool("average", variant.count_padding)
    last = Pool("max") if variant.last_pool == "max" else average
    return (
        _valid("Conv2d_1a_3x3", 32, stride=2),
        _valid("Conv2d_2a_3x3", 32),
        _same("Conv2d_2b_3x3", 64, 3, 3),
        _HALVE,
        _same("Conv2d_3b_1x1", 80),
        _valid("Conv2d_4a_3x3", 192),
        _HALVE,
        _block_35("Mixed_5b.", 32, average),
        _block_35("Mixed_5c.", 64, average),
        _block_35("Mixed_5d.", 64, average),
        _to_17("Mixed_6a."),
        _block_17("Mixed_6b.", 128, average),
        _block_17("Mixed_6c.", 160, average),
        _block_17("Mixed_6d.", 160, average),
        _block_17("Mixed_6e.", 192, average),
        _to_8("Mixed_7a."),
        _block_8("Mixed_7b.", average),
        _block_8("Mixed_7c.", last),
    )


def shapes(steps: Sequence[Step], inputs: int = 3) -> tuple[dict[str, Shape], int]:
    """Return the shape of each convolution's weight by its name, and the number of channels out."""
    convolutions: dict[str, Shape] = {}
    for step in steps:
        if isinstance(step, Conv):
            convolutions[step.name] = (step.outputs, inputs, *step.kernel)
            inputs = step.outputs
        elif isinstance(step, Branches):
            parts = [shapes(chain, inputs) for chain in step.chains]
            for part, _ in parts:
                convolutions |= part
            inputs = sum(outputs for _, outputs in parts)
    return convolutions, inputs


def run(steps: Sequence[Step], x: Tensor, convolve: Callable[[Conv, Tensor], Tensor]) -> Tensor:
    """Take ``(N, C, H, W)`` through the steps; ``convolve`` is a convolution, norm and ReLU."""
    for step in steps:
        if isinstance(step, Conv):
            x = convolve(step, x)
        elif isinstance(step, Pool):
            x = _pool(step, x)
        else:
            x = torch.cat([run(chain, x, convolve) for chain in step.chains], 1)
    return x


class Outputs(NamedTuple):
    """What a network says of N images, float32; ``logits`` are ``logits_unbiased`` plus a bias."""

    pool: Tensor  # (N, 2048)
    logits: Tensor  # (N, K)
    logits_unbiased: Tensor  # (N, K)


@dataclass(frozen=True)
class Network:
    """A network with its weights, all float32 on one device.

    ``filters`` holds each convolution's weight, channels last, and bias, batch norm included;
    ``weight`` and ``bias`` are the classifier's, ``(K, 2048)`` and ``(K,)``.
    """

    steps: Chain
    filters: Mapping[str, tuple[Tensor, Tensor]]
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Outputs:
        """Run ``(N, 3, H, W)`` float32 in [-1, 1], without gradients; fastest channels last."""
        with torch.no_grad():
            x = run(self.steps, x, self._convolve)
            pool = adaptive_avg_pool2d(x, 1).flatten(1)
            unbiased = pool @ self.weight.T
            return Outputs(pool, unbiased + self.bias, unbiased)

    def _convolve(self, step: Conv, x: Tensor) -> Tensor:
        weight, bias = self.filters[step.name]
        # With a 1 x 1 kernel a dilation changes nothing, but on one thread torch hands plain 1 x 1
        # convolutions of few images to a slower kernel: 67 ms an image without it, 54 ms with it.
        dilation = 2 if step.kernel == (1, 1) and x.device.type == "cpu" else 1
        return conv2d(x, weight, bias, step.stride, step.padding, dilation).relu_()


def _pool(step: Pool, x: Tensor) -> Tensor:
    if step.kind == "halve":
        return max_pool2d(x, 3, stride=2)
    if step.kind == "max":
        return max_pool2d(x, 3, stride=1, padding=1)
    return avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=step.count_padding)


def _same(name: str, outputs: int, height: int = 1, width: int = 1) -> Conv:
    """Return a convolution that keeps the size of the image."""
    return Conv(name, outputs, (height, width), 1, (height // 2, width // 2))


def _valid(name: str, outputs: int, stride: int = 1) -> Conv:
    """Return a 3 x 3 convolution over the windows that lie inside the image."""
    return Conv(name, outputs, (3, 3), stride, (0, 0))


def _block_35(block: str, pooled: int, pool: Pool) -> Branches:
    """Return a block for 35 x 35 maps (the paper's figure 5)."""
    return Branches((
        (_same(block + "branch1x1", 64),),
        (_same(block + "branch5x5_1", 48), _same(block + "branch5x5_2", 64, 5, 5)),
        (
            _same(block + "branch3x3dbl_1", 64),
            _same(block + "branch3x3dbl_2", 96, 3, 3),
            _same(block + "branch3x3dbl_3", 96, 3, 3),
        ),
        (pool, _same(block + "branch_pool", pooled)),
    ))  # fmt: skip


def _to_17(block: str) -> Branches:
    """Return the block from 35 x 35 to 17 x 17 (figure 10)."""
    return Branches((
        (_valid(block + "branch3x3", 384, stride=2),),
        (
            _same(block + "branch3x3dbl_1", 64),
            _same(block + "branch3x3dbl_2", 96, 3, 3),
            _valid(block + "branch3x3dbl_3", 96, stride=2),
        ),
        (_HALVE,),
    ))  # fmt: skip


def _block_17(block: str, width: int, pool: Pool) -> Branches:
    """Return a block for 17 x 17 maps (figure 6, n = 7), ``width`` channels inside it."""
    return Branches((
        (_same(block + "branch1x1", 192),),
        (
            _same(block + "branch7x7_1", width),
            _same(block + "branch7x7_2", width, 1, 7),
            _same(block + "branch7x7_3", 192, 7, 1),
        ),
        (
            _same(block + "branch7x7dbl_1", width),
            _same(block + "branch7x7dbl_2", width, 7, 1),
            _same(block + "branch7x7dbl_3", width, 1, 7),
            _same(block + "branch7x7dbl_4", width, 7, 1),
            _same(block + "branch7x7dbl_5", 192, 1, 7),
        ),
        (pool, _same(block + "branch_pool", 192)),
    ))  # fmt: skip


def _to_8(block: str) -> Branches:
    """Return the block from 17 x 17 to 8 x 8 (figure 10's idea)."""
    return Branches((
        (_same(block + "branch3x3_1", 192), _valid(block + "branch3x3_2", 320, stride=2)),
        (
            _same(block + "branch7x7x3_1", 192),
            _same(block + "branch7x7x3_2", 192, 1, 7),
            _same(block + "branch7x7x3_3", 192, 7, 1),
            _valid(block + "branch7x7x3_4", 192, stride=2),
        ),
        (_HALVE,),
    ))  # fmt: skip


def _block_8(block: str, pool: Pool) -> Branches:
    """Return a block for 8 x 8 maps (figure 7)."""
    return Branches((
        (_same(block + "branch1x1", 320),),
        (_same(block + "branch3x3_1", 384), _fork(block + "branch3x3_2")),
        (
            _same(block + "branch3x3dbl_1", 448),
            _same(block + "branch3x3dbl_2", 384, 3, 3),
            _fork(block + "branch3x3dbl_3"),
        ),
        (pool, _same(block + "branch_pool", 192)),
    ))  # fmt: skip


def _fork(name: str) -> Branches:
    return Branches(((_same(name + "a", 384, 1, 3),), (_same(name + "b", 384, 3, 1),)))
