"""What the tests share: real photographs, folders of pairs, and the command line.

Photographs come with scikit-image. Reference values from elsewhere lie in a fixtures folder that
is no part of the project: tests that use it say so when it is absent.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

# Several test processes share the cores; more threads in each would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests' features out of the user's cache, and the user's weights out of the tests."""
    monkeypatch.setenv("FHPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path / "no weights"))


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of reference images and values, or a skip that says where it was looked for."""
    here = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    folder = Path(os.environ.get("FHPT_FIXTURES", here))
    if not folder.is_dir():
        pytest.skip("no reference fixtures here (set FHPT_FIXTURES to their folder)")
    return folder


@pytest.fixture(scope="session")
def photographs() -> dict[str, Pixels]:
    """Colour photographs by name, ``(H, W, 3)`` uint8."""
    names = ("astronaut", "chelsea", "coffee", "rocket")
    return {name: np.asarray(getattr(skimage.data, name)()) for name in names}


def crops(photographs: dict[str, Pixels], count: int, height: int, width: int) -> list[Pixels]:
    """Cut seeded crops from the photographs in turn."""
    generator = np.random.default_rng(3)
    images = list(photographs.values())
    found = []
    for number in range(count):
        image = images[number % len(images)]
        top = generator.integers(0, image.shape[0] - height + 1)
        left = generator.integers(0, image.shape[1] - width + 1)
        found.append(np.ascontiguousarray(image[top : top + height, left : left + width]))
    return found


def spoilt(image: Pixels, seed: int = 0, sigma: float = 10.0) -> Pixels:
    """Return a noisy copy."""
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    noisy: Pixels = (image + noise).round().clip(0, 255).astype(np.uint8)
    return noisy


def tensor(images: list[Pixels]) -> torch.Tensor:
    """Stack ``(H, W, 3)`` images to ``(N, 3, H, W)`` uint8."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def calibration(fixtures: Path, metric: str, image: str) -> tuple[list[torch.Tensor], float, float]:
    """Return a calibration pair (distorted, reference), its authors' value, and the tolerance."""
    folder = fixtures / "calibration"
    with (folder / "reference_values.csv").open() as file:
        rows = {(row["metric"], row["image"]): row for row in csv.DictReader(file)}
    row = rows[metric, image]
    pair = [
        tensor([np.asarray(Image.open(folder / side / f"{image}.png").convert("RGB"))])
        for side in ("distorted", "reference")
    ]
    return pair, float(row["value"]), float(row["absolute_tolerance"])


@dataclass(frozen=True)
class PairFolders:
    """Two folders of images with equal names."""

    generated: Path
    ground_truth: Path


@pytest.fixture
def make_pairs(tmp_path: Path, photographs: dict[str, Pixels]) -> Callable[..., PairFolders]:
    """Return a function that writes folders of ``count`` pairs of real photographs."""

    def make(count: int = 6, height: int = 64, width: int = 44, root: str = "data") -> PairFolders:
        folders = PairFolders(tmp_path / root / "generated", tmp_path / root / "ground_truth")
        folders.generated.mkdir(parents=True)
        folders.ground_truth.mkdir(parents=True)
        for number, image in enumerate(crops(photographs, count, height, width)):
            name = f"person{number:04d}.png"
            Image.fromarray(image).save(folders.ground_truth / name)
            Image.fromarray(spoilt(image, number)).save(folders.generated / name)
        return folders

    return make


@dataclass(frozen=True)
class Finished:
    """What a command did: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


def fhpt_eval(*arguments: str | Path) -> Finished:
    """Run the command line in this process."""
    from fhpt_eval.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code
    return Finished(status if isinstance(status, int) else 1, out.getvalue(), err.getvalue())
