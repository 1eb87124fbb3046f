"""What a command writes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Finished, fhpt_eval


@pytest.fixture
def here(tmp_path: Path, make_pairs: object, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with ``pred``, ``gt`` and a list of pairs in it."""
    folders = make_pairs(3)  # type: ignore[operator]
    folder = tmp_path / "here"
    folder.mkdir()
    folders.generated.rename(folder / "pred")
    folders.ground_truth.rename(folder / "gt")
    monkeypatch.chdir(folder)
    return folder


def run(*more: str) -> Finished:
    return fhpt_eval("run", "--pred", "pred", "--gt", "gt", "--metrics", "psnr", *more)


def test_a_folder_of_results_that_holds_what_is_read_is_refused(here: Path) -> None:
    names = sorted(path.stem for path in (here / "pred").iterdir())
    text = "generated,ground_truth\n" + "".join(f"{name},{name}\n" for name in names)
    Path("pairs.csv").write_text(text)
    done = run("--pairs", "pairs.csv", "--out", ".")
    assert done.status == 2
    assert ". holds what is read here (--pred pred)" in done.err
    assert Path("pairs.csv").read_text() == text
    assert sorted(path.name for path in here.iterdir()) == ["gt", "pairs.csv", "pred"]


def test_a_file_of_somebody_else_under_the_name_of_ours_is_kept(here: Path) -> None:
    Path("mine").mkdir()
    Path("mine/scores.csv").write_text("precious")
    done = run("--out", "mine")
    assert done.status == 2
    assert "mine holds scores.csv, which no run wrote" in done.err
    assert Path("mine/scores.csv").read_text() == "precious"


def test_all_other_files_in_the_folder_of_results_stay(here: Path) -> None:
    for name in ("problems.csv", ".mine.tmp", "deep/.mine.tmp"):
        path = Path("out", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert run("--out", "out").status == 0
    assert run("--out", "out").status == 0
    for name in ("problems.csv", ".mine.tmp", "deep/.mine.tmp"):
        assert Path("out", name).read_text() == name


def test_a_result_whose_partials_were_deleted_is_written_again(here: Path) -> None:
    import shutil

    assert run("--out", "out").status == 0
    shutil.rmtree("out/partials")
    assert run("--out", "out").status == 0


@pytest.mark.parametrize("option", ["--csv"])
@pytest.mark.parametrize("name", ["result.json", "pairs.csv", "scores.csv"])
def test_a_leaderboard_is_not_written_over_a_result(here: Path, option: str, name: str) -> None:
    run("--out", "out")
    before = Path("out", name).read_bytes()
    done = fhpt_eval("leaderboard", "out", option, f"out/{name}")
    assert (done.status, "is read here" in done.err) == (2, True)
    assert Path("out", name).read_bytes() == before


def test_a_folder_in_the_place_of_the_note_of_origin_is_said(here: Path) -> None:
    Path("out/origin.txt").mkdir(parents=True)
    done = run("--out", "out")
    assert done.status == 2
    assert "origin.txt cannot be written (Is a directory)" in done.err
    assert Path("out/result.json").is_file()
