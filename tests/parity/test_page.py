"""docs/parity.md shows the table that ``make parity`` prints, and the table says what it should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import parity as table

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return table.shown(PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cells(lines: list[str]) -> dict[str, dict[str, str]]:
    """The page's rows by name, each by column."""
    rows = [line.strip("| ").split(" | ") for line in lines]
    return {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[2:]}


def test_the_page_shows_every_comparison_in_order(cells: dict[str, dict[str, str]]) -> None:
    assert list(cells) == list(table.COMPARISONS)


@pytest.mark.parametrize("name", table.COMPARISONS)
def test_a_row_says_with_what_and_how_closely(name: str, cells: dict[str, dict[str, str]]) -> None:
    one, row = table.COMPARISONS[name], cells[name]
    assert [peer.split()[0] for peer in row["Reference"].split(", ")] == list(one.peers)
    assert all(re.search(r" \d+\.\d+", peer) for peer in row["Reference"].split(", "))
    assert row["Compared"] == one.what
    assert row["Tolerance"] == f"{one.tolerance:.0e} {one.measure}"
    assert float(row["Largest difference"]) <= one.tolerance


@pytest.mark.parametrize("metric", ["fid", "kid", "is", "lpips", "ssim", "psnr", "l1"])
def test_every_metric_is_compared_on_64_photographs(
    metric: str, cells: dict[str, dict[str, str]]
) -> None:
    own = [row["Images"] for name, row in cells.items() if name.split(",")[0] == metric]
    pairs = [int(count) for row in own for count in re.findall(r"(\d+) of 256 x 176", row)]
    assert len(pairs) == len(own)
    assert min(pairs) >= 32, "a pair is two images"
    assert max(pairs) >= 64


def test_records_of_one_comparison_add_up_to_the_largest_difference() -> None:
    records = [
        table.record("psnr", [(3, 9, 7)], 1e-9),
        table.record("psnr", [(64, 256, 176)], 3e-9),
        table.record("psnr", [(5, 9, 7)], 2e-9),
    ]
    found = table.collect(records)
    assert found == {"psnr": table.Found({(9, 7): 5, (256, 176): 64}, 3e-9)}
    row = table.rows(found)[-1]
    assert "| 64 of 256 x 176, 5 of 9 x 7 |" in row
    assert row.endswith("| 3.0e-09 |")


def test_a_difference_that_is_no_number_is_not_lost() -> None:
    found = table.collect(table.record("l1", [], value) for value in (1e-9, float("nan"), 1e-9))
    assert found["l1"].difference != found["l1"].difference


def test_writing_the_table_changes_the_page_in_its_table_alone(lines: list[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table.refreshed(page, lines) == page
    other = table.refreshed(page, lines[:3])
    assert table.shown(other) == lines[:3]
    assert other.partition(table.END)[2] == page.partition(table.END)[2]


def test_only_differences_may_be_other_than_on_the_page(lines: list[str]) -> None:
    elsewhere = [*lines[:-1], re.sub(r"[^ ]+ \|$", "9.9e-99 |", lines[-1])]
    assert elsewhere != lines
    assert table.without_differences(elsewhere) == table.without_differences(lines)
    assert table.without_differences(lines[:-1]) != table.without_differences(lines)
