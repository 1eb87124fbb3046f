"""What one method has over another on the same pairs, with intervals of the difference.

``python -m bench.paired_differences RUN_A RUN_B --pred-a DIR --pred-b DIR --gt DIR`` takes two runs
under the protocol `mannequin` and the images behind them. Items are resampled, in both methods at
once: scores of single pairs through their columns, the Fréchet distance through its features.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fhpt_eval.common.intervals import LEVEL, mean_interval
from fhpt_eval.features.mannequin.garments import Garments
from fhpt_eval.metrics.sets.frechet import Gaussian, frechet
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.naming import item_of
from fhpt_eval.pairs.pair import Folders
from fhpt_eval.result import Result

#: Scores of single pairs, and the column that weighs them.
SCORES = {
    "ssim": "",
    "lpips[mannequin]": "",
    "retrieval[mannequin].recall@1": "",
    "retrieval[mannequin].recall@10": "",
    "retrieval[mannequin].map": "",
    "joints[mannequin].pckh": "joints[mannequin].in_target",
    "face_identity[mannequin].rate": "",
    "face_identity[mannequin].distance": "",
}
_RESAMPLES = 1000

Floats = NDArray[np.float64]


def items_of(keys: tuple[str, ...]) -> list[int]:
    """Return a number for each pair's item."""
    names = [item_of(key.rpartition("___")[2]) or key for key in keys]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return [numbers[name] for name in names]


def pool(paths: list[Path]) -> Floats:
    """Return the pool features of images, ``(N, 128)``."""
    rows = []
    for path in paths:
        with Image.open(path) as image:
            levels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]
        rows.append(Garments().compute(levels.contiguous())["pool"].numpy())
    return np.concatenate(rows).astype(np.float64)


def gaussian(rows: Floats) -> Gaussian:
    """Return the Gaussian fitted to ``(N, D)`` rows."""
    return Gaussian(rows.mean(axis=0), np.cov(rows, rowvar=False))


def once_each(names: list[str]) -> NDArray[np.bool_]:
    """Return where a name stands for the first time."""
    first = {name: place for place, name in reversed(list(enumerate(names)))}
    return np.isin(np.arange(len(names)), list(first.values()))


def frechet_difference(
    first: Floats, second: Floats, truth: Floats, once: NDArray[np.bool_], items: NDArray[np.int64]
) -> tuple[float, float, float]:
    """Return the difference of Fréchet distances to the ground truth, and its interval.

    All arrays have a row per pair; ``once`` says where a ground truth stands for the first time:
    as in the protocol, the real images are those, each once.
    """

    def difference(rows: NDArray[np.int64]) -> float:
        real = gaussian(truth[rows[once[rows]]])
        return frechet(gaussian(first[rows]), real) - frechet(gaussian(second[rows]), real)

    members = [np.flatnonzero(items == item) for item in np.unique(items)]
    generator = np.random.Generator(np.random.PCG64(0))
    found = []
    for _ in range(_RESAMPLES):
        drawn = generator.integers(0, len(members), len(members))
        found.append(difference(np.concatenate([members[item] for item in drawn])))
    # Resampled sets have fewer people than the set, and larger distances: both methods alike, so
    # the spread around their own middle is what counts.
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.array(found) - np.mean(found), (tail, 1 - tail))
    value = difference(np.arange(len(truth)))
    return value, value + float(low), value + float(high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs=2)
    for name in ("--pred-a", "--pred-b", "--gt"):
        parser.add_argument(name, type=Path, required=True)
    chosen = parser.parse_args()
    first, second = (Result.load(run) for run in chosen.runs)
    keys = tuple(map(str, first.pairs.index))
    if list(keys) != list(second.pairs.index) or first.test_set.digest != second.test_set.digest:
        raise SystemExit("The runs are not of the same pairs.")
    items = np.array(items_of(keys))
    print(f"{first.method} less {second.method}, {len(keys)} pairs of {items.max() + 1} items\n")
    print("| score | better | first | second | difference | 95 % interval |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name, weighing in SCORES.items():
        ours, theirs = (run.pairs[name].to_numpy() for run in (first, second))
        weights = first.pairs[weighing].to_numpy() if weighing else np.ones(len(keys))
        both = ~np.isnan(ours) & ~np.isnan(theirs) & (weights > 0)
        gaps, counted = (ours - theirs)[both], weights[both]
        interval = mean_interval(gaps, items[both].tolist(), counted)
        means = [np.average(side[both], weights=counted) for side in (ours, theirs)]
        low, high = interval or (np.nan, np.nan)
        direction = first.scores[name].direction
        values = f"{means[0]:.4f} | {means[1]:.4f} | {means[0] - means[1]:+.4f}"
        print(f"| {name} | {direction} | {values} | {low:+.4f} to {high:+.4f} |")
    sides = []
    for pred in (chosen.pred_a, chosen.pred_b):
        at = {pair.key: pair for pair in match_pairs(Folders(pred, chosen.gt)).pairs}
        if not at.keys() >= set(keys):
            raise SystemExit(f"{pred} lacks images of the runs' pairs.")
        sides.append(pool([at[key].generated.path for key in keys]))
    truths = [at[key].ground_truth for key in keys]
    paths = [image.path for image in truths if image is not None]
    truth, once = pool(paths), once_each([str(path) for path in paths])
    for run, pred, rows in zip((first, second), (chosen.pred_a, chosen.pred_b), sides, strict=True):
        reported = run.scores["fid[mannequin]"].value
        computed = frechet(gaussian(rows), gaussian(truth[once]))
        if reported is None or not np.isclose(reported, computed, rtol=1e-6):
            raise SystemExit(
                f"{pred} holds other images than those that {run.method} was scored with: their "
                f"distance is {computed}, and the run says {reported}."
            )
    value, low, high = frechet_difference(sides[0], sides[1], truth, once, items)
    print(f"| fid[mannequin] | lower | | | {value:+.3f} | {low:+.3f} to {high:+.3f} |")


if __name__ == "__main__":
    main()
