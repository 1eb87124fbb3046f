"""A toy metric that looks at source images, and folders with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fhpt_eval.features.base import Feature
from fhpt_eval.metrics import FeaturePairMetric, FeatureRows, Part
from fhpt_eval.metrics.base import Need
from tests.support.patches import Patches
from tests.support.photographs import crops, spoilt

Pixels = NDArray[np.uint8]


class SourceGap(FeaturePairMetric):
    """How far the generated image is from its source and from its target, by patches."""

    name: ClassVar[str] = "source_gap"
    title: ClassVar[str] = "Gap"
    direction: ClassVar[Any] = "lower"
    needs: ClassVar[frozenset[Need]] = frozenset({"ground_truth", "source"})

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        return {
            "source": Part("Gap to the source", "lower", weight="named"),
            "target": Part("Gap to the target", "lower"),
            "named": Part("Whether the source's name is that of the pair's key", "higher"),
        }

    def features(self) -> Mapping[str, Feature]:
        return {"patches": Patches()}

    def measure(self, rows: FeatureRows) -> Mapping[str, NDArray[np.float64]]:
        ours = rows.generated["patches"]["pool"]
        gaps = {
            name: np.abs(ours - side["patches"]["pool"]).mean(axis=1)
            for name, side in (("source", rows.source), ("target", rows.ground_truth))
        }
        named = [
            key == f"{source}___{target}"
            for key, source, target in zip(rows.keys, rows.sources, rows.targets, strict=True)
        ]
        return gaps | {"named": np.array(named, float)}


@pytest.fixture
def transfers(tmp_path: Path, photographs: dict[str, Pixels]) -> dict[str, Path]:
    """Pairs A -> B, B -> C, A -> C of 12 triples: a source may be another pair's target."""
    folders = {name: tmp_path / name for name in ("generated", "test", "sources")}
    for folder in folders.values():
        folder.mkdir()
    images = iter(crops(photographs, 36, 48, 40))
    for number in range(12):
        for view in "abc":
            image = next(images)
            name = f"{number:02d}{view}.png"
            Image.fromarray(image).save(folders["sources"] / name)
            if view != "a":
                Image.fromarray(image).save(folders["test"] / name)
            for source in {"b": "a", "c": "ab"}.get(view, ""):
                pair = f"{number:02d}{source}___{number:02d}{view}.png"
                Image.fromarray(spoilt(image, number * 3 + ord(source))).save(
                    folders["generated"] / pair
                )
    return folders
