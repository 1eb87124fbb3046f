"""Networks that tell how alike two images look, and what is on one: they are not trained here.

Which one a model was trained with is part of its record: a perceptual loss through random weights
is a loss through random filters, and says so.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from fhpt_eval import weights
from fhpt_eval.features.trunks import load_trunk
from fhpt_eval.reference_models.drn.configuration import PerceptualName

#: Means and deviations of ImageNet's colours in [0, 1], which torchvision's networks are fed with.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
#: Channels of the random network's stages, each at half of the size of the one before.
_RANDOM_STAGES = (16, 32, 64, 128)
_RANDOM_SEED = 20_200_526
#: How many numbers a network's summary has.
SUMMARY_LENGTHS: Mapping[PerceptualName, int] = {
    "vgg19-imagenet": 64 + 128 + 256 + 512 + 512,
    "mannequin": 128,
    "random": sum(_RANDOM_STAGES),
}
#: The registered weights of the garment network that is there for this.
_MANNEQUIN = "mannequin-perceptual"


class PerceptualNetwork(nn.Module):
    """Feature maps of images in [-1, 1], from a network that is not trained any further.

    Attributes:
        record: what a model's record says of it: ``network``, ``weights`` and ``maps``.
    """

    record: Mapping[str, str]

    def maps(self, images01: Tensor) -> list[Tensor]:
        """Return the maps of ``(N, 3, H, W)`` images in [0, 1]."""
        raise NotImplementedError

    def summary(self, images01: Tensor) -> Tensor:
        """Return ``(N, K)`` numbers that say what is on the images: each channel's mean.

        K is :data:`SUMMARY_LENGTHS` by the network's name.
        """
        return torch.cat([maps.mean(dim=(2, 3)) for maps in self.maps(images01)], dim=1)

    def forward(self, images: Tensor) -> list[Tensor]:
        """``(N, 3, H, W)`` in [-1, 1] -> a ``(N, C, h, w)`` tensor per layer; differentiable."""
        return self.maps((images + 1) / 2)


def perceptual_network(name: PerceptualName, device: torch.device | str) -> PerceptualNetwork:
    """Return a network by name, on a device, in evaluation mode and without gradients of its own.

    - ``"vgg19-imagenet"``: VGG-19 with torchvision's weights, after the first ReLU of each stage;
    - ``"mannequin"``: a garment network of drawn people, and not the one that scores them;
    - ``"random"``: a small network in the shape of VGG with random weights, the same every time.

    Raises:
        WeightsError: the weights are missing or not the registered ones.
    """
    makers = {"vgg19-imagenet": _VGG19, "mannequin": _Mannequin, "random": _Random}
    return makers[name](torch.device(device)).eval().requires_grad_(False)


class _VGG19(PerceptualNetwork):
    mean: Tensor
    deviation: Tensor

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        name = "vgg19-imagenet"
        self.trunk = load_trunk("vgg19", weights.load_state(name), device, name)
        self.record = {
            "network": name,
            "weights": weights.digest_of(name),
            "maps": "relu1_1, relu2_1, relu3_1, relu4_1, relu5_1",
        }
        for key, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(key, torch.tensor(values, device=device)[:, None, None])

    def maps(self, images01: Tensor) -> list[Tensor]:
        return self.trunk((images01 - self.mean) / self.deviation)  # type: ignore[no-any-return]


class _Mannequin(PerceptualNetwork):
    """The garment network, trained from another seed than the one behind the scores.

    A model that is trained to please this one has not seen its examiner. Images keep their size:
    at half of the network's own they take a quarter of its time, and their textures still count.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        from fhpt_eval.features.mannequin.garments import GarmentNetwork, Garments

        # A copy: the loaded one is shared, and a training may want another layout in memory.
        self.network: GarmentNetwork = copy.deepcopy(Garments(weights=_MANNEQUIN).loaded(device))
        self.record = {
            "network": "mannequin",
            "weights": weights.digest_of(_MANNEQUIN),
            "maps": "the four stages",
        }

    def maps(self, images01: Tensor) -> list[Tensor]:
        return self.network.stages(images01)

    def summary(self, images01: Tensor) -> Tensor:
        """Return the pool features, ``(N, 128)``, of images resized to the network's own size."""
        return self.network.pooled(self.network.maps(images01))


class _Random(PerceptualNetwork):
    """A convolution, a ReLU, a map; halved; and again: He et al.'s weights (ICCV 2015), no biases.

    Random filters are a crude measure of likeness, but respond to edges and textures and pass
    gradients on (Amir, Weiss, "Understanding and Simplifying Perceptual Distances", CVPR 2021).
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(_RANDOM_SEED)
        widths = (3, *_RANDOM_STAGES)
        self.stages = nn.ModuleList()
        for inputs, outputs in pairwise(widths):
            stage = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
            deviation = (2 / (9 * inputs)) ** 0.5
            with torch.no_grad():
                stage.weight.copy_(torch.randn(stage.weight.shape, generator=generator) * deviation)
            self.stages.append(stage)
        self.to(device)
        self.record = {
            "network": "random",
            "weights": f"random, never trained (seed {_RANDOM_SEED}); {_digest(self)}",
            "maps": "the four stages",
        }

    def maps(self, images01: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        x = 2 * images01 - 1
        for stage in self.stages:
            if maps:
                x = nn.functional.avg_pool2d(x, 2)
            x = torch.relu(stage(x))
            maps.append(x)
        return maps


def _digest(network: nn.Module) -> str:
    """Return the SHA-256 of all parameters and buffers, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode() + b"\0")
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
