"""LPIPS equals its formula written with NumPy, and values of the original, with random weights.

Pretrained trunks are no part of the project, so trunks are seeded here; the linear layers are the
real ones. tests/parity/test_lpips.py compares with the original where it is installed.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray

import fhpt_eval.features
from fhpt_eval import weights
from fhpt_eval.errors import ProtocolError, WeightsError
from fhpt_eval.features import weighted
from fhpt_eval.features.trunks import TRUNKS, load_trunk
from fhpt_eval.metrics import LPIPS
from fhpt_eval.testing import check_metric
from tests.support.photographs import Pixels, crops, spoilt, tensor
from tests.support.random_trunks import ARCHITECTURES, seeded_state

#: Float32 in the network against float64 here, of values of 0.01 to 0.5.
TOLERANCE = 1e-6
DATA = Path(fhpt_eval.features.__file__).parent / "data"

Arrays = dict[str, NDArray[np.float64]]
WriteTrunk = Callable[..., str]


@pytest.fixture(scope="module")
def write_trunk(tmp_path_factory: pytest.TempPathFactory) -> WriteTrunk:
    """Return a function that writes a seeded trunk once, and returns its path."""
    folder = tmp_path_factory.mktemp("trunks")

    def write(net: str, seed: int = 0) -> str:
        path = folder / f"{net}-{seed}.pth"
        if not path.exists():
            torch.save(seeded_state(net, seed), path)
        return str(path)

    return write


def convolve(x: Any, state: Arrays, name: str, stride: int = 1, pad: int = 0) -> Any:
    """Convolve ``(C, H, W)`` and cut at zero."""
    kernel, bias = state[f"{name}.weight"], state[f"{name}.bias"]
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[2:], axis=(1, 2))
    sums = np.tensordot(kernel, windows[:, ::stride, ::stride], axes=((1, 2, 3), (0, 3, 4)))
    return np.maximum(sums + bias[:, None, None], 0)


def pool(x: Any, size: int, *, partial: bool = False) -> Any:
    """Take maxima of windows 2 pixels apart; with ``partial``, also of what is left at the end."""
    if partial:
        more = [-(length - size) % 2 for length in x.shape[1:]]
        x = np.pad(x, ((0, 0), (0, more[0]), (0, more[1])), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return windows[:, ::2, ::2].max(axis=(3, 4))


def alex_maps(x: Any, state: Arrays) -> list[Any]:
    maps = [convolve(x, state, "features.0", 4, 2)]
    maps.append(convolve(pool(maps[-1], 3), state, "features.3", pad=2))
    maps.append(convolve(pool(maps[-1], 3), state, "features.6", pad=1))
    maps.append(convolve(maps[-1], state, "features.8", pad=1))
    return [*maps, convolve(maps[-1], state, "features.10", pad=1)]


def vgg_maps(x: Any, state: Arrays) -> list[Any]:
    maps: list[Any] = []
    for stage in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
        x = pool(x, 2) if maps else x
        for number in stage:
            x = convolve(x, state, f"features.{number}", pad=1)
        maps.append(x)
    return maps


def squeeze_maps(x: Any, state: Arrays) -> list[Any]:
    maps = [convolve(x, state, "features.0", 2)]
    for stage in ((3, 4), (6, 7), (9,), (10,), (11,), (12,)):
        x = pool(maps[-1], 3, partial=True) if stage[0] in (3, 6, 9) else maps[-1]
        for number in stage:
            x = convolve(x, state, f"features.{number}.squeeze")
            wide = convolve(x, state, f"features.{number}.expand3x3", pad=1)
            x = np.concatenate([convolve(x, state, f"features.{number}.expand1x1"), wide])
        maps.append(x)
    return maps


MAPS = {"alex": alex_maps, "vgg": vgg_maps, "squeeze": squeeze_maps}


def oracle(x: Pixels, y: Pixels, net: str, release: str, scale: str) -> float:
    """Write the distance out for one pair, in float64."""
    state = {name: value.double().numpy() for name, value in seeded_state(net).items()}
    heads = safetensors.numpy.load_file(DATA / "lpips_heads.safetensors")
    sides = []
    for image in (x, y):
        fed = image / 255 if scale == "0..1" else image / 127.5 - 1
        if release == "0.1":
            fed = (fed - [-0.030, -0.088, -0.188]) / [0.458, 0.448, 0.450]
        maps = MAPS[net](fed.transpose(2, 0, 1), state)
        sides.append([m / (np.sqrt((m**2).sum(axis=0)) + 1e-10) for m in maps])
    total = 0.0
    for layer, (a, b) in enumerate(zip(*sides, strict=True)):
        head = heads[f"v{release}.{net}.{layer}"].astype(float)
        total += (head[:, None, None] * (a - b) ** 2).sum(axis=0).mean()
    return total


@pytest.mark.parametrize("scale", ["-1..1", "0..1"])
@pytest.mark.parametrize("release", ["0.1", "0.0"])
@pytest.mark.parametrize(
    ("net", "size"), [("alex", (41, 52)), ("vgg", (19, 33)), ("squeeze", (30, 21))]
)
def test_lpips_equals_its_formula_written_with_numpy(
    photographs: dict[str, Pixels],
    write_trunk: WriteTrunk,
    net: Any,
    size: tuple[int, int],
    release: Any,
    scale: Any,
) -> None:
    truth = crops(photographs, 3, *size)
    generated = [spoilt(truth[0], 1, 20.0), truth[2], truth[0]]
    expected = [oracle(x, y, net, release, scale) for x, y in zip(generated, truth, strict=True)]
    metric = LPIPS(network=net, release=release, scale=scale, network_weights=write_trunk(net))
    values = metric(tensor(generated), tensor(truth))
    assert values.dtype == torch.float64
    assert min(expected) > 1e-3
    np.testing.assert_allclose(values, expected, rtol=0, atol=TOLERANCE)


#: What lpips 0.1.4 (torch 2.15.0, torchvision 0.29.2, CPU) gives for ``frozen_pair`` with
#: ``LPIPS(network=net, version=release, pnet_rand=True)``, its trunk overwritten with
#: ``seeded_state(net)``: float32, so the seventh digit is its own.
FROZEN = {
    ("alex", "0.1"): 0.0742436, ("alex", "0.0"): 0.0574442,
    ("vgg", "0.1"): 0.1490383, ("vgg", "0.0"): 0.0654092,
    ("squeeze", "0.1"): 0.0732377, ("squeeze", "0.0"): 0.0524163,
}  # fmt: skip


def frozen_pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Return two images ``(1, 3, 75, 58)`` that need no file: a pattern, and a spoilt one."""
    down, across = np.mgrid[:75, :58]
    waves = [np.sin(down / a + across / b) for a, b in ((3, 7), (9, -4), (-5, 11))]
    truth = np.round(127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)
    generated = np.round(127.5 + 90 * np.stack(waves[::-1], axis=-1)).astype(np.uint8)
    return tensor([generated]), tensor([truth])


@pytest.mark.parametrize(("net", "release"), FROZEN)
def test_lpips_equals_values_of_the_original(
    write_trunk: WriteTrunk, net: Any, release: Any
) -> None:
    value = LPIPS(network=net, release=release, network_weights=write_trunk(net))(*frozen_pair())
    assert value.item() == pytest.approx(FROZEN[net, release], rel=0, abs=TOLERANCE)


@pytest.mark.parametrize(
    "other",
    [{"network": "squeeze"}, {"release": "0.0"}, {"scale": "0..1"}, {"network_weights": "another"}],
)
def test_every_parameter_moves_the_value(
    photographs: dict[str, Pixels], write_trunk: WriteTrunk, other: dict[str, Any]
) -> None:
    x, y = (tensor([image]) for image in crops(photographs, 2, 64, 44))
    changed = {"network": "alex", **other}
    seed = 1 if "network_weights" in other else 0
    changed["network_weights"] = write_trunk(changed["network"], seed)
    base = LPIPS(network_weights=write_trunk("alex"))(x, y).item()
    assert abs(LPIPS(**changed)(x, y).item() - base) > 1e-3


@pytest.mark.parametrize("net", ARCHITECTURES)
def test_equal_images_have_no_distance_and_too_small_ones_no_value(
    photographs: dict[str, Pixels], write_trunk: WriteTrunk, net: Any
) -> None:
    smallest = TRUNKS[ARCHITECTURES[net]].smallest
    metric = LPIPS(network=net, network_weights=write_trunk(net))
    for height, width in ((smallest, smallest + 9), (smallest + 9, smallest)):
        images = tensor(crops(photographs, 3, height, width))
        assert metric(images, images).tolist() == [0.0] * 3
        assert (metric(images, images.roll(1, 0)) > 1e-3).all()
        assert metric(images[:, :, 1:], images[:, :, 1:]).isnan().all() == (height == smallest)
        assert metric(images[..., 1:], images[..., 1:]).isnan().all() == (width == smallest)


def test_floats_equal_levels_whatever_their_precision(
    photographs: dict[str, Pixels], write_trunk: WriteTrunk
) -> None:
    x, y = (tensor([image]) for image in crops(photographs, 2, 64, 44))
    metric = LPIPS(network="squeeze", network_weights=write_trunk("squeeze"))
    kept = (x / 255).clone()
    values = [metric(kept, y / 255), metric(x.double() / 255, y.double() / 255)]
    torch.testing.assert_close(values, [metric(x, y)] * 2, rtol=0, atol=TOLERANCE)
    assert torch.equal(kept, x / 255)


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_neither_batch_nor_order_move_a_bit_on_a_cpu(
    photographs: dict[str, Pixels], write_trunk: WriteTrunk, net: Any
) -> None:
    truth = tensor(crops(photographs, 5, 64, 44))
    generated = truth.roll(1, 0)
    metric = LPIPS(network=net, network_weights=write_trunk(net))
    whole = metric(generated, truth)
    single = [metric(generated[n : n + 1], truth[n : n + 1]) for n in range(5)]
    assert torch.equal(whole, torch.cat(single))
    assert torch.equal(whole, metric(generated.flip(0), truth.flip(0)).flip(0))
    assert torch.equal(whole, metric(truth, generated))


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_lpips_conforms(write_trunk: WriteTrunk, net: Any) -> None:
    check_metric(LPIPS(network=net, network_weights=write_trunk(net)))


def test_the_network_stays_out_of_the_metric_and_of_autograd(
    photographs: dict[str, Pixels], write_trunk: WriteTrunk
) -> None:
    x, y = (tensor([image]) for image in crops(photographs, 2, 64, 44))
    metric = LPIPS(network="squeeze", network_weights=write_trunk("squeeze"))
    before = torch.get_rng_state()
    value = metric(x, y)
    assert torch.equal(before, torch.get_rng_state())
    value += 1  # refused for a tensor of inference mode
    assert not value.requires_grad
    assert len(pickle.dumps(metric)) < 1000


def test_many_threads_load_a_network_once(
    photographs: dict[str, Pixels], write_trunk: WriteTrunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = (tensor([image]) for image in crops(photographs, 2, 64, 44))
    path, loads = write_trunk("squeeze", 5), []

    def load_state(source: str) -> Any:
        loads.append(source)
        return seeded_state("squeeze", 5)

    monkeypatch.setattr(weighted, "load_state", load_state)
    with ThreadPoolExecutor(8) as threads:
        values = list(
            threads.map(
                lambda _: LPIPS(network="squeeze", network_weights=path)(x, y).item(), range(24)
            )
        )
    assert loads == [path]
    assert len(set(values)) == 1


def test_a_file_that_changes_is_another_trunk(
    photographs: dict[str, Pixels], tmp_path: Path
) -> None:
    x, y = (tensor([image]) for image in crops(photographs, 2, 64, 44))
    path = tmp_path / "trunk.pth"
    metric = LPIPS(network="squeeze", network_weights=str(path))
    values = []
    for seed in (3, 4):
        torch.save({**seeded_state("squeeze", seed), "classifier.x": torch.zeros(seed)}, path)
        values.append(metric(x, y).item())
    assert values[0] != values[1]


def test_without_weights_the_cure_is_named(
    photographs: dict[str, Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path))
    images = tensor(crops(photographs, 1, 64, 44))
    for net, architecture in ARCHITECTURES.items():
        metric = LPIPS(network=net)
        assert f"fhpt-eval weights pull {architecture}-imagenet" in metric.lacks()
        with pytest.raises(WeightsError, match=f"{architecture}-imagenet"):
            metric(images, images)
    absent = LPIPS(network_weights=str(tmp_path / "absent.pth"))
    assert "absent.pth" in absent.lacks()


def test_a_trunk_on_this_machine_lacks_nothing(write_trunk: WriteTrunk) -> None:
    assert LPIPS(network="squeeze", network_weights=write_trunk("squeeze")).lacks() == ""


def test_weights_are_told_by_their_content(
    write_trunk: WriteTrunk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path))
    heads = hashlib.sha256((DATA / "lpips_heads.safetensors").read_bytes()).hexdigest()
    assert heads in (DATA / "lpips_heads.LICENSE.txt").read_text()
    registered = weights.registered()["alexnet-imagenet"].sha256
    standard = {"lpips_heads.safetensors": heads, "alexnet-imagenet": registered}
    assert LPIPS().weights() == standard
    assert LPIPS(network_weights="alexnet-imagenet").weights() == standard
    assert LPIPS(network_weights="alexnet-imagenet").canonical() == LPIPS().canonical()

    path = Path(write_trunk("squeeze"))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (tmp_path / "copy.pth").write_bytes(path.read_bytes())
    ours, copy = (
        LPIPS(network="squeeze", network_weights=str(p)) for p in (path, tmp_path / "copy.pth")
    )
    assert ours.weights() == copy.weights()
    assert ours.weights()["squeezenet1_1-imagenet"] == digest
    assert ours.canonical() == copy.canonical()


def test_the_heads_fit_the_trunks() -> None:
    heads = safetensors.numpy.load_file(DATA / "lpips_heads.safetensors")
    shapes = {
        f"v{release}.{net}.{layer}": (channels,)
        for release in ("0.1", "0.0")
        for net, architecture in ARCHITECTURES.items()
        for layer, channels in enumerate(TRUNKS[architecture].channels)
    }
    assert {name: figures.shape for name, figures in heads.items()} == shapes
    assert all((figures >= 0).all() and figures.any() for figures in heads.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.0.weight": None}, "missing: features.0.weight"),
        ({"features.3.bias": torch.zeros(3)}, "features.3.bias is (3,), not (192,)"),
        ({"features.1.running_mean": torch.zeros(3)}, "unknown: features.1.running_mean"),
        (
            {"features.0.bias": torch.zeros(64, dtype=torch.int64)},
            "features.0.bias is torch.int64, not floats",
        ),
        ({"features.0.bias": torch.full((64,), math.nan)}, "no finite numbers"),
    ],
)
def test_a_wrong_state_dict_is_explained(
    photographs: dict[str, Pixels], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    state = {**seeded_state("alex"), **change}
    path = tmp_path / "wrong.pth"
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    images = tensor(crops(photographs, 1, 64, 44))
    with pytest.raises(WeightsError, match=re.escape(message)) as caught:
        LPIPS(network_weights=str(path))(images, images)
    assert "alexnet" in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_weights_of_another_network_are_explained_briefly() -> None:
    with pytest.raises(WeightsError, match=r"missing: features\.0\.weight, .* more") as caught:
        load_trunk("vgg16", {"model": torch.zeros(1)}, torch.device("cpu"), "some.pth")
    assert len(str(caught.value)) < 500


def test_a_trunk_takes_weights_of_half_precision() -> None:
    state = {name: value.half() for name, value in seeded_state("squeeze").items()}
    maps = load_trunk("squeezenet1_1", state, torch.device("cpu"), "some.pth")(
        torch.zeros(1, 3, 40, 50)
    )
    assert [m.shape[1] for m in maps] == list(TRUNKS["squeezenet1_1"].channels)
    assert all(m.dtype == torch.float32 and not m.requires_grad for m in maps)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"network": "alexnet"}, "Did you mean 'alex'?"),
        ({"network": "resnet50"}, "lpips wants maps: alex, mannequin, squeeze, vgg"),
        ({"version": "0.1"}, "lpips.version"),
        ({"release": 0.1}, "lpips.release"),
        ({"release": "0.2"}, "alex.release"),
        ({"network_weights": ""}, "lpips.network_weights"),
    ],
)
def test_a_wrong_parameter_is_explained(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(message)):
        LPIPS(**parameters)
