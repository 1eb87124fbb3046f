"""FID, KID and the Inception score against pytorch-fid, torch-fidelity and clean-fid.

64 photographs of 256 x 176 and noisy copies, random weights shared by both sides. ``make parity``
prints the table. FID of 64 images in 2,048 dimensions is no number to quote, but it is the same
computation, and a harder one: both covariances are singular.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fhpt_eval.features.inception import Inception, ResizeName
from fhpt_eval.metrics import FID, KID, FeatureRows, FeatureSetMetric, InceptionScore
from tests.conftest import Pixels, crops, spoilt, tensor
from tests.features.random_weights import random_state, write_inception_2015
from tests.metrics.rows import feature_rows

pytestmark = [
    pytest.mark.parity,
    # SciPy announces that an argument of these peers' calls goes away.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

Rows = Callable[[ResizeName], FeatureRows]

FID_TOLERANCE, KID_TOLERANCE, IS_TOLERANCE = 1e-4, 1e-6, 1e-5


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inception_2015(tmp_path_factory.mktemp("weights") / "2015.pth")


@pytest.fixture(scope="module")
def pairs(photographs: dict[str, Pixels]) -> tuple[Tensor, Tensor]:
    truth = crops(photographs, 64, 256, 176)
    generated = [spoilt(image, seed, 25) for seed, image in enumerate(truth)]
    return tensor(generated), tensor(truth)


@pytest.fixture(scope="module")
def rows(pairs: tuple[Tensor, Tensor], file: Path) -> Callable[[ResizeName], FeatureRows]:
    """Our features of both sets, computed once for each resize."""

    @cache
    def compute(resize: ResizeName) -> FeatureRows:
        feature = Inception(resize=resize, weights=str(file))
        sides = [
            {"inception": {name: a.numpy() for name, a in feature.compute(images).items()}}
            for images in pairs
        ]
        keys = tuple(f"{number:03d}" for number in range(len(pairs[0])))
        return feature_rows(keys, *sides)

    return compute


def value_of(metric: FeatureSetMetric, rows: FeatureRows) -> Mapping[str, float]:
    return metric.compute(metric.update(metric.empty(), rows))


@pytest.fixture(scope="module")
def fidelity(
    pairs: tuple[Tensor, Tensor], file: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    """What torch-fidelity says of the two sets, as folders of PNG."""
    module = pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
    folders = []
    for images in pairs:
        folder = tmp_path_factory.mktemp("images")
        for number, image in enumerate(images):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:03d}.png")
        folders.append(str(folder))
    found: dict[str, float] = module.calculate_metrics(
        input1=folders[0], input2=folders[1], cuda=False, verbose=False, cache=False,
        fid=True, isc=True, kid=True, kid_subsets=20, kid_subset_size=32, samples_shuffle=False,
        feature_extractor_weights_path=str(file), samples_resize_and_crop=0,
    )  # fmt: skip
    return found


def same(what: str, value: float, expected: float, allowed: float) -> None:
    print(f"\n{what:<46}{value:14.6f}  difference {abs(value - expected):.1e} ", end="")
    assert abs(value - expected) <= allowed, (value, expected)


def test_fid_of_pytorch_fid(pairs: tuple[Tensor, Tensor], rows: Rows) -> None:
    inception = pytest.importorskip("pytorch_fid.inception", reason="pytorch-fid is not installed")
    score = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: random_state())
        network = inception.InceptionV3([3]).eval()
    expected = score.calculate_frechet_distance(*_statistics(network, pairs, lambda x: x / 255))
    value = value_of(FID(), rows("pytorch-fid"))[""]
    same("fid, pytorch-fid 0.3.0", value, expected, FID_TOLERANCE * expected)


def test_fid_of_clean_fid(pairs: tuple[Tensor, Tensor], rows: Rows) -> None:
    resizer = pytest.importorskip("cleanfid.resize", reason="clean-fid is not installed")
    clean = pytest.importorskip("cleanfid.fid", reason="clean-fid is not installed")
    inception = pytest.importorskip("pytorch_fid.inception", reason="pytorch-fid is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: random_state())
        network = inception.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    resize = resizer.build_resizer("clean")

    def prepare(images: Tensor) -> Tensor:
        resized = np.stack([resize(image.permute(1, 2, 0).numpy()) for image in images])
        return (torch.from_numpy(resized).permute(0, 3, 1, 2) - 128) / 128

    expected = clean.frechet_distance(*_statistics(network, pairs, prepare))
    value = value_of(FID(resize="clean"), rows("clean"))[""]
    same("fid[clean], clean-fid 0.1.35", value, expected, FID_TOLERANCE * expected)


def test_fid_of_torch_fidelity(rows: Rows, fidelity: dict[str, float]) -> None:
    expected = fidelity["frechet_inception_distance"]
    value = value_of(FID(resize="tensorflow"), rows("tensorflow"))[""]
    same("fid[tensorflow], torch-fidelity", value, expected, FID_TOLERANCE * expected)


def test_kid_of_torch_fidelity(rows: Rows, fidelity: dict[str, float]) -> None:
    metric = KID(resize="tensorflow", subsets=20, subset_size=32)
    values = value_of(metric, rows("tensorflow"))
    expected = fidelity["kernel_inception_distance_mean"]
    scale = max(1.0, abs(expected))
    same("kid.mean, torch-fidelity", values["mean"], expected, KID_TOLERANCE * scale)
    same("kid.std", values["std"], fidelity["kernel_inception_distance_std"], KID_TOLERANCE * scale)


def test_is_of_torch_fidelity(rows: Rows, fidelity: dict[str, float]) -> None:
    values = value_of(InceptionScore(), rows("tensorflow"))
    expected = fidelity["inception_score_mean"]
    assert expected > 1.05, "a score of about 1 would prove nothing"
    same("is.mean, torch-fidelity", values["mean"], expected, IS_TOLERANCE)
    same("is.std", values["std"], fidelity["inception_score_std"], IS_TOLERANCE)


def test_is_of_the_common_pytorch_script(pairs: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    """Softmax of torchvision's ImageNet network, bias included; one split of all images."""
    models = pytest.importorskip("torchvision.models", reason="torchvision is not installed")
    state = random_state("inception_v3-imagenet", seed=1)
    torch.save(state, tmp_path / "imagenet.pth")
    network = models.inception_v3(
        weights=None, transform_input=False, aux_logits=True, init_weights=False
    )
    network.load_state_dict(state)
    network.eval()
    parts = []
    with torch.no_grad():
        for images in pairs[0].split(16):
            x = images / 255 * 2 - 1
            x = torch.nn.functional.interpolate(x, (299, 299), mode="bilinear")
            parts.append(network(x).double().softmax(dim=1))
    p = torch.cat(parts)
    expected = (p * (p.log() - p.mean(0, keepdim=True).log())).sum(1).mean().exp().item()
    metric = InceptionScore(
        network="inception_v3-imagenet", resize="torchvision", logits="biased", splits=1,
        network_weights=str(tmp_path / "imagenet.pth"),
    )  # fmt: skip
    assert expected > 1.05, "a score of about 1 would prove nothing"
    same("is.mean, the common PyTorch script", metric(pairs[0])["mean"], expected, IS_TOLERANCE)


@torch.no_grad()
def _statistics(network: Any, pairs: tuple[Tensor, Tensor], prepare: Any) -> list[Any]:
    """Return mean and covariance of a peer's features on both sides."""
    found = []
    for images in pairs:
        parts = [network(prepare(block))[0].flatten(1) for block in images.split(16)]
        rows = torch.cat(parts).double().numpy()
        found += [rows.mean(axis=0), np.cov(rows, rowvar=False)]
    return found
