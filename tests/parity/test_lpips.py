"""LPIPS against the original, the package ``lpips``, with shared weights: a table of differences.

``make parity`` prints it. The linear layers are the original's own; the trunks are seeded, since
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
from tests.conftest import Pixels, crops, spoilt, tensor
from tests.metrics.test_lpips import seeded_state

pytestmark = pytest.mark.parity

#: Per pair, as the project promises it; float32 sums in another order.
TOLERANCE = 1e-5
#: Height, width and number of pairs; VGG-16 takes a quarter of them, for time.
SIZES = [(256, 176, 64), (97, 71, 16), (301, 203, 16)]


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
    for height, width, count in SIZES:
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
    original: ModuleType,
    pairs: list[tuple[torch.Tensor, torch.Tensor]],
    tmp_path: Path,
    net: Any,
    release: Any,
) -> None:
    state = seeded_state(net)
    torch.save(state, tmp_path / "trunk.pth")
    model = build(original, net, release, state)
    metric = LPIPS(net=net, release=release, trunk=str(tmp_path / "trunk.pth"))
    for generated, truth in pairs:
        used = slice(0, len(truth) // 4 if net == "vgg" else len(truth))
        x, y = generated[used], truth[used]
        with torch.inference_mode():
            fed = [(image / 127.5 - 1).split(1) for image in (x, y)]
            expected = torch.cat([model(a, b).flatten() for a, b in zip(*fed, strict=True)])
        values = metric(x, y)
        difference = (values - expected).abs().max().item()
        label = f"lpips {net} {release}, {len(x)} of {x.shape[2]} x {x.shape[3]}"
        spread = f"{values.min():.4f} to {values.max():.4f}"
        print(f"\n{label:<38}values {spread:<19}largest difference {difference:.1e} ", end="")
        assert values.min() > 100 * TOLERANCE
        assert values.max() > 10 * values.min()
        assert difference <= TOLERANCE
        if x.shape[3] == 71:
            unshifted = metric.model_copy(update={"scale": "0..1"})(x, y)
            with torch.inference_mode():
                expected = model(x / 255, y / 255).flatten()
            assert (unshifted - expected).abs().max() <= TOLERANCE
