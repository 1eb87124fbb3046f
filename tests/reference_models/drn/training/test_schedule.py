"""What happens at which step is a function of the configuration and the step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhpt_eval.reference_models.drn.configuration import TrainingSettings
from fhpt_eval.reference_models.drn.training.schedule import (
    is_adversarial,
    learning_rate,
    pairs_at,
    seed_at,
    stage_of,
)

#: Frozen from the code.
PINNED = [3, 4, 0, 2, 5, 1]

SETTINGS = TrainingSettings(
    steps=100, coarse_steps=30, adversarial_from=50, decay_from=0.5, learning_rate=0.2, batch_size=4
)


def test_the_pose_transfer_branch_is_trained_alone_first() -> None:
    assert [stage_of(step, SETTINGS) for step in (0, 29, 30, 99)] == [
        "coarse", "coarse", "fine", "fine",
    ]  # fmt: skip


def test_the_adversarial_loss_sets_in_at_its_step() -> None:
    assert [is_adversarial(step, SETTINGS) for step in (0, 49, 50)] == [False, False, True]


def test_there_is_no_adversarial_loss_of_the_coarse_stage() -> None:
    early = SETTINGS.model_copy(update={"adversarial_from": 0})
    assert [is_adversarial(step, early) for step in (0, 29, 30)] == [False, False, True]


def test_the_learning_rate_is_constant_and_then_falls_linearly_to_zero() -> None:
    rates = [learning_rate(step, SETTINGS) for step in (0, 49, 50, 75, 99, 100)]
    # Halves and hundredths of 0.2: exact but for the last bit.
    assert rates == pytest.approx([0.2, 0.2, 0.2, 0.1, 0.004, 0.0], abs=1e-15)


def test_without_a_decay_the_learning_rate_stays() -> None:
    settings = SETTINGS.model_copy(update={"decay_from": 1.0})
    assert learning_rate(99, settings) == 0.2


@given(count=st.integers(1, 40), batch_size=st.integers(1, 16), seed=st.integers(0, 2**40))
def test_every_pair_comes_once_before_any_comes_again(
    count: int, batch_size: int, seed: int
) -> None:
    settings = TrainingSettings(steps=10**6, coarse_steps=0, batch_size=batch_size, seed=seed)
    steps = -(-3 * count // batch_size)
    order = np.concatenate([pairs_at(step, count, settings) for step in range(steps)])
    for start in range(0, 3 * count, count):
        assert sorted(order[start : start + count].tolist()) == list(range(count))


def test_the_order_of_a_seed_is_pinned() -> None:
    # From PCG64's raw words, which NumPy promises to keep.
    settings = TrainingSettings(steps=10, coarse_steps=0, batch_size=6, seed=7)
    assert pairs_at(0, 6, settings).tolist() == PINNED
    assert pairs_at(1, 6, settings).tolist() != PINNED


def test_another_seed_gives_another_order() -> None:
    orders = {
        tuple(pairs_at(0, 50, SETTINGS.model_copy(update={"seed": s, "batch_size": 50})).tolist())
        for s in range(5)
    }
    assert len(orders) == 5


def test_each_step_and_each_process_draws_from_a_seed_of_its_own() -> None:
    seeds = {seed_at(step, rank, SETTINGS) for step in range(10) for rank in range(3)}
    assert len(seeds) == 30
    assert all(0 <= seed < 2**63 for seed in seeds)
