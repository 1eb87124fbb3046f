"""What to train and where: the plan of a training, its folder, and what would stop it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fhpt_eval.common.files import check_writable
from fhpt_eval.common.training import CHECKPOINT
from fhpt_eval.errors import InputError
from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.model.perceptual import perceptual_network
from fhpt_eval.reference_models.drn.training.distributed import World
from fhpt_eval.reference_models.drn.training.start import start_of

#: Files of a training, below its folder.
WEIGHTS, LOG = "weights.safetensors", "log.csv"
#: What a training that was stopped before its first checkpoint may have left.
_OURS = frozenset({CHECKPOINT, WEIGHTS, LOG, "samples", "tensorboard"})


@dataclass(frozen=True)
class Plan:
    """What to train and how.

    Attributes:
        configuration: of the model and its training.
        out: the folder of this training.
        stop: the number of steps after which to stop, at most the configuration's.
        resume: whether to go on from the folder's checkpoint.
        threads: that decode images.
        checkpoint_every: steps between two checkpoints.
        log_every: steps between two rows of the log.
        sample_every: steps between two sample grids; 0 for none.
        start_from: name or file of the weights of a model of the same sizes, with which a new
            training starts; ``None`` for random ones. One that goes on has its checkpoint's.
    """

    configuration: Configuration
    out: Path
    stop: int
    resume: bool = False
    threads: int = 1
    checkpoint_every: int = 500
    log_every: int = 50
    sample_every: int = 500
    start_from: str | None = None

    def __post_init__(self) -> None:
        steps = self.configuration.training.steps
        if not 1 <= self.stop <= steps:
            raise InputError(
                f"--steps {self.stop}: the configuration's schedule has {steps:,} steps, at the "
                "end of which the learning rate is 0. For a longer training set training.steps in "
                "a configuration file."
            )

    @property
    def checkpoint(self) -> Path:
        """The file to go on from."""
        return self.out / CHECKPOINT


def check_plan(plan: Plan, world: World) -> None:
    """Find out what would stop a training, before its data are read, which may take a while.

    Raises:
        InputError: as for :func:`train`.
        WeightsError: likewise.
    """
    if world.size == 1:
        prepare_folder(plan.out, plan.resume)
    if not plan.checkpoint.exists():
        start_of(plan.start_from, plan.configuration, plan.out)
    perceptual_network(plan.configuration.loss.perceptual_network, "cpu")


def prepare_folder(out: Path, resume: bool) -> bool:
    """Make or check a training's folder; return whether there is a checkpoint to go on from.

    Raises:
        InputError: it holds something, and ``resume`` is not set or it is no training's.
        StorageError: it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: {out} is a file; give a folder.")
    files = list(out.iterdir()) if out.is_dir() else []
    leftovers = [path for path in files if _is_leftover(path)]
    names = {path.name for path in files} - {path.name for path in leftovers}
    if names and not resume:
        hint = " to go on with the training in it" if CHECKPOINT in names else ""
        ours = names <= _OURS
        raise InputError(
            f"--out: {out} is not empty. "
            + (f"Add --resume{hint}, or choose another folder." if ours else "Choose another one.")
        )
    if names - _OURS and CHECKPOINT not in names:
        raise InputError(f"--out: {out} holds files, but no {CHECKPOINT} to resume from.")
    check_writable(out)
    for path in leftovers:
        path.unlink(missing_ok=True)
    return CHECKPOINT in names


def _is_leftover(path: Path) -> bool:
    """Whether a kill left a file half written; see ``write_atomically``."""
    return path.suffix == ".tmp" and path.name.startswith(tuple(f".{name}." for name in _OURS))
