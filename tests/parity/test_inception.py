"""Inception features against pytorch-fid, torch-fidelity, clean-fid and torchvision.

Weights are random, and the same on both sides: nothing is downloaded. Three photographs of each
size; 64 of 256 x 176 pass the networks in test_sets.py. Differences are those of an image's vector,
relative to its length. What remains comes from folding batch norms and from the order of sums in
float32.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from fhpt_eval.features.inception import ResizeName
from fhpt_eval.features.networks import load_network
from tests.parity.conftest import Agree
from tests.support.photographs import Pixels, crops, tensor
from tests.support.random_inception import random_state, write_inception_2015

pytestmark = pytest.mark.parity

SIZES = {"256x176": (256, 176), "97x131": (97, 131), "400x350": (400, 350), "299x299": (299, 299)}


@pytest.fixture(scope="module", params=SIZES)
def images(request: pytest.FixtureRequest, photographs: dict[str, Pixels]) -> Tensor:
    """Three photographs; chelsea is cropped to 300 rows, so that all photographs fit 400x350."""
    large = {name: image for name, image in photographs.items() if name != "chelsea"}
    return tensor(crops(large, 3, *SIZES[request.param]))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inception_2015(tmp_path_factory.mktemp("weights") / "2015.pth")


@pytest.fixture(scope="module")
def imagenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "imagenet.pth"
    torch.save(random_state("inception_v3-imagenet", seed=1), path)
    return path


@pytest.fixture(scope="module")
def pytorch_fid() -> Any:
    """pytorch-fid's module, whose download gives our random weights."""
    module = pytest.importorskip("pytorch_fid.inception", reason="pytorch-fid is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: random_state())
        yield module


@pytest.fixture(scope="module")
def fid_blocks(pytorch_fid: Any) -> Any:
    return pytorch_fid.InceptionV3([3]).eval()


@pytest.fixture(scope="module")
def fid_network(pytorch_fid: Any) -> Any:
    return pytorch_fid.fid_inception_v3().eval()


@pytest.fixture(scope="module")
def fidelity(file: Path) -> Any:
    module = pytest.importorskip(
        "torch_fidelity.feature_extractor_inceptionv3", reason="torch-fidelity is not installed"
    )
    features = ["2048", "logits_unbiased", "logits"]
    return module.FeatureExtractorInceptionV3("random", features, str(file))


@pytest.fixture(scope="module")
def torchvision_network(imagenet_file: Path) -> Any:
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    network = models.inception_v3(
        weights=None, transform_input=False, aux_logits=True, init_weights=False
    )
    network.load_state_dict(torch.load(imagenet_file, weights_only=True))
    return network.eval()


def compute(images: Tensor, file: Path, resize: ResizeName, network: str = "inception-2015") -> Any:
    settings = {"resize": resize, "weights": str(file)}
    return load_network(network, settings).compute(images)


@torch.no_grad()
def test_pytorch_fid(
    agree: Agree, images: Tensor, file: Path, fid_blocks: Any, fid_network: Any
) -> None:
    row = 'inception, `resize = "pytorch-fid"`'
    ours = compute(images, file, "pytorch-fid")
    agree(row, ours["pool"], fid_blocks(images / 255)[0].flatten(1), images)
    resized = torch.nn.functional.interpolate(images / 255, (299, 299), mode="bilinear")
    agree(row, ours["logits"], fid_network(2 * resized - 1), images)


@torch.no_grad()
def test_pytorch_fid_without_resizing(
    agree: Agree, images: Tensor, file: Path, pytorch_fid: Any
) -> None:
    blocks = pytorch_fid.InceptionV3([3], resize_input=False).eval()
    ours = compute(images, file, "none")["pool"]
    agree('inception, `resize = "none"`', ours, blocks(images / 255)[0].flatten(1), images)


@torch.no_grad()
def test_torch_fidelity(agree: Agree, images: Tensor, file: Path, fidelity: Any) -> None:
    ours = compute(images, file, "tensorflow")
    for name, theirs in zip(["pool", "logits_unbiased", "logits"], fidelity(images), strict=True):
        agree('inception, `resize = "tensorflow"`', ours[name], theirs, images)


@torch.no_grad()
def test_clean_fid(
    agree: Agree, images: Tensor, file: Path, fid_network: Any, pytorch_fid: Any
) -> None:
    """Its network is a download in TorchScript; the rest of what it does is here."""
    resizer = pytest.importorskip("cleanfid.resize", reason="clean-fid is not installed")
    resize = resizer.build_resizer("clean")
    resized = np.stack([resize(image.permute(1, 2, 0).numpy()) for image in images])
    x = (torch.from_numpy(resized).permute(0, 3, 1, 2) - 128) / 128
    blocks = pytorch_fid.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    ours = compute(images, file, "clean")
    agree('inception, `resize = "clean"`', ours["pool"], blocks(x)[0].flatten(1), images)
    agree('inception, `resize = "clean"`', ours["logits"], fid_network(x), images)


@torch.no_grad()
def torchvision_outputs(network: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return pool features and logits."""
    seen: list[Tensor] = []
    hook = network.avgpool.register_forward_hook(lambda *call: seen.append(call[2].flatten(1)))
    logits: Tensor = network(x)
    hook.remove()
    return seen[0], logits


def test_torchvision(
    agree: Agree, images: Tensor, imagenet_file: Path, torchvision_network: Any
) -> None:
    normalised = (images / 255 - 0.5) / 0.5
    x = torch.nn.functional.interpolate(normalised, (299, 299), mode="bilinear")
    pool, logits = torchvision_outputs(torchvision_network, x)
    ours = compute(images, imagenet_file, "torchvision", "inception_v3-imagenet")
    agree('inception, `resize = "torchvision"`', ours["pool"], pool, images)
    agree('inception, `resize = "torchvision"`', ours["logits"], logits, images)


def test_imagenet_mapped_is_torchvisions_transform_input(
    agree: Agree,
    images: Tensor,
    imagenet_file: Path,
    torchvision_network: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torchvision_network, "transform_input", True)
    x = torch.nn.functional.interpolate(images / 255, (299, 299), mode="bilinear")
    pool, logits = torchvision_outputs(torchvision_network, x)
    ours = compute(images, imagenet_file, "imagenet-mapped", "inception_v3-imagenet")
    agree('inception, `resize = "imagenet-mapped"`', ours["pool"], pool, images)
    agree('inception, `resize = "imagenet-mapped"`', ours["logits"], logits, images)
