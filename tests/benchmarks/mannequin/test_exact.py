"""Arithmetic that must give the same bits everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fhpt_eval.benchmarks.mannequin.exact import Dice, arcsine, cos, hypot, lookup, noise, sin


def test_sines_agree_with_the_library() -> None:
    # 1e-12: the series ends after x^23, below 1e-15; bringing the angle into range costs the rest.
    for angle in np.linspace(-9, 9, 181).tolist():
        assert sin(angle) == pytest.approx(math.sin(angle), abs=1e-12)
        assert cos(angle) == pytest.approx(math.cos(angle), abs=1e-12)


def test_hypot_is_pythagoras() -> None:
    assert hypot(3, 4) == 5
    assert hypot(2, 3, 6) == 7


def test_the_arcsine_agrees_with_the_library() -> None:
    at = np.linspace(-0.98, 0.98, 99, dtype=np.float32)
    # 257 entries, linear between them: 2e-3 near the steep ends.
    np.testing.assert_allclose(arcsine(at), np.arcsin(at), atol=2e-3)


def test_a_table_holds_beyond_its_ends() -> None:
    table = np.array([1, 3, 2], np.float32)
    at = np.array([-1, 0, 0.25, 0.5, 1, 4], np.float32)
    assert lookup(table, at).tolist() == [1, 1, 2, 3, 2, 2]


def test_chance_depends_on_its_keys_alone() -> None:
    assert Dice(1, 2).share() == Dice(1, 2).share()
    assert Dice(1, 2).share() != Dice(2, 1).share()
    # Frozen from NumPy 2.4.6; PCG64's words and SeedSequence are guaranteed not to change.
    assert Dice(1, 2, 3).share() == 0.6704722626516632


def test_noise_is_even() -> None:
    column, row = np.meshgrid(np.arange(-50, 50), np.arange(-50, 50))
    values = noise(column, row, 7)
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(float(values.mean()) - 0.5) < 0.02
