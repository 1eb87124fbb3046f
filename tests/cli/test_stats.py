"""``fhpt-eval stats`` and ``run --fid-reference``: statistics once, for any number of runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.command import fhpt_eval
from tests.support.photographs import PairFolders
from tests.support.random_inception import write_inception_2015

Maker = Callable[..., PairFolders]


@pytest.fixture(scope="module")
def protocol(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A protocol with random weights of its own."""
    folder = tmp_path_factory.mktemp("protocol")
    weights = write_inception_2015(folder / "2015.pth")
    (folder / "own.toml").write_text(
        f'id = "own"\n[metrics.psnr]\n[metrics.fid]\nnetwork_weights = "{weights}"\n'
    )
    return folder / "own.toml"


def test_statistics_are_made_once_and_used_by_a_run(
    make_pairs: Maker, protocol: Path, tmp_path: Path
) -> None:
    folders, train = make_pairs(3), make_pairs(4, root="train").ground_truth
    file = tmp_path / "train.npz"
    made = fhpt_eval("stats", train, "-o", file, "--protocol", protocol)
    assert made.status == 0
    assert f"4 images. Written to {file}; use it with --fid-reference {file}" in made.out
    with np.load(file) as arrays:
        assert arrays["mu"].shape == (2048,)
        assert arrays["sigma"].shape == (2048, 2048)
    values = []
    for name, reference in (("folder", train), ("file", file)):
        finished = fhpt_eval(
            "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--protocol",
            protocol, "--fid-reference", reference, "--out", tmp_path / name,
        )  # fmt: skip
        assert finished.status == 0
        table = json.loads((tmp_path / name / "result.json").read_text())
        assert table["protocol"]["id"] == "own+fid-reference"
        values.append(table["scores"]["fid"]["value"])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_statistics_without_weights_name_the_command_that_brings_them(
    make_pairs: Maker, tmp_path: Path
) -> None:
    finished = fhpt_eval("stats", make_pairs(2).ground_truth, "-o", tmp_path / "stats.npz")
    assert finished.status == 2
    assert "fhpt-eval weights pull inception-2015" in finished.err
    assert not (tmp_path / "stats.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{gt}", "-o", "stats.txt"], "a file of statistics ends in .npz"),
        (["nowhere", "-o", "stats.npz"], "There is no folder nowhere"),
        (["{gt}", "-o", "stats.npz", "--metric", "ssim"], "'ssim' is no Fréchet distance"),
        (["{gt}", "-o", "stats.npz", "--metric", "fdi"], "There is no metric 'fdi'"),
    ],
    ids=["ending", "folder", "metric", "name"],
)
def test_a_wrong_argument_is_explained(
    arguments: list[str], message: str, make_pairs: Maker, protocol: Path
) -> None:
    folder = make_pairs(2).ground_truth
    given = [one.format(gt=folder) for one in arguments]
    finished = fhpt_eval("stats", *given, "--protocol", protocol)
    assert finished.status == 2
    assert message in finished.err
    assert "Traceback" not in finished.err
