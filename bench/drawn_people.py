"""How many images of some folders are taken for drawn people of the mannequin benchmark.

``python -m bench.drawn_people FOLDER...`` prints, for each folder and for crops of scikit-image's
photographs, how many images ``features.kinds`` takes for drawn people: as they are, and blurred,
as JPEG, with noise, and larger and smaller.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from bench.photographs import crops
from fhpt_eval.features.kinds import background, is_drawn
from fhpt_eval.images.listing import SUFFIXES


def blurred(sigma: float) -> Callable[[Image.Image], Image.Image]:
    """Return what blurs an image."""
    return lambda image: image.filter(ImageFilter.GaussianBlur(sigma))


def jpeg(quality: int) -> Callable[[Image.Image], Image.Image]:
    """Return what passes an image through JPEG."""

    def passed(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return passed


def noisy(sigma: float) -> Callable[[Image.Image], Image.Image]:
    """Return what adds seeded noise."""

    def added(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image)
        noise = np.random.default_rng(0).normal(0, sigma, pixels.shape)
        return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))

    return added


def scaled(factor: float) -> Callable[[Image.Image], Image.Image]:
    """Return what resizes an image."""
    return lambda image: image.resize((int(image.width * factor), int(image.height * factor)))


WAYS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "as they are": lambda image: image,
    "blur 1": blurred(1), "blur 3": blurred(3), "JPEG 75": jpeg(75), "JPEG 30": jpeg(30),
    "noise 5": noisy(5), "noise 10": noisy(10), "x 2": scaled(2), "x 1/2": scaled(0.5),
}  # fmt: skip


def rates(images: Sequence[Image.Image]) -> list[str]:
    """Return a cell for each way: how many are taken for drawn, and the range of the share."""
    cells = []
    for way in WAYS.values():
        changed = [np.asarray(way(image)) for image in images]
        shares = [background(image) for image in changed]
        cells.append(f"{sum(map(is_drawn, changed))} ({min(shares):.2f} to {max(shares):.2f})")
    return cells


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    sets = {
        str(folder): [
            Image.open(file).convert("RGB")
            for file in sorted(folder.rglob("*"))
            if file.suffix.lower() in SUFFIXES
        ]
        for folder in parser.parse_args().folders
    }
    sets["scikit-image"] = [Image.fromarray(image) for image in crops(100, 256, 176)]
    print(f"| images | {' | '.join(WAYS)} |\n|{' --- |' * (len(WAYS) + 1)}")
    for name, images in sets.items():
        print(f"| {name}, {len(images)} | {' | '.join(rates(images))} |")


if __name__ == "__main__":
    main()
