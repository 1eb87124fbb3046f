"""How the small networks learn: the same bits after a stop, the average, what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fhpt_eval.benchmarks.mannequin.training.fit import (
    AVERAGE,
    FitSettings,
    fit,
    step_generator,
)
from fhpt_eval.common.progress import Progress
from fhpt_eval.common.training import CHECKPOINT
from fhpt_eval.errors import ArgumentError, WeightsError

SETTINGS = FitSettings(steps=12, learning_rate=0.05, warmup=3, seed=5, save_every=2)


class Line:
    """A line through noisy points; stops as a killed process does, where asked to."""

    images = 8

    def __init__(self, stop_at: int = -1, width: int = 3) -> None:
        self.weight = torch.zeros(1, width, requires_grad=True)
        self.bias = torch.zeros(1, requires_grad=True)
        self.stop_at = stop_at
        self.seen: list[int] = []

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        return {"weight": self.weight, "bias": self.bias}

    def loss(self, generator: torch.Generator, step: int) -> dict[str, Tensor]:
        if step == self.stop_at:
            raise KeyboardInterrupt
        self.seen.append(step)
        x = torch.randn(8, self.weight.shape[1], generator=generator)
        wanted = x.sum(1, keepdim=True) + 2
        error = (x @ self.weight.T + self.bias - wanted).square().mean()
        return {"loss": error}


QUIET = Progress()


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- stopping and going on ---


@pytest.mark.parametrize("stop_at", [1, 6, 7, 11])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path, stop_at: int) -> None:
    whole = Line()
    expected = fit(whole, tmp_path / "whole", SETTINGS, QUIET)
    with pytest.raises(KeyboardInterrupt):
        fit(Line(stop_at), tmp_path / "halves", SETTINGS, QUIET)
    second = Line()
    assert same(fit(second, tmp_path / "halves", SETTINGS, QUIET), expected)
    assert torch.equal(second.weight, whole.weight)
    assert second.seen == list(range(stop_at - stop_at % 2, 12))


def test_a_finished_run_gives_its_outcome_again(tmp_path: Path) -> None:
    expected = fit(Line(), tmp_path, SETTINGS, QUIET)
    again = Line()
    assert same(fit(again, tmp_path, SETTINGS, QUIET), expected)
    assert again.seen == []


def test_another_seed_is_another_outcome(tmp_path: Path) -> None:
    one = fit(Line(), tmp_path / "one", SETTINGS, QUIET)
    settings = FitSettings(steps=12, learning_rate=0.05, warmup=3, seed=6)
    assert not same(fit(Line(), tmp_path / "two", settings, QUIET), one)


def test_how_often_is_saved_does_not_matter(tmp_path: Path) -> None:
    expected = fit(Line(), tmp_path / "often", SETTINGS, QUIET)
    seldom = FitSettings(steps=12, learning_rate=0.05, warmup=3, seed=5, save_every=100)
    assert same(fit(Line(), tmp_path / "seldom", seldom, QUIET), expected)
    assert (tmp_path / "seldom" / CHECKPOINT).is_file()
    assert same(fit(Line(), tmp_path / "often", seldom, QUIET), expected)


# --- what is refused ---


def test_other_settings_do_not_go_on_and_are_named(tmp_path: Path) -> None:
    fit(Line(), tmp_path, SETTINGS, QUIET)
    other = FitSettings(steps=12, learning_rate=0.1, warmup=3, seed=7)
    with pytest.raises(ArgumentError) as caught:
        fit(Line(), tmp_path, other, QUIET)
    message = str(caught.value)
    assert "learning_rate is 0.05 there and 0.1 here" in message
    assert "seed is 5 there and 7 here" in message
    assert "Choose another folder" in message
    assert "steps" not in message


def test_another_network_does_not_go_on(tmp_path: Path) -> None:
    fit(Line(), tmp_path, SETTINGS, QUIET)
    with pytest.raises(ArgumentError, match="the parameters have other names or shapes"):
        fit(Line(width=4), tmp_path, SETTINGS, QUIET)


def test_what_else_the_outcome_depends_on_must_be_the_same(tmp_path: Path) -> None:
    fit(Line(), tmp_path, SETTINGS, QUIET, {"batch": 8})
    fit(Line(), tmp_path, SETTINGS, QUIET, {"batch": 8})
    with pytest.raises(ArgumentError, match="batch is 8 there and 4 here"):
        fit(Line(), tmp_path, SETTINGS, QUIET, {"batch": 4})


def test_a_damaged_checkpoint_is_told_and_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    path.write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match=r"checkpoint\.pt cannot be read .*Delete"):
        fit(Line(), tmp_path, SETTINGS, QUIET)
    assert path.read_bytes() == b"no checkpoint"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0), ("steps", 2.5), ("steps", True), ("learning_rate", 0.0),
        ("learning_rate", math.inf), ("weight_decay", -1.0), ("warmup", -1), ("seed", -1),
        ("save_every", 0),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(field: str, value: float) -> None:
    with pytest.raises(ArgumentError, match=f"FitSettings.{field}: Input should be"):
        FitSettings(**{"steps": 5, "learning_rate": 0.1, field: value})  # type: ignore[arg-type]


# --- what a step does ---


def test_it_learns(tmp_path: Path) -> None:
    settings = FitSettings(steps=800, learning_rate=0.2, weight_decay=0.0, save_every=800)
    averages = fit(Line(), tmp_path, settings, QUIET)
    # The average looks back some 500 steps, nearly all of them close by.
    torch.testing.assert_close(averages["weight"], torch.ones(1, 3), atol=0.03, rtol=0)
    torch.testing.assert_close(averages["bias"], torch.full((1,), 2.0), atol=0.03, rtol=0)


def test_what_is_returned_is_the_average_of_the_parameters_without_bias(tmp_path: Path) -> None:
    """Exponential weights over the values after each step, which sum to one."""
    after: list[Tensor] = []
    for steps in (1, 2, 3):
        line = Line(stop_at=steps)
        settings = FitSettings(steps=4, learning_rate=0.05, save_every=1)
        with pytest.raises(KeyboardInterrupt):
            fit(line, tmp_path / str(steps), settings, QUIET)
        after.append(line.weight.detach().clone())
    line = Line()
    found = fit(line, tmp_path / "4", settings, QUIET)["weight"]
    after.append(line.weight.detach())
    shares = [AVERAGE**back for back in (3, 2, 1, 0)]
    expected = sum(s * w.double() for s, w in zip(shares, after, strict=True)) / sum(shares)
    # The average is kept in float32 and divided by 1 - AVERAGE ** 4, about 0.008.
    torch.testing.assert_close(found.double(), expected, atol=0, rtol=1e-4)
    assert not torch.equal(found, line.weight.detach())


def test_the_rate_grows_then_falls_to_nothing() -> None:
    settings = FitSettings(steps=110, learning_rate=2.0, warmup=10)
    assert [settings.rate(step) for step in (0, 4, 9)] == [0.2, 1.0, 2.0]
    assert settings.rate(10) == 2.0
    assert settings.rate(60) == pytest.approx(1.0)
    # The last step is 1 of 100 before the end of the cosine.
    assert settings.rate(109) == pytest.approx(2 * math.sin(math.pi / 200) ** 2)


def test_decay_shrinks_weights_and_leaves_biases(tmp_path: Path) -> None:
    class Idle(Line):
        def loss(self, generator: torch.Generator, step: int) -> dict[str, Tensor]:
            return {"loss": (self.weight.sum() + self.bias.sum()) * 0}

    task = Idle()
    with torch.no_grad():
        task.weight.fill_(1)
        task.bias.fill_(1)
    fit(task, tmp_path, FitSettings(steps=3, learning_rate=0.1, weight_decay=0.5, warmup=0), QUIET)
    assert task.bias.item() == 1
    assert task.weight.max() < 0.95


def test_gradients_are_clipped(tmp_path: Path) -> None:
    """Adam forgets the scale of gradients that are all alike, so that two unlike ones are told."""

    class Steep(Line):
        def loss(self, generator: torch.Generator, step: int) -> dict[str, Tensor]:
            return {"loss": self.weight.sum() * (1e6 if step else 1.0)}

    settings = FitSettings(steps=2, learning_rate=0.1, weight_decay=0.0, warmup=0)
    task = Steep()
    fit(task, tmp_path, settings, QUIET)
    # Clipped, both gradients are 1 / sqrt(3), and each step is the rate of its time.
    moved = settings.rate(0) + settings.rate(1)
    torch.testing.assert_close(task.weight.detach(), torch.full((1, 3), -moved), atol=1e-5, rtol=0)


def test_a_step_has_its_own_chance() -> None:
    draws = {
        float(torch.rand(1, generator=step_generator(seed, step)))
        for seed in range(4)
        for step in range(50)
    }
    assert len(draws) == 200
    a, b = (torch.rand(3, generator=step_generator(2, 9)) for _ in range(2))
    assert torch.equal(a, b)
