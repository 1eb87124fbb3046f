"""Masked scores against the published scripts' steps, written anew with NumPy and SciPy.

Nothing here comes from the package but the entry that is measured; masks are drawn by definition,
as scikit-image did before 0.18. Poses are drawn at random over photographs of 128 x 64, with joints
missing, limbs without length, and joints beyond the border.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from fhpt_eval.images.preparation import Names, Side, prepared_tensor
from fhpt_eval.metrics import LPIPS
from fhpt_eval.protocol import Entry, load_protocol
from tests.support.photographs import Pixels, crops, spoilt
from tests.support.pose_masks import (
    intrinsic_flows_mask,
    pose_transfers_mask,
    random_joints,
    write_joints,
)
from tests.support.random_trunks import seeded_state

pytestmark = pytest.mark.parity

#: Per image, as the project promises it.
TOLERANCE = 1e-6
COUNT = 16
SIDES: tuple[Side, Side] = ("generated", "ground_truth")

POSES = [random_joints(seed) for seed in range(COUNT)]


@pytest.fixture(scope="module")
def pairs(photographs: dict[str, Pixels]) -> list[tuple[Pixels, Pixels]]:
    truth = crops(photographs, COUNT, 128, 64)
    return [(spoilt(image, seed, 20), image) for seed, image in enumerate(truth)]


def measured(entry: Entry, pairs: list[tuple[Pixels, Pixels]]) -> NDArray[np.float64]:
    names = [Names(str(number)) for number in range(len(pairs))]
    sides = [
        prepared_tensor([pair[at] for pair in pairs], entry.steps, side, names)
        for at, side in enumerate(SIDES)
    ]
    values: NDArray[np.float64] = entry.metric.measure(*sides).double().numpy()  # type: ignore[attr-defined]
    return values


def entry_of(preset: str, name: str, folder: Path) -> Entry:
    file = write_joints(folder / "points.csv", {str(seed): pose for seed, pose in enumerate(POSES)})
    protocol = load_protocol(preset).with_parameter("keypoints", str(file), "--keypoints")
    return next(entry for entry in protocol.entries if entry.name == name)


def ssim_13(x: NDArray[Any], y: NDArray[Any]) -> float:
    """scikit-image before 0.16: 13 taps, 5 pixels left out, the generated image's range."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    span = x.max() - x.min()
    found = []
    for a, b in zip(x.transpose(2, 0, 1), y.transpose(2, 0, 1), strict=True):
        means = [gaussian_filter(one, 1.5, truncate=4) for one in (a, b, a * a, b * b, a * b)]
        c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
        va, vb, vab = (
            means[2] - means[0] ** 2,
            means[3] - means[1] ** 2,
            means[4] - means[0] * means[1],
        )
        top = (2 * means[0] * means[1] + c1) * (2 * vab + c2)
        found.append(
            (top / ((means[0] ** 2 + means[1] ** 2 + c1) * (va + vb + c2)))[5:-5, 5:-5].mean()
        )
    return float(np.mean(found))


def test_masked_ssim_of_patn(pairs: list[tuple[Pixels, Pixels]], tmp_path: Path) -> None:
    ours = measured(entry_of("patn-market", "ssim_masked", tmp_path), pairs)
    for number, (generated, truth) in enumerate(pairs):
        mask = pose_transfers_mask(POSES[number], 128, 64)[..., None]
        assert ours[number] == pytest.approx(ssim_13(generated * mask, truth * mask), abs=TOLERANCE)


def test_masked_ssim_of_intrinsic_flow_with_its_axes_exchanged(
    pairs: list[tuple[Pixels, Pixels]], tmp_path: Path
) -> None:
    ours = measured(entry_of("intrinsic-flow", "ssim_masked", tmp_path), pairs)
    for number, (generated, truth) in enumerate(pairs):
        mask = intrinsic_flows_mask(POSES[number], 128, 64)[..., None]
        expected = structural_similarity(generated * mask, truth * mask, channel_axis=2)
        assert ours[number] == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.filterwarnings("ignore")
def test_masked_lpips_of_gfla(pairs: list[tuple[Pixels, Pixels]], tmp_path: Path) -> None:
    package = pytest.importorskip("lpips", reason="lpips is not installed")
    torch.save(seeded_state("alex"), tmp_path / "alex.pth")
    entry = entry_of("gfla-market", "lpips_masked", tmp_path)
    few = pairs[:6]
    metric = LPIPS(network="alex", network_weights=str(tmp_path / "alex.pth"))
    ours = measured(Entry("lpips", metric, entry.steps), few)
    network = package.LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False).eval()
    state = {name.removeprefix("features."): value for name, value in seeded_state("alex").items()}
    slices = [getattr(network.net, f"slice{n}") for n in range(1, 6)]
    for part in slices:
        own = {name: state[name] for name in part.state_dict()}
        part.load_state_dict(own)
    for number, (generated, truth) in enumerate(few):
        mask = torch.from_numpy(pose_transfers_mask(POSES[number], 128, 64)).float()
        sides = [
            (torch.from_numpy(side).permute(2, 0, 1).float() / 127.5 - 1) * mask
            for side in (generated, truth)
        ]
        with torch.no_grad():
            expected = network(sides[0][None], sides[1][None]).item()
        assert ours[number] == pytest.approx(expected, abs=1e-5)
