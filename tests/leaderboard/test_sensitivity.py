"""The same images under several protocols: what moves, from where, and what is refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import ResultError
from fhpt_eval.leaderboard.sensitivity import Sensitivity, build
from fhpt_eval.result import ProtocolRecord, Result
from tests.support.command import Finished, fhpt_eval
from tests.support.photographs import PairFolders
from tests.support.results import score, under

Maker = Callable[..., PairFolders]


def cells(table: Sensitivity) -> dict[str, list[str]]:
    return {
        line.label: [table.cell(line, column) for column in table.headlines()]
        for line in table.lines
    }


PLAIN = under("plain", {"ssim": 0.638, "psnr": 17.0})
PADDED = under("padded", {"ssim": 0.749, "psnr": 18.63})


def test_values_move_from_the_first_protocol() -> None:
    table = build([PLAIN, PADDED])
    assert cells(table) == {
        "plain": ["0.6380", "17.0000"],
        "padded": ["0.7490 (+0.1110)", "18.6300 (+1.6300)"],
    }


def test_values_move_from_the_protocol_that_is_named() -> None:
    table = build([PLAIN, PADDED], base="padded")
    assert cells(table)["plain"] == ["0.6380 (-0.1110)", "17.0000 (-1.6300)"]
    assert cells(table)["padded"] == ["0.7490", "18.6300"]


def test_a_base_that_is_not_there_gets_near_misses() -> None:
    with pytest.raises(ResultError, match=r"under protocol 'plian'. Did you mean 'plain'\?"):
        build([PLAIN, PADDED], base="plian")


def test_scores_are_compared_by_metric_whatever_a_protocol_calls_them() -> None:
    other = under("other", {"structure": 0.7}, structure="ssim")
    assert cells(build([PLAIN, other]))["other"] == ["0.7000 (+0.0620)", "-"]


def test_further_variants_of_a_metric_have_rows_of_their_own() -> None:
    several = under(
        "several", {"ssim_51": 0.6, "ssim": 0.7, "psnr": 17.0, "ssim[13]": 0.65},
        **{"ssim_51": "ssim", "ssim[13]": "ssim"},
    )  # fmt: skip
    table = build([PLAIN, several])
    assert cells(table) == {
        "plain": ["0.6380", "17.0000"],
        "several": ["0.7000 (+0.0620)", "17.0000 (+0.0000)"],
        "several: ssim_51": ["0.6000 (-0.0380)", "-"],
        "several: ssim[13]": ["0.6500 (+0.0120)", "-"],
    }


def test_a_variant_moves_from_its_own_protocols_first_value() -> None:
    several = under("several", {"ssim": 0.7, "ssim_51": 0.6}, ssim_51="ssim")
    assert cells(build([several]))["several: ssim_51"] == ["0.6000 (-0.1000)"]


def test_parts_of_a_metric_are_columns() -> None:
    first = under("first", {"is.mean": 3.1, "is.std": 0.1})
    second = under("second", {"is_bn.mean": 3.4, "is_bn.std": 0.2}, is_bn="is")
    table = build([first, second])
    assert table.columns == ("is.mean", "is.std")
    assert cells(table)["second"] == ["3.4000 (+0.3000)", "0.2000 (+0.1000)"]


def test_a_score_that_a_protocol_lacks_is_an_empty_cell() -> None:
    table = build([PLAIN, under("few", {"ssim": 0.7})])
    assert cells(table)["few"] == ["0.7000 (+0.0620)", "-"]


def test_a_row_without_any_value_is_left_out_of_the_table() -> None:
    table = build([PLAIN, under("none", {"ssim": score(None, "infinite")})])
    assert [row[0] for row in table.table().rows] == ["plain"]


def test_a_metric_in_another_unit_is_a_column_of_its_own() -> None:
    usual = {"scale": "0..1", "per": "value", "norm": "l1"}
    table = build([with_parameters("a", usual), with_parameters("b", usual | {"per": "sum"})])
    assert table.columns == ("l1", "l1 (per sum)")


def test_the_scale_of_a_networks_input_makes_no_column() -> None:
    table = build([with_parameters("a", {"scale": "0..1", "network": "alex"}),
                   with_parameters("b", {"scale": "-1..1", "network": "alex"})])  # fmt: skip
    assert table.columns == ("l1",)


def with_parameters(protocol: str, parameters: dict[str, str]) -> Result:
    settings = {"metrics": {"l1": {"metric": "l1", "parameters": parameters}}}
    record = ProtocolRecord(id=protocol, digest=digest_of(settings), settings=settings)
    return changed(under(protocol, {"l1": 0.1}), protocol=record)


def test_a_score_that_the_base_lacks_moves_from_the_first_that_has_it() -> None:
    table = build([under("few", {"ssim": 0.7}), PLAIN, PADDED])
    assert cells(table)["plain"] == ["0.6380 (-0.0620)", "17.0000"]
    assert cells(table)["padded"][1] == "18.6300 (+1.6300)"
    assert "psnr: moves are from plain; few has none." in table.notes()


def test_a_score_without_a_value_is_told_with_its_reason() -> None:
    lacking = [under(name, {"ssim": 0.7, "psnr": score(None, "infinite")}) for name in "ab"]
    table = build([PLAIN, *lacking])
    assert cells(table)["a"] == ["0.7000 (+0.0620)", "-"]
    assert "a, b: psnr could not be computed: infinite" in table.notes()


def test_the_span_of_each_metric_that_several_protocols_have_is_shown() -> None:
    few = under("few", {"ssim": 0.7})
    assert build([PLAIN, PADDED, few]).spans().rows[0] == [
        "ssim", "0.6380", "plain", "0.7490", "padded", "0.1110"
    ]  # fmt: skip
    assert [row[0] for row in build([PLAIN, few]).spans().rows] == ["ssim"]


def test_a_score_that_rests_on_some_pairs_is_marked() -> None:
    partly = under("partly", {"ssim": score(0.9, n=2, coverage=0.5)})
    table = build([PLAIN, partly])
    assert cells(table)["partly"][0] == "0.9000 (+0.2620), 2 pairs"
    assert table.spans().rows[0][4] == "partly, 2 pairs"


def test_details_are_in_files_alone() -> None:
    table = build([under("p", {"ssim": 0.5, "joints.nose": score(0.1, detail=True)})])
    assert table.headlines() == ["ssim"]
    assert table.columns == ("ssim", "joints.nose")


def test_different_code_is_told() -> None:
    changed = PADDED.provenance.model_copy(update={"code": "f" * 64})
    notes = build([PLAIN, PADDED.model_copy(update={"provenance": changed})]).notes()
    assert notes[-1].startswith("These results were computed by different versions of the code")


def changed(result: Result, **fields: Any) -> Result:
    return result.model_copy(update=fields)


OTHER = "f" * 64
REFUSED = {
    "other generated images": (
        changed(
            PADDED,
            method="theirs",
            provenance=PADDED.provenance.model_copy(update={"generated_digest": OTHER}),
        ),
        "ours under plain and theirs under padded are of other generated images",
    ),
    "other ground truth": (
        changed(PADDED, test_set=PADDED.test_set.model_copy(update={"digest": OTHER})),
        "ours under plain and ours under padded are against other ground truth",
    ),
    "one protocol twice": (PLAIN, "Several results are under protocols named plain"),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_results_that_do_not_show_what_the_protocol_does_are_refused(what: str) -> None:
    other, message = REFUSED[what]
    with pytest.raises(ResultError, match=message):
        build([PLAIN, other])


def test_no_result_is_refused() -> None:
    with pytest.raises(ResultError, match="at least one"):
        build([])


@pytest.mark.parametrize("settings", [{}, {"metrics": []}, {"metrics": {"ssim": 3, "psnr": {}}}])
def test_settings_that_were_edited_do_no_harm(settings: dict[str, Any]) -> None:
    record = ProtocolRecord(id="odd", digest=digest_of(settings), settings=settings)
    table = build([changed(PADDED, protocol=record), PLAIN])
    assert cells(table)["plain"] == ["0.6380 (-0.1110)", "17.0000 (-1.6300)"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), st.data())
def test_every_value_is_the_bases_and_its_move(values: list[float], data: st.DataObject) -> None:
    results = [under(f"p{at}", {"ssim": value}) for at, value in enumerate(values)]
    base = data.draw(st.integers(0, len(values) - 1))
    table = build(results, base=f"p{base}")
    for at, line in enumerate(table.lines):
        moved = table.moved(line, "ssim")
        assert moved == (None if at == base else values[at] - values[base])


def test_csv_has_all_digits_and_what_they_rest_on() -> None:
    table = build([PLAIN, under("third", {"ssim": 1 / 3})])
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert [row["protocol"] for row in rows] == ["plain", "third"]
    assert float(rows[1]["ssim"]) == 1 / 3
    assert float(rows[1]["ssim_moved"]) == 1 / 3 - 0.638
    assert (rows[0]["ssim_moved"], rows[1]["psnr"], rows[1]["psnr_moved"]) == ("", "", "")
    assert rows[0]["protocol_digest"] == PLAIN.protocol.digest
    assert rows[0]["generated_digest"] == PLAIN.provenance.generated_digest


def test_markdown_is_both_tables_and_the_notes() -> None:
    table = build([PLAIN, PADDED, under("few", {"ssim": 0.7, "psnr": score(None, "infinite")})])
    lines = table.to_markdown().splitlines()
    assert lines[:4] == [
        "| protocol | ssim ↑ | psnr ↑ |",
        "| --- | ---: | ---: |",
        "| plain | 0.6380 | 17.0000 |",
        "| padded | 0.7490 (+0.1110) | 18.6300 (+1.6300) |",
    ]
    assert lines[6].startswith("| metric | lowest | lowest under")
    assert lines[-1] == "- few: psnr could not be computed: infinite"


def test_a_name_does_not_break_the_markdown() -> None:
    text = build([under("a|b\n<c>", {"ssim": 0.5})]).to_markdown()
    assert "| a\\|b &lt;c> | 0.5000 |" in text


TOML = 'id = "{0}"\n[metrics.ssim]\nsigma = {1}\n'


def runs(folders: PairFolders, out: Path) -> Finished:
    out.mkdir()
    for name, sigma in (("wide", 1.5), ("narrow", 1.2)):
        (out / f"{name}.toml").write_text(TOML.format(name, sigma))
    return fhpt_eval(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--name", "ours",
        "--out", out, "--protocol", f"{out / 'wide.toml'},{out / 'narrow.toml'}",
    )  # fmt: skip


def test_the_command_prints_the_table_and_writes_both_files(
    make_pairs: Maker, tmp_path: Path
) -> None:
    assert runs(make_pairs(3), tmp_path / "runs").status == 0
    folders = [tmp_path / "runs" / name for name in ("wide", "narrow")]
    files = [tmp_path / "table.csv", tmp_path / "table.md"]
    finished = fhpt_eval("sensitivity", *folders, "--csv", files[0], "--markdown", files[1])
    assert finished.status == 0, finished.err
    table = build([Result.load(folder) for folder in folders])
    assert files[0].read_text() == table.to_csv()
    assert files[1].read_text() == table.to_markdown()
    assert "ours: the same 3 pairs under each protocol" in finished.out
    assert table.cell(table.lines[1], "ssim") in finished.out
    assert table.spans().markdown() in finished.out
    other = fhpt_eval("sensitivity", *folders, "--base", "narrow")
    assert build([Result.load(run) for run in folders], "narrow").table().markdown() in other.out


def test_the_command_refuses_results_of_other_images(make_pairs: Maker, tmp_path: Path) -> None:
    runs(make_pairs(3), tmp_path / "runs")
    runs(make_pairs(2, root="more"), tmp_path / "others")
    finished = fhpt_eval("sensitivity", tmp_path / "runs" / "wide", tmp_path / "others" / "narrow")
    assert finished.status == 2
    assert "ours under wide and ours under narrow are of other generated images" in finished.err
