"""Dead links and the like: refused in every folder that a user names, or left out and counted."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import fhpt_eval
from tests.support.command import fhpt_eval as command
from tests.support.photographs import PairFolders

Maker = Callable[..., PairFolders]


@pytest.mark.parametrize("name", ["dead.png", "part2"])
@pytest.mark.parametrize("option", ["--pred", "--gt", "--source", "--fid-reference", "--gallery"])
def test_a_dead_link_stops_the_run_in_whichever_folder(
    transfers: dict[str, Path], tmp_path: Path, option: str, name: str
) -> None:
    folders = {"--pred": transfers["generated"], "--gt": transfers["test"]}
    for further in ("--source", "--fid-reference", "--gallery"):
        folders[further] = tmp_path / further
        shutil.copytree(transfers["sources"], folders[further])
    (folders[option] / name).symlink_to("moved")
    arguments = [part for pair in folders.items() for part in pair]
    names = "l1,fid[mannequin],retrieval[mannequin]"
    finished = command(
        "run", *arguments, "--protocol", "mannequin", "--metrics", names, "--out", tmp_path / "out"
    )
    assert finished.status == 2
    assert f"{folders[option] / name}: is a link whose target is gone" in finished.err
    assert not list((tmp_path / "out").glob("result.json"))


def test_dead_links_that_are_left_out_lower_coverage(make_pairs: Maker) -> None:
    folders = make_pairs(4)
    for name in ("person0001.png", "person0002.png"):
        (folders.generated / name).unlink()
        (folders.generated / name).symlink_to("moved.png")
    result = fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, metrics="l1", allow_missing=True
    )
    assert (result.scores["l1"].n, result.scores["l1"].coverage) == (2, 0.5)
    assert [excluded.kind for excluded in result.provenance.excluded] == ["unreadable"] * 2
