"""A small part of `make fuzz`, and its judge."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.fuzz.judge import MEMORY, SECONDS, Ended


def test_damaged_and_hostile_files_end_within_the_limits() -> None:
    """In a process of its own: it forks, which one with threads must not."""
    command = [sys.executable, "-m", "tests.fuzz", "22", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 beyond the limits" in done.stdout


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (Ended(0, 1, 1.0, "fine"), ""),
        (Ended(1, 1, 1.0, "Traceback (most recent call last)"), "status 1, a traceback"),
        (Ended(-9, 1, SECONDS + 1, "x"), "status -9, 31 s"),
        (Ended(2, int(MEMORY) * 2, 1.0, "x"), "3.0 GB"),
        (Ended(2, 1, 1.0, "\x1b[2J"), "control characters"),
        (Ended(2, 1, 1.0, ""), "not a word"),
    ],
)
def test_the_judge_tells_what_is_beyond_a_limit(ended: Ended, fault: str) -> None:
    assert ended.fault == fault
