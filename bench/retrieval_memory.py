"""Memory and time of retrieval beyond the vectors themselves, by the size of the gallery.

Random vectors, float32, as embedders give them: 8,570 queries (the field's DeepFashion test pairs)
of 2,048 dimensions. Each measurement is a process of its own, on one thread as in a run; prints
seconds, and by how much peak memory passed what the process had with the vectors in memory.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np
from threadpoolctl import threadpool_limits

from fhpt_eval.metrics.gallery.nearest import search
from fhpt_eval.metrics.retrieval import Retrieval

QUERIES, DIMENSIONS = 8570, 2048
GALLERIES = (3144, 10_000, 40_000)
PER_ITEM = 6
LIMIT = 2 * 2**30


def peak() -> int:
    """Return the most memory that this process has had, in bytes."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def measure(what: str, gallery: int) -> None:
    """Print bytes of the vectors, bytes beyond, and seconds."""
    generator = np.random.default_rng(0)
    queries, images = (
        generator.standard_normal((count, DIMENSIONS), dtype=np.float32)
        for count in (QUERIES, gallery)
    )
    items = np.array([f"item {number // PER_ITEM:06d}" for number in range(gallery)])
    names = np.array([f"image {number:06d}" for number in range(gallery)])
    chosen = generator.integers(0, gallery, QUERIES)
    state = {
        "queries": queries,
        "queries.keys": np.array([f"{number:06d}" for number in range(QUERIES)]),
        "queries.targets": names[chosen],
        "queries.items": items[chosen],
        "queries.images": names[chosen],
        "gallery": images,
        "gallery.names": names,
        "gallery.items": items,
        "gallery.keys": names,
        "gallery.images": names,
    }
    before, start = peak(), time.perf_counter()
    with threadpool_limits(limits=1):
        if what == "metric":
            Retrieval().pair_values(state)
        else:
            search(queries, images, 20)
    seconds = time.perf_counter() - start
    print(queries.nbytes + images.nbytes, peak() - before, seconds)


def main() -> None:
    print(f"{QUERIES:,} queries, {DIMENSIONS:,} dimensions, float32, one thread")
    print(f"{'':<8}{'gallery':>9}{'vectors, MiB':>14}{'beyond, MiB':>13}{'seconds':>9}")
    for gallery in GALLERIES:
        for what in ("metric", "search"):
            process = subprocess.run(
                [sys.executable, "-m", "bench.retrieval_memory", what, str(gallery)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            vectors, beyond, seconds = process.stdout.split()
            print(
                f"{what:<8}{gallery:>9,}{int(vectors) / 2**20:>14,.0f}"
                f"{int(beyond) / 2**20:>13,.0f}{float(seconds):>9.1f}"
            )
            assert int(beyond) < LIMIT


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()
