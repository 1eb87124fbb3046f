"""Toy features and metrics on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fhpt_eval.errors import Undefined
from fhpt_eval.features.base import Feature
from fhpt_eval.metrics import FeatureRows, FeatureSetMetric, State


class MeanColour(Feature):
    """The mean level of each channel; counts the images that it has seen."""

    name: ClassVar[str] = "mean_colour"
    seen: ClassVar[list[int]] = []
    scale: float = 1.0

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        self.seen.append(len(images))
        levels = images.double() * (1 if images.dtype == torch.uint8 else 255)
        return {"colour": levels.mean(dim=(2, 3)) * self.scale}


class ColourGap(FeatureSetMetric):
    """The gap between the mean colours of the two sets, each ground-truth image counted once."""

    name: ClassVar[str] = "colour_gap"
    title: ClassVar[str] = "Colour gap"
    direction: ClassVar[Any] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    scale: float = 1.0

    def features(self) -> Mapping[str, Feature]:
        return {"colour": MeanColour(scale=self.scale)}

    def empty(self) -> State:
        return {"sums": np.zeros((2, 3)), "counts": np.zeros(2)}

    def update(self, state: State, rows: FeatureRows) -> State:
        ours = rows.generated["colour"]["colour"]
        theirs = rows.ground_truth["colour"]["colour"][rows.distinct]
        new = {
            "sums": np.stack([ours.sum(axis=0), theirs.sum(axis=0)]),
            "counts": np.array([len(ours), len(theirs)]),
        }
        return self.merge(state, new)

    def merge(self, first: State, second: State) -> State:
        return {name: np.asarray(first[name] + second[name]) for name in first}

    def compute(self, state: State) -> dict[str, float]:
        if not state["counts"].all():
            raise Undefined("there are no pairs")
        ours, theirs = state["sums"] / state["counts"][:, None]
        return {"": float(np.abs(ours - theirs).mean())}

    def note(self, state: State) -> str:
        return f"rests on {int(state['counts'][1])} real images"


def colours(folder: Path) -> Any:
    means = [np.asarray(Image.open(path)).mean(axis=(0, 1)) for path in sorted(folder.iterdir())]
    return np.stack(means)
