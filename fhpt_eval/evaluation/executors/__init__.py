"""Executors decide where chunks are computed, never what: one module each.

An executor takes a function and jobs, and yields each job's outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


class Executor(Protocol):
    """Runs a function on jobs, somewhere."""

    @property
    def workers(self) -> int:
        """How many jobs run at a time."""

    def run(
        self, function: Callable[[Job], Outcome], jobs: Sequence[Job]
    ) -> Iterator[tuple[Job, Outcome | Exception]]:
        """Yield each job with its outcome, or the exception that it raised, as they finish."""
