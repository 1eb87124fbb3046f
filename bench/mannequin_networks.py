"""What the small networks of the mannequin benchmark can do, on people they have never seen.

``python -m bench.mannequin_networks`` prints the figures of docs/mannequin-networks.md anew, from
people of the test split: 504 pictures of 63 items, each worn by two people, for pose, kinds,
textures and faces; and the 1,000 images of 250 further people for retrieval. A quarter of an hour.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fhpt_eval.benchmarks.mannequin import SEEN, VIEWS, draw
from fhpt_eval.benchmarks.mannequin.identity import TEXTURES
from fhpt_eval.benchmarks.mannequin.layout import TEST_EVERY
from fhpt_eval.benchmarks.mannequin.training.pictures import (
    Pictures,
    PictureSettings,
    load_pictures,
)
from fhpt_eval.features.base import Feature
from fhpt_eval.features.mannequin.faces import MannequinFaces
from fhpt_eval.features.mannequin.garments import Garments
from fhpt_eval.features.openpose import MannequinPose
from fhpt_eval.metrics.pck import pckh_counts

Rows = dict[str, NDArray[np.float64]]

#: Of the people for retrieval; pictures have a seed of their own.
_RETRIEVAL_SEED, _PICTURES_SEED, _ITEMS = 99, 2026, 63


def compute(feature: Feature, images: NDArray[np.uint8]) -> Rows:
    """Return a feature of ``(N, H, W, 3)`` images."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for start in range(0, len(images), 32):
        batch = torch.from_numpy(np.array(images[start : start + 32])).permute(0, 3, 1, 2)
        for name, rows in feature.compute(batch.contiguous()).items():
            found.setdefault(name, []).append(rows.numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def pose(pictures: Pictures) -> None:
    """Print PCKh 0.5 against exact key points, over all and by view."""
    truth = np.array(pictures.truth["keypoints"], np.float64)
    truth[pictures.truth["visible"] != SEEN] = np.nan
    found = compute(MannequinPose(), pictures.images)["keypoints"][..., :2]
    counts = pckh_counts(found.astype(np.float64), truth, 0.5)
    view = pictures.truth["view"]
    for name, rows in by_view(view):
        right, number = counts.correct[rows].sum(), counts.counted[rows].sum()
        print(f"pose, {name}: PCKh {right / number:.3f} of {number:,} joints that are seen")


def classes(pictures: Pictures, weights: str) -> None:
    """Print a classifier's accuracy, over all and by view."""
    said = compute(Garments(weights=weights), pictures.images)["logits"].argmax(axis=1)
    kind = said // len(TEXTURES) == pictures.truth["kind"]
    texture = said % len(TEXTURES) == pictures.truth["texture"]
    for name, rows in by_view(pictures.truth["view"]):
        shares = [part[rows].mean() for part in (kind, texture, kind & texture)]
        told = (
            f"{what} {share:.3f}"
            for what, share in zip(("kind", "texture", "both"), shares, strict=True)
        )
        print(f"{weights}, {name}: {', '.join(told)}")


def by_view(view: NDArray[np.int8]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return all pictures, and those of each view, by name."""
    single = [(name[1:], view == number) for number, name in enumerate(VIEWS)]
    return [("all", np.ones(len(view), bool)), *single]


def retrieval(people: int) -> None:
    """Print recall when two views of everybody query the other two."""
    numbers = range(0, people * TEST_EVERY, TEST_EVERY)
    views = range(len(VIEWS))
    images = np.stack([draw(_RETRIEVAL_SEED, who, view).image for who in numbers for view in views])
    vectors = compute(Garments(), images)["embedding"].reshape(people, len(VIEWS), -1)
    for asked in combinations(views, 2):
        kept = [view for view in views if view not in asked]
        queries, gallery = (
            vectors[:, list(side)].reshape(2 * people, -1) for side in (asked, kept)
        )
        items = np.repeat(np.arange(people), 2)
        order = np.argsort(-(queries @ gallery.T), axis=1, kind="stable")
        hits = items[order] == items[:, None]
        shares = [hits[:, :k].any(axis=1).mean() for k in (1, 10)]
        names = ", ".join(VIEWS[view][1:] for view in asked)
        print(f"retrieval, {names} ask: recall@1 {shares[0]:.3f}, recall@10 {shares[1]:.3f}")


def faces(pictures: Pictures) -> None:
    """Print how many faces are found, and how often two count as one person's."""
    found = compute(MannequinFaces(), pictures.images)
    there, shown = found["found"] > 0, ~np.isnan(pictures.truth["face_box"][:, 0])
    for name, rows in by_view(pictures.truth["view"]):
        hits, missed = (there & shown)[rows].sum(), (~there & shown)[rows].sum()
        false = (there & ~shown)[rows].sum()
        print(f"faces, {name}: found {hits}, missed {missed}, found where none is {false}")
    seen = np.flatnonzero(there & shown)
    descriptors, wearer = found["descriptor"][seen], pictures.truth["wearer"][seen]
    gaps = np.sqrt(np.maximum(2 - 2 * descriptors @ descriptors.T, 0))
    first, second = np.triu_indices(len(seen), 1)
    same = wearer[first] == wearer[second]
    near = gaps[first, second] <= MannequinFaces.same_person
    for name, pairs in (("one person", same), ("two people", ~same)):
        print(
            f"faces, {name}: {near[pairs].mean():.3f} of {pairs.sum():,} pairs within "
            f"{MannequinFaces.same_person}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=250, help="for retrieval")
    parser.add_argument("--items", type=int, default=_ITEMS, help="of the pictures")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        settings = PictureSettings(items=chosen.items, seed=_PICTURES_SEED, split="test")
        pictures = load_pictures(Path(folder), settings, workers=2)
        pose(pictures)
        for weights in ("mannequin-garments", "mannequin-perceptual"):
            classes(pictures, weights)
        faces(pictures)
    retrieval(chosen.people)


if __name__ == "__main__":
    main()
