"""The commands that train the benchmark's networks, at the smallest size."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from safetensors import safe_open

from fhpt_eval.common.training import Stopped
from tests.support.command import fhpt_eval

BENCHMARK = ("benchmark", "mannequin")
#: What makes each command quick.
QUICK = {
    "train-garments": ["--steps", "1"],
    "train-pose": ["--steps", "1"],
    "train-faces": ["--finder-steps", "1", "--descriptor-steps", "1", "--held-out", "2"],
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of the size that the first training draws."""
    folder = tmp_path_factory.mktemp("trainings") / "pictures"
    finished = fhpt_eval(
        *BENCHMARK, "train-pose", "--out", folder.parent / "first", "--pictures", folder,
        "--items", "4", "--workers", "1", *QUICK["train-pose"],
    )  # fmt: skip
    assert finished.status == 0, finished.err
    return folder


@pytest.mark.parametrize("command", QUICK)
def test_a_training_writes_weights_and_says_where(
    command: str, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhpt_eval.benchmarks.mannequin.training.garments._CALIBRATION", 1)
    finished = fhpt_eval(
        *BENCHMARK, command, "--out", tmp_path / "run", "--pictures", pictures, "--items", "4",
        *QUICK[command],
    )  # fmt: skip
    assert finished.status == 0, finished.err
    path = Path(finished.out.strip().splitlines()[-1])
    with safe_open(path, "pt") as weights:
        assert list(weights.keys())


def test_ctrl_c_ends_with_130_and_says_that_the_command_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Stopped(signal.SIGINT, 1234, tmp_path / "checkpoint.pt")

    monkeypatch.setattr("fhpt_eval.benchmarks.mannequin.training.pose.train", stopped)
    finished = fhpt_eval(
        *BENCHMARK, "train-pose", "--out", tmp_path, "--pictures", pictures, "--items", "4"
    )
    assert finished.status == 130
    assert "Stopped after step 1,234" in finished.err
    assert finished.err.strip().endswith("The same command goes on.")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--items", "1"], "PictureSettings.items: Input should be"),
        (["--pictures-seed", "-1"], "PictureSettings.seed: Input should be"),
        (["--steps", "0"], "PoseSettings.steps: Input should be"),
        (["--device", "cuda:77"], "cuda:77"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    arguments: list[str], told: str, tmp_path: Path
) -> None:
    finished = fhpt_eval(*BENCHMARK, "train-pose", "--out", tmp_path / "run", *arguments)
    assert finished.status == 2
    assert told in finished.err
    assert "Traceback" not in finished.err


@pytest.mark.parametrize("options", [["--seed", "3"], ["--identities", "9"]])
def test_options_before_a_training_are_refused_where_they_would_do_nothing(
    options: list[str], tmp_path: Path
) -> None:
    finished = fhpt_eval(*BENCHMARK, *options, "train-pose", "--out", tmp_path / "run")
    assert finished.status == 2
    assert f"{options[0]} stands before train-pose" in finished.err


def test_pictures_that_are_damaged_are_named(pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for path in pictures.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "view.npy").unlink()
    (folder / "view.npy").write_bytes(b"")
    finished = fhpt_eval(
        *BENCHMARK, "train-pose", "--out", tmp_path / "run", "--pictures", folder, "--items", "4"
    )
    assert finished.status == 2
    assert "cannot be read as pictures" in finished.err


def test_pictures_of_other_people_are_refused(pictures: Path, tmp_path: Path) -> None:
    finished = fhpt_eval(
        *BENCHMARK, "train-pose", "--out", tmp_path / "run", "--pictures", pictures,
        "--items", "4", "--pictures-seed", "9",
    )  # fmt: skip
    assert finished.status == 2
    assert "pictures of other settings" in finished.err
