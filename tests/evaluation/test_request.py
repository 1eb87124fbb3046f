"""A request is written out once: Python, the command line and a TOML file say the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import fhpt_eval
from fhpt_eval.errors import ArgumentError, InputError, ProtocolError
from fhpt_eval.evaluation.request import Request, loaded_protocols, parse_settings
from tests.support.command import fhpt_eval as command
from tests.support.photographs import PairFolders

Maker = Callable[..., PairFolders]


def test_a_mistyped_argument_is_named_with_its_near_miss(make_pairs: Maker) -> None:
    folders = make_pairs(2)
    with pytest.raises(ArgumentError, match=r"no argument 'protocl'\. Did you mean 'protocol'"):
        fhpt_eval.evaluate(folders.generated, folders.ground_truth, protocl="fhpt")


def test_an_option_that_a_metric_declares_is_an_argument_too() -> None:
    request = Request.of(pred="p", gt="g", fid_reference="train", gallery=None)
    assert request.options == {"fid-reference": "train"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"panels": 1}, "panels"),
        ({"grid": "2"}, "write rows x columns, as in 2x3"),
        ({"grid": "2x3x4"}, "as in 2x3"),
        ({"grid": "0x3"}, "grid"),
        ({"workers": 0}, "workers"),
        ({"metrics": ""}, "metrics names none"),
        ({"match": "same-sten"}, "Did you mean 'same-stem'"),
        ({"protocols": ()}, "protocols names none"),
        ({"outs": ("a", "b")}, "a folder of its own for each protocol"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Request.of(pred="p", gt="g", **values)


@pytest.mark.parametrize("grid", ["2x3", "2X3", " 2 x 3", (2, 3)])
def test_a_grid_is_rows_by_columns(grid: object) -> None:
    assert Request.of(pred="p", gt="g", grid=grid).grid == (2, 3)


def test_a_setting_reaches_any_parameter_of_a_metric(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(3)
    narrow = fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, metrics="ssim", settings={"ssim.sigma": 1.2}
    )
    mine = tmp_path / "mine.toml"
    mine.write_text('id = "mine"\n[metrics.ssim]\nsigma = 1.2\n')
    file = fhpt_eval.evaluate(folders.generated, folders.ground_truth, protocol=mine)
    assert narrow.scores["ssim"].value == file.scores["ssim"].value
    assert narrow.protocol.id == "fhpt+ssim.sigma"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("ssmi.sigma", "no metric 'ssmi'. Did you mean 'ssim'"),
        ("ssim.sigm", "no parameter 'sigm'. Did you mean 'sigma'"),
    ],
)
def test_a_setting_of_nothing_is_refused(setting: str, message: str) -> None:
    request = Request.of(pred="p", gt="g", settings={setting: 1.2})
    with pytest.raises(ProtocolError, match=message):
        loaded_protocols(request)


def test_settings_are_toml_where_they_can_be_and_texts_elsewhere() -> None:
    texts = ["ssim.sigma=1.2", "ssim.size=9", "fid.reference=train.npz", "fid[mannequin].x=true"]
    assert parse_settings(texts) == {
        "ssim.sigma": 1.2, "ssim.size": 9, "fid.reference": "train.npz", "fid[mannequin].x": True,
    }  # fmt: skip
    with pytest.raises(InputError, match="write METRIC"):
        parse_settings(["sigma"])


def test_a_file_and_the_command_line_give_the_same_result(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(3)
    file = tmp_path / "run.toml"
    file.write_text(
        f'pred = "{folders.generated}"\ngt = "{folders.ground_truth}"\nmetrics = ["ssim", "l1"]\n'
        'settings = { "ssim.sigma" = 1.2 }\n'
    )
    by_file = command("run", "--request", file, "--out", tmp_path / "a")
    assert by_file.status == 0, by_file.err
    by_line = command(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--metrics", "ssim,l1",
        "--set", "ssim.sigma=1.2", "--out", tmp_path / "b",
    )  # fmt: skip
    assert by_line.status == 0, by_line.err
    for name in ("pairs.csv", "scores.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_the_command_line_gives_takes_the_place_of_the_file(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(2)
    file = tmp_path / "run.toml"
    file.write_text(f'pred = "{folders.generated}"\ngt = "nowhere"\nmetrics = ["l1"]\n')
    finished = command(
        "run", "--request", file, "--gt", folders.ground_truth, "--out", tmp_path / "out"
    )
    assert finished.status == 0, finished.err


def test_a_file_that_is_no_request_is_refused_with_the_key(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('pred = "p"\ngt = "g"\nworker = 2\n')
    with pytest.raises(ArgumentError, match=r"no argument 'worker'\. Did you mean 'workers'"):
        Request.load(file)
    file.write_text("pred = \n")
    with pytest.raises(InputError, match="is not valid TOML"):
        Request.load(file)


def test_several_protocols_need_the_call_that_gives_several_results(make_pairs: Maker) -> None:
    folders = make_pairs(2)
    with pytest.raises(InputError, match="call evaluate_many"):
        fhpt_eval.evaluate(
            folders.generated, folders.ground_truth, protocols=("fhpt", "pg2"), metrics="ssim"
        )
