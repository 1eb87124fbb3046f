"""The loop behind every training: rows, checkpoints, signals, what is refused."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fhpt_eval.common.progress import Progress
from fhpt_eval.common.training import (
    Checkpoint,
    Pace,
    Row,
    Stopped,
    Task,
    duration,
    read_checkpoint,
    restore,
    train,
    write_checkpoint,
)
from fhpt_eval.errors import FhptEvalError, InputError, WeightsError
from tests.support.progress import Kept

KIND = "a counter"


class Counter(Task):
    """Adds a number that depends on the step alone; ``events`` happen before a step."""

    kind = KIND
    images = 3

    def __init__(self, events: Mapping[int, Any] | None = None) -> None:
        self.total = torch.zeros(())
        self.events = events or {}
        self.rows: list[Row] = []

    def about(self) -> dict[str, Any]:
        return {"name": "counter"}

    def steps(self, first: int, stop: int) -> Generator[dict[str, Tensor], None, None]:
        for step in range(first, stop):
            if step in self.events:
                self.events[step]()
            self.total = self.total + math.sqrt(step)
            yield {"loss": torch.tensor(float(step)), **({"late": self.total} if step > 3 else {})}

    def state(self) -> dict[str, Any]:
        return {"total": self.total}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.total = torch.zeros(()).copy_(state["total"])

    def log(self, row: Row) -> None:
        self.rows.append(row)


def go_on(task: Counter, path: Path, pace: Pace) -> None:
    checkpoint = read_checkpoint(path, KIND)
    restore(task, checkpoint, path)
    train(task, path, pace, Progress(), checkpoint.step, checkpoint.seconds)


def fails() -> None:
    raise InputError("an image cannot be decoded")


def test_a_row_has_the_means_since_the_row_before(tmp_path: Path) -> None:
    task = Counter()
    train(task, tmp_path / "c.pt", Pace(6, report_every=4, save_every=5), Progress())
    assert [row.step for row in task.rows] == [4, 5, 6]
    assert [row.losses["loss"] for row in task.rows] == [1.5, 4.0, 5.0]
    assert "late" not in task.rows[0].losses
    assert all(row.images_per_second > 0 for row in task.rows)
    assert task.rows[-1].left == 0


def test_a_row_tells_losses_throughput_and_the_time_that_is_left(tmp_path: Path) -> None:
    row = Row(1050, 20000, {"total": 1.5, "l1": 0.25}, 12.5, 3.0, 7500.0)
    assert str(row) == ("step 1,050 of 20,000: total 1.5, l1 0.25; 12.5 images/s, 2 h 05 min left")
    kept = Kept()
    train(Counter(), tmp_path / "c.pt", Pace(2), kept)
    assert [line.partition(";")[0] for line in kept.said] == ["step 2 of 2: loss 0.5"]


@pytest.mark.parametrize("stop", [1, 3, 6, 7])
def test_wherever_it_is_stopped_the_end_is_the_same(stop: int, tmp_path: Path) -> None:
    whole = Counter()
    seconds = train(whole, tmp_path / "whole.pt", Pace(8), Progress())
    assert seconds > 0
    train(Counter(), tmp_path / "part.pt", Pace(stop), Progress())
    second = Counter()
    go_on(second, tmp_path / "part.pt", Pace(8))
    assert second.total.equal(whole.total)
    both = [read_checkpoint(tmp_path / name, KIND) for name in ("whole.pt", "part.pt")]
    assert both[0].state["total"].equal(both[1].state["total"])
    assert both[0].step == both[1].step == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_checkpoint(number: int, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    task = Counter({3: lambda: os.kill(os.getpid(), number)})
    with pytest.raises(Stopped, match="Stopped after step 4") as caught:
        train(task, tmp_path / "c.pt", Pace(8), Progress())
    assert caught.value.signal == number
    assert read_checkpoint(tmp_path / "c.pt", KIND).step == 4
    assert signal.getsignal(number) == before


@pytest.mark.usefixtures("_hears_ctrl_c")
def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(Counter({3: twice}), tmp_path / "c.pt", Pace(8), Progress())
    assert not (tmp_path / "c.pt").exists()


def test_an_input_that_fails_costs_no_step_before_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be decoded"):
        train(Counter({5: fails}), tmp_path / "c.pt", Pace(8, save_every=2), Progress())
    assert read_checkpoint(tmp_path / "c.pt", KIND).step == 5


def test_an_input_that_fails_at_once_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be decoded"):
        train(Counter({0: fails}), tmp_path / "c.pt", Pace(8), Progress())
    assert not (tmp_path / "c.pt").exists()


def test_one_process_of_several_writes_files_and_talks(tmp_path: Path) -> None:
    task, kept = Counter(), Kept()
    task.rank, task.processes = 1, 2
    train(task, tmp_path / "c.pt", Pace(8), kept)
    assert not (tmp_path / "c.pt").exists()
    assert kept.said == []
    assert task.rows == []


def test_a_loss_that_is_no_number_ends_it_and_says_what_to_do(tmp_path: Path) -> None:
    task = Counter()
    task.events = {4: lambda: task.total.fill_(math.nan)}
    message = r"diverged before step 6: late is not finite\. .* a lower learning rate"
    with pytest.raises(FhptEvalError, match=message):
        train(task, tmp_path / "c.pt", Pace(6), Progress())
    assert not (tmp_path / "c.pt").exists()


def test_a_state_that_is_not_finite_replaces_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    task = Counter()
    task.events = {3: lambda: task.total.fill_(math.inf)}  # which no loss tells before step 4
    with pytest.raises(FhptEvalError, match="before step 4: the total is not finite"):
        train(task, path, Pace(4, save_every=2), Progress())
    assert read_checkpoint(path, KIND).step == 2


def written(path: Path, **changes: Any) -> Path:
    """Write a checkpoint, with some of its keys changed."""
    write_checkpoint(path, KIND, Checkpoint({"name": "counter"}, 3, 1.5, {"total": torch.ones(())}))
    torch.save(torch.load(path, weights_only=True) | changes, path)
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "a clock"}, "is no checkpoint of this kind"),
        ({"format_version": 99}, "format version 99"),
        ({"step": "many"}, "damaged checkpoint: step"),
        ({"state": None, "about": 3}, "damaged checkpoint: about, state"),
        ({"state": {"total": torch.zeros(2, device="meta")}}, "damaged checkpoint: its tensors"),
    ],
)
def test_damage_is_told(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=words):
        read_checkpoint(written(tmp_path / "c.pt", **changes), KIND)


def test_a_state_that_does_not_fit_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "c.pt", state={"total": torch.zeros(2)})
    with pytest.raises(WeightsError, match="does not fit its own settings"):
        go_on(Counter(), path, Pace(8))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (61, "1 min 01 s"), (3600, "1 h 00 min"), (math.inf, "unknown")],
)
def test_lengths_of_time_are_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words
