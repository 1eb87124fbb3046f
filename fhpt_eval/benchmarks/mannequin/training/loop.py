"""The loop that trains a network: seeded, resumable, and the same for every network.

AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019) with a linear
warm-up and a cosine decay to 0 ("SGDR", ICLR 2017), gradients clipped at a norm of 1. What is
returned is the exponential moving average of the parameters, without the bias towards its start at
0 (Kingma and Ba, "Adam", ICLR 2015, section 3).

Chance is drawn from a generator that depends on the seed and the number of the step alone, so that
a run which was stopped goes on to the same bits. On one device and one thread, that is: with
another number of threads sums are added in another order.
"""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from fhpt_eval.common.files import check_writable, write_atomically
from fhpt_eval.errors import ArgumentError, InputError

#: The file in the folder of a run, and the version of what it holds.
CHECKPOINT = "checkpoint.pt"
_VERSION = 1
#: Share of the moving average that a step keeps.
AVERAGE = 0.998
#: Largest norm of all gradients together.
CLIP = 1.0
#: Steps between two lines of progress.
_REPORT_EVERY = 25

Report = Callable[[str], None]


class Task(Protocol):
    """What is trained."""

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """Leaf tensors of floats that require a gradient, by the name under which they are shipped.

        The loop changes them in place.
        """

    def loss(self, generator: torch.Generator, step: int) -> dict[str, Tensor]:
        """Return scalars by name: ``loss`` is made small, the others are told in the progress.

        All chance comes from ``generator``, which is on the CPU. ``pictures``, where it is there,
        is the number of pictures that this step looked at.
        """


@dataclass(frozen=True)
class LoopSettings:
    """What a run of the loop depends on, beside its task.

    Attributes:
        steps: how many there are; at least 1.
        learning_rate: the largest, after the warm-up; above 0.
        weight_decay: of parameters with two or more dimensions; biases are left alone.
        warmup: steps in which the learning rate grows.
        seed: of all chance.
        save_every: steps between two checkpoints; does not move the outcome.

    Raises:
        ArgumentError: a value is out of its range.
    """

    steps: int
    learning_rate: float
    weight_decay: float = 1e-4
    warmup: int = 100
    seed: int = 0
    save_every: int = 250

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("warmup", 0), ("seed", 0), ("save_every", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(f"'{name}' must be a whole number from {least}, not {value!r}.")
        if not 0 < self.learning_rate < math.inf:
            raise ArgumentError(f"'learning_rate' must be above 0, not {self.learning_rate!r}.")
        if not 0 <= self.weight_decay < math.inf:
            raise ArgumentError(f"'weight_decay' must be 0 or more, not {self.weight_decay!r}.")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


def fit(
    task: Task,
    out: Path,
    settings: LoopSettings,
    report: Report,
    about: Mapping[str, str | int | float | bool] | None = None,
) -> dict[str, Tensor]:
    """Train, going on from ``out/checkpoint.pt`` where it is there.

    Args:
        task: what is trained; its parameters hold their start.
        out: folder of the run; made where it is missing. A finished run keeps its checkpoint, and
            asking for it again gives its outcome at once.
        settings: how.
        report: gets a line of progress now and then.
        about: what else the outcome depends on, such as the size of a batch or a digest of what is
            learnt from; a run goes on only where it is the same.

    Returns:
        The averaged parameters by name, float32 on the CPU.

    Raises:
        ArgumentError: the checkpoint is of other settings, or of a task with other parameters.
        InputError: the checkpoint cannot be read, or the loss is no finite number.
        StorageError: the folder cannot be written.
    """
    check_writable(out)
    run = _Run(task, settings, about or {})
    path = out / CHECKPOINT
    if path.exists():
        run.restore(path)
        report(f"goes on after step {run.step} of {settings.steps}, from {path}")
    progress = _Progress(settings.steps, report)
    while run.step < settings.steps:
        values = run.advance()
        progress.add(run.step, values)
        if run.step % settings.save_every == 0 or run.step == settings.steps:
            run.save(path)
    return run.averages()


class _Run:
    """Parameters, their optimiser and their average, after so many steps."""

    def __init__(
        self, task: Task, settings: LoopSettings, about: Mapping[str, str | int | float | bool]
    ) -> None:
        self.step = 0
        self._more = dict(about)
        self._task = task
        self._settings = settings
        self._parameters = dict(task.parameters)
        self._average = {
            name: torch.zeros_like(value, requires_grad=False)
            for name, value in self._parameters.items()
        }
        values = list(self._parameters.values())
        self._optimiser = torch.optim.AdamW([
            {"params": [v for v in values if v.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [v for v in values if v.ndim < 2], "weight_decay": 0.0},
        ])  # fmt: skip

    def advance(self) -> dict[str, float]:
        """Take a step and return what the task said of it."""
        generator = step_generator(self._settings.seed, self.step)
        for group in self._optimiser.param_groups:
            group["lr"] = self._settings.rate(self.step)
        self._optimiser.zero_grad()
        values = self._task.loss(generator, self.step)
        numbers = {name: value.item() for name, value in values.items()}
        if not math.isfinite(numbers["loss"]):
            raise InputError(
                f"The loss is {numbers['loss']} at step {self.step + 1}: training does not settle. "
                "Choose a smaller learning rate and another folder."
            )
        values["loss"].backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(list(self._parameters.values()), CLIP)
        self._optimiser.step()
        with torch.no_grad():
            for name, value in self._parameters.items():
                self._average[name].lerp_(value, 1 - AVERAGE)
        self.step += 1
        return numbers

    def averages(self) -> dict[str, Tensor]:
        """Return the moving average without its bias."""
        share = 1 - AVERAGE**self.step
        return {
            name: (value / share).to("cpu", torch.float32).contiguous()
            for name, value in self._average.items()
        }

    def save(self, path: Path) -> None:
        """Write everything that going on needs, in one piece."""
        state = {
            "about": self._about(),
            "step": self.step,
            "parameters": {name: value.detach() for name, value in self._parameters.items()},
            "average": self._average,
            "optimiser": self._optimiser.state_dict(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomically(path, buffer.getvalue())

    def restore(self, path: Path) -> None:
        """Read what :meth:`save` wrote."""
        state = _read(path)
        about = self._about()
        differ = [key for key in about if state["about"].get(key) != about[key]]
        if differ:
            raise ArgumentError(
                f"{path} is of a run with other settings: {_differences(state['about'], about)}. "
                "Choose another folder, or the settings that it was begun with."
            )
        with torch.no_grad():
            for name, value in self._parameters.items():
                value.copy_(state["parameters"][name])
                self._average[name].copy_(state["average"][name])
        self._optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def _about(self) -> dict[str, Any]:
        """Return what two runs must have in common for one to continue the other."""
        settings = {k: v for k, v in asdict(self._settings).items() if k != "save_every"}
        shapes = {name: list(value.shape) for name, value in self._parameters.items()}
        return {**self._more, "version": _VERSION, **settings, "parameters": shapes}


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the generator of a step: on the CPU, and depending on these two numbers alone."""
    digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
    # PyTorch's generator on a CPU uses 32 bits of its seed.
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))


def _read(path: Path) -> dict[str, Any]:
    """Return a checkpoint; nothing in it is executed."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        keys = {"about", "step", "parameters", "average", "optimiser"}
        if not isinstance(state, dict) or not keys <= state.keys():
            raise ValueError("it holds something else")
    except Exception as error:  # a damaged file may make its reader fail in any way
        raise InputError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}: "
            f"{str(error).partition(chr(10))[0][:200]}). Delete it to begin again."
        ) from error
    found: dict[str, Any] = state
    return found


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    told = [
        f"{key} is {there.get(key)!r} there and {value!r} here"
        for key, value in here.items()
        if key != "parameters" and there.get(key) != value
    ]
    if there.get("parameters") != here["parameters"]:
        told.append("the parameters have other names or shapes")
    return ", ".join(told)


class _Progress:
    """Means over the steps since the last line, and how fast these were."""

    def __init__(self, steps: int, report: Report) -> None:
        self._steps = steps
        self._report = report
        self._begin()

    def _begin(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0
        self._since = time.perf_counter()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Count a step, and tell of it and those before where it is time."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if step % _REPORT_EVERY and step != self._steps:
            return
        seconds = time.perf_counter() - self._since
        unit = "pictures" if "pictures" in self._sums else "steps"
        speed = self._sums.pop("pictures", self._count) / seconds
        means = [f"{name} {total / self._count:.5g}" for name, total in self._sums.items()]
        self._report(f"step {step}/{self._steps}: {', '.join(means)}; {speed:.3g} {unit}/s")
        self._begin()
