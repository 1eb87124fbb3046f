"""Means and their intervals, against exact fractions, SciPy and formulas written out."""

from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.coverage import Kind, SetName, coverage_of_mean, coverage_of_set
from fhpt_eval.common.intervals import mean, mean_interval

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


def by_formula(values: Values, groups: list[int]) -> tuple[float, float]:
    """Return centre + error * (a + (a + t) / (1 - a (a + t))), group by group."""
    centre = math.fsum(values) / len(values)
    sums: dict[int, float] = {}
    for value, group in zip(values.tolist(), groups, strict=True):
        sums[group] = sums.get(group, 0.0) + value - centre
    count = len(sums)
    deviations = [count * each / len(values) for each in sums.values()]
    squares = sum(each**2 for each in deviations)
    error = math.sqrt(squares / (count - 1) / count)
    a = sum(each**3 for each in deviations) / squares**1.5 / 6
    t = scipy.stats.t.ppf(0.975, count - 1)
    low, high = (a + (a + end) / (1 - a * (a + end)) for end in (-t, t))
    return centre + error * low, centre + error * high


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
    def test_it_is_the_formula_over_whole_groups(self, count: int) -> None:
        values, groups = clustered(np.random.default_rng(count), count)
        assert interval(values, groups) == pytest.approx(by_formula(values, groups), abs=1e-12)

    def test_of_three_values_it_is_as_computed_by_hand(self) -> None:
        """Of 0, 0, 3: error 1, a = 6 / 6 ** 1.5 / 6, t = 4.302653."""
        a, t = 1 / 6**1.5, 4.302652729749462
        low, high = (1 + a + (a + end) / (1 - a * (a + end)) for end in (-t, t))
        assert interval(np.array([0.0, 0.0, 3.0]), [0, 1, 2]) == pytest.approx(
            (low, high), rel=1e-12
        )
        assert (low, high) == pytest.approx((-2.219372, 7.288679), abs=1e-6)

    def test_of_many_skewed_values_it_is_the_bca_bootstrap(self) -> None:
        values = np.exp(np.random.default_rng(3).standard_normal(400))
        bca = scipy.stats.bootstrap(
            (values,), np.mean, n_resamples=20_000, random_state=np.random.default_rng(1)
        ).confidence_interval
        width = bca.high - bca.low
        assert interval(values, list(range(400))) == pytest.approx(tuple(bca), abs=0.05 * width)

    def test_weights_count_as_often_as_they_say(self) -> None:
        generator = np.random.default_rng(8)
        values, groups = clustered(generator, 20)
        weights = generator.integers(1, 4, len(values))
        repeated = np.repeat(values, weights)
        members = np.repeat(groups, weights).tolist()
        weighted = mean_interval(values, groups, weights.astype(float))
        assert weighted == pytest.approx(interval(repeated, members), abs=1e-12)

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


class TestIntervalOfAShare:
    @pytest.mark.parametrize(("successes", "count"), [(2, 3000), (1700, 3000), (2999, 3000)])
    def test_of_many_independent_pairs_it_is_wilsons(self, successes: int, count: int) -> None:
        values = np.zeros(count)
        values[:successes] = 1.0
        wilson = scipy.stats.binomtest(successes, count).proportion_ci(method="wilson")
        found = mean_interval(values, list(range(count)), share=True)
        assert found == pytest.approx((wilson.low, wilson.high), rel=0.02)

    @pytest.mark.parametrize("value", [0.0, 1.0])
    def test_where_all_agree_each_group_counts_once(self, value: float) -> None:
        """The far end of n agreeing draws is t ** 2 / (n + t ** 2); t of 4 degrees is 2.776445."""
        found = mean_interval(np.full(10, value), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4], share=True)
        far = 2.7764451051977987**2 / (5 + 2.7764451051977987**2)
        expected = (0.0, far) if value == 0 else (1 - far, 1.0)
        assert found == pytest.approx(expected, abs=1e-12)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=2, max_size=40))
    def test_it_lies_in_0_to_1_and_holds_the_share(self, pairs: list[tuple[float, int]]) -> None:
        values = np.array([value for value, _ in pairs])
        found = mean_interval(values, [group for _, group in pairs], share=True)
        if found is not None:
            assert 0 <= found[0] <= mean(values) + 1e-12
            assert mean(values) - 1e-12 <= found[1] <= 1


class TestCoverage:
    """A part of docs/coverage.md."""

    @pytest.mark.parametrize("groups", [3, 5, 10, 20])
    @pytest.mark.parametrize("kind", ["normal", "binary, 0.7", "binary, 0.95"])
    def test_intervals_of_normal_and_binary_values_hold_the_truth(
        self, kind: Kind, groups: int
    ) -> None:
        assert coverage_of_mean(kind, groups, 1000) >= 0.93

    @pytest.mark.parametrize("groups", [10, 20, 50])
    def test_intervals_of_skewed_values_hold_it_less_often(self, groups: int) -> None:
        assert coverage_of_mean("lognormal", groups, 1000) >= 0.90

    @pytest.mark.parametrize(("pairs", "correlation"), [(4, 0.5), (8, 0.9)])
    @pytest.mark.parametrize("name", ["fid", "is"])
    def test_intervals_of_sets_hold_the_expected_score(
        self, name: SetName, pairs: int, correlation: float
    ) -> None:
        assert coverage_of_set(name, 20, pairs, correlation, 150) >= 0.92
