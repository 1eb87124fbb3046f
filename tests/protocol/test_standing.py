"""A run says in a line what it may be compared with, and what keeps it from that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fhpt_eval.leaderboard.table import build
from fhpt_eval.protocol import Protocol, load_protocol, parse_protocol, preset_names
from fhpt_eval.protocol.standing import standing
from fhpt_eval.result import Result
from tests.support.command import fhpt_eval
from tests.support.photographs import PairFolders
from tests.support.results import make_result

Maker = Callable[..., PairFolders]
CFLD = (176, 256)


def said(protocol: Protocol, sizes: list[tuple[int, int]], *metrics: str) -> str:
    chosen = protocol.with_metrics(metrics or [protocol.entries[0].name])[1]
    return standing(protocol, [e for e in protocol.entries if e.name in chosen], sizes)


def test_a_run_like_the_published_one_may_be_compared_with_it() -> None:
    line = said(load_protocol("cfld-256"), [CFLD] * 8570, "ssim", "psnr", "lpips")
    assert line == "Comparable with the tables of CFLD at 256 x 176."


@pytest.mark.parametrize(
    ("preset", "pairs", "expected"),
    [
        ("cfld-256", 24, "24 pairs for 8,570 of DeepFashion"),
        ("gfla-market", 11_968, "11,968 pairs for 12,000 of Market-1501"),
        ("patn-fashion", 8571, "8,571 pairs for 8,570 of DeepFashion"),
    ],
)
def test_another_number_of_pairs_is_said(preset: str, pairs: int, expected: str) -> None:
    protocol = load_protocol(preset)
    assert protocol.made_for is not None
    line = said(protocol, [protocol.made_for.sizes[0]] * pairs, "ssim")
    assert line == f"Not comparable with {protocol.comparable_with}: {expected}."


def test_other_sizes_are_said_with_the_most_frequent() -> None:
    pidm = load_protocol("pidm-256")
    line = said(pidm, [CFLD] * 8570, "ssim")
    assert line.endswith(": images 176 x 256 (width x height) for 256 x 256.")
    line = said(pidm, [(256, 256)] * 8000 + [(64, 64)] * 170 + [CFLD] * 400, "ssim")
    assert line.endswith(
        ": 570 of 8,570 images 176 x 256 and other sizes (width x height) for 256 x 256."
    )
    line = said(load_protocol("pg2"), [(64, 128), (9, 9)], "ssim")
    assert line.endswith(": 1 of 2 images 9 x 9 (width x height) for 256 x 256 or 64 x 128.")


@pytest.mark.parametrize("preset", ["cfld-256", "dior", "pcdms-512"])
def test_a_distance_to_the_wrong_images_is_said(preset: str) -> None:
    protocol = load_protocol(preset)
    assert protocol.made_for is not None
    line = said(protocol, [protocol.made_for.sizes[0]] * 8570, "fid")
    assert line.endswith(
        ": fid to the pairs' ground truth for 48,674 training images (--fid-reference)."
    )
    given = protocol.with_parameter("reference", "train.npz", "--fid-reference")
    assert said(given, [protocol.made_for.sizes[0]] * 8570, "fid").startswith("Comparable with")


def test_settings_of_ones_own_are_said() -> None:
    changed = load_protocol("fhpt").with_setting("ssim.sigma", 1.2).with_setting("is.splits", 5)
    assert said(changed, [CFLD]) == (
        "Not comparable with other results under fhpt on the same test set alone: "
        "ssim.sigma = 1.2; is.splits = 5."
    )


def test_a_protocol_that_is_made_for_no_numbers_says_nothing() -> None:
    assert said(parse_protocol('id = "mine"\n[metrics.psnr]', "mine"), [CFLD]) == ""


def test_what_a_protocol_was_made_for_is_no_part_of_its_digest() -> None:
    plain, made = (
        parse_protocol(f'id = "mine"\n{more}[metrics.psnr]', "mine")
        for more in ("", '[made_for]\ndata = "DeepFashion"\npairs = 8570\nsizes = [[1, 2]]\n')
    )
    assert plain.digest == made.digest
    assert made.about()["made_for"]["sizes"] == [[1, 2]]


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_protocol_says_what_it_may_be_compared_with(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.comparable_with
    assert (protocol.source is None) == (protocol.made_for is None)


def test_the_line_stands_in_every_output(make_pairs: Maker, tmp_path: Path) -> None:
    folders, out = make_pairs(2), tmp_path / "out"
    finished = fhpt_eval("run", "--pred", folders.generated, "--gt", folders.ground_truth,
                         "--protocol", "cfld-256", "--metrics", "psnr", "--out", out)  # fmt: skip
    line = (
        "Not comparable with the tables of CFLD at 256 x 176: 2 pairs for 8,570 of DeepFashion; "
        "images 44 x 64 (width x height) for 176 x 256."
    )
    result = Result.load(out)
    assert result.protocol.standing == line
    for text in (finished.out, str(result), fhpt_eval("leaderboard", out).out):
        assert line in text.splitlines()


def test_results_that_stand_otherwise_are_told_apart() -> None:
    results = [make_result(method=name) for name in ("a", "b")]
    lines = ("Comparable with X.", "Not comparable with X: 3 pairs for 4.")
    board = build([
        result.model_copy(
            update={"protocol": result.protocol.model_copy(update={"standing": line})}
        )
        for result, line in zip(results, lines, strict=True)
    ])  # fmt: skip
    assert board.notes()[-2:] == [f"a: {lines[0]}", f"b: {lines[1]}"]
