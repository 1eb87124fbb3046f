"""What commands show: progress on a terminal and in a log, tables on a terminal and in a pipe."""

from __future__ import annotations

import io
import sys
import time

import pytest

from fhpt_eval.cli.show import TerminalProgress, show_table
from fhpt_eval.common.tables import Table


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def test_a_log_says_how_far_a_stage_is_and_how_fast_every_ten_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = TerminalProgress()
    progress.stage("Scoring", 4000, "pairs")
    for second in range(25):
        clock.now += 1
        progress.advance(100 * second, note="loss 0.5" if second > 15 else "")
    assert capsys.readouterr().err.splitlines() == [
        "Scoring: 1,000 of 4,000, 100 pairs/s",
        "Scoring: 2,100 of 4,000, 100 pairs/s, loss 0.5",
    ]


def test_what_was_done_before_makes_no_stage_look_fast(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = TerminalProgress()
    progress.stage("Training", 9000, "steps")
    progress.advance(8000)
    clock.now += 20
    progress.advance(8010)
    assert capsys.readouterr().err == "Training: 8,010 of 9,000, 0.5 steps/s\n"


def test_a_total_that_is_not_known_is_left_out(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = TerminalProgress()
    progress.stage("Fetching", 0)
    clock.now += 20
    progress.advance(7)
    assert capsys.readouterr().err == "Fetching: 7\n"


def test_a_terminal_has_a_bar_that_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with TerminalProgress() as progress:
        progress.say("4 pairs matched")
        progress.stage("Scoring", 40, "pairs")
        progress.advance(10, "[a note]")
    shown = terminal.getvalue()
    assert "4 pairs matched" in shown
    assert "Scoring" in shown
    assert "10/40" in shown
    assert "[a note]" in shown
    assert progress._bars is None


@pytest.mark.parametrize("terminal", [False, True])
def test_a_table_is_markdown_in_a_pipe_and_as_wide_as_a_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(("score", *(f"method{n}" for n in range(20))), [("[ssim]", *["0.123456"] * 20)])
    out = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("COLUMNS", "80")
    show_table(table)
    lines = out.getvalue().splitlines()
    assert out.getvalue().count("0.123456") == 20
    assert (max(map(len, lines)) <= 80) == terminal
    assert lines[0].startswith("| score |") != terminal
