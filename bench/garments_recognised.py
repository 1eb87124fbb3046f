"""In how many drawn images the garment network recognises the upper garment: kind and texture.

``python -m bench.garments_recognised --gt DIR --truth FILE RESULTS...`` takes the mannequin
benchmark's ground truth, its ``truth-SPLIT.jsonl`` and folders of drawn images of the same pairs.
The ground truth stands above them as the most that can be, and the commonest garment as what
guessing gives. A texture that the network names is one that survived. ``--working-size`` adds the
ground truth made smaller to that height and width and enlarged again: the most that can be of a
model that works at that size.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from fhpt_eval.features.mannequin.garments import KINDS, TEXTURES, Garments
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders

#: Kind and texture by their numbers, a row per image.
Labels = NDArray[np.int64]


def recognised(paths: Sequence[Path], working_size: tuple[int, int] | None = None) -> Labels:
    """Return what the network takes the garments of images for, ``(N, 2)``.

    With a working size, height and width, the images are resized to it and back first.
    """
    rows = []
    for path in paths:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        if working_size is not None:
            small = image.resize(working_size[::-1], Image.Resampling.BICUBIC)
            image = small.resize(image.size, Image.Resampling.BICUBIC)
        levels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        rows.append(int(Garments().compute(levels.contiguous())["logits"].argmax()))
    return np.stack(np.divmod(np.array(rows), len(TEXTURES)), axis=1)


def read_truth(path: Path) -> dict[str, tuple[int, int]]:
    """Return kind and texture of each image, by its name without the ending."""
    found = {}
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        worn = row["attributes"]
        found[Path(row["name"]).stem] = (KINDS.index(worn["top"]), TEXTURES.index(worn["texture"]))
    return found


def row(name: str, seen: Labels, worn: Labels) -> str:
    """Return a row of the table: how many of N are right, in percent."""
    right = 100 * (seen == worn).mean(axis=0)
    patterned = worn[:, 1] != TEXTURES.index("plain")
    texture = 100 * (seen[patterned, 1] == worn[patterned, 1]).mean()
    return f"| {name} | {right[0]:.1f} % | {right[1]:.1f} % | {texture:.1f} % |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--gt", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--working-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    chosen = parser.parse_args()
    truth = read_truth(chosen.truth)
    print("| Images | Kind | Texture | Texture, where it is not plain |")
    print("| --- | ---: | ---: | ---: |")
    for place, folder in enumerate(chosen.results):
        pairs = match_pairs(Folders(folder, chosen.gt)).pairs
        real = [pair.ground_truth.path for pair in pairs if pair.ground_truth is not None]
        worn = np.array([truth[path.stem] for path in real])
        if not place:
            print(row("ground truth", recognised(real), worn))
            if size := chosen.working_size:
                name = f"ground truth at {size[0]} x {size[1]}, enlarged"
                print(row(name, recognised(real, tuple(size)), worn))
            common = [Counter(column.tolist()).most_common(1)[0][0] for column in worn.T]
            print(row("the commonest garment", np.broadcast_to(common, worn.shape), worn))
        print(row(folder.name, recognised([pair.generated.path for pair in pairs]), worn))


if __name__ == "__main__":
    main()
