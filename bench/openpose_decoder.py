"""Decoding OpenPose's maps: this package against the published steps in plain NumPy and SciPy.

One thread, side by side in one process, on the maps in ``openpose_maps`` of the folder that
``FHPT_FIXTURES`` names. Prints for each file the least processor time of several rounds taken in
turn (other work on the machine only adds to a time). Both go from a network's maps to persons; the
plain side's time is split in enlarging the maps, which OpenCV would do faster than NumPy, and the
rest. The first ratio leaves enlarging out, in the plain side's favour; the second is of all.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench import plain_openpose as plain
from fhpt_eval.features.openpose import decode

ROUNDS = 7


def milliseconds(run: Callable[[], object]) -> float:
    """Return the processor time of one call, in this thread."""
    start = time.thread_time()
    run()
    return (time.thread_time() - start) * 1e3


def compare(path: Path) -> tuple[float, float]:
    """Print the times for one file and return both ratios."""
    with np.load(path, allow_pickle=False) as file:
        heatmaps, pafs = (
            np.ascontiguousarray(file[key].transpose(2, 0, 1), np.float32)
            for key in ("heatmaps", "pafs")
        )
        height, width = (int(side) for side in file["image_size"])
    size = height, width

    def enlarge() -> list[NDArray[np.float64]]:
        return [plain.enlarge(maps.astype(np.float64), size) for maps in (heatmaps, pafs)]

    large = enlarge()
    ways: dict[str, Callable[[], object]] = {
        "ours": lambda: decode(heatmaps, pafs, image_size=size),
        "enlarging": enlarge,
        "rest": lambda: plain.decode_enlarged(large[0], large[1]),
    }
    times = [{name: milliseconds(run) for name, run in ways.items()} for _ in range(ROUNDS)]
    ours, enlarging, rest = (min(row[name] for row in times) for name in ways)
    ratios = rest / ours, (enlarging + rest) / ours
    persons = len(decode(heatmaps, pafs, image_size=size))
    print(
        f"{path.stem:<18}{persons:>8}{ours:>11.2f}{enlarging:>11.1f}{rest:>8.1f}"
        f"{ratios[0]:>8.0f}{ratios[1]:>8.0f}"
    )
    return ratios


def main() -> None:
    here = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    folder = Path(os.environ.get("FHPT_FIXTURES", here)) / "openpose_maps"
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        print(f"not measured: no maps in {folder} (set FHPT_FIXTURES to the folder of fixtures)")
        return
    print(f"least of {ROUNDS} rounds, one thread, ms of processor time per image")
    print(
        f"{'maps':<18}{'persons':>8}{'fhpt-eval':>11}{'enlarging':>11}{'rest':>8}"
        f"{'ratio':>8}{'of all':>8}"
    )
    with threadpool_limits(1):
        ratios = [compare(path) for path in paths]
    for name, column in zip(("ratio", "of all"), zip(*ratios, strict=True), strict=True):
        print(f"{name}: median {statistics.median(column):.0f}, least {min(column):.0f}")


if __name__ == "__main__":
    main()
