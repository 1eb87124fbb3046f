"""Leaderboards as tables: for people, and as a DataFrame."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import ResultError
from fhpt_eval.leaderboard.table import build
from fhpt_eval.result import ProtocolRecord, Result
from tests.support.results import make_result, score

FIRST = make_result({"ssim": score(0.7, interval=(0.6, 0.8)), "l1": score(0.2, direction="lower")},
                    "first")  # fmt: skip
SECOND = make_result({"ssim": score(0.5), "l1": score(0.1, direction="lower")}, "second")


def test_a_method_is_a_row_and_the_best_of_each_score_is_bold() -> None:
    table = build([SECOND, FIRST]).table()
    assert table.header == ["method", "ssim ↑", "l1 ↓", "pairs"]
    assert table.rows == [["first", "0.7000", "0.2000", "4"], ["second", "0.5000", "0.1000", "4"]]
    assert table.bold == {(0, 1), (1, 2)}


def test_a_value_over_some_pairs_says_over_which_share() -> None:
    partly = make_result({"ssim": score(0.9, n=2, coverage=0.5)}, "partly")
    board = build([FIRST, partly])
    assert board.table().rows[-1][1] == "0.9000 (50%)"
    assert (1, 1) not in board.table().bold
    assert board.notes() == [
        "Over other pairs than other methods' where it stands with a percentage: ssim. "
        "Such a value is never the best."
    ]


def test_details_are_left_out_and_scores_that_no_method_has_are_named_below() -> None:
    scores = {"ssim": score(0.7), "psnr": score(None, "infinite"), "nose": score(detail=True)}
    board = build([make_result(scores)])
    assert board.headlines() == ["ssim"]
    assert board.notes() == ["No method has: psnr. Each result.json says why."]


def test_a_frame_has_a_row_per_method_and_all_digits() -> None:
    frame = build([FIRST, make_result({"ssim": score(1 / 3)}, "third")]).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.index) == ["first", "third"]
    assert frame.index.name == "method"
    assert frame.loc["third", "ssim"] == 1 / 3
    assert frame["ssim_low"].to_list()[:1] == [0.6]
    assert math.isnan(frame["l1"]["third"])
    assert frame[["ssim", "l1", "ssim_low", "l1_low"]].to_numpy().dtype == np.float64


def test_unlike_protocols_are_told_before_equal_names_and_in_a_few_lines() -> None:
    def of(protocol: str, shift: int, *more: str) -> Result:
        metrics = {"ssim": {f"p{n:02d}": n + shift for n in range(20)}}
        settings = {"id": protocol, "metrics": metrics | {name: {} for name in more}}
        record = ProtocolRecord(id=protocol, digest=digest_of(settings), settings=settings)
        return make_result({"ssim": score(0.5)}).model_copy(update={"protocol": record})

    with pytest.raises(ResultError, match="under different protocols") as refusal:
        build([of("ours", 0), of("theirs", 1, "l1")])
    lines = str(refusal.value).splitlines()
    assert lines[2] == "  ssim.p00: 0 and 1"
    assert lines[10] == "  and 13 more: fhpt-eval protocols diff"
    assert len(lines) == 12
