"""Masked scores against the published scripts' steps, written anew with scikit-image and NumPy.

Nothing here comes from the package but the entry that is measured. Poses are drawn at random over
photographs of 128 x 64, with joints missing, limbs without length, and joints beyond the border.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.draw import disk, polygon
from skimage.metrics import structural_similarity
from skimage.morphology import dilation, erosion

from fhpt_eval.images.preparation import Names, Side, prepared_tensor
from fhpt_eval.metrics import LPIPS
from fhpt_eval.protocol import Entry, load_protocol
from tests.support.photographs import Pixels, crops, spoilt
from tests.support.random_trunks import seeded_state

pytestmark = pytest.mark.parity

#: Per image, as the project promises it.
TOLERANCE = 1e-6
COUNT = 16
SIDES: tuple[Side, Side] = ("generated", "ground_truth")

#: The published text's, counted from 1.
LIMBS = [
    (2, 3), (2, 6), (3, 4), (4, 5), (6, 7), (7, 8), (2, 9), (9, 10), (10, 11), (2, 12), (12, 13),
    (13, 14), (2, 1), (1, 15), (15, 17), (1, 16), (16, 18), (2, 17), (2, 18), (9, 12), (12, 6),
    (9, 3), (17, 18),
]  # fmt: skip


def lists(seed: int) -> list[tuple[int, int]]:
    """Draw (y, x) of 18 joints, -1 where missing."""
    random = np.random.default_rng(seed)
    joints = [(int(random.integers(0, 128)), int(random.integers(0, 64))) for _ in range(18)]
    for joint in random.choice(18, 4, replace=False):
        joints[joint] = (-1, -1)
    joints[3] = joints[2]  # a limb without length
    return joints


def published_mask(joints: list[tuple[int, int]], rows: int, columns: int) -> NDArray[Any]:
    mask = np.zeros((rows, columns), dtype=bool)
    for first, second in LIMBS:
        a, b = joints[first - 1], joints[second - 1]
        if -1 in a or -1 in b or a == b:
            continue
        step = np.array(b, float) - np.array(a, float)
        normal = np.array([-step[1], step[0]]) / np.linalg.norm(step) * 4
        corners = [np.array(a) + normal, np.array(b) + normal, np.array(b) - normal,
                   np.array(a) - normal]  # fmt: skip
        mask[polygon([c[0] for c in corners], [c[1] for c in corners], (rows, columns))] = True
    for joint in joints:
        if -1 not in joint:
            mask[disk(joint, 4, shape=(rows, columns))] = True
    square = np.ones((5, 5), np.uint8)
    return np.asarray(erosion(dilation(mask.astype(np.uint8), square), square))


def write(folder: Path) -> Path:
    file = folder / "points.csv"
    lines = ["name:keypoints_y:keypoints_x"]
    for number in range(COUNT):
        joints = lists(number)
        lines.append(f"{number}.jpg: {[y for y, _ in joints]}: {[x for _, x in joints]}")
    file.write_text("\n".join(lines) + "\n")
    return file


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
    protocol = load_protocol(preset).with_parameter("keypoints", str(write(folder)), "--keypoints")
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
        mask = published_mask(lists(number), 128, 64)[..., None]
        assert ours[number] == pytest.approx(ssim_13(generated * mask, truth * mask), abs=TOLERANCE)


def test_masked_ssim_of_intrinsic_flow_with_its_axes_exchanged(
    pairs: list[tuple[Pixels, Pixels]], tmp_path: Path
) -> None:
    ours = measured(entry_of("intrinsic-flow", "ssim_masked", tmp_path), pairs)
    for number, (generated, truth) in enumerate(pairs):
        swapped = [(x, y) for y, x in lists(number)]
        mask = published_mask(swapped, 128, 64)[..., None]
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
        mask = torch.from_numpy(published_mask(lists(number), 128, 64)).float()
        sides = [
            (torch.from_numpy(side).permute(2, 0, 1).float() / 127.5 - 1) * mask
            for side in (generated, truth)
        ]
        with torch.no_grad():
            expected = network(sides[0][None], sides[1][None]).item()
        assert ours[number] == pytest.approx(expected, abs=1e-5)
