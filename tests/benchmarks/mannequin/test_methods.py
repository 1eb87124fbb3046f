"""Methods without a network: what their images are."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fhpt_eval.benchmarks.mannequin import Settings, write_benchmark
from fhpt_eval.benchmarks.mannequin.methods import Nearest, write_methods
from fhpt_eval.keypoints import read_annotation_csv
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders

Made = tuple[Path, dict[str, Path]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("methods")
    write_benchmark(root / "set", Settings(identities=6, seed=1, height=128, width=88))
    return root / "set", write_methods(root / "set", root / "methods")


def pairs(benchmark: Path) -> list[tuple[str, str]]:
    with (benchmark / "fasion-resize-pairs-test.csv").open() as file:
        return [(row["from"], row["to"]) for row in csv.DictReader(file)]


def pixels(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as image:
        return np.asarray(image, dtype=np.int64)


def test_each_has_an_image_for_every_pair_that_run_matches_by_itself(made: Made) -> None:
    benchmark, methods = made
    assert set(methods) == {"copy_source", "nearest_pose", "blend", "blur"}
    for folder in methods.values():
        matching = match_pairs(Folders(folder, benchmark / "test", benchmark / "test"))
        assert len(matching.pairs) == len(pairs(benchmark))
        assert not matching.problems


def test_copies_and_blends_are_made_of_source_and_ground_truth(made: Made) -> None:
    benchmark, methods = made
    for source, target in pairs(benchmark)[:5]:
        name = f"{source}___{target}_vis.png"
        first, second = (pixels(benchmark / "test" / one) for one in (source, target))
        assert (pixels(methods["copy_source"] / name) == first).all()
        assert (pixels(methods["blend"] / name) == (first + second + 1) // 2).all()
        assert (pixels(methods["blur"] / name) != second).any()


def test_the_nearest_pose_is_one_of_the_train_set(made: Made) -> None:
    benchmark, methods = made
    train = {pixels(path).tobytes() for path in (benchmark / "train").iterdir()}
    for source, target in pairs(benchmark)[:5]:
        name = f"{source}___{target}_vis.png"
        assert pixels(methods["nearest_pose"] / name).tobytes() in train


def test_the_nearest_pose_of_a_train_pose_is_itself(made: Made) -> None:
    train = read_annotation_csv(made[0] / "fasion-resize-annotation-train.csv")
    nearest = Nearest(train, train, 128)
    assert all(nearest(name) == name for name in train)
