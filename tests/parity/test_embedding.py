"""ResNet-50's and timm's embeddings against torchvision and timm.

``make parity`` prints the table. Weights are random, and the same on both sides: nothing is
downloaded. Differences are those of an image's vector, relative to its length; the largest of all
images. What remains comes from folding batch norms and from the order of sums in float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fhpt_eval.features.embedding.networks import ResNet50
from fhpt_eval.features.embedding.normalised import NormalisedInput
from fhpt_eval.features.networks import load_network
from tests.support.photographs import Pixels, crops, tensor
from tests.support.random_resnet50 import resnet50_state

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
SIZES = {"256x176": (256, 176), "97x131": (97, 131), "224x224": (224, 224)}
#: Small models that timm keeps for tests: convolutions, and tokens.
TIMM_MODELS = ("test_resnet", "test_vit")


@pytest.fixture(scope="module", params=SIZES)
def images(request: pytest.FixtureRequest, photographs: dict[str, Pixels]) -> Tensor:
    return tensor(crops(photographs, 3, *SIZES[request.param]))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(resnet50_state(), path)
    return path


def close(what: str, images: Tensor, values: Tensor, expected: Tensor) -> None:
    size = f"{images.shape[2]}x{images.shape[3]}"
    assert values.shape == expected.shape
    difference = (values.double() - expected.double()).norm(dim=1) / expected.double().norm(dim=1)
    found = difference.max().item()
    print(
        f"\n{what:<46}{size:>8}  relative difference {found:.1e}, allowed {TOLERANCE:.0e} ", end=""
    )
    assert found <= TOLERANCE


@torch.no_grad()
@pytest.mark.parametrize("size", [(224, 224), (256, 128)])
def test_torchvisions_resnet50(images: Tensor, file: Path, size: tuple[int, int]) -> None:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    network = models.resnet50(weights=None)
    network.load_state_dict(torch.load(file, weights_only=True), strict=True)
    network.fc = torch.nn.Identity()
    expected = network.eval()(NormalisedInput(input_size=size).normalised(images))
    ours = ResNet50(weights=str(file), input_size=size).compute(images)["embedding"]
    close(f"torchvision, resnet50 at {size[0]} x {size[1]}", images, ours, expected)


@torch.no_grad()
def test_torchvisions_resize_and_normalisation(images: Tensor) -> None:
    transforms: Any = pytest.importorskip(
        "torchvision.transforms.v2.functional", reason="torchvision is not installed"
    )
    bicubic = transforms.InterpolationMode.BICUBIC
    resized = transforms.resize(images.float() / 255, [224, 224], bicubic, antialias=True)
    clipped = resized.clamp(0, 1)  # as it does itself for uint8 images
    expected = transforms.normalize(clipped, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    ours = NormalisedInput().normalised(images)
    close("torchvision, resize and normalise", images, ours.flatten(1), expected.flatten(1))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", TIMM_MODELS)
def test_timm(images: Tensor, tmp_path: Path, model: str) -> None:
    timm: Any = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    network = timm.create_model(model, pretrained=False).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    config = timm.data.resolve_model_data_config(network)
    taken = NormalisedInput(
        input_size=tuple(config["input_size"][1:]),
        input_mean=config["mean"],
        input_std=config["std"],
    )
    expected = network.forward_head(
        network.forward_features(taken.normalised(images)), pre_logits=True
    )
    settings = {"weights": str(tmp_path / "weights.pth")}
    ours = load_network(f"timm:{model}", settings).compute(images)["embedding"]
    close(f"timm, {model}", images, ours, expected)
