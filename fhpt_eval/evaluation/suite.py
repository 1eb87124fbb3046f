"""A whole protocol in a validation loop: batches of tensors in, the result of a run out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from fhpt_eval.common.fingerprint import device_name
from fhpt_eval.common.machine import choose_device, full_precision
from fhpt_eval.common.processes import Group, gathered, on_first
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ArgumentError, InputError, WeightsError
from fhpt_eval.evaluation.compute.chunk import BATCH_PAIRS, Unit, compute, row_identity
from fhpt_eval.evaluation.compute.kept import Kept, KeptJob, is_of_sets, merged
from fhpt_eval.evaluation.executors.local import LocalExecutor
from fhpt_eval.evaluation.request import Request, loaded_protocols
from fhpt_eval.evaluation.run import Run, scorings_of
from fhpt_eval.evaluation.store.partial import Partial
from fhpt_eval.evaluation.store.store import MemoryStore
from fhpt_eval.evaluation.survey.batch import Names, check_sizes, pairs_of
from fhpt_eval.evaluation.survey.chunks import CheckedPair, Chunk, Member, SetImage
from fhpt_eval.evaluation.survey.needs import lack_of, lack_of_machine, sides_there
from fhpt_eval.evaluation.tasks import PixelDigests, Planned, RowsTask, Task
from fhpt_eval.evaluation.work import distinct
from fhpt_eval.features.kinds import LOOKED_AT
from fhpt_eval.images.files import CheckedImage, HeldImage
from fhpt_eval.pairs.pair import Folders, Matching
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Result

if TYPE_CHECKING:
    from torch import Tensor


class Suite:
    """Scores batches of tensors under a protocol; no folder is needed, and no image is kept.

    ``suite = Suite("mannequin")``, then ``suite.update(generated, ground_truth, keys)`` for each
    batch, and ``suite.compute()``: a :class:`~fhpt_eval.result.Result`, whose scores, intervals and
    values of pairs are to the last bit those of a run on the same images in folders. What is kept
    of a pair is its values and the rows of its images (docs/validation.md says how many bytes).

    Inside of torch.distributed each process adds its share, and ``compute`` is of all of them.
    """

    def __init__(
        self, protocol: str | Path | Protocol = "fhpt", *, name: str = "model",
        device: str = "auto", workers: int = 1, group: Group = None, **options: Any,
    ) -> None:  # fmt: skip
        """Load a protocol and its networks.

        Args:
            protocol: a shipped protocol, a TOML file of your own, or a loaded one.
            name: what the result calls the model.
            device: auto, cpu, cuda or cuda:N; wherever the tensors are.
            workers: how many batches of 16 pairs are computed at a time.
            group: the processes of torch.distributed whose pairs are one set; all by default.
            options: ``metrics`` and ``settings`` as those of a request, and what metrics declare,
                such as ``fid_reference``.

        Raises:
            ArgumentError: there is no such argument.
            InputError: something given is wrong.
            UnavailableError: a metric named in ``metrics`` lacks something.
        """
        of_files = Request.model_fields.keys() - {"metrics", "settings", "progress"}
        if wrong := sorted(options.keys() & (of_files | {"out"})):
            raise ArgumentError(f"A suite takes tensors, and has no use for '{wrong[0]}'.")
        request = Request.of(
            pred=Path(name), name=name, protocol=protocol, device=device, allow_missing=True,
            **options,
        )  # fmt: skip
        protocols = loaded_protocols(request)
        protocols[0].canonical()  # reads what it names: a wrong path shows before any work
        self._group = group
        self._run = Run(
            request, name, Folders(Path(), Path()), Matching((), "keys", {}, (), 0),
            scorings_of(protocols, request), choose_device(device), LocalExecutor(workers),
            request.progress or Progress(),
        )  # fmt: skip
        (self._scoring,) = self._run.scorings
        self._kind = device_name(self._run.device)
        entries = self._scoring.entries
        self._faults = {each.name: fault for each in entries if (fault := self._fault(each))}
        self._entries = [entry for entry in entries if entry.name not in self._faults]
        #: What fixes the numbers of this process: they are to be those of all.
        self._planned = [Planned.plan(entry, self._kind) for entry in self._entries]
        lacking = [(e, self._faults[e.name]) for e in entries if e.name in self._faults]
        self._run.tell(self._scoring, self._planned, lacking)
        self._kept = Kept()
        self.reset()

    def _fault(self, entry: Entry) -> str:
        """Load what a metric computes with; say why it cannot be, or nothing."""
        lack = lack_of_machine(entry)
        if not lack:
            try:
                entry.metric.load(torch.device(self._run.device))
            except WeightsError as error:
                return f"cannot load its weights: {error}"
        return lack

    def reset(self) -> None:
        """Forget all pairs, as before the next epoch; rows of real images serve it too."""
        self._kept = self._kept.real_alone()
        self._truths: dict[str, CheckedImage | None] = {}  # by target
        self._start = time.monotonic()

    def update(
        self, generated: Tensor, ground_truth: Tensor | None, keys: Sequence[str],
        source: Tensor | None = None, items: Sequence[str] | None = None,
        names: Sequence[Names] | None = None,
    ) -> None:  # fmt: skip
        """Add a batch of N pairs; images are ``(N, 3, H, W)``, uint8 or float in [0, 1].

        Floats are rounded to 8 bits, as an image that is saved is. A pair that comes again with
        equal images counts once.

        Args:
            generated: what the model drew.
            ground_truth: what it should equal; ``None`` for metrics that need none.
            keys: N names of the generated images, as their files would have, without an ending:
                source and target are read from them as from those of files.
            source: the source images, for metrics that need them.
            items: N item ids; by default what DeepFashion's names tell.
            names: N times the names of source (or ``None``) and target, where keys do not tell.

        Raises:
            ArgumentError: says which argument, and what is wrong with it; nothing was added.
            InputError: images, preparation and a metric do not go together; nothing was added.
            MetricError: a metric failed; nothing was added.
        """
        metrics = [entry.metric for entry in self._entries]
        uses = {need for metric in metrics for need in metric.uses() | metric.may_use()}
        images = {
            "generated": generated,
            "ground_truth": ground_truth,
            "source": source if "source" in uses else None,
        }
        pairs = pairs_of(images, keys, items, names)
        check_sizes(pairs, *self._run.preparations())
        pairs = self._new(pairs)
        ready = [
            Planned.plan(entry, self._kind, sides_there(entry.steps, pairs))
            for entry in self._entries
            if pairs and not lack_of(entry, pairs)
        ]
        yielded: list[tuple[Task, Partial]] = []
        units = list(self._units(pairs, ready))
        with full_precision():
            for _, outcome in self._run.executor.run(self._compute, units):
                if isinstance(outcome, Exception):
                    raise outcome
                yielded += outcome
        for task, partial in yielded:
            self._kept.add(task, partial)
        self._kept.samples += pairs[: LOOKED_AT - len(self._kept.samples)]
        for pair in map(_let_go, pairs):
            self._kept.pairs[pair.key] = pair
            self._truths[pair.place] = pair.ground_truth

    def _new(self, pairs: Sequence[CheckedPair]) -> list[CheckedPair]:
        """Return the pairs that have not come before, each once.

        Raises:
            ArgumentError: one came before with other images, or its target with another.
        """
        new: dict[str, CheckedPair] = {}
        targets: dict[str, CheckedImage | None] = {}
        for pair in pairs:
            truth = targets.setdefault(pair.place, self._truths.get(pair.place, pair.ground_truth))
            if truth != pair.ground_truth:
                raise ArgumentError(
                    f"'ground_truth': that of {pair.key} is another image than that of an earlier "
                    f"pair with the target {pair.place}"
                )
            known = self._kept.pairs.get(pair.key) or new.get(pair.key)
            if known is None:
                new[pair.key] = pair
            elif known.identity != pair.identity:
                raise ArgumentError(
                    f"'keys': {pair.key} came before with other images; call reset() before each "
                    "epoch, and give each pair a key of its own"
                )
        return list(new.values())

    def _units(self, pairs: Sequence[CheckedPair], ready: Sequence[Planned]) -> Iterator[Unit]:
        """Return what is to be computed of a batch, each row that is not kept yet once."""
        tasks = [task for each in ready for task in each.of_pairs]
        alike: dict[tuple[str, ...], tuple[Sequence[Member], list[Task]]] = {}
        for task in distinct([*tasks, PixelDigests.plan()]):
            members: Sequence[Member] = pairs
            if isinstance(task, RowsTask):
                members = self._lacking(task, pairs)
            keys = tuple(member.key for member in members)
            alike.setdefault((*keys, str(is_of_sets(task))), (members, []))[1].append(task)
        for task in {task.address: task for each in ready for task in each.of_sources}.values():
            shown = [
                SetImage(pair.pair.source_name or pair.source.identity, pair.source, "source")
                for pair in pairs
                if pair.source is not None
            ]
            members = self._lacking(task, shown)
            alike[f"sources of {task.address}",] = members, [task]
        for members, same in alike.values():
            # A state is of a single pair, so that it can be merged in any order of pairs.
            count = 1 if is_of_sets(same[0]) else BATCH_PAIRS
            for first in range(0, len(members), count):
                yield Unit(Chunk(tuple(members[first : first + count])), tuple(same))

    def _lacking(self, task: RowsTask, members: Sequence[Member]) -> list[Member]:
        """Return the members whose images a task has not seen, each image once."""
        named = {row_identity(member, task): member for member in members}
        return [member for name, member in named.items() if self._kept.lacks(task, name)]

    def _compute(self, unit: Unit) -> list[tuple[Task, Partial]]:
        return list(compute(unit.chunk, unit.tasks, self._run.device))

    def compute(self) -> Result:
        """Return the result of all pairs so far, as a run on the same images has it.

        Inside of torch.distributed every process of the group must call it, and has the result of
        all of them. ``result.save(Path(...))`` writes the files of a run.

        Raises:
            InputError: no pair was added, or processes would compute different numbers.
            UnavailableError: no metric can be computed, or one that was named cannot.
            MetricError: a metric failed.
        """
        addresses = [each.address for each in self._planned]
        return on_first(self._group, gathered((addresses, self._kept), self._group), self._result)

    def _result(self, parts: Sequence[tuple[list[str], Kept]]) -> Result:
        for number, (addresses, _) in enumerate(parts):
            if addresses != parts[0][0]:
                raise InputError(
                    f"Process {number} would compute other numbers than process 0: another "
                    "protocol, device or version of a library, or weights that it lacks."
                )
        kept, problems = merged([part for _, part in parts])
        pairs = sorted(kept.pairs.values(), key=lambda pair: pair.key)
        if not pairs:
            raise InputError("No pair was added: call update(generated, ground_truth, keys) first.")
        if all(
            pair.ground_truth and pair.generated.identity == pair.ground_truth.identity
            for pair in pairs
        ):
            raise InputError(
                "Every generated image equals its ground truth, and images compared with "
                "themselves are no result. Give update() what the model drew first."
            )
        truth = None if any(pair.ground_truth is None for pair in pairs) else Path()
        example = f"{pairs[0].pair.generated.path} is compared with {pairs[0].pair.target_name}"
        run = replace(
            self._run,
            folders=Folders(Path(), truth, Path()),
            matching=replace(self._run.matching, expected=len(pairs), example=example),
        )
        ready = run.available(self._scoring, pairs)
        faults = {p.address: self._faults.get(p.entry.name, "") for p in ready.planned}
        ready = run.without(ready, {address: why for address, why in faults.items() if why})
        job = KeptJob(run.device, MemoryStore(), MemoryStore(), kept)
        (result,) = run.prepared([ready], job, pairs, problems, self._start, kept.samples).results()
        return result


def _let_go(pair: CheckedPair) -> CheckedPair:
    """Return a pair whose images hold no pixels any more."""

    def without(image: CheckedImage | None) -> Any:
        return image.let_go() if isinstance(image, HeldImage) else image

    return CheckedPair(
        pair.pair, without(pair.generated), without(pair.ground_truth), without(pair.source)
    )
