"""The demonstration's images: crops of photographs, and three ways to spoil them.

May import: numpy, Pillow, scikit-image (whose package brings the photographs).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

#: Photographs that come with scikit-image, by the name of the file in its package.
PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
    "hubble_deep_field.jpg",
)
#: Height and width of a crop: those of the field's images.
HEIGHT, WIDTH = 256, 176
_CROPS = 6
_SEED = 7


def write(root: Path) -> dict[str, Path]:
    """Write ground truth, three methods' images and a list of pairs below ``root``.

    Returns:
        The folders: ``ground_truth``, and one per method. ``pairs.csv`` beside them says which
        photograph each crop is from, so that intervals resample photographs.
    """
    truth = root / "ground_truth"
    methods = {name: root / name for name in _METHODS}
    for folder in (truth, *methods.values()):
        folder.mkdir(parents=True, exist_ok=True)
    rows = [("generated", "ground_truth", "item")]
    for name, photograph, crop in _crops():
        Image.fromarray(crop).save(truth / name)
        for at, (method, spoil) in enumerate(_METHODS.items()):
            generator = np.random.default_rng([_SEED, at, len(rows)])
            spoil(Image.fromarray(crop), generator).save(methods[method] / name)
        rows.append((name, name, photograph))
    with (root / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return {"ground_truth": truth, **methods}


def _crops() -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Yield file name, photograph and pixels of every crop."""
    from importlib import resources

    generator = np.random.default_rng(_SEED)
    folder = resources.files("skimage.data")
    for photograph in PHOTOGRAPHS:
        pixels = np.asarray(Image.open(io.BytesIO(folder.joinpath(photograph).read_bytes()))
                            .convert("RGB"))  # fmt: skip
        stem = photograph.partition(".")[0]
        for number in range(1, _CROPS + 1):
            top = generator.integers(0, pixels.shape[0] - HEIGHT + 1)
            left = generator.integers(0, pixels.shape[1] - WIDTH + 1)
            yield f"{stem}_{number}.png", stem, pixels[top : top + HEIGHT, left : left + WIDTH]


def _blur(image: Image.Image, _: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(1.5))


def _jpeg(image: Image.Image, _: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=10)
    return Image.open(buffer)


def _noise(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64)
    noisy = pixels + generator.normal(0, 15, pixels.shape)
    return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))


_METHODS: dict[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "blur": _blur,
    "jpeg": _jpeg,
    "noise": _noise,
}
