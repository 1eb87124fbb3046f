"""From columns to scores: means, coverage, reasons and notes."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import pytest

from fhpt_eval.errors import MetricError, Undefined
from fhpt_eval.evaluation.partial import Partial, Yield
from fhpt_eval.evaluation.reduce import Addressed, Reduced, Reducer, full_name
from fhpt_eval.evaluation.scoring import scores, unavailable
from fhpt_eval.metrics import L1, PSNR, Batch, SetMetric, State
from fhpt_eval.protocol import Entry
from fhpt_eval.result import Score

ENTRY = Entry("l1", L1(), ())


def reduced(values: list[float]) -> Reduced:
    keys = tuple(f"pair{n}" for n in range(len(values)))
    return Reduced(keys, {"l1": np.array(values)})


def score(values: list[float], expected: int | None = None) -> Score:
    groups = list(range(len(values)))
    return scores(reduced(values), [ENTRY], groups, expected or len(values), 1)["l1"]


def test_a_score_is_the_mean_of_its_column() -> None:
    assert score([0.1, 0.2, 0.6]).value == pytest.approx(0.3, abs=1e-15)


def test_undefined_pairs_lower_n_and_coverage_and_are_noted() -> None:
    found = score([0.1, math.nan, 0.3, math.nan])
    assert (found.value, found.n, found.coverage) == (0.2, 2, 0.5)
    assert found.note is not None
    assert "undefined for 2 pairs" in found.note


def test_excluded_pairs_lower_the_coverage() -> None:
    assert score([0.1, 0.3], expected=8).coverage == 0.25


def test_a_score_without_any_defined_pair_is_null_with_a_reason() -> None:
    found = score([math.nan, math.nan])
    assert found.value is None
    assert found.reason is not None
    assert "undefined for every pair" in found.reason
    assert (found.n, found.interval) == (0, None)


def test_an_infinite_value_has_no_mean() -> None:
    entry = Entry("psnr", PSNR(), ())
    values = Reduced(("a", "b"), {"psnr": np.array([30.0, math.inf])})
    found = scores(values, [entry], [0, 1], 2, 1)["psnr"]
    assert found.value is None
    assert found.reason == "infinite for 1 of 2 pairs, so the mean does not exist"


def test_one_group_gives_no_interval_and_says_so() -> None:
    found = scores(reduced([0.1, 0.2]), [ENTRY], [0, 0], 2, 1)["l1"]
    assert found.interval is None
    assert found.note == "no interval: all pairs belong to one group"


def merge(partials: list[Partial], addressed: Addressed) -> Reduced:
    reducer = Reducer([addressed], {})
    for partial in partials:
        reducer.add(partial)
    return reducer.result()


def test_columns_come_out_in_the_order_of_keys_whatever_the_order_of_chunks() -> None:
    def partial(keys: tuple[str, ...], values: list[float]) -> Partial:
        digests = tuple(f"{key}-digest" for key in keys)
        return Partial(keys, digests, digests, {"address": Yield({"": np.array(values)})})

    first, second = partial(("c", "a"), [3.0, 1.0]), partial(("b",), [2.0])
    one, two = (
        merge(order, Addressed(ENTRY, "address", {}))
        for order in ([first, second], [second, first])
    )
    assert one.keys == ("a", "b", "c")
    assert one.columns["l1"].tolist() == [1.0, 2.0, 3.0]
    assert (one.keys, one.test_set_digest, one.generated_digest) == (
        two.keys,
        two.test_set_digest,
        two.generated_digest,
    )


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


@pytest.mark.parametrize("count", [1, 3])
def test_states_are_merged_and_an_undefined_set_says_why(count: int) -> None:
    entry = Entry("largest", Largest(), ())
    partials = [
        Partial(
            (f"pair{n}",),
            ("x",),
            ("y",),
            {"address": Yield({}, {"largest": np.array(float(n)), "count": np.array(1)})},
        )
        for n in range(count)
    ]
    merged = merge(partials, Addressed(entry, "address", {}))
    found = scores(merged, [entry], [0] * count, count, 1)["largest"]
    if count == 1:
        assert (found.value, found.reason) == (None, "needs at least two pairs")
    else:
        assert (found.value, found.reason, found.n) == (2.0, None, 3)


def test_a_metric_whose_needs_are_not_met_has_scores_with_the_reason() -> None:
    found = unavailable(ENTRY, "needs source images")["l1"]
    assert (found.value, found.reason, found.n, found.coverage) == (
        None,
        "needs source images",
        0,
        0.0,
    )


def test_a_part_that_was_not_declared_is_the_metrics_fault() -> None:
    with pytest.raises(MetricError, match="does not declare"):
        full_name(ENTRY, "surprise")
