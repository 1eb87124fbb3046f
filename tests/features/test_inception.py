"""Inception features: shapes, loading, folding, resizing, and independence of batch and thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from fhpt_eval.errors import ArgumentError, WeightsError
from fhpt_eval.features import weighted
from fhpt_eval.features.inception import (
    Inception,
    Inception2015,
    InceptionImageNet,
    ResizeName,
)
from fhpt_eval.features.inception.network import (
    InceptionName,
    Network,
    build_network,
    layers_of,
    torchvisions,
)
from fhpt_eval.features.inception.resize import RESIZE
from fhpt_eval.weights.state import load_state
from tests.support.photographs import Pixels, crops, tensor
from tests.support.random_inception import expected_shapes, random_state, write_inception_2015

CPU = torch.device("cpu")
KEYS = ["pool", "logits", "logits_unbiased"]
#: Height, width: odd, larger than 299, smaller in one direction only.
SIZES = [(256, 176), (97, 131), (400, 350), (299, 299), (512, 201), (1, 7)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inception_2015(tmp_path_factory.mktemp("weights") / "inception.pth")


@pytest.fixture(scope="module")
def inception(file: Path) -> Inception:
    return Inception2015(weights=str(file))


@pytest.fixture(scope="module")
def images(photographs: dict[str, Pixels]) -> Tensor:
    return tensor(crops(photographs, 9, 97, 131))


@pytest.fixture(scope="module")
def features(inception: Inception, images: Tensor) -> dict[str, Tensor]:
    return inception.compute(images)


def relative(values: Tensor, expected: Tensor) -> float:
    """Return the largest relative difference of an image's vector, by length."""
    difference = (values.double() - expected.double()).norm(dim=1)
    return float((difference / expected.double().norm(dim=1)).max())


# --- what it gives ---


def test_shapes_and_types(features: dict[str, Tensor], images: Tensor) -> None:
    assert list(features) == KEYS
    assert features["pool"].shape == (len(images), 2048)
    assert features["logits"].shape == features["logits_unbiased"].shape == (len(images), 1008)
    assert all(values.dtype == torch.float32 for values in features.values())
    assert all(not values.requires_grad and values.isfinite().all() for values in features.values())


def test_logits_differ_by_the_bias_from_those_without(features: dict[str, Tensor]) -> None:
    bias = random_state()["fc.bias"]
    assert torch.equal(features["logits"], features["logits_unbiased"] + bias)


def test_images_are_told_apart(features: dict[str, Tensor]) -> None:
    """Else a wrong computation could hide behind features that all images share."""
    for values in features.values():
        assert values.std(dim=0).mean() > 0.1 * values.abs().mean()


def test_torchvisions_network_has_1000_classes(images: Tensor) -> None:
    name: InceptionName = "inception_v3-imagenet"
    network = build_network(name, random_state(name), CPU, "random")
    outputs = network(RESIZE["torchvision"](images[:1].float()))
    assert outputs.pool.shape == (1, 2048)
    assert outputs.logits.shape == (1, 1000)


def test_images_too_small_for_the_network_are_refused_if_not_resized() -> None:
    with pytest.raises(ArgumentError, match=r"at least 75 x 75 .* not 74 x 80"):
        Inception2015(resize="none").compute(torch.zeros(1, 3, 80, 74, dtype=torch.uint8))


def test_the_smallest_images_pass_unresized(file: Path) -> None:
    image = torch.zeros(1, 3, 75, 75, dtype=torch.uint8)
    assert Inception2015(resize="none", weights=str(file)).compute(image)["pool"].shape == (1, 2048)


@pytest.mark.parametrize("fields", [{"resize": "bilinear"}, {"weights": 3}, {"batch": 4}])
def test_unknown_settings_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Inception2015(**fields)


def test_every_resize_name_is_known() -> None:
    assert set(RESIZE) == set(get_args(ResizeName))


#: The first five values that pytorch-fid 0.3.0 (torch 2.15.0, CPU) and torchvision 0.29.2 gave with
#: random_state(), seed 0, for the astronaut's upper left 256 x 176 pixels, bilinear, 2x - 1.
FROZEN: dict[InceptionName, tuple[list[float], list[float]]] = {
    "inception-2015": (
        [0.00147576, 0.26272684, 0.10196520, 1.02586746, 0.95519316],
        [3.81411934, -4.51015711, -1.39704442, -0.82460397, -3.65355682],
    ),
    "inception_v3-imagenet": (
        [0.00175209, 0.24128135, 0.10185198, 1.02489305, 0.88478917],
        [3.88425946, -4.40602541, -0.79469734, -1.37986338, -2.97305322],
    ),
}


@pytest.mark.parametrize("name", FROZEN)
def test_values_of_the_original_implementations(
    photographs: dict[str, Pixels], name: InceptionName
) -> None:
    image = tensor([np.ascontiguousarray(photographs["astronaut"][:256, :176])])
    network = build_network(name, random_state(name), CPU, "random")
    outputs = network(RESIZE["pytorch-fid"](image.float()))
    pool, logits = (torch.tensor(values) for values in FROZEN[name])
    # Both sides add in float32, each in its own order: vectors agree to 4e-6 of their length.
    torch.testing.assert_close(outputs.pool[0, :5], pool, atol=2e-5, rtol=0)
    torch.testing.assert_close(outputs.logits[0, :5], logits, atol=1e-4, rtol=0)


# --- weights ---


def test_digests_and_lacks_ask_for_the_networks_own_weights(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setattr(weighted, "available", lambda source: f"needs {source}")
    assert Inception2015().lacks() == "needs inception-2015"
    assert InceptionImageNet().lacks() == "needs inception_v3-imagenet"
    assert Inception2015(weights=str(file)).lacks() == f"needs {file}"
    (digest,) = Inception2015().digests().values()
    assert digest.startswith("6726825d")
    (digest,) = InceptionImageNet().digests().values()
    assert digest.startswith("0cc3c7bd")


def test_an_address_has_the_digest_of_weights_and_not_their_place(
    file: Path, tmp_path: Path, inception: Inception
) -> None:
    other = tmp_path / "other.pth"
    other.hardlink_to(file)
    moved = Inception2015(weights=str(other)).canonical()
    assert moved == inception.canonical() != Inception2015().canonical()
    assert moved["weights"] == list(inception.digests().values())
    assert str(tmp_path) not in str(moved)
    assert moved != Inception2015(weights=str(other), resize="clean").canonical()


def test_a_file_that_changes_is_loaded_again(tmp_path: Path, images: Tensor) -> None:
    path = tmp_path / "weights.pth"
    pools = []
    for seed in (0, 1):
        inception = Inception2015(weights=str(write_inception_2015(path, seed)))
        pools.append(inception.compute(images[:1])["pool"])
    assert relative(*pools) > 0.1


def build(state: dict[str, Tensor], name: InceptionName = "inception-2015") -> Network:
    return build_network(name, state, CPU, "some.pth")


def test_missing_unknown_and_misshapen_entries_are_named() -> None:
    state = random_state()
    del state["Mixed_5b.branch1x1.bn.running_mean"]
    state["fc.weight"] = torch.zeros(1000, 2048)
    state["head.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        build(state)
    message = str(caught.value)
    assert "'some.pth' are not of the network inception-2015" in message
    assert "missing: Mixed_5b.branch1x1.bn.running_mean" in message
    assert "unknown: head.weight" in message
    assert "fc.weight is (1000, 2048), not (1008, 2048)" in message


def test_entries_that_are_not_floats_are_named() -> None:
    state = random_state()
    state["fc.bias"] = torch.zeros(1008, dtype=torch.int64)
    with pytest.raises(WeightsError, match=r"fc.bias is torch.int64, not floats"):
        build(state)


def test_values_that_are_no_numbers_are_named() -> None:
    state = random_state()
    state["fc.bias"][7] = torch.nan
    with pytest.raises(WeightsError, match=r"fc.bias holds values that are no finite numbers"):
        build(state)


def test_many_missing_entries_are_counted() -> None:
    with pytest.raises(WeightsError, match=r"missing: Conv2d_1a_3x3.conv.weight, .* and 467 more$"):
        build({})


def test_the_other_networks_weights_are_refused() -> None:
    state = random_state("inception_v3-imagenet")
    with pytest.raises(WeightsError, match=r"unknown: AuxLogits"):
        build(state)
    with pytest.raises(WeightsError, match=r"fc.weight is \(1008, 2048\), not \(1000, 2048\)"):
        build(random_state(), "inception_v3-imagenet")


def test_counters_may_be_absent() -> None:
    state = random_state()
    bare = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert len(bare) < len(state)
    x = torch.zeros(1, 3, 75, 75)
    assert torch.equal(build(bare)(x).pool, build(state)(x).pool)


@pytest.mark.parametrize("name", get_args(InceptionName))
def test_the_network_has_94_convolutions_and_2048_features(name: InceptionName) -> None:
    shapes = expected_shapes(name)
    assert sum(entry.endswith(".conv.weight") for entry in shapes) == 94
    assert shapes["fc.weight"][1] == 2048


# --- the network ---


@pytest.mark.parametrize("name", get_args(InceptionName))
def test_folding_changes_nothing_but_rounding(name: InceptionName, images: Tensor) -> None:
    """Against the same layers in float64, batch norms on their own."""
    state = random_state(name)
    network = torchvisions(name)
    network.load_state_dict(state, strict=False)  # but for its second classifier
    x = RESIZE["pytorch-fid"](images[:1].float())
    with torch.no_grad():
        pool = layers_of(name, network.double().eval())(x.double()).mean(dim=(2, 3))
    wide = {entry: values.double() for entry, values in state.items()}
    logits = pool @ wide["fc.weight"].T + wide["fc.bias"]
    outputs = build_network(name, state, CPU, "random")(x)
    assert relative(outputs.pool, pool) < 5e-6
    assert relative(outputs.logits, logits) < 5e-6


# --- independence ---


@pytest.mark.parametrize("resize", sorted(set(RESIZE) - {"none"}))
def test_an_image_has_the_same_bits_alone_and_in_any_place(
    file: Path, images: Tensor, resize: ResizeName
) -> None:
    inception = Inception2015(resize=resize, weights=str(file))
    together = inception.compute(images[:5])
    backwards = inception.compute(images[:5].flip(0))
    alone = inception.compute(images[3:4])
    for key in KEYS:
        assert torch.equal(together[key], backwards[key].flip(0))
        assert torch.equal(together[key][3:4], alone[key])


def test_threads_share_one_network_and_get_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
    file: Path,
    tmp_path: Path,
    images: Tensor,
    features: dict[str, Tensor],
) -> None:
    fresh = tmp_path / "fresh.pth"
    fresh.hardlink_to(file)
    inception = Inception2015(weights=str(fresh))
    loaded: list[str] = []
    read = load_state

    def counted(source: str) -> dict[str, Tensor]:
        loaded.append(source)
        return read(source)

    monkeypatch.setattr(weighted, "load_state", counted)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(inception.compute, [images[:4], images[4:8], images[8:], images[:4]]))
    assert loaded == [str(fresh)]
    for key in KEYS:
        assert torch.equal(torch.cat([part[key] for part in found[:3]]), features[key])
        assert torch.equal(found[3][key], features[key][:4])


# --- resizing ---


def weigh(size: int, spread: float, place: Callable[[int], float], kernel: Any) -> NDArray[Any]:
    """Return ``(299, size)`` weights: a kernel around each output pixel's place, normalised."""
    centres = np.array([place(i) for i in range(299)])
    matrix = kernel((np.arange(size)[None] - centres[:, None]) / spread)
    normalised: NDArray[Any] = matrix / matrix.sum(axis=1, keepdims=True)
    return normalised


def hat(x: NDArray[Any]) -> NDArray[Any]:
    values: NDArray[Any] = np.maximum(0, 1 - np.abs(x))
    return values


def cubic(x: NDArray[Any]) -> NDArray[Any]:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    values: NDArray[Any] = np.where(x < 1, near, np.where(x < 2, far, 0))
    return values


def half_centred(size: int) -> NDArray[Any]:
    """Bilinear, pixel centres at half, the border repeated."""
    return weigh(size, 1, lambda i: min(max((i + 0.5) * size / 299 - 0.5, 0), size - 1), hat)


def asymmetric(size: int) -> NDArray[Any]:
    """Bilinear at i * size / 299, the border repeated."""
    return weigh(size, 1, lambda i: min(i * size / 299, size - 1), hat)


def antialiased_cubic(size: int) -> NDArray[Any]:
    """The cubic kernel (a = -1/2), as wide as the shrinking, cut off at the border."""
    return weigh(size, max(size / 299, 1), lambda i: (i + 0.5) * size / 299 - 0.5, cubic)


def oracle(image: Tensor, matrix: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
    """Resize ``(3, H, W)`` by two matrices in float64."""
    resized: NDArray[Any] = (
        matrix(image.shape[1]) @ image.double().numpy() @ matrix(image.shape[2]).T
    )
    return resized


RED, GREEN, BLUE = (0.229, 0.485), (0.224, 0.456), (0.225, 0.406)


def imagenet(levels: NDArray[Any]) -> NDArray[Any]:
    deviation, mean = np.array([RED, GREEN, BLUE]).T[..., None, None]
    mapped: NDArray[Any] = (levels / 255 * deviation + mean - 0.5) / 0.5
    return mapped


ORACLES: dict[ResizeName, Callable[[Tensor], NDArray[Any]]] = {
    "pytorch-fid": lambda image: 2 * oracle(image, half_centred) / 255 - 1,
    "torchvision": lambda image: 2 * oracle(image, half_centred) / 255 - 1,
    "imagenet-mapped": lambda image: imagenet(oracle(image, half_centred)),
    "tensorflow": lambda image: oracle(image, asymmetric) / 128 - 1,
    "clean": lambda image: oracle(image, antialiased_cubic).clip(0, 255) / 128 - 1,
}


@pytest.mark.parametrize("resize", ORACLES)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_resizing_agrees_with_its_formula(
    photographs: dict[str, Pixels], resize: ResizeName, size: tuple[int, int]
) -> None:
    height, width = size
    image = torch.from_numpy(np.resize(photographs["chelsea"], (height, width, 3)))
    if height <= 300:
        image = torch.from_numpy(photographs["chelsea"][:height, :width].copy())
    image = image.permute(2, 0, 1)
    found = RESIZE[resize](image[None].float())
    assert found.shape == (1, 3, 299, 299)
    assert found.dtype == torch.float32
    # Positions are computed in float32: of 512 pixels, to 3e-5 of one.
    np.testing.assert_allclose(found[0].numpy(), ORACLES[resize](image), atol=5e-5, rtol=0)


def test_modes_differ_where_they_should(images: Tensor) -> None:
    levels = images[:1].float()
    found = {name: RESIZE[name](levels) for name in sorted(set(RESIZE) - {"none", "torchvision"})}
    for one in found:
        for other in found:
            assert one == other or (found[one] - found[other]).abs().max() > 0.005


def test_clean_neither_rounds_nor_exceeds_the_range(images: Tensor) -> None:
    levels = RESIZE["clean"](images[:3].float()) * 128 + 128
    assert 0 <= levels.min() <= levels.max() <= 255
    assert (levels - levels.round()).abs().max() > 0.1


def test_none_leaves_the_size_alone(images: Tensor) -> None:
    assert torch.equal(RESIZE["none"](images.float()), 2 * (images.float() / 255) - 1)
