"""From columns to scores: means, coverage, reasons and notes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import pytest

from fhpt_eval.errors import MetricError, Undefined
from fhpt_eval.evaluation.reduce.folds import jackknife
from fhpt_eval.evaluation.reduce.reduce import Reduced, full_name
from fhpt_eval.evaluation.reduce.scoring import scores, unavailable
from fhpt_eval.metrics import L1, PSNR, Batch, SetMetric, State
from fhpt_eval.metrics.base import Columns
from fhpt_eval.protocol import Entry
from fhpt_eval.result import Score

ENTRY = Entry("l1", L1(), ())


def score(
    values: list[float],
    expected: int | None = None,
    entry: Entry = ENTRY,
    groups: Sequence[int] | None = None,
) -> Score:
    keys = tuple(f"pair{n}" for n in range(len(values)))
    reduced = Reduced(keys, {"": np.array(values)})
    numbers = list(groups or range(len(values)))
    return scores(entry, reduced, numbers, expected or len(values), 1)[entry.name]


def test_a_score_is_the_mean_of_its_column() -> None:
    assert score([0.1, 0.2, 0.6]).value == pytest.approx(0.3, abs=1e-15)


def test_undefined_pairs_lower_n_and_coverage_and_are_noted() -> None:
    partly = score([0.1, math.nan, 0.3, math.nan])
    assert (partly.value, partly.n, partly.coverage) == (0.2, 2, 0.5)
    assert partly.note is not None
    assert "undefined for 2 pairs" in partly.note


def test_excluded_pairs_lower_the_coverage() -> None:
    assert score([0.1, 0.3], expected=8).coverage == 0.25


def test_a_score_without_any_defined_pair_is_null_with_a_reason() -> None:
    empty = score([math.nan, math.nan])
    assert empty.value is None
    assert empty.reason is not None
    assert "undefined for every pair" in empty.reason
    assert (empty.n, empty.interval) == (0, None)


def test_an_infinite_value_has_no_mean() -> None:
    infinite = score([30.0, math.inf], entry=Entry("psnr", PSNR(), ()))
    assert infinite.value is None
    assert infinite.reason == "infinite for 1 of 2 pairs, so the mean does not exist"


def test_one_group_gives_no_interval_and_says_so() -> None:
    alone = score([0.1, 0.2], groups=[0, 0])
    assert alone.interval is None
    assert alone.note == "no interval: all pairs belong to one group"


class Largest(SetMetric):
    """The largest of the states; undefined for fewer than two pairs."""

    name: ClassVar[str] = "largest"
    title: ClassVar[str] = "Largest"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"

    def empty(self) -> State:
        return {"largest": np.array(-math.inf), "count": np.array(0)}

    def update(self, state: State, batch: Batch) -> State:
        raise AssertionError("not updated here")

    def merge(self, first: State, second: State) -> State:
        largest = np.maximum(first["largest"], second["largest"])
        return {"largest": largest, "count": np.asarray(first["count"] + second["count"])}

    def compute(self, state: State) -> dict[str, float]:
        if state["count"] < 2:
            raise Undefined("needs at least two pairs")
        return {"": float(state["largest"])}


def states(count: int) -> list[State]:
    return [{"largest": np.array(float(n)), "count": np.array(1)} for n in range(count)]


@pytest.mark.parametrize("count", [1, 3])
def test_states_are_merged_and_an_undefined_set_says_why(count: int) -> None:
    entry = Entry("largest", Largest(), ())
    reduced = Reduced(tuple(f"pair{n}" for n in range(count)), {}, states(count))
    merged = scores(entry, reduced, [0] * count, count, 1)["largest"]
    if count == 1:
        assert (merged.value, merged.reason) == (None, "needs at least two pairs")
    else:
        assert (merged.value, merged.reason, merged.n) == (2.0, None, 3)


def test_the_interval_of_a_set_is_the_jackknife_by_hand() -> None:
    """Left out, the largest of six leaves 4, any other 5; t of 5 degrees of freedom is 2.5706."""
    values = np.array([5.0] * 5 + [4.0])
    expected = 2.570581835636314 * math.sqrt(5 / 6 * ((values - values.mean()) ** 2).sum())
    assert jackknife(Largest(), None, states(6), 1)[""] == pytest.approx(expected, rel=1e-12)


def test_four_folds_are_too_few_for_an_interval() -> None:
    assert jackknife(Largest(), None, states(4), 1) == {}


def test_a_metric_whose_needs_are_not_met_has_scores_with_the_reason() -> None:
    lacking = unavailable(ENTRY, "needs source images")["l1"]
    assert (lacking.value, lacking.reason) == (None, "needs source images")
    assert (lacking.n, lacking.coverage) == (0, 0.0)


def test_a_part_that_was_not_declared_is_the_metrics_fault() -> None:
    with pytest.raises(MetricError, match="does not declare"):
        full_name(ENTRY, "surprise")


class Remarking(L1):
    """Says how many values there are."""

    def remarks(self, columns: Columns) -> dict[str, str]:
        """See :meth:`Metric.remarks`."""
        return {"": f"of {len(columns[''])} values"}


@pytest.mark.parametrize("values", [[0.1, 0.2, 0.3], [math.nan] * 3])
def test_what_a_metric_remarks_is_the_note_or_without_a_value_the_reason(
    values: list[float],
) -> None:
    reduced = Reduced(("a", "b", "c"), {"": np.array(values)}, [])
    made = scores(Entry("l1", Remarking(), ()), reduced, [0, 1, 2], 3, 1)["l1"]
    if math.isnan(values[0]):
        assert (made.reason, made.note) == ("of 3 values", None)
    else:
        assert made.reason is None
        assert str(made.note).startswith("of 3 values; ")
