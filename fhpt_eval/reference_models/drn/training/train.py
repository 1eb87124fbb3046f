"""Train a model, or go on with a training: its folder, its checks, its last weights.

The loop itself is :func:`fhpt_eval.common.training.train`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fhpt_eval.common import training as loop
from fhpt_eval.common.machine import ahead
from fhpt_eval.common.progress import Progress
from fhpt_eval.common.training import Checkpoint, Pace, Row, Task
from fhpt_eval.errors import FhptEvalError, InputError
from fhpt_eval.reference_models.drn.data.batches import AHEAD, Batches, open_pixels
from fhpt_eval.reference_models.drn.data.inputs import Batch, to_inputs, to_unit
from fhpt_eval.reference_models.drn.data.pairs import PairSet
from fhpt_eval.reference_models.drn.training.checkpoints import (
    CHECKPOINT_KIND,
    Record,
    check_same,
    export,
    load_checkpoint,
)
from fhpt_eval.reference_models.drn.training.distributed import World
from fhpt_eval.reference_models.drn.training.logs import Log
from fhpt_eval.reference_models.drn.training.plan import (
    WEIGHTS,
    Plan,
    check_same_start,
    prepare_folder,
    start_of,
)
from fhpt_eval.reference_models.drn.training.samples import Samples
from fhpt_eval.reference_models.drn.training.schedule import pairs_at
from fhpt_eval.reference_models.drn.training.trainer import Trainer

#: Processes ask each other this often, in steps, whether one of them was told to stop.
_ASK_EVERY = 10


def train(
    plan: Plan,
    data: PairSet,
    device: torch.device,
    *,
    samples: PairSet | None = None,
    world: World | None = None,
    progress: Progress | None = None,
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
        progress: is told how far it is; in the leading process only.

    Raises:
        InputError: the checkpoint is of another configuration or other data, the batch cannot be
            divided, or an image cannot be decoded.
        WeightsError: the checkpoint is damaged, or the perceptual network's weights are missing.
        StorageError: a file cannot be written.
        Stopped: by a signal; there is a checkpoint.
    """
    world = world or World()
    progress = (progress if world.leads else None) or Progress()
    part = world.part(plan.configuration.training.batch_size)
    checkpoint = _checkpoint(plan, data, world)  # what is wrong with it is told before any work
    trainer = Trainer(plan.configuration, device, world)
    with ThreadPoolExecutor(plan.threads) as decoders, ThreadPoolExecutor(1) as maker:
        task = _PairTask(plan, data, trainer, part, decoders, maker, progress)
        record = task.begin() if checkpoint is None else task.go_on(checkpoint)
        if record.steps >= plan.stop:
            progress.say(f"{record.steps:,} steps are done already.")
        else:
            pace = Pace(plan.stop, plan.log_every, plan.checkpoint_every)
            task.open(samples or data, record.steps)
            try:
                seconds = loop.train(
                    task, plan.checkpoint, pace, progress, record.steps, record.seconds
                )
            finally:
                task.close()
            record = task.record(plan.stop, seconds)
    if world.leads:
        export(plan.out / WEIGHTS, trainer.model.state_dict(), record, "float32")
    return record


def _checkpoint(plan: Plan, data: PairSet, world: World) -> Checkpoint | None:
    """Return the folder's checkpoint, if the plan is to go on and there is one.

    The leading process alone looks at the folder; what it refuses is refused in all.
    """
    answer: bool | FhptEvalError | None = None
    if world.leads:
        try:
            answer = prepare_folder(plan.out, plan.resume)
        except FhptEvalError as error:
            answer = error
    if not world.of_leader(answer):
        return None
    checkpoint = load_checkpoint(plan.checkpoint)
    check_same(Record.of_checkpoint(checkpoint, str(plan.checkpoint)), plan.configuration,
               data.digest, plan.checkpoint)  # fmt: skip
    return checkpoint


class _PairTask(Task):
    """Pairs, the networks that learn from them, and what the training writes in its folder."""

    kind = CHECKPOINT_KIND

    def __init__(
        self, plan: Plan, data: PairSet, trainer: Trainer, part: slice,
        decoders: ThreadPoolExecutor, maker: ThreadPoolExecutor, progress: Progress,
    ) -> None:  # fmt: skip
        self.plan, self.data, self.trainer, self.part = plan, data, trainer, part
        self.decoders, self.maker, self.progress = decoders, maker, progress
        self.images = plan.configuration.training.batch_size
        self.rank, self.processes = trainer.world.rank, trainer.world.size
        self.start: Mapping[str, str] = {}
        self.written: Log | None = None
        self.samples: Samples | None = None

    def begin(self) -> Record:
        """Begin a new training: with the weights that the plan names, if it names any."""
        plan = self.plan
        start = start_of(plan.start_from, plan.configuration, plan.out)
        if start is not None:
            self.trainer.model.load_state_dict(dict(start.state), strict=False)
            self.start = start.values()
            self.progress.say(str(start))
        return self.record(0, 0.0)

    def go_on(self, checkpoint: Checkpoint) -> Record:
        """Go on from a checkpoint of the same configuration and data; return its record.

        Raises:
            WeightsError: its tensors do not fit.
            InputError: it knows another perceptual network, or another start.
        """
        path = self.plan.checkpoint
        loop.restore(self, checkpoint, path)
        record = Record.of_checkpoint(checkpoint, str(path))
        then, now = dict(record.perceptual), dict(self.trainer.perceptual_record)
        if then != now:
            raise InputError(
                f"{path} was trained with another perceptual network: {then} there and {now} "
                "here. Put the weights of then in their place, or begin a new training in another "
                "--out."
            )
        self.start = record.start
        source = self.plan.start_from
        if source and not check_same_start(source, record, path):
            self.progress.say(f"{source} is not there any more, and not needed.")
        self.progress.say(f"Going on after step {record.steps:,} of {path}.")
        return record

    def open(self, samples: PairSet, step: int) -> None:
        """Open the log and read the pairs of the sample grids, in the leading process.

        The weights of fewer steps go: whoever draws next must not take them for these.
        """
        plan, trainer = self.plan, self.trainer
        if not trainer.world.leads:
            return
        self.written = Log(plan.out, step, plan.configuration.training, self.progress)
        if plan.sample_every:
            try:
                self.samples = Samples(samples, plan.configuration, trainer.device, self.decoders)
            except InputError as error:  # of an image, which costs the grids and not the training
                self.progress.say(f"No grids of samples will be drawn: {error}")
        (plan.out / WEIGHTS).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the log."""
        if self.written is not None:
            self.written.close()

    def record(self, steps: int, seconds: float) -> Record:
        """Return how the model came about."""
        device, world = self.trainer.device, self.trainer.world
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        return Record(
            configuration=self.plan.configuration,
            steps=steps,
            data_digest=self.data.digest,
            perceptual=self.trainer.perceptual_record,
            seconds=seconds,
            device=f"{world.size} x {name}" if world.size > 1 else name,
            start=self.start,
        )

    def about(self) -> dict[str, Any]:
        """See :class:`Task`: the record, whose steps and seconds are the checkpoint's."""
        return self.record(0, 0.0).values()

    def state(self) -> dict[str, Any]:
        return self.trainer.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        self.trainer.restore(state)

    def steps(self, first: int, stop: int) -> Generator[dict[str, Tensor], None, None]:
        """See :class:`Task`: batches are made ahead of the step that needs them."""
        configuration = self.plan.configuration
        size = configuration.height, configuration.width
        pixels = open_pixels(
            self.data.people, *size, device=self.trainer.device, pool=self.decoders,
            progress=self.progress, processes=self.trainer.world.local_size,
        )  # fmt: skip
        batches = Batches(self.data, pixels, *size)
        numbers = range(first, stop)
        rows = (
            pairs_at(step, len(self.data), configuration.training)[self.part] for step in numbers
        )
        for step, batch in zip(numbers, ahead(self.maker, batches, rows, AHEAD), strict=True):
            yield self._step(step, batch)

    def _step(self, step: int, batch: Batch) -> dict[str, Tensor]:
        configuration, device = self.plan.configuration, self.trainer.device
        batch = batch.to(device)
        inputs = to_inputs(batch, configuration.heatmap_sigma, configuration.model.face_size)
        assert batch.target is not None  # noqa: S101 - a batch for training has them
        targets = to_unit(batch.target)
        if configuration.training.channels_last:
            inputs = inputs.to(device, channels_last=True)
            targets = targets.contiguous(memory_format=torch.channels_last)
        return self.trainer.step(step, inputs, targets)

    def log(self, row: Row) -> None:
        if self.written is not None:
            self.written.write(row)

    def show(self, step: int, ends: bool) -> None:
        """See :class:`Task`: draw a grid of samples."""
        every = self.plan.sample_every
        if self.samples is None or self.written is None or not (ends or step % every == 0):
            return
        path = self.plan.out / "samples" / f"step-{step:08d}.png"
        self.written.image(self.samples.draw(self.trainer), path, step)

    def mean(self, losses: Tensor) -> Tensor:
        return self.trainer.world.mean(losses)

    def asked_to_stop(self, number: int, step: int) -> int:
        if self.processes == 1:
            return number
        if step % _ASK_EVERY:
            return 0
        return self.trainer.world.largest(number, self.trainer.device)

    def advice(self, checkpoint: Path) -> str:
        cure = "or with --precision float32."
        if checkpoint.is_file():
            cure = (
                f"or go on from {checkpoint}, which is of before, with --resume and --precision "
                "float32."
            )
        return f"Begin anew in another --out with a lower training.learning_rate, {cure}"
