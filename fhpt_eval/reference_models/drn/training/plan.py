"""The plan of a training: its folder, the weights that it starts from, and what would stop it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.common.files import check_writable
from fhpt_eval.common.settings import differences
from fhpt_eval.common.training import CHECKPOINT
from fhpt_eval.errors import InputError, WeightsError
from fhpt_eval.features.loading import check_entries, shapes_of
from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.model.drn import Model
from fhpt_eval.reference_models.drn.model.perceptual import perceptual_network
from fhpt_eval.reference_models.drn.training.checkpoints import (
    Record,
    check_summary,
    read_record,
    tensors_digest,
)
from fhpt_eval.reference_models.drn.training.distributed import World

#: Files of a training, below its folder.
WEIGHTS, LOG = "weights.safetensors", "log.csv"
#: What a training that was stopped before its first checkpoint may have left.
_OURS = frozenset({CHECKPOINT, WEIGHTS, LOG, "samples", "tensorboard"})
#: Settings that no tensor's shape shows, and that trained weights are used to all the same.
_SHAPELESS = (
    "height", "width", "heatmap_sigma", "model.face_blur_sigma", "model.face_size",
    "model.even_doubling", "model.style_grid",
)  # fmt: skip


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

    Errors are those of :func:`~.train.train`.
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
    starts = tuple(f".{name}." for name in _OURS)  # what a kill left half written
    leftovers = [file for file in files if file.suffix == ".tmp" and file.name.startswith(starts)]
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


@dataclass(frozen=True)
class Start:
    """Weights for a new training, checked against its configuration.

    ``state`` has the tensors, float32, by their names in the model; ``source`` is the name or file
    that they are from. ``anew`` names the new model's tensors that they lack, which stay as they
    are; ``differing`` settings that the two models do not share, though their shapes fit.
    """

    state: Mapping[str, Tensor]
    record: Record
    source: str
    anew: tuple[str, ...]
    differing: tuple[str, ...]

    def values(self) -> dict[str, str]:
        """Return what the new training's record says of them."""
        return {
            "configuration": self.record.configuration.name,
            "steps": str(self.record.steps),
            "weights": tensors_digest(self.state),
            "data_digest": self.record.data_digest,
        }

    def __str__(self) -> str:
        name = self.record.configuration.name
        sentences = [f"Starting from {self.source}, '{name}' after {self.record.steps:,} steps."]
        if self.anew:
            sentences.append(f"It lacks {', '.join(self.anew)}: these start as in a new model.")
        if self.differing:
            sentences.append(f"It was trained otherwise: {'; '.join(self.differing)}.")
        return " ".join(sentences)


def read_start(source: str, configuration: Configuration) -> Start:
    """Read weights to start a training from; they may lack parts of the new model.

    ``source`` is a name of the registry of weights, or the path of exported weights or of a
    checkpoint; ``configuration`` is the new training's.

    Raises:
        WeightsError: there are none, they are damaged, or they are of a model of other sizes or
            with the summary of another network.
    """
    record, state = read_record(source)
    with torch.device("meta"):  # so that nothing is allocated for a check
        shapes = shapes_of(Model(configuration))
    try:
        check_entries(
            state, {name: shape for name, shape in shapes.items() if name in state},
            source, f"the model of configuration '{configuration.name}'",
        )  # fmt: skip
    except WeightsError as error:
        raise WeightsError(
            f"--start-from: {error}. Give weights of a model with the same settings in [model]."
        ) from error
    shapeless = set(_SHAPELESS)
    if record.configuration.model.hears_summary and configuration.model.hears_summary:
        check_summary(record, source)
        shapeless.add("loss.perceptual_network")
    then, now = (each.model_dump(mode="json") for each in (record.configuration, configuration))
    differing = tuple(
        f"{name} was {old}, and is {new}"
        for name, new, old in differences(now, then)
        if name in shapeless
    )
    anew = tuple(name for name in shapes if name not in state)
    return Start(state, record, source, anew, differing)


def start_of(source: str | None, configuration: Configuration, out: Path) -> Start | None:
    """Return what a new training in ``out`` starts from, if it can; ``None`` for random weights.

    ``source`` is as for :func:`read_start`; ``None`` if the weights are to be random.

    Raises:
        InputError: the pose transfer branch is to stay as it is, and nobody has trained it, or the
            weights lie where this training will write its own.
        WeightsError: as for :func:`read_start`.
    """
    if source is not None:
        if Path(os.path.realpath(out)) in Path(os.path.realpath(weights.find(source).path)).parents:
            raise InputError(
                f"--start-from: {source} lies in --out, {out}, whose weights this training will "
                "replace by its own. Choose another --out."
            )
        return read_start(source, configuration)
    if configuration.training.pose_branch_stays:
        raise InputError(
            f"Configuration '{configuration.name}' keeps the pose transfer branch as it is "
            "(training.pose_branch_stays), so it needs a trained one: give the weights of a model "
            "of the same sizes by --start-from."
        )
    return None


def check_same_start(source: str, record: Record, checkpoint: Path) -> bool:
    """Refuse to go on from a checkpoint whose training started from other weights.

    Returns:
        Whether the weights are still there to be compared; they are not needed any more.

    Raises:
        InputError: they are others, or the training started from random ones.
    """
    try:
        _, state = read_record(source)
    except WeightsError:
        return False
    if record.start.get("weights") != tensors_digest(state):
        began = record.start.get("configuration", "random weights")
        raise InputError(
            f"--start-from: {checkpoint} did not start from {source} (but from {began}). Leave "
            "--start-from out to go on with it, or begin a new training in another --out."
        )
    return True
