"""Executors decide where chunks are computed, never what: one module each.

An executor takes a function and jobs, and yields each job's outcome. Packages register theirs by
entry points in the group ``fhpt_eval.executors``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Protocol, TypeVar

from fhpt_eval.common.plugins import Group
from fhpt_eval.errors import InputError

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

__all__ = ["Executor", "executor_names", "open_executor"]


class Executor(Protocol):
    """Runs a function on jobs, somewhere. Function, jobs and outcomes can be pickled."""

    @property
    def workers(self) -> int:
        """How many jobs run at a time."""

    def run(
        self, function: Callable[[Job], Outcome], jobs: Sequence[Job]
    ) -> Generator[tuple[Job, Outcome | Exception]]:
        """Yield each job with its outcome, or the exception that it raised, as they finish.

        Closing it stops the run; nothing is at work any more when that is done.
        """


_GROUP = Group(
    "fhpt_eval.executors",
    "executor",
    InputError,
    lambda plugin, _: "" if hasattr(plugin, "run") else "has no method 'run'",
)
#: The names of the installed executors, sorted.
executor_names = _GROUP.names


def open_executor(name: str | Executor, workers: int | None) -> Executor:
    """Return an executor by its name, with an address after a colon where it takes one.

    An executor is returned as it is. ``workers`` jobs may run at a time; by default as many as the
    executor chooses.

    Raises:
        InputError: no such executor is installed, or it cannot be opened.
    """
    if not isinstance(name, str):
        return name
    kind, colon, address = name.partition(":")
    build = _GROUP.load(kind)
    executor: Executor = build(workers, address) if colon else build(workers)
    return executor
