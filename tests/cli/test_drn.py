"""``fhpt-eval drn``: from a folder of images to a scored result with a few commands."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fhpt_eval.common.training import Stopped
from fhpt_eval.keypoints import annotation_csv
from tests.support.command import fhpt_eval
from tests.support.drn import configuration, draw_folder, toml_of
from tests.support.photographs import Pixels, crops


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(toml_of(configuration(steps=6, coarse_steps=2, adversarial_from=3)))
    return path


@pytest.fixture(scope="module")
def trained(folder: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that has come to its end."""
    out = tmp_path_factory.mktemp("trained") / "out"
    done = fhpt_eval("drn", "train", "--data", folder, "--config", config, "--out", out,
                     "--device", "cpu", "--threads", "1", "--log-every", "2")  # fmt: skip
    assert done.status == 0, done.err
    return out


def lay_out(root: Path, photographs: dict[str, Pixels]) -> Path:
    """Lay out photographs as DeepFashion's crops, 64 x 44, with key points somewhere in them."""
    names = [
        f"fashionWOMENDressesid00000{number:03d}01_{view}.jpg"
        for number in range(2)
        for view in ("1front", "2side", "3back")
    ]
    (root / "test").mkdir(parents=True)
    generator = np.random.default_rng(1)
    points = {name: generator.uniform(3, 40, (18, 2)) for name in names}
    for name, pixels in zip(names, crops(photographs, len(names), 64, 44), strict=True):
        Image.fromarray(pixels).save(root / "test" / name, quality=95)
    points[names[2]][[0, 14, 15]] = np.nan  # from behind
    rows = [(names[a], names[b]) for a, b in ((0, 1), (1, 2), (3, 4), (5, 3))]
    (root / "fasion-resize-pairs-test.csv").write_text(
        "from,to\n" + "".join(f"{source},{target}\n" for source, target in rows)
    )
    (root / "fasion-resize-annotation-test.csv").write_text(annotation_csv(points))
    return root


def test_from_a_checkpoints_name_to_scores_takes_two_commands(
    photographs: dict[str, Pixels], tmp_path: Path
) -> None:
    data = lay_out(tmp_path / "fashion", photographs)
    first = fhpt_eval("drn", "generate", "--checkpoint", "drn-mannequin", "--data", data,
                      "--out", tmp_path / "results", "--device", "cpu",
                      "--threads", "1")  # fmt: skip
    assert first.status == 0, first.err
    assert "4 new images (" in first.out
    assert "per second)" in first.out
    warning = (
        "images looked at are no drawn people of the mannequin benchmark, which alone it knows"
    )
    assert f"Warning: what is drawn says nothing of the model: 4 of the 4 {warning}" in first.err
    assert warning in json.loads((tmp_path / "results" / "about.json").read_text())["warning"]
    second = fhpt_eval("run", "--pred", tmp_path / "results", "--gt", data / "test",
                       "--metrics", "ssim,l1", "--out", tmp_path / "run",
                       "--workers", "1")  # fmt: skip
    assert second.status == 0, second.err
    assert "4 pairs" in second.out
    assert (tmp_path / "run" / "result.json").is_file()


def test_training_writes_what_it_says(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"checkpoint.pt", "log.csv", "samples", "weights.safetensors"} <= names
    rows = (trained / "log.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [
        ["2", "coarse"], ["4", "fine"], ["6", "fine"],
    ]  # fmt: skip


def test_a_folder_in_use_is_refused_without_resume(
    folder: Path, config: Path, trained: Path
) -> None:
    arguments = ("drn", "train", "--data", folder, "--config", config, "--out", trained)
    done = fhpt_eval(*arguments)
    assert done.status == 2
    assert "is not empty. Add --resume" in done.err
    again = fhpt_eval(*arguments, "--resume", "--threads", "1")
    assert again.status == 0, again.err
    assert "6 steps are done already" in again.err


def test_steps_stops_early_and_resume_goes_on(folder: Path, config: Path, tmp_path: Path) -> None:
    arguments = ("drn", "train", "--data", folder, "--config", config, "--out", tmp_path / "out",
                 "--threads", "1", "--sample-every", "0")  # fmt: skip
    assert fhpt_eval(*arguments, "--steps", "2").status == 0
    done = fhpt_eval(*arguments, "--steps", "3", "--resume")
    assert done.status == 0, done.err
    assert "Going on after step 2" in done.err
    assert "3 steps in" in done.out


def test_a_training_starts_from_the_weights_of_another(
    trained: Path, folder: Path, config: Path, tmp_path: Path
) -> None:
    first, out = trained / "weights.safetensors", tmp_path / "later"
    done = fhpt_eval("drn", "train", "--data", folder, "--config", config, "--out", out,
                     "--start-from", first, "--device", "cpu", "--threads", "1",
                     "--steps", "1")  # fmt: skip
    assert done.status == 0, done.err
    told = fhpt_eval("drn", "info", out / "weights.safetensors").out
    digest = fhpt_eval("drn", "info", first).out.split("weights digest: ")[1].split()[0]
    assert f"started from: configuration small, steps 6, weights {digest}" in told


def test_ctrl_c_ends_with_130_and_the_command_that_goes_on(
    folder: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "an out"

    def stopped(*_: object, **__: object) -> None:
        raise Stopped(signal.SIGINT, 1234, out / "checkpoint.pt")

    monkeypatch.setattr("fhpt_eval.reference_models.drn.training.train.train", stopped)
    done = fhpt_eval("drn", "train", "--data", folder, "--config", config, "--out", out,
                     "--precision", "bfloat16", "--compile", "--threads", "1",
                     "--weights-dir", tmp_path)  # fmt: skip
    assert done.status == 130
    assert "Stopped after step 1,234" in done.err
    assert done.err.splitlines()[-1].strip() == (
        f"fhpt-eval drn train --data {folder} --config {config} --out '{out}' "
        f"--precision bfloat16 --compile --threads 1 --weights-dir {tmp_path} --resume"
    )


def test_an_interrupt_before_the_first_step_loses_nothing(
    folder: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fhpt_eval.reference_models.drn.data.pairs.read_data", interrupted)
    done = fhpt_eval("drn", "train", "--data", folder, "--config", config,
                     "--out", tmp_path / "out", "--threads", "1")  # fmt: skip
    assert done.status == 130
    assert "Interrupted at once" in done.err


def test_missing_files_stop_training_before_any_step(config: Path, tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "data", identities=2)
    gone = min((folder / "train").iterdir())
    gone.unlink()
    arguments = ("drn", "train", "--data", folder, "--config", config, "--out", tmp_path / "out",
                 "--threads", "1", "--steps", "1", "--sample-every", "0")  # fmt: skip
    done = fhpt_eval(*arguments)
    assert done.status == 2
    assert f"{gone.stem}: there is no such image" in done.err
    assert not (tmp_path / "out" / "checkpoint.pt").exists()
    done = fhpt_eval(*arguments, "--allow-missing")
    assert done.status == 0, done.err
    assert "6 pairs are left out" in done.err
    assert f"left out: {gone.stem}" in done.err


def test_info_tells_configuration_steps_data_and_parameters(trained: Path) -> None:
    one = fhpt_eval("drn", "info", trained / "checkpoint.pt")
    other = fhpt_eval("drn", "info", trained / "weights.safetensors")
    assert one.status == 0, one.err
    assert one.out == other.out
    assert "configuration: small\nsteps: 6 of 6, in " in one.out
    assert "data digest: " in one.out
    assert "random, never trained" in one.out
    assert "pose_branch" in one.out
    assert "training.batch_size = 4\n" in one.out


def test_export_writes_weights_of_half_the_size(trained: Path, tmp_path: Path) -> None:
    half = tmp_path / "half.safetensors"
    done = fhpt_eval("drn", "export", trained / "checkpoint.pt", "--out", half, "--as", "float16")
    assert done.status == 0, done.err
    assert f"{half.stat().st_size:,} bytes" in done.out
    assert half.stat().st_size < 0.6 * (trained / "weights.safetensors").stat().st_size
    assert fhpt_eval("drn", "info", half).status == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("info", "drn-tinny"), "drn-tinny"),
        (("generate", "--checkpoint", "nowhere.pt", "--data", ".", "--out", "x"), "nowhere.pt"),
        (("train", "--data", ".", "--config", "drn-tinny", "--out", "x"), "'drn-tiny'"),
        (
            ("train", "--data", ".", "--config", "CONFIG", "--out", "x", "--start-from", "no.pt"),
            "no.pt",
        ),
        (("train", "--data", ".", "--config", "drn-tiny-details", "--out", "x"), "--start-from"),
        (("train", "--data", "/nowhere", "--config", "CONFIG", "--out", "x"), "no folder"),
    ],
)
def test_what_is_not_there_is_told_without_a_traceback(
    arguments: tuple[str, ...],
    words: str,
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = fhpt_eval("drn", *(str(config) if one == "CONFIG" else one for one in arguments))
    assert done.status == 2
    assert words in done.err
    assert "Traceback" not in done.err


@pytest.fixture(autouse=True)
def _threads() -> None:
    """Commands set the threads of this process, which tests share."""
    torch.set_num_threads(1)


def test_an_export_never_takes_the_place_of_a_checkpoint(tmp_path: Path) -> None:
    done = fhpt_eval("drn", "export", tmp_path / "a.pt", "--out", tmp_path / "checkpoint.pt")
    assert done.status == 2
    assert "must end in .safetensors" in done.err


def test_generate_says_in_what_it_computes() -> None:
    told = " ".join(fhpt_eval("drn", "generate", "--help").out.split())
    assert "[default: float32]" in told
