"""KID: the estimate equals its definition, and its subsets are torch-fidelity's."""

from __future__ import annotations

import numpy as np
import pytest

from fhpt_eval.errors import Undefined
from fhpt_eval.metrics import KID, FeatureRows
from fhpt_eval.metrics import kid as module
from fhpt_eval.metrics.kid import squared_mmd
from tests.support.rows import feature_rows


def brute_force(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    n, m = len(x), len(y)
    own_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    own_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    cross = sum(kernel(a, b) for a in x for b in y)
    return own_x / (n * (n - 1)) + own_y / (m * (m - 1)) - 2 * cross / (n * m)


@pytest.mark.parametrize("block", [3, 1000])
def test_the_estimate_equals_the_double_sum(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "_BLOCK", block)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(9, 5)), generator.normal(1, 1, size=(7, 5))
    assert squared_mmd(x, y) == pytest.approx(brute_force(x, y), rel=1e-12)


def rows(count: int, shift: float = 0.0, start: int = 0) -> FeatureRows:
    generator = np.random.default_rng(start)
    pool = generator.normal(size=(2, count, 6)).astype(np.float32)
    pool[0] += shift
    keys = tuple(f"pair{n:03d}" for n in range(start, start + count))
    generated, truth = ({"network": {"pool": side}} for side in pool)
    return feature_rows(keys, generated, truth)


def test_the_order_of_chunks_moves_nothing() -> None:
    metric = KID(subsets=5, subset_size=10)
    first, second = rows(20), rows(20, start=20)
    one = metric.update(metric.update(metric.empty(), first), second)
    two = metric.update(metric.update(metric.empty(), second), first)
    assert metric.compute(one) == metric.compute(two)


def test_sets_that_differ_more_are_further_apart() -> None:
    metric = KID(subsets=10, subset_size=30)
    values = [
        metric.compute(metric.update(metric.empty(), rows(60, shift)))["mean"]
        for shift in (0.0, 0.5, 2.0)
    ]
    assert values == sorted(values)
    assert abs(values[0]) < 0.2


def test_subsets_larger_than_a_set_are_undefined_with_both_numbers() -> None:
    with pytest.raises(Undefined, match=r"subsets of 1,000 images .* one side has 60"):
        KID().compute(KID().update(KID().empty(), rows(60)))


@pytest.mark.parametrize("other", [{"seed": 1}, {"subsets": 7}, {"subset_size": 20}])
def test_every_parameter_of_the_subsets_moves_the_value(other: dict[str, int]) -> None:
    base = {"subsets": 5, "subset_size": 10}
    made = rows(40)
    one, two = (KID.model_validate(settings) for settings in (base, {**base, **other}))
    assert one.compute(one.update(one.empty(), made)) != two.compute(two.update(two.empty(), made))
