"""SSIM on 64 pairs of 256 x 176: this package against scikit-image's loop, side by side.

Prints the least milliseconds per pair of several rounds taken in turn (other work on the machine
only adds to a time), and the ratio to scikit-image; for one thread and for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from bench.photographs import crops
from fhpt_eval.metrics import SSIM

PAIRS, HEIGHT, WIDTH, ROUNDS = 64, 256, 176, 7


def pairs() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    truth = crops(PAIRS, HEIGHT, WIDTH)
    noisy = truth + np.random.default_rng(1).normal(0, 10, truth.shape)
    return noisy.round().clip(0, 255).astype(np.uint8), truth


def main() -> None:
    generated, truth = pairs()
    x, y = (torch.from_numpy(a).permute(0, 3, 1, 2).contiguous() for a in (generated, truth))
    metric = SSIM()

    def reference() -> list[float]:
        return [
            structural_similarity(
                a, b, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False,
            )
            for a, b in zip(generated, truth, strict=True)
        ]  # fmt: skip

    def ours(threads: int) -> torch.Tensor:
        torch.set_num_threads(threads)
        return metric(x, y)

    threads = torch.get_num_threads()
    ways: dict[str, Callable[[], object]] = {
        "scikit-image": reference,
        "fhpt-eval, 1 thread": lambda: ours(1),
        f"fhpt-eval, {threads} threads": lambda: ours(threads),
    }
    difference = float((ours(1) - torch.tensor(reference())).abs().max())
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) / PAIRS * 1e3)
    least = {name: min(found) for name, found in times.items()}
    print(f"SSIM, {PAIRS} pairs of {HEIGHT} x {WIDTH}; largest difference {difference:.1e}")
    for name, time_ in least.items():
        print(f"  {name:<24}{time_:8.2f} ms/pair{least['scikit-image'] / time_:8.2f} x")


if __name__ == "__main__":
    main()
