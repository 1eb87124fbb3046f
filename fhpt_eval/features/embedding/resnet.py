"""ResNet-50 up to its pooled features: checked weights, batch norms folded in, running it.

Needs no torchvision, but reads its state dict: entries bear the names that they have in
``torchvision.models.resnet50``; the classifier's are passed over.

Citation: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR
2016, arXiv:1512.03385, table 1; the stride of 2 is in a block's 3 x 3 convolution, as in
torchvision, and not in the 1 x 1 before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

from fhpt_eval import weights
from fhpt_eval.features.loading import check_entries, loaded_once

#: Length of the features.
FEATURES = 2048
#: Blocks of the four stages; their inner width is 64, 128, 256, 512, and their output 4 times that.
_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4
#: What torchvision adds to a batch norm's variance.
_EPSILON = 1e-5
_NORM = ("weight", "bias", "running_mean", "running_var")
#: Entries that the features do without: the last layer, and counts of training steps.
_CLASSIFIER, _COUNTER = "fc.", ".num_batches_tracked"


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution without bias and the batch norm that follows it, by their names in the file."""

    name: str
    norm: str
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the weight."""
        return self.outputs, self.inputs, self.kernel, self.kernel


@dataclass(frozen=True, slots=True)
class Block:
    """Three convolutions, added to the input; ``shortcut`` brings that to the output's shape."""

    path: tuple[Conv, Conv, Conv]
    shortcut: Conv | None


STEM = Conv("conv1", "bn1", 3, 64, 7, 2)


def blocks() -> Iterator[Block]:
    """Yield the 16 blocks in order."""
    inputs = STEM.outputs
    for stage, count in enumerate(_BLOCKS):
        width = 64 * 2**stage
        outputs = width * _EXPANSION
        for number in range(count):
            name = f"layer{stage + 1}.{number}."
            stride = 2 if stage and not number else 1
            path = (
                Conv(name + "conv1", name + "bn1", inputs, width, 1),
                Conv(name + "conv2", name + "bn2", width, width, 3, stride),
                Conv(name + "conv3", name + "bn3", width, outputs, 1),
            )
            down = name + "downsample."
            shortcut = Conv(down + "0", down + "1", inputs, outputs, 1, stride)
            yield Block(path, None if number else shortcut)
            inputs = outputs


def convolutions() -> Iterator[Conv]:
    """Yield every convolution."""
    yield STEM
    for block in blocks():
        yield from block.path
        if block.shortcut:
            yield block.shortcut


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every entry of the state dict that the features rest on."""
    found: dict[str, tuple[int, ...]] = {}
    for conv in convolutions():
        found[f"{conv.name}.weight"] = conv.shape
        found |= {f"{conv.norm}.{part}": (conv.outputs,) for part in _NORM}
    return found


class ResNet50:
    """The network with its weights, on one device; make it with :func:`build_resnet50`."""

    def __init__(self, parameters: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        self._parameters = parameters
        self._blocks = tuple(blocks())

    def __call__(self, images: Tensor) -> Tensor:
        """Return the ``(N, 2048)`` float32 means of the last feature maps.

        ``images`` are ``(N, 3, H, W)`` float32, normalised; channels-last is fastest.
        """
        x = max_pool2d(self._run(STEM, images).relu_(), 3, stride=2, padding=1)
        for block in self._blocks:
            kept = x if block.shortcut is None else self._run(block.shortcut, x)
            first, second, third = block.path
            x = self._run(second, self._run(first, x).relu_()).relu_()
            x = self._run(third, x).add_(kept).relu_()
        return x.mean(dim=(2, 3))

    def _run(self, conv: Conv, x: Tensor) -> Tensor:
        weight, bias = self._parameters[conv.name]
        return conv2d(x, weight, bias, stride=conv.stride, padding=conv.kernel // 2)


@loaded_once(2)
def load_resnet50(source: str, device: torch.device) -> ResNet50:
    """Return the network with the weights of ``source``, a registered name or a file.

    Each is loaded once per process and device, however many threads ask at the same time; a file
    that has changed is another.

    Raises:
        WeightsError: there are no such weights, or they are not of this network.
    """
    return build_resnet50(weights.load_state(source), device, source)


def build_resnet50(state: Mapping[str, Tensor], device: torch.device, label: str) -> ResNet50:
    """Make the network of a state dict; ``label`` is what an error calls it.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
    """
    check_entries(
        state,
        expected_shapes(),
        label,
        "torchvision's resnet50",
        unused=lambda name: name.startswith(_CLASSIFIER) or name.endswith(_COUNTER),
    )
    return ResNet50({conv.name: _folded(state, conv, device) for conv in convolutions()})


def _folded(state: Mapping[str, Tensor], conv: Conv, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return a convolution's weight, channels last, and bias with its batch norm folded in.

    The norm (x - mean) / sqrt(variance + eps) * weight + bias is a scale and an offset; their
    products with the weights are made in float64, and rounded once, to float32.
    """
    gain, offset, mean, variance = (state[f"{conv.norm}.{part}"].double() for part in _NORM)
    scale = gain / (variance + _EPSILON).sqrt()
    weight = (state[f"{conv.name}.weight"].double() * scale[:, None, None, None]).float()
    bias = (offset - mean * scale).float()
    return weight.to(device, memory_format=torch.channels_last), bias.to(device)
