"""Crops of the photographs that come with scikit-image, from a fixed seed."""

from __future__ import annotations

import numpy as np
import skimage.data
from numpy.typing import NDArray


def crops(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return ``(count, height, width, 3)`` uint8 crops, taken from four photographs in turn."""
    generator = np.random.default_rng(0)
    photographs = [getattr(skimage.data, n)() for n in ("astronaut", "chelsea", "coffee", "rocket")]
    found = []
    for number in range(count):
        image = photographs[number % len(photographs)]
        top = generator.integers(0, image.shape[0] - height + 1)
        left = generator.integers(0, image.shape[1] - width + 1)
        found.append(image[top : top + height, left : left + width])
    return np.stack(found)
