"""Methods that need no network, as marks on the ruler: what anybody should beat, and in what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fhpt_eval.common.files import opened, write_atomically
from fhpt_eval.images.files import MAX_BYTES, encode
from fhpt_eval.keypoints import read_annotation_csv
from fhpt_eval.pairs.lists import read_pairs

#: Of the Gaussian of the method ``blur``, in pixels of an image 256 high.
_BLUR = 2.0

Pixels = NDArray[np.uint8]
Points = Mapping[str, NDArray[np.float64]]


class Nearest:
    """Finds the train image whose pose is nearest to a target's.

    Poses are compared by the mean distance of the joints that both show; a joint that only one of
    them shows counts as a tenth of the image's height.
    """

    def __init__(self, train: Points, test: Points, height: int) -> None:
        self._names = list(train)
        self._poses = np.stack([train[name][:, :2] for name in self._names])
        self._test, self._absent = test, height / 10

    def __call__(self, target: str) -> str:
        """Return the name of the train image; of equally near ones, the first."""
        gaps = np.hypot(*np.moveaxis(self._poses - self._test[target][:, :2], 2, 0))
        both = np.isfinite(gaps)
        either = np.isfinite(self._poses[..., 0]) | np.isfinite(self._test[target][:, 0])
        cost = np.where(both, gaps, np.where(either, self._absent, 0.0)).sum(axis=1)
        return self._names[int(np.argmin(cost / either.sum(axis=1)))]


def write_methods(benchmark: Path, out: Path) -> dict[str, Path]:
    """Write every method's images of the test pairs, PNG files named ``A.jpg___B.jpg_vis.png``.

    ``copy_source`` gives the source image; ``nearest_pose`` the train image of the nearest pose;
    ``blend`` half the source and half the ground truth, ``blur`` the ground truth blurred: these
    two look at what they should make, and show what a metric forgives. ``benchmark`` is the folder
    of ``fhpt-eval benchmark mannequin``; ``out`` gets a folder per method, which are returned by
    name. Files that are there are written again.
    """
    test = read_annotation_csv(benchmark / "fasion-resize-annotation-test.csv")
    train = read_annotation_csv(benchmark / "fasion-resize-annotation-train.csv")
    rows = read_pairs(benchmark / "fasion-resize-pairs-test.csv")
    height = len(_read(benchmark / "test" / f"{rows[0].target}.jpg"))
    nearest = lru_cache(maxsize=4096)(Nearest(train, test, height))
    methods: dict[str, Callable[[Pixels, Pixels, str], Pixels]] = {
        "copy_source": lambda source, _, __: source,
        "nearest_pose": lambda _, __, name: _read(benchmark / "train" / f"{nearest(name)}.jpg"),
        "blend": lambda a, b, _: ((a.astype(np.uint16) + b + 1) // 2).astype(np.uint8),
        "blur": lambda _, truth, __: blur(truth, _BLUR * len(truth) / 256),
    }
    for row in rows:
        source = row.source or ""
        images = [_read(benchmark / "test" / f"{name}.jpg") for name in (source, row.target)]
        for name, make in methods.items():
            path = out / name / f"{source}.jpg___{row.target}.jpg_vis.png"
            pixels = make(images[0], images[1], row.target)
            write_atomically(path, encode(pixels, "PNG", compress_level=1), durable=False)
    return {name: out / name for name in methods}


def blur(image: Pixels, sigma: float) -> Pixels:
    """Blur an ``(H, W, 3)`` image by Pillow's Gaussian of so many pixels; 0 leaves it."""
    if not sigma:
        return image
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


@lru_cache(maxsize=64)
def _read(path: Path) -> Pixels:
    with opened(path, MAX_BYTES) as file, Image.open(file) as image:
        return np.asarray(image.convert("RGB"))
