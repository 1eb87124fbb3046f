"""A folder never shows a result of other inputs than the last command's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fhpt_eval.errors import ResultError
from fhpt_eval.evaluation.work import Work
from fhpt_eval.result import EARLIER, Result, set_aside
from tests.support.command import Finished, fhpt_eval
from tests.support.photographs import PairFolders
from tests.support.results import make_result

Maker = Callable[..., PairFolders]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def run(folders: PairFolders, out: Path, *more: str | Path) -> Finished:
    return fhpt_eval(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth,
        "--metrics", "psnr", "--out", out, *more,
    )  # fmt: skip


def spoil(folders: PairFolders) -> None:
    (folders.generated / "person0000.png").write_bytes(b"gone")


def rename(folders: PairFolders) -> None:
    for file in folders.generated.iterdir():
        file.rename(file.with_name(f"x{file.name}y.png"))


def shrink(folders: PairFolders) -> None:
    Image.new("RGB", (9, 9)).save(folders.generated / "person0001.png")


@pytest.mark.parametrize("change", [spoil, rename, shrink])
def test_after_a_refused_run_no_command_shows_the_old_scores(
    make_pairs: Maker, out: Path, change: Callable[[PairFolders], None]
) -> None:
    folders = make_pairs(3)
    run(folders, out)
    before = (out / "result.json").read_text()
    change(folders)
    refused = run(folders, out)
    assert refused.status == 2
    assert f"The earlier result of {out} is set aside: {EARLIER}result.json" in refused.err
    for command in ("leaderboard", "sensitivity"):
        shown = fhpt_eval(command, out)
        assert shown.status == 2
        assert f"{out} holds no result: its last run was refused or interrupted." in shown.err
    with pytest.raises(ResultError, match=f"{EARLIER}result.json"):
        Result.load(out)
    assert (out / f"{EARLIER}result.json").read_text() == before


@pytest.mark.parametrize("option", [("--metrics", "psnr,retrieval"), ("--match", "A_2_B")])
def test_a_run_that_cannot_start_leaves_no_result_either(
    make_pairs: Maker, out: Path, option: tuple[str, str]
) -> None:
    folders = make_pairs(3)
    run(folders, out)
    assert run(folders, out, *option).status == 2
    assert not (out / "result.json").exists()


def test_an_interrupted_run_leaves_no_result_and_goes_on_from_what_is_finished(
    make_pairs: Maker, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = make_pairs(3)
    run(folders, out)
    complete = Result.load(out)
    with monkeypatch.context() as patched:
        patched.setattr(Work, "scored", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        assert run(folders, out).status == 130
    assert not (out / "result.json").exists()
    assert "0 chunks computed, 1 reused" in run(folders, out).err
    assert Result.load(out).scores == complete.scores
    assert not list(out.glob(f"{EARLIER}*"))


def test_a_leaderboard_of_a_glob_names_the_folder_that_it_leaves_out(
    make_pairs: Maker, out: Path
) -> None:
    folders = make_pairs(3)
    run(folders, out / "a", "--name", "a")
    run(folders, out / "b", "--name", "b")
    spoil(folders)
    run(folders, out / "b", "--name", "b")
    shown = fhpt_eval("leaderboard", out / "a", out / "b")
    assert shown.status == 0
    assert "| a |" in shown.out
    assert "| b |" not in shown.out
    assert f"Left out: {out / 'b'} holds no result: its last run was refused" in shown.err


def test_a_command_that_is_not_understood_leaves_the_result(make_pairs: Maker, out: Path) -> None:
    folders = make_pairs(2)
    run(folders, out)
    for typo in (("--metrics", "ssmi"), ("--protocol", "ftph"), ("--panels", "none")):
        assert run(folders, out, *typo).status == 2
    assert (out / "result.json").is_file()


def test_another_methods_result_stays(make_pairs: Maker, out: Path) -> None:
    folders = make_pairs(2)
    run(folders, out, "--name", "a")
    assert run(folders, out, "--name", "b").status == 2
    assert Result.load(out).method == "a"


def test_an_earlier_result_that_is_set_aside_keeps_no_file_of_the_one_before(
    tmp_path: Path,
) -> None:
    make_result(method="first").save(tmp_path)
    (tmp_path / "pairs.csv").write_text("pair\n")
    set_aside(tmp_path)
    make_result(method="second").save(tmp_path / "other")
    (tmp_path / "other" / "result.json").rename(tmp_path / "result.json")
    set_aside(tmp_path)
    kept = sorted(file.name for file in tmp_path.glob(f"{EARLIER}*"))
    assert kept == [f"{EARLIER}result.json"]
    assert json.loads((tmp_path / kept[0]).read_text())["method"] == "second"
    set_aside(tmp_path)
    assert (tmp_path / kept[0]).is_file()
