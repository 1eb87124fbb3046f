"""How the small networks learn, all of them alike; the loop is that of every training here.

AdamW (Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019) with a linear
warm-up and a cosine decay to 0 ("SGDR", ICLR 2017), gradients clipped at a norm of 1. What is
returned is the exponential moving average of the parameters, without the bias towards its start at
0 (Kingma and Ba, "Adam", ICLR 2015, section 3).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from fhpt_eval.common.files import check_writable
from fhpt_eval.common.progress import Progress
from fhpt_eval.common.settings import differences
from fhpt_eval.common.training import (
    CHECKPOINT,
    Checkpoint,
    Pace,
    Task,
    load_optimiser,
    read_checkpoint,
    restore,
    train,
)
from fhpt_eval.common.validation import CheckedSettings
from fhpt_eval.errors import ArgumentError

#: Share of the moving average that a step keeps.
AVERAGE = 0.998
#: Largest norm of all gradients together.
CLIP = 1.0
#: Steps between two lines of progress.
_REPORT_EVERY = 25

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Lesson(Protocol):
    """What a network is to learn."""

    @property
    def parameters(self) -> Mapping[str, Tensor]:
        """Leaf tensors of floats that require a gradient, by the name under which they are shipped.

        They are changed in place.
        """

    @property
    def images(self) -> int:
        """The number of pictures that a step looks at."""

    def loss(self, generator: torch.Generator, step: int) -> dict[str, Tensor]:
        """Return scalars by name: ``loss`` is made small, the others are told in the progress.

        All chance comes from ``generator``, which is on the CPU.
        """


class FitSettings(CheckedSettings):
    """What a training depends on, beside its lesson.

    Parameters:
        steps: how many there are.
        learning_rate: the largest, after the warm-up.
        weight_decay: of parameters with two or more dimensions; biases are left alone.
        warmup: steps in which the learning rate grows.
        seed: of all chance.
        save_every: steps between two checkpoints; does not move the outcome.
    """

    steps: Count
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
    warmup: Annotated[int, Field(ge=0)] = 100
    seed: Seed = 0
    save_every: Count = 250

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.learning_rate * (1 + math.cos(math.pi * done)) / 2


def fit(
    lesson: Lesson,
    out: Path,
    settings: FitSettings,
    progress: Progress,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Train, going on from ``out/checkpoint.pt`` where it is there.

    Args:
        lesson: what is learnt; its parameters hold their start.
        out: folder of the run; made where it is missing. A finished run keeps its checkpoint, and
            asking for it again gives its outcome at once.
        settings: how.
        progress: gets a line now and then.
        about: what else the outcome depends on, such as a digest of what is learnt from; a run goes
            on only where it is the same.

    Returns:
        The averaged parameters by name, float32 on the CPU.

    Raises:
        ArgumentError: the checkpoint is of other settings, or of a lesson with other parameters.
        WeightsError: the checkpoint cannot be read.
        FhptEvalError, StorageError, Stopped: as :func:`fhpt_eval.common.training.train`.
    """
    check_writable(out)
    path = out / CHECKPOINT
    averaging = _Averaging(lesson, settings, about or {})
    step, seconds = 0, 0.0
    if path.exists():
        checkpoint = read_checkpoint(path, averaging.kind)
        _check_same(checkpoint, averaging.about(), path)
        restore(averaging, checkpoint, path)
        step, seconds = checkpoint.step, checkpoint.seconds
        progress.say(f"goes on after step {step:,} of {settings.steps:,}, from {path}")
    pace = Pace(settings.steps, _REPORT_EVERY, settings.save_every)
    train(averaging, path, pace, progress, step, seconds)
    return averaging.averages()


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the generator of a step: on the CPU, and depending on these two numbers alone."""
    digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
    # PyTorch's generator on a CPU uses 32 bits of its seed.
    return torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))


class _Averaging(Task):
    """Parameters, their optimiser and their moving average."""

    kind = "fhpt-eval mannequin checkpoint"

    def __init__(self, lesson: Lesson, settings: FitSettings, about: Mapping[str, Any]) -> None:
        self.images = lesson.images
        self._lesson, self._settings, self._about = lesson, settings, dict(about)
        self._parameters = dict(lesson.parameters)
        self._average = {
            name: torch.zeros_like(value, requires_grad=False)
            for name, value in self._parameters.items()
        }
        values = list(self._parameters.values())
        self._optimiser = torch.optim.AdamW([
            {"params": [v for v in values if v.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [v for v in values if v.ndim < 2], "weight_decay": 0.0},
        ])  # fmt: skip

    def about(self) -> dict[str, Any]:
        settings = self._settings.model_dump(exclude={"save_every"})
        shapes = {name: list(value.shape) for name, value in self._parameters.items()}
        return {**self._about, **settings, "parameters": shapes}

    def steps(self, first: int, stop: int) -> Generator[dict[str, Tensor], None, None]:
        for step in range(first, stop):
            generator = step_generator(self._settings.seed, step)
            for group in self._optimiser.param_groups:
                group["lr"] = self._settings.rate(step)
            self._optimiser.zero_grad()
            values = self._lesson.loss(generator, step)
            values["loss"].backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(list(self._parameters.values()), CLIP)
            self._optimiser.step()
            with torch.no_grad():
                for name, value in self._parameters.items():
                    self._average[name].lerp_(value, 1 - AVERAGE)
            yield {name: value.detach() for name, value in values.items()}

    def state(self) -> dict[str, Any]:
        return {
            "parameters": {name: value.detach() for name, value in self._parameters.items()},
            "average": self._average,
            "optimiser": self._optimiser.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        with torch.no_grad():
            for name, value in self._parameters.items():
                value.copy_(state["parameters"][name])
                self._average[name].copy_(state["average"][name])
        load_optimiser(self._optimiser, state["optimiser"])

    def averages(self) -> dict[str, Tensor]:
        """Return the moving average after the last step, without its bias."""
        share = 1 - AVERAGE**self._settings.steps
        return {
            name: (value / share).to("cpu", torch.float32).contiguous()
            for name, value in self._average.items()
        }


def _check_same(checkpoint: Checkpoint, about: dict[str, Any], path: Path) -> None:
    """Refuse to go on with other settings, or with parameters of other names or shapes."""
    changes = {
        "the parameters have other names or shapes"
        if name.startswith("parameters.")
        else f"{name} is {old!r} there and {new!r} here"
        for name, new, old in differences(about, checkpoint.about)
    }
    if changes:
        raise ArgumentError(
            f"{path} is of a run with other settings: {', '.join(sorted(changes))}. Choose another "
            "folder, or the settings that it was begun with."
        )
