"""Inception v3 in its two forms, of torchvision's layers: checked weights, batch norms folded in.

``inception-2015`` is TensorFlow's graph ``inception-2015-12-05`` (1008 classes), on which the
Inception score and the Fréchet distance were defined, as ported to PyTorch by pytorch-fid.
``inception_v3-imagenet`` is torchvision's network (1000 classes). Both take 299 x 299 pixels in
[-1, 1] and consist of the same convolutions; they differ in three ways:

- an average over a 3 x 3 window that leaves the image is taken over the pixels inside it (2015),
  or counts those outside as zeros (torchvision);
- the last block's pooling branch takes the maximum (2015), or the average (torchvision);
- the number of classes.

Names and shapes are those of both files. Each convolution is followed by a batch norm (eps 0.001),
which at evaluation is a scale and an offset per channel, and is folded into it.

Citation: C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
Architecture for Computer Vision", CVPR 2016, arXiv:1512.00567.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, symbolic_trace
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fhpt_eval.features.loading import module_of

InceptionName = Literal["inception-2015", "inception_v3-imagenet"]

#: Length of the pool features.
FEATURES = 2048
#: The smallest height and width for which every layer has an output.
SMALLEST = 75
#: How many classes each network knows.
_CLASSES: Mapping[InceptionName, int] = {"inception-2015": 1008, "inception_v3-imagenet": 1000}
#: Entries that evaluation does without: counts of training steps, and torchvision's second
#: classifier.
_COUNTER, _AUXILIARY = ".bn.num_batches_tracked", "AuxLogits."


class Outputs(NamedTuple):
    """What a network says of N images, float32; ``logits`` are ``logits_unbiased`` plus a bias."""

    pool: Tensor  # (N, 2048)
    logits: Tensor  # (N, K)
    logits_unbiased: Tensor  # (N, K)


@dataclass(frozen=True)
class Network:
    """A network with its weights, all float32 on one device.

    ``layers`` lead to the last feature map; ``weight`` and ``bias`` are the classifier's,
    ``(K, 2048)`` and ``(K,)``.
    """

    layers: nn.Module
    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Outputs:
        """Run ``(N, 3, H, W)`` float32 in [-1, 1], without gradients; fastest channels last."""
        with torch.no_grad():
            pool = adaptive_avg_pool2d(self.layers(x), 1).flatten(1)
            unbiased = pool @ self.weight.T
            return Outputs(pool, unbiased + self.bias, unbiased)


def build_network(
    name: InceptionName, state: Mapping[str, Tensor], device: torch.device, label: str
) -> Network:
    """Make a network of a state dict, see :meth:`.WeightedNetwork.build`.

    ``state`` has for each convolution its ``conv.weight`` (O, I, h, w) and its batch norm's
    ``bn.weight``, ``bn.bias``, ``bn.running_mean``, ``bn.running_var`` (O,); ``fc.weight``
    (K, 2048) and ``fc.bias`` (K,).
    """
    unused = (_AUXILIARY,) if name == "inception_v3-imagenet" else ()
    network: Any = module_of(
        lambda: torchvisions(name),
        state,
        label,
        f"the network {name}",
        unused=lambda entry: entry.endswith(_COUNTER) or entry.startswith(unused),
        ignored=lambda entry: entry.endswith(_COUNTER),
    )
    for block in list(network.modules()):
        if isinstance(getattr(block, "bn", None), nn.BatchNorm2d):
            # Computed in float64, and rounded once, to float32.
            folded = fuse_conv_bn_eval(block.conv.double(), block.bn.double()).float()
            # With a 1 x 1 kernel a dilation changes nothing, but on one thread torch hands plain
            # 1 x 1 convolutions of few images to a slower kernel: 67 ms an image, with it 54 ms.
            if folded.kernel_size == (1, 1) and device.type == "cpu":
                folded.dilation = (2, 2)
            block.conv, block.bn = folded, nn.Identity()
    network = network.requires_grad_(False).to(device)
    layers = layers_of(name, network).to(memory_format=torch.channels_last)
    return Network(layers, network.fc.weight, network.fc.bias)


def torchvisions(name: InceptionName) -> nn.Module:
    """Return torchvision's network with as many classes, before training."""
    from torchvision.models import Inception3  # takes a second to import

    network: nn.Module = Inception3(_CLASSES[name], aux_logits=False, init_weights=False)
    return network


def layers_of(name: InceptionName, network: nn.Module) -> GraphModule:
    """Return the layers of torchvision's network to the last feature map, with the poolings of
    ``name``: from ``(N, 3, H, W)`` to ``(N, 2048, h, w)``.
    """
    children = takewhile(lambda child: child[0] != "avgpool", network.named_children())
    layers = symbolic_trace(nn.Sequential(OrderedDict(children)))
    if name == "inception-2015":
        averages = [node for node in layers.graph.nodes if node.target is avg_pool2d]
        for node in averages:
            node.update_kwarg("count_include_pad", False)
        averages[-1].target = max_pool2d
        averages[-1].kwargs = {"kernel_size": 3, "stride": 1, "padding": 1}
        layers.recompile()
    return layers
