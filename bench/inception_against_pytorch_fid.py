"""Time Inception features against pytorch-fid 0.3.0 on the same crops, in one process.

Both get the same random weights, so that nothing is downloaded; they do not change the work. Each
side runs as it is used: pytorch-fid in batches of 50 (its default; all crops at once here), ours in
its own. Images are decoded beforehand; theirs arrive as floats in [0, 1], ours as uint8.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.photographs import crops
from fhpt_eval.features.inception import Inception
from tests.support.random_inception import random_state, write_inception_2015

HEIGHT, WIDTH = 256, 176
CROPS = 32
ROUNDS = 5


def pytorch_fid_network() -> Any:
    """Return its network for 2048 features with our random weights."""
    module: Any = importlib.import_module("pytorch_fid.inception")
    module.load_state_dict_from_url = lambda *_, **__: random_state()
    return module.InceptionV3([module.InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()


def milliseconds(compute: Callable[[Tensor], object], images: Tensor) -> float:
    """Return the time per image."""
    start = time.perf_counter()
    with torch.no_grad():
        compute(images)
    return (time.perf_counter() - start) / len(images) * 1000


def compare(ours: Inception, theirs: Any, images: Tensor, threads: int) -> None:
    """Print the least of both over rounds that alternate, and their ratio."""
    torch.set_num_threads(threads)
    floats = images.float() / 255
    times = [
        (milliseconds(ours.compute, images), milliseconds(theirs, floats))
        for _ in range(ROUNDS + 1)
    ]
    # Other work on the machine only adds to a time; the first round warms up.
    mine, other = (min(column) for column in zip(*times[1:], strict=True))
    print(f"{threads:7}{mine:12.1f}{other:14.1f}{other / mine:8.2f}")


def main() -> None:
    images = torch.from_numpy(crops(CROPS, HEIGHT, WIDTH)).permute(0, 3, 1, 2).contiguous()
    theirs = pytorch_fid_network()
    print(f"{CROPS} crops of {HEIGHT} x {WIDTH}, torch {torch.__version__}")
    print("ms per image")
    print(f"{'threads':>7}{'fhpt-eval':>12}{'pytorch-fid':>14}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        ours = Inception(weights=str(write_inception_2015(Path(folder) / "random.pth")))
        for threads in (1, 2):
            compare(ours, theirs, images, threads)
        pool = ours.compute(images)["pool"]
    with torch.no_grad():
        expected = theirs(images.float() / 255)[0].flatten(1)
    difference = ((pool - expected).norm() / expected.norm()).item()
    print(f"relative difference of the pool features: {difference:.1e}")


if __name__ == "__main__":
    main()
