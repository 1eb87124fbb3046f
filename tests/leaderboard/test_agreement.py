"""Results whose files contradict each other, or each other about the same images, are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import ResultError
from fhpt_eval.leaderboard import sensitivity, table
from fhpt_eval.result import PairTable, Result
from tests.support.command import fhpt_eval
from tests.support.photographs import PairFolders
from tests.support.results import make_result, score

Maker = Callable[..., PairFolders]
KEYS = ("a", "b", "c", "d")
VALUES = {"ssim": [0.1, 0.2, 0.3, 0.8]}


def result(
    scores: dict[str, Any], columns: dict[str, list[float]] | None = None, method: str = "ours"
) -> Result:
    values = {name: np.array(v) for name, v in (columns or VALUES).items()}
    return make_result(scores, method).with_pairs(PairTable(KEYS, values))


def test_a_score_that_is_the_mean_of_its_pairs_stands() -> None:
    assert table.build([result({"ssim": score(0.35)})]).best("ssim") == {"ours"}


@pytest.mark.parametrize("build", [table.build, sensitivity.build])
def test_a_score_that_its_pairs_contradict_is_refused_by_name_and_number(
    build: Callable[[list[Result]], object],
) -> None:
    message = (
        r"ours: ssim is 0\.95 over 4 pairs in result\.json, and the mean in pairs\.csv is 0\.35"
    )
    with pytest.raises(ResultError, match=message):
        build([result({"ssim": score(0.95)})])


def test_a_mean_over_some_pairs_is_of_those_that_have_a_value() -> None:
    over = digest_of(["a", "b"])
    columns = {"ssim": [0.1, 0.2, np.nan, np.nan]}
    partly = score(0.15, n=2, coverage=0.5, over=over)
    table.build([result({"ssim": partly}, columns)])
    for wrong in (score(0.15), score(0.15, n=2, coverage=0.5, over=digest_of(["a", "d"]))):
        with pytest.raises(ResultError, match="ssim"):
            table.build([result({"ssim": wrong}, columns)])


def test_a_mean_is_weighted_as_the_result_says() -> None:
    columns = {"joints.pckh": [0.0, 1.0, 1.0, np.nan], "joints.in_target": [3.0, 1.0, 0.0, 2.0]}
    weighed = score(0.25, n=2, coverage=0.5, weight="joints.in_target", over=digest_of(["a", "b"]))
    plain, lost = (weighed.model_copy(update={"weight": name}) for name in (None, "gone"))
    table.build([result({"joints.pckh": weighed}, columns)])
    with pytest.raises(ResultError, match=r"0\.666667 over 3"):
        table.build([result({"joints.pckh": plain}, columns)])
    with pytest.raises(ResultError, match="weighted by gone, which pairs"):
        table.build([result({"joints.pckh": lost}, columns)])


def test_pairs_of_an_incomplete_batch_do_not_count() -> None:
    settings = {"metrics": {"ssim": {"drop_incomplete": 3}}}
    plain = result({"ssim": score(0.2, n=3, coverage=0.75, over=digest_of(["a", "b", "c"]))})
    record = plain.protocol.model_copy(update={"settings": settings, "digest": digest_of(settings)})
    pairs = PairTable(KEYS, {"ssim": np.array(VALUES["ssim"])})
    agreeing = plain.model_copy(update={"protocol": record}).with_pairs(pairs)
    assert table.build([agreeing]).results == (agreeing,)


def test_a_table_of_another_number_of_pairs_is_refused() -> None:
    short = make_result().with_pairs(PairTable(("a",), {"ssim": np.array([0.5])}))
    with pytest.raises(ResultError, match=r"is of 4 pairs, and pairs\.csv has 1"):
        table.build([short])


def test_scores_over_sets_and_scores_without_a_value_are_left_to_others() -> None:
    agreeing = result({"fid": score(12.0), "ssim": score(None, "too few")})
    assert table.build([agreeing]).results == (agreeing,)


def test_two_results_of_the_same_images_must_agree() -> None:
    first, second = make_result({"fid": score(12.0)}, "a"), make_result({"fid": score(11.0)}, "b")
    table.build([first, second])
    same = second.model_copy(update={"provenance": first.provenance})
    with pytest.raises(ResultError, match="fid of the same images is 12 of a and 11 of b"):
        table.build([first, same])


@pytest.mark.parametrize(("value", "agrees"), [(12.0001, True), (12.1, False)])
def test_another_machine_may_round_otherwise(value: float, agrees: bool) -> None:
    first, second = make_result({"fid": score(12.0)}, "a"), make_result({"fid": score(value)}, "b")
    gpu = first.provenance.model_copy(update={"device": "a GPU"})
    results = [first, second.model_copy(update={"provenance": gpu})]
    if agrees:
        table.build(results)
    else:
        with pytest.raises(ResultError, match="of the same images"):
            table.build(results)


def edited_json(run: Path) -> None:
    values = json.loads((run / "result.json").read_text())
    values["scores"]["psnr"]["value"] = 60.0
    (run / "result.json").write_text(json.dumps(values))


def edited_pairs(run: Path) -> None:
    lines = (run / "pairs.csv").read_text().splitlines()
    name, *_ = lines[1].split(",")
    (run / "pairs.csv").write_text("\n".join([lines[0], f"{name},99.0", *lines[2:]]) + "\n")


def fewer_pairs(run: Path) -> None:
    lines = (run / "pairs.csv").read_text().splitlines()
    (run / "pairs.csv").write_text("\n".join(lines[:-1]) + "\n")


def edited_scores(run: Path) -> None:
    lines = (run / "scores.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[1] = "60.0"
    (run / "scores.csv").write_text("\n".join([lines[0], ",".join(cells)]) + "\n")


@pytest.mark.parametrize("edit", [edited_json, edited_pairs, fewer_pairs, edited_scores])
def test_an_edited_file_of_a_run_is_found(
    make_pairs: Maker, tmp_path: Path, edit: Callable[[Path], None]
) -> None:
    folders, out = make_pairs(3), tmp_path / "out"
    fhpt_eval("run", "--pred", folders.generated, "--gt", folders.ground_truth,
              "--metrics", "psnr", "--out", out)  # fmt: skip
    assert fhpt_eval("leaderboard", out).status == 0
    edit(out)
    refused = fhpt_eval("leaderboard", out)
    assert (refused.status, refused.out) == (2, "")
    assert "pairs" in refused.err if edit is fewer_pairs else "psnr" in refused.err


def test_a_result_without_its_pairs_is_said_to_be_unchecked(tmp_path: Path) -> None:
    make_result().save(tmp_path)
    for run in (tmp_path, tmp_path / "result.json"):
        shown = fhpt_eval("leaderboard", run)
        assert shown.status == 0
        assert "no pairs.csv was read, so its means stand unchecked" in shown.err
