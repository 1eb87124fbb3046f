"""Means and their intervals, against exact fractions and a slow bootstrap."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fhpt_eval.common.intervals import LEVEL, RESAMPLES, SEED, mean, mean_interval

Values = NDArray[np.float64]

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
samples = st.lists(numbers, min_size=1, max_size=50).map(lambda v: np.array(v, np.float64))


def clustered(
    generator: np.random.Generator, groups: int, between: float = 1.0, within: float = 1.0
) -> tuple[Values, list[int]]:
    """Draw groups of 1 to 6 values that share an offset."""
    sizes = generator.integers(1, 7, groups)
    member = np.repeat(np.arange(groups), sizes)
    offsets = generator.normal(0, between, groups)[member]
    return offsets + generator.normal(0, within, len(member)), member.tolist()


def interval(values: Values, groups: list[int]) -> tuple[float, float]:
    """Return the interval, which is there."""
    found = mean_interval(values, groups)
    assert found is not None
    return found


def slow_interval(values: Values, groups: list[int]) -> tuple[float, float]:
    """Resample groups one by one, and take the mean of the values of the drawn groups."""
    labels = sorted(set(groups))
    members = [[v for v, g in zip(values.tolist(), groups, strict=True) if g == label]
               for label in labels]  # fmt: skip
    drawn = np.random.Generator(np.random.PCG64(SEED)).integers(
        0, len(labels), size=(RESAMPLES, len(labels))
    )
    means = []
    for row in drawn.tolist():
        sample = [value for group in row for value in members[group]]
        means.append(math.fsum(sample) / len(sample))
    means.sort()
    ends = []
    for quantile in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        place = quantile * (RESAMPLES - 1)
        below = int(place)
        ends.append(means[below] + (place - below) * (means[below + 1] - means[below]))
    return ends[0], ends[1]


class TestMean:
    def test_rounding_errors_do_not_add_up(self) -> None:
        assert mean(np.array([1e16, 1.0, -1e16, 1.0])) == 0.5
        assert mean(np.full(10, 0.1)) == 0.1

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(samples)
    def test_it_is_the_exact_sum_divided_by_the_count(self, values: Values) -> None:
        exact = sum((Fraction(value) for value in values.tolist()), Fraction())
        assert mean(values) == float(exact) / len(values)

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(samples, st.randoms(use_true_random=False))
    def test_the_order_of_values_does_not_matter(
        self, values: Values, order: random.Random
    ) -> None:
        shuffled = values.tolist()
        order.shuffle(shuffled)
        assert mean(np.array(shuffled)) == mean(values)

    def test_infinity_stays_infinite(self) -> None:
        assert mean(np.array([1.0, math.inf])) == math.inf


class TestInterval:
    @pytest.mark.parametrize("groups", [[0], [0, 0, 0], [7, 7]])
    def test_fewer_than_two_groups_have_none(self, groups: list[int]) -> None:
        assert mean_interval(np.arange(len(groups), dtype=np.float64), groups) is None

    def test_no_values_have_none(self) -> None:
        assert mean_interval(np.empty(0), []) is None

    def test_the_same_values_give_the_same_interval(self) -> None:
        values, groups = clustered(np.random.default_rng(0), 30)
        assert mean_interval(values, groups) == mean_interval(values.copy(), list(groups))

    def test_the_state_of_numpys_global_generator_does_not_matter(self) -> None:
        values, groups = clustered(np.random.default_rng(0), 30)
        first = mean_interval(values, groups)
        np.random.random(17)
        assert mean_interval(values, groups) == first

    def test_neither_values_nor_groups_are_changed(self) -> None:
        values, groups = clustered(np.random.default_rng(0), 30)
        before = values.copy(), list(groups)
        mean_interval(values, groups)
        np.testing.assert_array_equal(values, before[0])
        assert groups == before[1]

    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(st.integers(0, 10**6), st.integers(2, 40), st.floats(0, 10), st.floats(0.01, 10))
    def test_it_contains_the_mean(
        self, seed: int, count: int, between: float, within: float
    ) -> None:
        values, groups = clustered(np.random.default_rng(seed), count, between, within)
        low, high = interval(values, groups)
        assert low <= mean(values) <= high

    @pytest.mark.parametrize("count", [2, 3, 25, 120])
    def test_it_is_the_slow_bootstrap_of_whole_groups(self, count: int) -> None:
        values, groups = clustered(np.random.default_rng(count), count)
        assert interval(values, groups) == pytest.approx(slow_interval(values, groups), abs=1e-12)

    def test_many_groups_are_resampled_like_few(self) -> None:
        count = 2500  # so many that not all resamples are drawn at once
        values = np.random.default_rng(1).normal(size=count)
        drawn = np.random.Generator(np.random.PCG64(SEED)).integers(0, count, (RESAMPLES, count))
        expected = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
        assert interval(values, list(range(count))) == pytest.approx(expected.tolist(), abs=1e-12)

    def test_the_order_of_pairs_hardly_matters(self) -> None:
        generator = np.random.default_rng(2)
        values, groups = clustered(generator, 50)
        order = generator.permutation(len(values))
        shuffled = interval(values[order], [groups[place] for place in order])
        assert shuffled == pytest.approx(interval(values, groups), abs=1e-13)

    def test_only_who_is_together_matters_and_not_the_numbers_of_groups(self) -> None:
        values, groups = clustered(np.random.default_rng(3), 20)
        assert interval(values, [3 * group + 100 for group in groups]) == interval(values, groups)

    def test_clustered_values_have_a_wider_interval(self) -> None:
        values, groups = clustered(np.random.default_rng(4), 60, between=1.0, within=0.1)
        low, high = interval(values, groups)
        alone_low, alone_high = interval(values, list(range(len(values))))
        assert high - low > 1.5 * (alone_high - alone_low)

    def test_more_values_have_a_narrower_interval(self) -> None:
        widths = []
        for count in (50, 5000):
            low, high = interval(np.random.default_rng(5).normal(size=count), list(range(count)))
            widths.append(high - low)
        assert widths[0] / widths[1] == pytest.approx(10, rel=0.3)

    def test_equal_values_have_an_interval_of_no_width(self) -> None:
        assert interval(np.full(9, 0.3), [0, 0, 0, 1, 1, 2, 2, 3, 3]) == (0.3, 0.3)

    def test_shifting_the_values_shifts_the_interval_without_losing_digits(self) -> None:
        values, groups = clustered(np.random.default_rng(6), 30)
        values = np.round(values * 2**20) / 2**20  # so that the shift itself is exact
        low, high = interval(values, groups)
        shifted = interval(values + 2**20, groups)
        assert np.subtract(shifted, 2**20) == pytest.approx((low, high), abs=1e-9)

    def test_95_of_100_intervals_cover_the_truth(self) -> None:
        generator = np.random.default_rng(7)
        covered = []
        for _ in range(200):
            low, high = interval(*clustered(generator, 40))
            covered.append(low <= 0 <= high)
        # Three standard errors of 200 repetitions, and what 40 groups are too few for.
        assert 0.89 <= np.mean(covered) <= 0.99
