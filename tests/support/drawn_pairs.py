"""Pairs of drawn people, as tensors and as the folders that a run reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fhpt_eval.benchmarks.mannequin.draw import draw
from tests.support.photographs import Pixels


@dataclass(frozen=True)
class DrawnPair:
    """A generated image with its key, ground truth and source, ``(H, W, 3)`` uint8."""

    key: str
    generated: Pixels
    ground_truth: Pixels
    source: Pixels


def drawn_pairs(people: int) -> list[DrawnPair]:
    """Draw people, two pairs of each: the first view is the source, noise is what was generated."""
    noise = np.random.default_rng(0)
    pairs = []
    for person in range(people):
        views = [draw(3, person, view).image for view in range(3)]
        names = [f"fashionWOMENDressesid{person:08d}01_{view}front" for view in range(1, 4)]
        for name, view in list(zip(names, views, strict=True))[1:]:
            spoilt = view + noise.integers(-30, 30, view.shape)
            generated = np.clip(spoilt, 0, 255).astype(np.uint8)
            pairs.append(DrawnPair(f"{names[0]}___{name}", generated, view, views[0]))
    return pairs


def write_pairs(pairs: Sequence[DrawnPair], root: Path) -> dict[str, Path]:
    """Write pairs as folders: those of ``evaluate``, by its arguments."""
    folders = {name: root / name for name in ("pred", "gt", "source")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    for pair in pairs:
        source, _, target = pair.key.partition("___")
        Image.fromarray(pair.generated).save(folders["pred"] / f"{pair.key}.png")
        Image.fromarray(pair.ground_truth).save(folders["gt"] / f"{target}.png")
        Image.fromarray(pair.source).save(folders["source"] / f"{source}.png")
    return folders


def tensors(images: Sequence[Pixels]) -> Tensor:
    """Return ``(N, 3, H, W)`` uint8."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


Batch = tuple[Tensor, Tensor, list[str], Tensor]


def batches(pairs: Sequence[DrawnPair], size: int) -> Iterator[Batch]:
    """Cut pairs into batches: generated, ground truth, keys and source."""
    for start in range(0, len(pairs), size):
        part = pairs[start : start + size]
        yield (
            tensors([pair.generated for pair in part]),
            tensors([pair.ground_truth for pair in part]),
            [pair.key for pair in part],
            tensors([pair.source for pair in part]),
        )
