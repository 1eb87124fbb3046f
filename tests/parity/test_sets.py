"""FID, KID and the Inception score against pytorch-fid, torch-fidelity and clean-fid.

64 photographs of 256 x 176 (34 in ``make test``) and noisy copies, random weights shared by both
sides. FID of so few images in 2,048 dimensions is no number to quote, but it is the same
computation, and a harder one: both covariances are singular. What the peers' networks say of these
images is compared as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fhpt_eval.features.inception import Inception2015, InceptionImageNet, ResizeName
from fhpt_eval.metrics import FID, KID, FeatureRows, FeatureSetMetric, InceptionScore
from tests.parity.conftest import Agree
from tests.support.gaussians import frechet_distance
from tests.support.photographs import Pixels, crops, spoilt, tensor
from tests.support.random_inception import random_state, write_inception_2015
from tests.support.rows import feature_rows

pytestmark = [
    pytest.mark.parity,
    # SciPy announces that an argument of these peers' calls goes away.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

Pair = tuple[Tensor, Tensor]
Rows = Callable[[ResizeName], FeatureRows]

SUBSETS, SUBSET_SIZE = 20, 32
KERNEL = "kernel_inception_distance"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inception_2015(tmp_path_factory.mktemp("weights") / "2015.pth")


@pytest.fixture(scope="module")
def pairs(photographs: dict[str, Pixels], all_images: bool) -> Pair:
    truth = crops(photographs, 64 if all_images else 34, 256, 176)
    generated = [spoilt(image, seed, 25) for seed, image in enumerate(truth)]
    return tensor(generated), tensor(truth)


@pytest.fixture(scope="module")
def rows(pairs: Pair, file: Path) -> Rows:
    """Our features of both sets, computed once for each resize."""

    @cache
    def compute(resize: ResizeName) -> FeatureRows:
        feature = Inception2015(resize=resize, weights=str(file))
        sides = [
            {"network": {name: a.numpy() for name, a in feature.compute(images).items()}}
            for images in pairs
        ]
        keys = tuple(f"{number:03d}" for number in range(len(pairs[0])))
        return feature_rows(keys, *sides)

    return compute


def value_of(metric: FeatureSetMetric, rows: FeatureRows) -> Mapping[str, float]:
    return metric.compute(metric.update(metric.empty(), rows))


def pool_of(rows: FeatureRows) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return our pool features of the generated images and of the ground truth."""
    return rows.generated["network"]["pool"], rows.ground_truth["network"]["pool"]


@pytest.fixture(scope="module")
def pytorch_fid() -> Iterator[Any]:
    """pytorch-fid's network module, whose download gives our random weights."""
    module = peer_module("pytorch_fid.inception")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: random_state())
        yield module


@torch.no_grad()
def passed(network: Any, sides: Pair, prepare: Callable[[Tensor], Tensor]) -> Pair:
    """Return a peer's pool features of both sides."""
    found = [
        torch.cat([network(prepare(block))[0].flatten(1) for block in images.split(16)])
        for images in sides
    ]
    return found[0], found[1]


@pytest.fixture(scope="module")
def pytorch_fid_pool(pytorch_fid: Any, pairs: Pair) -> Pair:
    network = pytorch_fid.InceptionV3([3]).eval()
    return passed(network, pairs, lambda images: images / 255)


@pytest.fixture(scope="module")
def clean_pool(pytorch_fid: Any, pairs: Pair) -> Pair:
    """clean-fid's resize; its own network is a download in TorchScript."""
    resizer = peer_module("cleanfid.resize")
    network = pytorch_fid.InceptionV3([3], resize_input=False, normalize_input=False).eval()
    resize = resizer.build_resizer("clean")

    def prepare(images: Tensor) -> Tensor:
        resized = np.stack([resize(image.permute(1, 2, 0).numpy()) for image in images])
        return (torch.from_numpy(resized).permute(0, 3, 1, 2) - 128) / 128

    return passed(network, pairs, prepare)


class Fidelity(NamedTuple):
    """What torch-fidelity says of the two sets, and what its network gave for each."""

    values: dict[str, float]
    pool: Pair
    logits: Pair


@pytest.fixture(scope="module")
def fidelity(pairs: Pair, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Fidelity:
    """Its answer on two folders of PNG."""
    module = peer_module("torch_fidelity")
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3 as Network

    folders = []
    for images in pairs:
        folder = tmp_path_factory.mktemp("images")
        for number, image in enumerate(images):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{number:03d}.png")
        folders.append(str(folder))
    seen: dict[str, list[Tensor]] = {"2048": [], "logits_unbiased": []}
    forward = Network.forward

    def watched(network: Any, x: Tensor) -> Any:
        outputs = forward(network, x)
        for name, output in zip(network.features_list, outputs, strict=True):
            seen[name].append(output)
        return outputs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "forward", watched)
        values = module.calculate_metrics(
            input1=folders[0], input2=folders[1], cuda=False, verbose=False, cache=False,
            fid=True, isc=True, kid=True, kid_subsets=SUBSETS, kid_subset_size=SUBSET_SIZE,
            samples_shuffle=False, save_cpu_ram=True,  # which means: no processes to load images
            feature_extractor_weights_path=str(file), samples_resize_and_crop=0,
        )  # fmt: skip
    pool, logits = (torch.cat(seen[name]).split(len(pairs[0])) for name in seen)
    return Fidelity(values, (pool[0], pool[1]), (logits[0], logits[1]))


def moments(pool: Pair | tuple[NDArray[Any], NDArray[Any]]) -> list[Any]:
    """Return mean and covariance of both sides, as the peers take them."""
    found = []
    for rows in pool:
        values = np.asarray(rows, dtype=np.float64)
        found += [values.mean(axis=0), np.cov(values, rowvar=False)]
    return found


def in_their_span(pool: Pair) -> Pair:
    """Return both sides in coordinates of the space that they span, where distances are the same.

    A square root in 128 dimensions takes no time, where that in 2,048 takes 12 seconds.
    """
    basis = torch.linalg.qr(torch.cat(pool).double().T).Q
    return pool[0].double() @ basis, pool[1].double() @ basis


def peer_module(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name.partition('.')[0]} is not installed")


def agree_twice(
    agree: Agree, row: str, values: Mapping[str, float], found: Mapping[str, float], images: Tensor
) -> None:
    """Compare mean and deviation with torch-fidelity's; values near naught would prove nothing."""
    name, least = ("inception_score", 1.05) if row[:2] == "is" else (KERNEL, 0.05)
    mean, deviation = (found[f"{name}_{part}"] for part in ("mean", "std"))
    assert mean > least
    assert deviation > 0.01
    agree(row, [values["mean"], values["std"]], [mean, deviation], images)


def test_features_of_pytorch_fid(
    agree: Agree, pairs: Pair, rows: Rows, pytorch_fid_pool: Pair
) -> None:
    for ours, theirs in zip(pool_of(rows("pytorch-fid")), pytorch_fid_pool, strict=True):
        agree('inception, `resize = "pytorch-fid"`', ours, theirs, pairs[0])


def test_fid_of_pytorch_fid(agree: Agree, pairs: Pair, rows: Rows, pytorch_fid_pool: Pair) -> None:
    peer = peer_module("pytorch_fid.fid_score")
    expected = peer.calculate_frechet_distance(*moments(pytorch_fid_pool))
    value = value_of(FID(resize="pytorch-fid"), rows("pytorch-fid"))[""]
    agree("fid", value, expected, pairs[0])


def test_the_distance_of_covariances_of_full_rank(
    agree: Agree, pairs: Pair, rows: Rows, pytorch_fid_pool: Pair
) -> None:
    """With more images than features another route is taken than with fewer."""
    peer = peer_module("pytorch_fid.fid_score")
    theirs = (pytorch_fid_pool[0][:, ::64], pytorch_fid_pool[1][:, ::64])
    generated, truth = pool_of(rows("pytorch-fid"))
    value = frechet_distance(*moments((generated[:, ::64], truth[:, ::64])))
    expected = peer.calculate_frechet_distance(*moments(theirs))
    agree("fid, more images than features", value, expected, pairs[0])


def test_kid_and_is_of_pytorch_fids_features(
    agree: Agree, pairs: Pair, rows: Rows, pytorch_fid_pool: Pair
) -> None:
    """As torch-fidelity computes them; it has no such resize itself."""
    kid = peer_module("torch_fidelity.metric_kid")
    isc = peer_module("torch_fidelity.metric_isc")
    found = kid.kid_features_to_metric(
        *pytorch_fid_pool, kid_subsets=SUBSETS, kid_subset_size=SUBSET_SIZE, verbose=False
    )
    metric = KID(resize="pytorch-fid", subsets=SUBSETS, subset_size=SUBSET_SIZE)
    agree_twice(agree, "kid", value_of(metric, rows("pytorch-fid")), found, pairs[0])
    logits = pytorch_fid_pool[0] @ random_state()["fc.weight"].T
    found = isc.isc_features_to_metric(logits, shuffle=False)
    values = value_of(InceptionScore(resize="pytorch-fid"), rows("pytorch-fid"))
    agree_twice(agree, "is", values, found, pairs[0])


def test_features_of_torch_fidelity(
    agree: Agree, pairs: Pair, rows: Rows, fidelity: Fidelity
) -> None:
    row = 'inception, `resize = "tensorflow"`'
    ours = rows("tensorflow")
    for values, theirs in zip(pool_of(ours), fidelity.pool, strict=True):
        agree(row, values, theirs, pairs[0])
    for side, theirs in zip((ours.generated, ours.ground_truth), fidelity.logits, strict=True):
        agree(row, side["network"]["logits_unbiased"], theirs, pairs[0])


class Given(torch.nn.Module):
    """In place of a network: what it is given are features."""

    num_features = 32

    def forward(self, features: Tensor) -> Tensor:
        return features


def test_fid_of_torchmetrics(agree: Agree, pairs: Pair, rows: Rows, pytorch_fid_pool: Pair) -> None:
    """Its arithmetic alone: the network that it comes with is torch-fidelity's."""
    module = peer_module("torchmetrics.image.fid")
    metric = module.FrechetInceptionDistance(feature=Given()).set_dtype(torch.float64)
    for features, real in zip(pytorch_fid_pool, (False, True), strict=True):
        metric.update(features[:, ::64].double(), real=real)
    generated, truth = pool_of(rows("pytorch-fid"))
    value = frechet_distance(*moments((generated[:, ::64], truth[:, ::64])))
    agree("fid, torchmetrics", value, metric.compute().item(), pairs[0])


def test_fid_of_torch_fidelity(agree: Agree, pairs: Pair, rows: Rows, fidelity: Fidelity) -> None:
    expected = fidelity.values["frechet_inception_distance"]
    value = value_of(FID(resize="tensorflow"), rows("tensorflow"))[""]
    agree('fid, `resize = "tensorflow"`', value, expected, pairs[0])


def test_kid_of_torch_fidelity(agree: Agree, pairs: Pair, rows: Rows, fidelity: Fidelity) -> None:
    metric = KID(resize="tensorflow", subsets=SUBSETS, subset_size=SUBSET_SIZE)
    values = value_of(metric, rows("tensorflow"))
    agree_twice(agree, 'kid, `resize = "tensorflow"`', values, fidelity.values, pairs[0])


def test_is_of_torch_fidelity(agree: Agree, pairs: Pair, rows: Rows, fidelity: Fidelity) -> None:
    values = value_of(InceptionScore(resize="tensorflow"), rows("tensorflow"))
    row = 'is, `resize = "tensorflow"` (as the original of 2016)'
    agree_twice(agree, row, values, fidelity.values, pairs[0])


def test_features_fid_and_kid_of_clean_fid(
    agree: Agree, pairs: Pair, rows: Rows, clean_pool: Pair
) -> None:
    ours = rows("clean")
    for values, theirs in zip(pool_of(ours), clean_pool, strict=True):
        agree('inception, `resize = "clean"`', values, theirs, pairs[0])
    peer = peer_module("cleanfid.fid")
    expected = peer.frechet_distance(*moments(in_their_span(clean_pool)))
    agree('fid, `resize = "clean"`', value_of(FID(resize="clean"), ours)[""], expected, pairs[0])
    count = len(pairs[0])
    generated, truth = (side.double().numpy() for side in clean_pool)
    expected = peer.kernel_distance(generated, truth, num_subsets=1, max_subset_size=count)
    value = value_of(KID(resize="clean", subsets=1, subset_size=count), ours)["mean"]
    agree('kid, `resize = "clean"`', value, expected, pairs[0])


def test_is_of_the_common_pytorch_script(agree: Agree, pairs: Pair, tmp_path: Path) -> None:
    """Softmax of torchvision's ImageNet network, bias included; one split of all images."""
    models = peer_module("torchvision.models")
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
            parts.append(network(x).double())
    logits = torch.cat(parts)
    p = logits.softmax(dim=1)
    expected = (p * (p.log() - p.mean(0, keepdim=True).log())).sum(1).mean().exp().item()
    assert expected > 1.05, "a score of about 1 would prove nothing"
    feature = InceptionImageNet(resize="torchvision", weights=str(tmp_path / "imagenet.pth"))
    outputs = {name: array.numpy() for name, array in feature.compute(pairs[0]).items()}
    agree('inception, `resize = "torchvision"`', outputs["logits"], logits, pairs[0])
    metric = InceptionScore(
        network="inception_v3-imagenet", resize="torchvision", logits="biased", splits=1
    )
    keys = tuple(f"{number:03d}" for number in range(len(logits)))
    value = value_of(metric, feature_rows(keys, {"network": outputs}))["mean"]
    agree("is, the common PyTorch script", value, expected, pairs[0])
