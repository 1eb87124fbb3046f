"""Images and weights of the golden record, made once."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from tests.support.random_inception import random_state
from tests.support.random_openpose import write_openpose
from tests.support.random_trunks import seeded_state

_HERE = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
#: The reference fixtures, no part of the project.
FIXTURES = Path(os.environ.get("FHPT_FIXTURES", _HERE))
_PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


def demo_methods(folder: Path) -> dict[str, Path]:
    """Return the images of the demo's methods; the demo runs once."""
    if not (folder / "leaderboard.csv").exists():
        subprocess.run(
            [sys.executable, "-m", "fhpt_eval", "demo", "--out", str(folder)], check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return {one.name: one for one in sorted((folder / "methods").iterdir()) if one.is_dir()}


def weights_in(folder: Path) -> dict[str, Path]:
    """Return files of seeded random weights, by the network's name."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("inception-2015", "inception_v3-imagenet", "alex", "vgg", "squeeze", "openpose-coco18")
    files = {name: folder / f"{name}.pth" for name in names}
    for name, file in files.items():
        if file.exists():
            continue
        if name == "openpose-coco18":
            write_openpose(file)
        elif name.startswith("inception"):
            torch.save(random_state(name), file)  # type: ignore[arg-type]
        else:
            torch.save(seeded_state(name), file)
    return files


def photographs(folder: Path) -> tuple[Path, Path, Path]:
    """Return spoilt crops of photographs, the crops, and a list of pairs with sources and items."""
    generated, real, pairs = folder / "generated", folder / "real", folder / "pairs.csv"
    if not pairs.exists():
        generated.mkdir(parents=True)
        real.mkdir(parents=True)
        random = np.random.default_rng(3)
        rows = [("generated", "ground_truth", "source", "item")]
        for number in range(48):
            image = np.asarray(getattr(skimage.data, _PHOTOGRAPHS[number % 4])())[..., :3]
            height, width = (256, 176) if number % 3 else (201, 155)
            top = random.integers(0, image.shape[0] - height + 1)
            left = random.integers(0, image.shape[1] - width + 1)
            crop = image[top : top + height, left : left + width]
            noisy = (crop + random.normal(0, 12, crop.shape)).round().clip(0, 255)
            name, size = f"p{number:03d}.png", number % 3 == 0
            same = [n for n in range(number) if (n % 3 == 0) == size] or [number]
            Image.fromarray(crop).save(real / name)
            Image.fromarray(noisy.astype(np.uint8)).save(generated / name)
            rows.append((name, name, f"p{same[-1]:03d}.png", f"item{number % 4}"))
        with pairs.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return generated, real, pairs
