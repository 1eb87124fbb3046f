"""Train a model: go through the steps, log, draw samples, keep checkpoints, go on from one."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch

from fhpt_eval.common.files import check_writable
from fhpt_eval.errors import FhptEvalError, InputError, WeightsError
from fhpt_eval.reference_models.drn.assembly import Batch, to_inputs, to_targets
from fhpt_eval.reference_models.drn.checkpoints import (
    Checkpoint,
    Record,
    check_same,
    export,
    load_checkpoint,
    save_checkpoint,
)
from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.data import PairSet
from fhpt_eval.reference_models.drn.distributed import World
from fhpt_eval.reference_models.drn.listener import Listener, Silent
from fhpt_eval.reference_models.drn.loading import Batches, ahead, open_pixels
from fhpt_eval.reference_models.drn.logs import Log
from fhpt_eval.reference_models.drn.meter import Meter
from fhpt_eval.reference_models.drn.samples import Samples
from fhpt_eval.reference_models.drn.schedule import learning_rate, pairs_at, stage_of
from fhpt_eval.reference_models.drn.signals import Signals
from fhpt_eval.reference_models.drn.start import check_same_start, start_of
from fhpt_eval.reference_models.drn.trainer import Trainer

#: Files of a training, below its folder.
CHECKPOINT, WEIGHTS, LOG = "checkpoint.pt", "weights.safetensors", "log.csv"
#: What a training that was stopped before its first checkpoint may have left.
_OURS = frozenset({CHECKPOINT, WEIGHTS, LOG, "samples", "tensorboard"})
#: Processes ask each other this often, in steps, whether one of them was told to stop.
_ASK_EVERY = 10


class Stopped(FhptEvalError):  # noqa: N818 - a state of the training, and no fault
    """A signal ended the training; a checkpoint was written."""

    def __init__(self, number: int, step: int, path: Path) -> None:
        super().__init__(f"Stopped after step {step:,}; {path} has everything up to there.")
        self.signal = number


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
        _check_losses(self.configuration)


def prepare_folder(out: Path, resume: bool) -> bool:
    """Make or check a training's folder; return whether there is a checkpoint to go on from.

    Raises:
        InputError: it holds something, and ``resume`` is not set or it is no training's.
        StorageError: it cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: {out} is a file; give a folder.")
    leftovers = [path for path in out.iterdir() if _is_leftover(path)] if out.is_dir() else []
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    there -= {path.name for path in leftovers}
    if there and not resume:
        hint = " to go on with the training in it" if CHECKPOINT in there else ""
        ours = there <= _OURS
        raise InputError(
            f"--out: {out} is not empty. "
            + (f"Add --resume{hint}, or choose another folder." if ours else "Choose another one.")
        )
    if there - _OURS and CHECKPOINT not in there:
        raise InputError(f"--out: {out} holds files, but no {CHECKPOINT} to resume from.")
    check_writable(out)
    for path in leftovers:
        path.unlink(missing_ok=True)
    return CHECKPOINT in there


def _is_leftover(path: Path) -> bool:
    """Whether a kill left a file half written; see ``write_atomically``."""
    return path.suffix == ".tmp" and path.name.startswith(tuple(f".{name}." for name in _OURS))


def train(
    plan: Plan,
    data: PairSet,
    device: torch.device,
    *,
    samples: PairSet | None = None,
    world: World | None = None,
    listener: Listener | None = None,
) -> Record:
    """Train until the plan's last step, and export the weights then.

    On a CPU the result is a function of configuration, data and steps, to the bit, however often
    the training was stopped in between. Seeds torch's global generator.

    Args:
        plan: what and how.
        data: to train on.
        device: of this process.
        samples: pairs to draw in sample grids.  [default: of the data]
        world: the processes that take part.
        listener: is told how far it is; in the leading process only.

    Raises:
        InputError: the checkpoint is of another configuration or other data, the batch cannot be
            divided, or an image cannot be decoded.
        WeightsError: the checkpoint is damaged, or the perceptual network's weights are missing.
        StorageError: a file cannot be written.
        Stopped: by a signal; there is a checkpoint.
    """
    world = world or World()
    listener = (listener if world.leads else None) or Silent()
    with ThreadPoolExecutor(plan.threads) as decoders, ThreadPoolExecutor(1) as maker:
        run = _Run(plan, data, device, world, listener)
        if run.done >= plan.stop:
            listener.say(f"{run.done:,} steps are done already.")
        else:
            run.open(samples or data, decoders)
            run.forget_weights()
            try:
                run.go(decoders, maker)
            finally:
                run.close()
        return run.export()


class _Run:
    """One call of :func:`train`."""

    def __init__(
        self, plan: Plan, data: PairSet, device: torch.device, world: World, listener: Listener
    ) -> None:
        self.plan, self.data, self.device = plan, data, device
        self.world, self.listener = world, listener
        self.part = world.part(plan.configuration.training.batch_size)
        checkpoint = self._checkpoint()  # whatever is wrong with it is told before any work
        self.trainer = Trainer(plan.configuration, device, world)
        self.done, self.saved, self.seconds = 0, 0, 0.0
        self.start: Mapping[str, str] = {}
        if checkpoint is None:
            self._start()
        self.record = self._record()
        self.log: Log | None = None
        self.samples: Samples | None = None
        if checkpoint is not None:
            self._restore(checkpoint)

    def _checkpoint(self) -> Checkpoint | None:
        """Return the folder's checkpoint, if the plan is to go on and there is one."""
        plan, path = self.plan, self.plan.out / CHECKPOINT
        leads = self.world.leads
        there = self.world.of_leader(_prepared(plan.out, plan.resume) if leads else None)
        if not there:
            return None
        checkpoint = load_checkpoint(path)
        check_same(checkpoint.record, plan.configuration, self.data.digest, path)
        return checkpoint

    def _start(self) -> None:
        """Begin: with the weights that the plan names, if it names any."""
        plan = self.plan
        start = start_of(plan.start_from, plan.configuration, plan.out)
        if start is None:
            return
        start.give_to(self.trainer.model)
        self.start = start.values()
        self.listener.say(start.told())

    def _restore(self, checkpoint: Checkpoint) -> None:
        trainer = self.trainer
        try:
            trainer.model.load_state_dict(checkpoint.model)
            trainer.discriminators.load_state_dict(checkpoint.discriminators)
            trainer.generator_optimiser.load_state_dict(checkpoint.generator_optimiser)
            trainer.discriminator_optimiser.load_state_dict(checkpoint.discriminator_optimiser)
            for optimiser in (trainer.generator_optimiser, trainer.discriminator_optimiser):
                _check_moments(optimiser)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise WeightsError(
                f"{self.plan.out / CHECKPOINT} does not fit its own configuration: "
                f"{lines[-1].strip()}"
            ) from error
        then, now = dict(checkpoint.record.perceptual), dict(trainer.perceptual_record)
        if then != now:
            raise InputError(
                f"{self.plan.out / CHECKPOINT} was trained with another perceptual network: {then} "
                f"there and {now} here. Put the weights of then in their place, or begin a new "
                "training in another --out."
            )
        self.record, self.start = checkpoint.record, checkpoint.record.start
        begun = self.plan.start_from
        if begun and not check_same_start(begun, self.record, self.plan.out / CHECKPOINT):
            self.listener.say(f"{begun} is not there any more, and not needed.")
        self.done, self.seconds = self.record.steps, self.record.seconds
        self.saved = self.done
        self.listener.say(f"Going on after step {self.done:,} of {self.plan.out / CHECKPOINT}.")

    def open(self, samples: PairSet, decoders: ThreadPoolExecutor) -> None:
        """Open the log, and read the pairs of the sample grids, in the leading process."""
        if not self.world.leads:
            return
        self.log = Log(self.plan.out, self.done, self.listener)
        if self.plan.sample_every:
            try:
                self.samples = Samples(samples, self.plan.configuration, self.device, decoders)
            except InputError as error:  # of an image, which costs the grids and not the training
                self.listener.say(f"No grids of samples will be drawn: {error}")

    def go(self, decoders: ThreadPoolExecutor, maker: ThreadPoolExecutor) -> None:
        """Do the steps that are left."""
        settings = self.plan.configuration.training
        batches = self._batches(decoders)
        steps = range(self.done, self.plan.stop)
        rows = (pairs_at(step, len(self.data), settings)[self.part] for step in steps)
        meter = Meter(self.done, time.monotonic())
        with Signals(insist=self.world.size > 1) as signals:
            try:
                for step, batch in zip(steps, ahead(maker, batches, rows), strict=True):
                    meter.add(self._step(step, batch))
                    self.done = step + 1
                    self._keep(meter, self._told_to_stop(signals))
            except InputError:  # an image cannot be decoded; what was done until here is kept
                if self.world.size == 1 and self.done > self.saved:
                    if meter.sums:
                        self._write(meter)
                    self._save()
                raise

    def _keep(self, meter: Meter, number: int) -> None:
        """After a step: log, draw and save if it is time to, or if a signal's number is given."""
        plan = self.plan
        ends = bool(number) or self.done == plan.stop
        saves = ends or self.done % plan.checkpoint_every == 0
        if saves or self.done % plan.log_every == 0:
            self._write(meter)
        if plan.sample_every and (ends or self.done % plan.sample_every == 0):
            began = time.monotonic()
            self._draw()
            meter.started += time.monotonic() - began
        if saves:
            self._save()
        if number:
            raise Stopped(number, self.done, plan.out / CHECKPOINT)
        if saves:
            meter.restart()  # saving, as drawing, is no part of a step's time

    def forget_weights(self) -> None:
        """Remove the weights of fewer steps: whoever draws next must not take them for these."""
        if self.world.leads:
            (self.plan.out / WEIGHTS).unlink(missing_ok=True)

    def export(self) -> Record:
        """Write the weights for :mod:`~.generate`; return their record, which goes with them."""
        if self.world.leads:
            state = self.trainer.model.state_dict()
            export(self.plan.out / WEIGHTS, state, self.record, "float32")
        return self.record

    def close(self) -> None:
        """Close the log."""
        if self.log is not None:
            self.log.close()

    def _record(self) -> Record:
        """Return how the model came about, up to now."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return Record(
            self.plan.configuration, self.done, self.data.digest, self.trainer.perceptual_record,
            self.seconds, f"{self.world.size} x {name}" if self.world.size > 1 else name,
            start=self.start,
        )  # fmt: skip

    def _batches(self, decoders: ThreadPoolExecutor) -> Batches:
        configuration = self.plan.configuration
        size = configuration.height, configuration.width
        pixels = open_pixels(
            self.data.people, *size, device=self.device, pool=decoders, listener=self.listener,
            processes=self.world.local_size,
        )  # fmt: skip
        return Batches(self.data, pixels, *size)

    def _step(self, step: int, batch: Batch) -> dict[str, torch.Tensor]:
        configuration = self.plan.configuration
        batch = batch.to(self.device)
        last = configuration.training.channels_last
        inputs = to_inputs(batch, configuration.heatmap_sigma, configuration.model.face_size)
        return self.trainer.step(
            step,
            inputs.to(self.device, channels_last=last),
            to_targets(batch).to(self.device, channels_last=last),
        )

    def _told_to_stop(self, signals: Signals) -> int:
        """Return the number of the signal that ends the training, in all processes at once."""
        if self.world.size == 1:
            return signals.number
        if self.done % _ASK_EVERY:
            return 0
        return self.world.largest(signals.number, self.device)

    def _write(self, meter: Meter) -> None:
        """Log the steps since the row before; the losses are checked on the way."""
        settings = self.plan.configuration.training
        values = meter.means(self.world)
        self._refuse([name for name, value in values.items() if not math.isfinite(value)])
        steps, passed = meter.take(self.done)
        self.seconds += passed
        self.record = self._record()
        if self.log is None:
            return
        row: dict[str, float | int | str] = {
            "step": self.done,
            "stage": stage_of(self.done - 1, settings),
            "learning_rate": learning_rate(self.done - 1, settings),
            **values,
            "images_per_second": steps * settings.batch_size / passed,
            "seconds": round(self.seconds, 3),
        }
        self.log.write(row, self.plan.stop, (self.plan.stop - self.done) * passed / steps)

    def _refuse(self, wrong: list[str]) -> None:
        """End a training in which something is not finite any more."""
        if not wrong:
            return
        path = self.plan.out / CHECKPOINT
        cure = "or with --precision float32."
        if path.is_file():
            cure = (
                f"or go on from {path}, which is of before, with --resume and --precision float32."
            )
        raise FhptEvalError(
            f"The training diverged before step {self.done:,}: {', '.join(wrong)} is not finite. "
            f"Begin anew in another --out with a lower training.learning_rate, {cure}"
        )

    def _draw(self) -> None:
        if self.samples is not None and self.log is not None:
            path = self.plan.out / "samples" / f"step-{self.done:08d}.png"
            self.log.image(self.samples.draw(self.trainer), path, self.done)

    def _save(self) -> None:
        """Write a checkpoint; one that nothing can go on from does not replace a good one."""
        trainer = self.trainer
        networks = {"model": trainer.model, "discriminators": trainer.discriminators}
        self._refuse([f"the {name}" for name, one in networks.items() if not _is_finite(one)])
        self.saved = self.done
        if not self.world.leads:
            return
        checkpoint = Checkpoint(
            self.record,
            trainer.model.state_dict(),
            trainer.discriminators.state_dict(),
            trainer.generator_optimiser.state_dict(),
            trainer.discriminator_optimiser.state_dict(),
        )
        save_checkpoint(self.plan.out / CHECKPOINT, checkpoint)


def _is_finite(network: torch.nn.Module) -> bool:
    """Whether all parameters are numbers; the device is waited for once."""
    return bool(torch.stack([one.isfinite().all() for one in network.parameters()]).all())


def _check_moments(optimiser: torch.optim.Optimizer) -> None:
    """Refuse an optimiser's state of other shapes than its parameters, which torch takes.

    Raises:
        ValueError: says which shapes.
    """
    for parameter, state in optimiser.state.items():
        for name, value in state.items():
            if name != "step" and value.shape != parameter.shape:
                raise ValueError(
                    f"{name} is {tuple(value.shape)} for a parameter of {tuple(parameter.shape)}"
                )


def _prepared(out: Path, resume: bool) -> bool | FhptEvalError:
    """Return what :func:`prepare_folder` says, be it that the folder is refused."""
    try:
        return prepare_folder(out, resume)
    except FhptEvalError as error:
        return error


def _check_losses(configuration: Configuration) -> None:
    """Refuse a stage without a loss."""
    loss, settings = configuration.loss, configuration.training
    if settings.coarse_steps and not (loss.l1_coarse or loss.perceptual_coarse):
        raise InputError(
            "loss.l1_coarse and loss.perceptual_coarse are both 0, so the coarse_steps have no "
            "loss. Set one, or training.coarse_steps to 0."
        )
    if settings.coarse_steps < settings.steps and not (loss.l1 or loss.perceptual):
        raise InputError(
            "loss.l1 and loss.perceptual are both 0, so nothing draws the final image towards "
            "the target. Set one of them."
        )
