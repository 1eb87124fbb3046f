"""LPIPS against the original, the package ``lpips``, with shared weights.

The linear layers are the original's own; the trunks are seeded, since
pretrained ones cannot be had everywhere. Pairs are photographs, spoilt, mirrored or exchanged, so
that values are spread.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from fhpt_eval.metrics import LPIPS
from tests.parity.conftest import Agree
from tests.support.parity import COMPARISONS
from tests.support.photographs import Pixels, crops, spoilt, tensor
from tests.support.random_trunks import seeded_state

pytestmark = pytest.mark.parity

SIZES = [(256, 176), (97, 71), (301, 203)]
MOST = (64, 16, 16)


def counts(net: str, all_images: bool) -> tuple[int, ...]:
    """Return the number of pairs of each size. VGG-16 takes fewer, for time."""
    if all_images:
        return (64, 4, 4) if net == "vgg" else MOST
    return (8, 4, 4)


@pytest.fixture(scope="module")
def original() -> ModuleType:
    """The package ``lpips``, or a skip; it and torchvision warn of their own old calls."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module: ModuleType = pytest.importorskip(
            "lpips", reason="needs lpips and torchvision (pip install lpips)"
        )
        return module


@pytest.fixture(scope="module")
def pairs(photographs: dict[str, Pixels]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    made = []
    for (height, width), count in zip(SIZES, MOST, strict=True):
        # Cut on its side: one of the photographs is but 300 pixels high.
        truth = [image.swapaxes(0, 1) for image in crops(photographs, count, width, height)]
        generated = [spoilt(image, seed, 15 + seed % 40) for seed, image in enumerate(truth)]
        generated[1::4] = [np.ascontiguousarray(image[:, ::-1]) for image in truth[1::4]]
        generated[2::4] = truth[3::4]
        made.append((tensor(generated), tensor(truth)))
    return made


def build(original: ModuleType, net: str, release: str, state: dict[str, torch.Tensor]) -> Any:
    """Build the original with the weights of a torchvision state dict in its trunk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = original.LPIPS(net=net, version=release, pnet_rand=True, verbose=False)
    used = set()
    for part in model.net.children():  # its slices keep torchvision's numbers
        for name, parameter in part.named_parameters():
            parameter.data.copy_(state[f"features.{name}"])
            used.add(f"features.{name}")
    assert used == {name for name in state if name.startswith("features.")}
    return model


@pytest.mark.parametrize("release", ["0.1", "0.0"])
@pytest.mark.parametrize("net", ["alex", "vgg", "squeeze"])
def test_lpips_agrees_with_the_original(
    agree: Agree,
    original: ModuleType,
    pairs: list[tuple[torch.Tensor, torch.Tensor]],
    tmp_path: Path,
    all_images: bool,
    net: Any,
    release: Any,
) -> None:
    row = f'lpips, `network = "{net}"`, `release = "{release}"`'
    state = seeded_state(net)
    torch.save(state, tmp_path / "trunk.pth")
    model = build(original, net, release, state)
    metric = LPIPS(network=net, release=release, network_weights=str(tmp_path / "trunk.pth"))
    for (generated, truth), count in zip(pairs, counts(net, all_images), strict=True):
        x, y = generated[:count], truth[:count]
        values = metric(x, y)
        agree(row, values, distances(model, x / 127.5 - 1, y / 127.5 - 1), x)
        assert values.min() > 100 * COMPARISONS[row].tolerance, "values near naught prove nothing"
        assert values.max() > 10 * values.min()
        if x.shape[3] == 71:
            unshifted = metric.model_copy(update={"scale": "0..1"})
            agree(row, unshifted(x, y), distances(model, x / 255, y / 255), x)


@torch.inference_mode()
def distances(model: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the original's value of each pair."""
    return torch.cat([model(*pair).flatten() for pair in zip(x.split(1), y.split(1), strict=True)])
