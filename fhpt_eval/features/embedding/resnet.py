"""torchvision's ResNet-50 up to its pooled features: checked weights, batch norms folded in.

Citation: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR
2016, arXiv:1512.03385.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fhpt_eval.features.loading import module_of, shapes_of

#: Length of the features.
FEATURES = 2048
#: Convolutions and the batch norms that follow them, by their names in a block, and in a shortcut.
_FOLLOWED = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1"))
#: Entries that the features do without: the last layer, and counts of training steps.
_CLASSIFIER, _COUNTER = "fc.", ".num_batches_tracked"


def expected_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shape of every entry of the state dict that the features rest on."""
    with torch.device("meta"):
        shapes = shapes_of(_layers())
    return {name: shape for name, shape in shapes.items() if not name.endswith(_COUNTER)}


def build_resnet50(state: Mapping[str, Tensor], device: torch.device, label: str) -> nn.Module:
    """Make the network of a state dict, from normalised images to ``(N, 2048)`` float32.

    Batch norms are folded in float64, and rounded once, to float32.

    Args:
        state: torchvision's; entries of the classifier are passed over.
        device: where it shall compute.
        label: what an error calls the state dict.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
    """
    network = module_of(
        _layers,
        state,
        label,
        "torchvision's resnet50",
        unused=lambda name: name.startswith(_CLASSIFIER) or name.endswith(_COUNTER),
        ignored=lambda name: name.endswith(_COUNTER),
    ).double()
    for block in list(network.modules()):
        for conv, norm in _FOLLOWED:
            if isinstance(getattr(block, norm, None), nn.BatchNorm2d):
                folded = fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm))
                setattr(block, conv, folded)
                setattr(block, norm, nn.Identity())
    network.requires_grad_(False)
    return network.float().to(device).to(memory_format=torch.channels_last)


def _layers() -> nn.Module:
    from torchvision.models import resnet50  # takes a second to import

    network: nn.Module = resnet50(weights=None)
    network.fc = nn.Identity()
    return network
