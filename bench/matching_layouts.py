"""Are pairs in the in-shop tree matched and checked as fast as flat ones?

    python -m bench.matching_layouts PAIRS.csv

Takes DeepFashion's list of 8,570 test pairs (``fashion-pairs-test.csv``), writes a small image for
each of its names as flat files and as the in-shop tree, and results named ``A_2_B_vis.png``; then
times matching alone, and matching with the check of every image, both ways in turn.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from fhpt_eval.common.progress import Progress
from fhpt_eval.evaluation.survey.checks import survey
from fhpt_eval.pairs.lists import read_pairs
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders

_FLAT = re.compile(r"fashion(WOMEN|MEN)(.+)id(\d{8})(\d{2})_(\d)(\w+)")
ROUNDS = 7


def main(path: Path) -> None:
    """Print the least times and their ratio."""
    rows = read_pairs(path)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write(root / "flat", {row.target for row in rows})
        _write(root / "tree", {_FLAT.sub(r"\1/\2/id_\3/\4_\5_\6", row.target) for row in rows})
        _write(root / "results", {f"{row.source}_2_{row.target}_vis" for row in rows}, seed=1)
        seconds: dict[str, list[tuple[float, float]]] = {"flat": [], "tree": []}
        for _ in range(ROUNDS):
            for layout, times in seconds.items():
                times.append(_time(Folders(root / "results", root / layout), len(rows)))
    for place, what in enumerate(("matched", "matched and checked")):
        flat, tree = (min(t[place] for t in seconds[k]) for k in ("flat", "tree"))
        print(f"{what}: flat {flat:.3f} s, tree {tree:.3f} s, ratio {tree / flat:.2f}")


def _write(root: Path, names: set[str], seed: int = 0) -> None:
    """Write one small image under many names."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 256, (64, 44, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    for name in names:
        file = root / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(buffer.getvalue())


def _time(folders: Folders, pairs: int) -> tuple[float, float]:
    """Return the processor seconds of matching, and of matching with the check of images."""
    start = time.process_time()
    matching = match_pairs(folders)
    matched = time.process_time() - start
    if len(matching.pairs) != pairs or matching.problems:
        raise SystemExit(f"{folders.ground_truth}: {len(matching.pairs)} pairs, not {pairs}")
    survey(matching, {(): ""}, 1, Progress())
    return matched, time.process_time() - start


if __name__ == "__main__":
    main(Path(sys.argv[1]))
