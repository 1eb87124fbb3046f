"""PCKh of the preset ``patn-fashion`` against the published formula, on the published lists.

The formula is written anew, with loops, from its description (``tool/calPCKH_fashion.py`` of
Pose-Transfer), and the lists are read without the package. Generated poses are the targets' with
noise, and with joints that are missing.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fhpt_eval.metrics import Joints
from fhpt_eval.protocol import load_protocol
from tests.support.rows import feature_rows

pytestmark = pytest.mark.parity

Pose = list[tuple[float, float]]  # x, y; -1 where missing
HEAD = (0, 1, 14, 15, 16, 17)
#: Columns that the annotated frame has more at the left than the images, which are 176 wide.
LEFT = 40


def lists(folder: Path) -> tuple[list[str], dict[str, Pose]]:
    """Return the targets of all pairs, and poses by image, in the images' own pixels."""
    with (folder / "fashion-pairs-test.csv").open() as file:
        targets = [row["to"].removesuffix(".jpg") for row in csv.DictReader(file)]
    poses = {}
    for line in (folder / "fasion-annotation-test.csv").read_text().splitlines()[1:]:
        name, ys, xs = line.split(":")
        places = zip(json.loads(xs), json.loads(ys), strict=True)
        poses[name.removesuffix(".jpg")] = [
            (x - LEFT, y) if y != -1 else (-1, -1) for x, y in places
        ]
    return targets, poses


def moved(pose: Pose, random: np.random.Generator) -> Pose:
    """Return a pose with noise, and with some joints missing."""
    noise = random.normal(0, 12, (18, 2))
    kept = random.random(18) > 0.1
    return [
        (x + float(dx), y + float(dy)) if keep and y != -1 else (-1, -1)
        for (x, y), (dx, dy), keep in zip(pose, noise, kept, strict=True)
    ]


def published(generated: list[Pose], targets: list[Pose]) -> tuple[int, int, int]:
    """Return joints that are right, joints that count, and pairs that are left out."""
    right = total = skipped = 0
    for ours, theirs in zip(generated, targets, strict=True):
        head = [theirs[joint] for joint in HEAD if theirs[joint] != (-1, -1)]
        if len(head) < 2:
            skipped += 1
            continue
        width = max(x for x, _ in head) - min(x for x, _ in head)
        height = max(y for _, y in head) - min(y for _, y in head)
        for (x, y), (tx, ty) in zip(ours, theirs, strict=True):
            if (tx, ty) == (-1, -1):
                continue
            total += 1
            found = (x, y) != (-1, -1)
            right += found and abs(x - tx) < 0.5 * width and abs(y - ty) < 0.5 * height
    return right, total, skipped


def array(poses: list[Pose]) -> np.ndarray:
    places = np.array(poses, dtype=np.float64)
    places[(places == -1).all(axis=2)] = np.nan
    return np.concatenate([places, np.ones_like(places[..., :1])], axis=2)


@pytest.mark.parametrize("noisy", [False, True], ids=["themselves", "noisy"])
def test_counts_of_the_published_lists_are_equal(fixtures: Path, noisy: bool) -> None:
    folder = fixtures / "deepfashion_lists"
    targets, poses = lists(folder)
    random = np.random.default_rng(7)
    theirs = [poses[name] for name in targets]
    ours = [moved(pose, random) if noisy else pose for pose in theirs]
    right, total, skipped = published(ours, theirs)
    if not noisy:
        assert (right, total, skipped) == (118_322, 118_322, 80)

    file = folder / "fasion-annotation-test.csv"
    protocol = load_protocol("patn-fashion").with_parameter("keypoints", str(file), "--keypoints")
    (metric,) = (entry.metric for entry in protocol.entries if entry.name == "joints")
    assert isinstance(metric, Joints)
    keys = [f"{number:05d}" for number in range(len(targets))]
    size = np.tile([256, 176], (len(targets), 1))
    persons = np.ones(len(targets))
    generated = {"pose": {"keypoints": array(ours), "size": size, "persons": persons}}
    found = metric.measure(feature_rows(keys, generated, targets=targets))
    counted = ~np.isnan(found["pckh"])
    assert (~counted).sum() == skipped
    assert found["in_target"][counted].sum() == total
    weighed = (found["pckh"] * found["in_target"])[counted]
    assert round(float(weighed.sum())) == right
    assert np.abs(weighed - weighed.round()).max() < 1e-9
