"""``python -m tests.fuzz [CASES [SECONDS [FIRST]]]``: run cases, print those beyond the limits."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a fork of a process with threads would wait for ever

from tests.fuzz.judge import case, prepare

WARM = ("fhpt_eval.cli.main", "fhpt_eval.evaluation.run", "fhpt_eval.metrics.psnr",
    "fhpt_eval.leaderboard.table", "fhpt_eval.cli.show", "fhpt_eval.weights.bundle", "torch",
)  # fmt: skip


def main(cases: int = 2_000, seconds: float = 1_200.0, first: int = 0) -> int:
    """Run so many cases in at most so many seconds; return how many were beyond a limit."""
    for name in WARM:
        import_module(name)
    start, faulty, done = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        seeds = Path(scratch, "seeds")
        prepare(seeds)
        for number in range(first, first + cases):
            if time.monotonic() - start > seconds:
                break
            what, ended = case(seeds, Path(scratch, "case"), number)
            done += 1
            if ended.fault:
                faulty += 1
                print(f"{number}: {what}: {ended.fault}\n  {ended.printed.strip()[-300:]!r}")  # noqa: T201
    print(f"{done:,} cases, {faulty} beyond the limits")  # noqa: T201
    return min(faulty, 100)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
