"""A run says in every output that networks are shown images of a kind that they do not know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from fhpt_eval import evaluate
from fhpt_eval.benchmarks.mannequin import Settings, write_benchmark
from fhpt_eval.protocol import parse_protocol
from fhpt_eval.result import Result
from tests.support.command import fhpt_eval
from tests.support.photographs import PairFolders
from tests.support.progress import Kept

Maker = Callable[..., PairFolders]
DOUBT = (
    "3 of the 3 images looked at are no drawn people of the mannequin benchmark, which alone it "
    "knows"
)


@pytest.mark.parametrize("metric", ["lpips", "joints"])
def test_photographs_are_warned_of_in_every_output(
    make_pairs: Maker, tmp_path: Path, metric: str
) -> None:
    folders, out = make_pairs(3), tmp_path / "out"
    finished = fhpt_eval(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--protocol",
        "mannequin", "--metrics", f"{metric},ssim", "--out", out,
    )  # fmt: skip
    assert f"Warning: {metric}[mannequin]: {DOUBT}" in finished.err
    result = Result.load(out)
    for name, score in result.scores.items():
        if score.value is not None:
            assert (score.note or "").startswith(DOUBT) == (name != "ssim")
    line = (
        "Not comparable with other results under mannequin on the same drawn people alone: "
        f"{DOUBT}."
    )
    for text in (finished.out, fhpt_eval("leaderboard", out).out, str(result)):
        assert line in text.splitlines()


def test_a_protocol_of_ones_own_with_such_a_network_warns_too(
    make_pairs: Maker, tmp_path: Path
) -> None:
    mine = parse_protocol('id = "mine"\n[metrics.lpips]\nnetwork = "mannequin"', "mine")
    folders = make_pairs(3)
    result = evaluate(folders.generated, folders.ground_truth, protocol=mine)
    assert result.protocol.standing == f"Doubtful: {DOUBT}."


def test_other_networks_are_not_doubted(make_pairs: Maker) -> None:
    mine = parse_protocol('id = "mine"\n[metrics.psnr]\n[metrics.ssim]', "mine")
    folders, kept = make_pairs(3), Kept()
    result = evaluate(folders.generated, folders.ground_truth, protocol=mine, progress=kept)
    assert result.protocol.standing == ""
    assert not [line for line in kept.said if "Warning" in line]


def test_drawn_people_are_what_the_networks_know(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "set", Settings(identities=3, seed=2, height=128, width=88))
    test = tmp_path / "set" / "test"
    (tmp_path / "pred").mkdir()
    for file in test.iterdir():
        Image.open(file).save(tmp_path / "pred" / file.name, quality=95)
    result = evaluate(tmp_path / "pred", test, protocol="mannequin", metrics="lpips")
    assert result.protocol.standing.startswith("Comparable with other results under mannequin")
    assert "drawn" not in (result.scores["lpips[mannequin]"].note or "")
