"""A whole run: how the time scales with workers, and the memory with the number of pairs.

Each run is a process of its own over crops of photographs; prints seconds, pairs per second and
peak memory, and the time of ``fhpt-eval --help``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from bench.photographs import crops

HEIGHT, WIDTH = 256, 176


def write(root: Path, count: int) -> None:
    for side in ("generated", "ground_truth"):
        (root / side).mkdir(parents=True)
    for number, crop in enumerate(crops(count, HEIGHT, WIDTH)):
        name = f"{number:06d}.png"
        Image.fromarray(crop).save(root / "ground_truth" / name, compress_level=1)
        flipped = Image.fromarray(crop[:, ::-1])
        flipped.save(root / "generated" / name, compress_level=1)


def measure(arguments: list[str]) -> tuple[float, float]:
    """Run a command in a process of its own: seconds, and peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "fhpt_eval", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, arguments
    scale = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - start, usage.ru_maxrss * scale / 2**20


def main() -> None:
    seconds, memory = min(measure(["--help"]) for _ in range(5))
    print(f"fhpt-eval --help: {seconds:.2f} s, {memory:.0f} MiB")
    with tempfile.TemporaryDirectory() as folder:
        for count in (300, 3000):
            root = Path(folder) / str(count)
            write(root, count)
            for workers in (1, 2):
                out = root / f"out{workers}"
                arguments = [
                    "run", "--pred", str(root / "generated"), "--gt", str(root / "ground_truth"),
                    "--out", str(out), "--workers", str(workers),
                ]  # fmt: skip
                seconds, memory = measure(arguments)
                again, _ = measure(arguments)
                print(
                    f"{count:>5} pairs, {workers} workers: {seconds:6.1f} s, "
                    f"{count / seconds:6.1f} pairs/s, {memory:5.0f} MiB; repeated: {again:4.1f} s"
                )


if __name__ == "__main__":
    main()
