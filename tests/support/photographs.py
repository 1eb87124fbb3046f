"""Real photographs, cut and spoilt, and folders of pairs."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


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
