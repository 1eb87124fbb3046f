"""The loop that trains a network: the same for every network, stoppable, resumable to the bit.

A :class:`Task` knows the network, its losses and its optimisers. The loop goes through its steps,
tells means and speed, keeps checkpoints, and ends with one where a signal asks it to. What a step
draws at random must depend on its number alone; then a training that was stopped goes on to the
same bits. On one device and one number of threads, that is: with another, sums are added in another
order.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from fhpt_eval.common.files import opened, replacing
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import FhptEvalError, InputError, WeightsError

#: The file of a training, below its folder.
CHECKPOINT = "checkpoint.pt"
#: Raised when a checkpoint's keys or their meaning change.
_VERSION = 2
# Largest checkpoint that is read, in bytes.
_MAX_BYTES = 2**35


class Stopped(FhptEvalError):  # noqa: N818 - a state of the training, and no fault
    """A signal ended the training; a checkpoint was written."""

    def __init__(self, number: int, step: int, path: Path) -> None:
        super().__init__(f"Stopped after step {step:,}; {path} has everything up to there.")
        self.signal = number


@dataclass(frozen=True, slots=True)
class Pace:
    """How far a training goes, and how often it tells of itself and is kept.

    ``stop`` is the number of steps after which it ends; ``report_every`` and ``save_every`` are
    steps between two rows, and between two checkpoints.
    """

    stop: int
    report_every: int = 50
    save_every: int = 500


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of the steps since the row before.

    Attributes:
        step: how many steps are done.
        stop: how many there are to be.
        losses: their means over these steps, by name.
        images_per_second: that these steps looked at.
        seconds: that all steps took so far, without drawing and saving.
        left: that the other steps will take at this speed.
    """

    step: int
    stop: int
    losses: Mapping[str, float]
    images_per_second: float
    seconds: float
    left: float

    def __str__(self) -> str:
        losses = ", ".join(f"{name} {value:.5g}" for name, value in self.losses.items())
        return (
            f"step {self.step:,} of {self.stop:,}: {losses}; "
            f"{self.images_per_second:.3g} images/s, {duration(self.left)} left"
        )


class Task(ABC):
    """What is trained.

    Attributes:
        kind: what a checkpoint says that it is of.
        images: that a step looks at, of all processes together.
        rank, processes: which process this is, and of how many; process 0 writes the files.
    """

    kind: str
    images: int
    rank = 0
    processes = 1

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Return plain values by which a training is known again when it is to go on."""

    @abstractmethod
    def steps(self, first: int, stop: int) -> Generator[Mapping[str, Tensor], None, None]:
        """Do the steps from ``first`` up to ``stop``, and yield each one's losses as scalars."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return all that going on needs: tensors and plain values, by the name of the part."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` gave; raises whatever it likes if that does not fit."""

    def log(self, row: Row) -> None:  # noqa: B027 - a hook
        """Keep a row; in process 0 alone."""

    def show(self, step: int, ends: bool) -> None:  # noqa: B027 - a hook
        """Show the network after a step, of which the time does not count."""

    def mean(self, losses: Tensor) -> Tensor:
        """Return the mean of numbers over all processes."""
        return losses

    def asked_to_stop(self, number: int, step: int) -> int:  # noqa: ARG002 - for several processes
        """Return the signal that ends the training after a step in all processes, 0 for none."""
        return number

    def advice(self, checkpoint: Path) -> str:  # noqa: ARG002 - for those that can go on from it
        """Say what to do where the training diverged; the checkpoint is of before, if any."""
        return "Begin anew in another folder, with a lower learning rate."


@dataclass(frozen=True)
class Checkpoint:
    """A training between two steps: what it is of, how far it is, and its task's state."""

    about: dict[str, Any]
    step: int
    seconds: float
    state: dict[str, Any]


def train(
    task: Task, path: Path, pace: Pace, progress: Progress, step: int = 0, seconds: float = 0.0
) -> float:
    """Do the steps that are left, and return how many seconds all of them took.

    The state of the task is that after ``step`` steps, which took so many ``seconds``; ``path`` is
    of its checkpoint, and ``progress`` gets a line per row.

    Raises:
        FhptEvalError: a loss or a parameter is not finite; no checkpoint is written of that.
        InputError: a step cannot be made; the steps before it are kept.
        StorageError: the checkpoint cannot be written.
        Stopped: by Ctrl-C or SIGTERM; there is a checkpoint.
    """
    loop = _Loop(task, path, pace, progress, step, seconds)
    with _Signals(insist=task.processes > 1) as signals:
        try:
            with contextlib.closing(task.steps(step, pace.stop)) as steps:
                for losses in steps:
                    loop.add(losses)
                    loop.keep(task.asked_to_stop(signals.number, loop.step))
        except InputError:  # an image cannot be decoded, say; what was done until here is kept
            if task.processes == 1:
                loop.rescue()
            raise
    return loop.seconds


class _Loop:
    """A training under way: how far it is, what was kept, and sums since the last row.

    Losses are summed up on the device, so that it is waited for at a row and not at every step.
    """

    def __init__(
        self, task: Task, path: Path, pace: Pace, progress: Progress, step: int, seconds: float
    ) -> None:
        self.task, self.path, self.pace, self.progress = task, path, pace, progress
        self.step = self.saved = self.reported = step
        self.seconds = seconds
        self._since = time.monotonic()
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Count a step."""
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1
        self.step += 1

    def keep(self, number: int) -> None:
        """Tell, show and save if it is time to, or if a signal's number is given."""
        ends = bool(number) or self.step == self.pace.stop
        saves = ends or self.step % self.pace.save_every == 0
        if saves or self.step % self.pace.report_every == 0:
            self.report()
        began = time.monotonic()
        self.task.show(self.step, ends)
        if saves:
            self.save()
        self._since += time.monotonic() - began
        if number:
            raise Stopped(number, self.step, self.path)

    def rescue(self) -> None:
        """Keep the steps since the last checkpoint before an error is passed on."""
        if self.step > self.saved:
            if self._sums:
                self.report()
            self.save()

    def report(self) -> None:
        """Tell of the steps since the row before; the losses are checked on the way."""
        stacked = torch.stack([total / self._counts[name] for name, total in self._sums.items()])
        means = self.task.mean(stacked).tolist()
        losses = dict(zip(self._sums, means, strict=True))
        self._refuse([name for name, value in losses.items() if not math.isfinite(value)])
        steps, passed = self.step - self.reported, time.monotonic() - self._since
        self.seconds += passed
        speed = steps * self.task.images / passed
        left = (self.pace.stop - self.step) * passed / steps
        self._sums, self._counts = {}, {}
        self.reported, self._since = self.step, time.monotonic()
        if self.task.rank == 0:
            row = Row(self.step, self.pace.stop, losses, speed, self.seconds, left)
            self.task.log(row)
            self.progress.say(str(row))

    def save(self) -> None:
        """Write a checkpoint; one that nothing can go on from does not replace a good one."""
        state = self.task.state()
        self._refuse([f"the {part}" for part, values in state.items() if not _is_finite(values)])
        self.saved = self.step
        if self.task.rank == 0:
            checkpoint = Checkpoint(self.task.about(), self.step, self.seconds, state)
            write_checkpoint(self.path, self.task.kind, checkpoint)

    def _refuse(self, wrong: list[str]) -> None:
        if wrong:
            raise FhptEvalError(
                f"The training diverged before step {self.step:,}: {', '.join(wrong)} is not "
                f"finite. {self.task.advice(self.path)}"
            )


class _Signals:
    """Notes that somebody wants the training to end: Ctrl-C, or a cluster's SIGTERM.

    A second signal ends the process at once, unless ``insist``: ``torchrun`` passes on what the
    terminal has sent already.
    """

    def __init__(self, insist: bool) -> None:
        self.number, self._insist = 0, insist
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        with contextlib.suppress(ValueError):  # not in the main thread, where no signal arrives
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.number = number
        if not self._insist:
            self.__exit__()


def write_checkpoint(path: Path, kind: str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint so that a reader never sees half of one.

    Raises:
        StorageError: it cannot be written; the one before is still there.
    """
    content = {"format": kind, "format_version": _VERSION, **vars(checkpoint)}
    with replacing(path) as file:
        torch.save(content, file)


def read_checkpoint(path: Path, kind: str) -> Checkpoint:
    """Read a checkpoint, its tensors on the CPU; nothing in it is ever executed.

    Raises:
        WeightsError: the file is damaged, or of something else than ``kind``.
    """
    try:
        with opened(path, _MAX_BYTES) as file:
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file may make the reader fail in any way
        raise WeightsError(
            f"{path} cannot be read as a checkpoint: it is damaged, or another kind of file. "
            "Delete it to begin again, or give another one."
        ) from error
    if not isinstance(content, dict) or content.get("format") != kind:
        raise WeightsError(f"{path} is no checkpoint of this kind (it does not say '{kind}').")
    if content.get("format_version") != _VERSION:
        raise WeightsError(
            f"{path} is of format version {content.get('format_version')}; this fhpt-eval reads "
            f"{_VERSION}. Use the fhpt-eval that wrote it."
        )
    parts = {"about": dict, "step": int, "seconds": float, "state": dict}
    wrong = [name for name, type_ in parts.items() if not isinstance(content.get(name), type_)]
    # A file may also hold tensors without values.
    if wrong or any(tensor.device.type != "cpu" for tensor in _tensors(content["state"])):
        raise WeightsError(f"{path} is a damaged checkpoint: {', '.join(wrong) or 'its tensors'}.")
    return Checkpoint(*(content[name] for name in parts))


def restore(task: Task, checkpoint: Checkpoint, path: Path) -> None:
    """Put a checkpoint's state into a task.

    Raises:
        WeightsError: it does not fit.
    """
    try:
        task.restore(checkpoint.state)
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise WeightsError(f"{path} does not fit its own settings: {lines[-1].strip()}") from error


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimiser's state, and refuse moments of other shapes, which torch takes.

    Raises:
        ValueError: says which shapes.
    """
    optimiser.load_state_dict(state)
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            if name != "step" and value.shape != parameter.shape:
                raise ValueError(
                    f"{name} is {tuple(value.shape)} for a parameter of {tuple(parameter.shape)}"
                )


def duration(seconds: float) -> str:
    """Return a length of time in words, as in ``3 h 05 min``."""
    if not math.isfinite(seconds):
        return "unknown"
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02d} s"
    return f"{rounded // 3600} h {rounded % 3600 // 60:02d} min"


def _is_finite(values: object) -> bool:
    """Whether all tensors of a state are numbers; each device is waited for once."""
    checks: dict[torch.device, list[Tensor]] = {}
    for tensor in _tensors(values):
        checks.setdefault(tensor.device, []).append(tensor.isfinite().all())
    return all(bool(torch.stack(group).all()) for group in checks.values())


def _tensors(values: object) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _tensors(value)
