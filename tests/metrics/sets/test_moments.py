"""Moments merge in any grouping, keep their digits, and stay bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhpt_eval.metrics import State
from fhpt_eval.metrics.sets import moments


def rows(count: int, size: int = 5, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return (offset + generator.normal(size=(count, size))).astype(np.float64)


def state_of(*blocks: np.ndarray) -> State:
    state = moments.empty()
    for block in blocks:
        state = moments.add(state, block)
    return state


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_any_grouping_gives_the_moments_of_the_whole(sizes: list[int], kept: int) -> None:
    data = rows(sum(sizes), offset=100.0)
    blocks = np.split(data, np.cumsum(sizes)[:-1])
    before, moments.KEPT_ROWS = moments.KEPT_ROWS, kept
    try:
        left = moments.empty()
        for block in blocks:
            left = moments.merge(left, state_of(block))
        right = moments.empty()
        for block in reversed(blocks):
            right = moments.merge(state_of(block), right)
        for state in (left, right, state_of(*blocks)):
            count, mean, covariance = moments.moments(state)
            assert count == len(data) == moments.count(state)
            np.testing.assert_allclose(mean, data.mean(axis=0), rtol=1e-12)
            if count > 1:
                np.testing.assert_allclose(covariance, np.cov(data.T), rtol=1e-9, atol=1e-12)
    finally:
        moments.KEPT_ROWS = before


def test_a_large_common_offset_costs_no_digits() -> None:
    """The raw second moment of values near 1e8 has lost a variance of one."""
    data = rows(5000, offset=1e8)
    state = state_of(*np.split(data, 50))
    _, _, covariance = moments.moments(state)
    np.testing.assert_allclose(covariance, np.cov(data.T), rtol=1e-6, atol=1e-7)


def test_many_rows_are_folded_so_that_the_state_is_bounded() -> None:
    state = state_of(*[rows(1000, seed=n) for n in range(5)])
    assert len(state["rows"]) <= moments.KEPT_ROWS
    assert moments.count(state) == 5000


@pytest.mark.parametrize("side", [0, 1])
def test_the_empty_state_is_neutral(side: int) -> None:
    data = rows(7)
    states = [moments.empty(), state_of(data)]
    merged = moments.merge(*(states if side else states[::-1]))
    np.testing.assert_array_equal(moments.moments(merged)[1], moments.moments(states[1])[1])


def test_merging_leaves_its_arguments_alone() -> None:
    one, two = state_of(rows(3000)), state_of(rows(3000, seed=1))
    before = {name: array.copy() for name, array in one.items()}
    moments.merge(one, two)
    assert all(np.array_equal(before[name], one[name]) for name in before)
