"""The script that makes docs/incomparable.md: who changes places, and what the page holds."""

from __future__ import annotations

from bench.incomparable import orders_of, page
from fhpt_eval.leaderboard.sensitivity import Sensitivity, build
from tests.support.results import score, under


def tables() -> dict[str, Sensitivity]:
    first = [under("a", {"ssim": 0.6, "l1": score(0.1, direction="lower")}),
             under("b", {"ssim": 0.7, "l1": score(0.3, direction="lower")})]  # fmt: skip
    second = [under("a", {"ssim": 0.5, "l1": score(0.2, direction="lower")}),
              under("b", {"ssim": 0.8, "l1": score(0.4, direction="lower")})]  # fmt: skip
    return {"ours": build(first), "theirs": build(second)}


def test_methods_that_change_places_are_told_by_protocol() -> None:
    assert orders_of(tables(), "ssim") == {("ours", "theirs"): ["a"], ("theirs", "ours"): ["b"]}


def test_the_lower_value_is_first_where_lower_is_better() -> None:
    assert orders_of(tables(), "l1") == {("ours", "theirs"): ["a", "b"]}


def test_a_row_that_a_method_lacks_orders_nothing() -> None:
    found = tables() | {"few": build([under("a", {"ssim": 0.9})])}
    assert orders_of(found, "ssim") == {("few", "ours", "theirs"): ["a"]}
    partly = tables() | {"x": build([under("a", {"ssim": score(0.9, n=2, coverage=0.5)})])}
    assert orders_of(partly, "ssim") == {}


def test_the_page_has_places_tables_differences_and_what_was_left_out() -> None:
    text = page(tables(), ["`c`: does not fit"], ["a and b differ."])
    assert "ours (4 pairs), theirs (4 pairs)" in text
    assert "### ssim\n\n- ours before theirs: a\n- theirs before ours: b\n" in text
    assert "### l1" not in text
    assert "## ours\n\n| protocol | ssim ↑ | l1 ↓ |" in text
    assert "## What protocols differ in\n\na and b differ." in text
    assert text.endswith("- `c`: does not fit\n")
