"""What is computed, and at which address: tasks, and which of them a metric rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from fhpt_eval.common import fingerprint
from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import FhptEvalError, MetricError, Undefined
from fhpt_eval.features.base import Feature
from fhpt_eval.images.preparation import Side, Step, software_of
from fhpt_eval.metrics.base import Metric
from fhpt_eval.metrics.registry import metric_distribution, metric_names
from fhpt_eval.protocol import Entry

#: Modules that make what every task is shown, by name, since they reach what plans tasks too.
_COMPUTE = ("fhpt_eval.images.files", "fhpt_eval.images.preparation")
#: Modules that turn what tasks yield into scores.
_REDUCE = (
    "fhpt_eval.evaluation.reduce.reduce",
    "fhpt_eval.evaluation.reduce.folds",
    "fhpt_eval.evaluation.reduce.scoring",
)


@dataclass(frozen=True)
class Task:
    """Something that is computed of chunks; ``address`` has all that it depends on but the images.

    ``steps`` prepare the images; ``sides`` says which of them it is shown.
    """

    address: str
    label: str
    steps: tuple[Step, ...]
    sides: frozenset[Side]


@dataclass(frozen=True)
class PixelDigests(Task):
    """The digests of a pair's pixels before any preparation: what makes a test set."""

    @classmethod
    def plan(cls) -> PixelDigests:
        """Return the one task of this kind."""
        address = digest_of({"format": fingerprint.FORMAT, "pixels": fingerprint.decoder()})
        return cls(address, "pixels", (), frozenset({"generated", "ground_truth"}))


@dataclass(frozen=True)
class MetricTask(Task):
    """A metric on images: columns and, of a metric over sets, a state."""

    metric: Metric

    @classmethod
    def plan(cls, entry: Entry, device: str) -> MetricTask:
        """Work out the address for a device."""
        # Which pairs count in the end does not change what is computed of each.
        settings = {k: v for k, v in entry.canonical().items() if k != "drop_incomplete"}
        sides: frozenset[Side] = frozenset({"generated", *sides_of(entry.metric)})
        address = digest_of(
            {
                "format": fingerprint.FORMAT,
                "entry": settings,
                "code": fingerprint.code_digest(*_COMPUTE, *_modules(entry)),
                "software": software((entry,)),
                "device": device,
            }
        )
        return cls(address, entry.name, entry.steps, sides, entry.metric)


@dataclass(frozen=True)
class RowsTask(Task):
    """A feature of the images of one side: a row for each image.

    Tasks of two sides that are prepared alike have one address: a row is the image's.
    """

    feature: Feature
    side: Side

    @classmethod
    def plan(cls, feature: Feature, side: Side, steps: tuple[Step, ...], device: str) -> RowsTask:
        """Work out the address for a device."""
        used = [step for step in steps if side in step.of]
        address = digest_of(
            {
                "format": fingerprint.FORMAT,
                "feature": feature.canonical(),
                "prepare": [step.canonical() for step in used],
                "code": fingerprint.code_digest(
                    *_COMPUTE, *sorted({type(part).__module__ for part in (feature, *used)})
                ),
                "software": fingerprint.software([software_of(used)]),
                "device": device,
            }
        )
        return cls(address, feature.name, steps, frozenset({side}), feature, side)

    @property
    def goes_by_name(self) -> bool:
        """Whether a step of its preparation needs the names of a pair."""
        return any(step.by_name for step in self.steps if self.side in step.of)


@dataclass(frozen=True)
class Planned:
    """A metric of a protocol, and the tasks that it rests on.

    ``rows`` maps the metric's own name for a feature, and the side, to the task; empty for a metric
    on images, which has a task ``alone``. ``reference`` has, by name, the tasks on the images of
    its reference folder.
    """

    entry: Entry
    address: str
    alone: MetricTask | None = None
    rows: Mapping[tuple[str, Side], RowsTask] = field(default_factory=dict)
    reference: Mapping[str, RowsTask] = field(default_factory=dict)

    @classmethod
    def plan(cls, entry: Entry, device: str, there: frozenset[Side] = frozenset()) -> Planned:
        """Plan a metric's tasks for a device; ``there`` are the sides that all pairs have."""
        metric = entry.metric
        alone, rows, reference = None, {}, {}
        if metric.takes == "images":
            alone = MetricTask.plan(entry, device)
        else:
            sides: list[Side] = ["generated", *sides_of(metric, there)]
            for name, feature in metric.features().items():
                for side in (each for each in sides if each in metric.sides_of(name)):
                    rows[name, side] = RowsTask.plan(feature, side, entry.steps, device)
                if metric.reference_folder() is not None:
                    task = RowsTask.plan(feature, "ground_truth", entry.steps, device)
                    reference[name] = task
        tasks = [*([alone] if alone else []), *rows.values(), *reference.values()]
        address = digest_of(
            {
                "entry": entry.canonical(),
                "name": entry.name,
                "code": fingerprint.code_digest(*_REDUCE, *_modules(entry)),
                "software": software((entry,)),
                "tasks": [task.address for task in tasks],
            }
        )
        return cls(entry, address, alone, rows, reference)

    @cached_property
    def of_pairs(self) -> tuple[Task, ...]:
        """The tasks on chunks of pairs."""
        rows = [task for task in self.rows.values() if task.side != "source"]
        return (self.alone,) if self.alone else tuple(rows)

    @property
    def of_sources(self) -> tuple[RowsTask, ...]:
        """The tasks on source images."""
        return tuple(task for task in self.rows.values() if task.side == "source")

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses of all of its tasks, and of its scores."""
        tasks = (*self.of_pairs, *self.of_sources, *self.reference.values())
        return frozenset({self.address, *(task.address for task in tasks)})


def sides_of(
    metric: Metric, there: frozenset[Side] = frozenset()
) -> tuple[Literal["ground_truth", "source"], ...]:
    """Return the sides, besides the generated images, that a metric uses where they are there."""
    sides: tuple[Literal["ground_truth", "source"], ...] = ("ground_truth", "source")
    uses = metric.uses() | (metric.may_use() & there)
    return tuple(side for side in sides if side in uses)


def software(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the versions of all that the numbers of some metrics rest on, plugins included."""
    installed = set(metric_names())
    versions: list[dict[str, str]] = []
    for entry in entries:
        versions += [dict(entry.metric.software()), software_of(entry.steps)]
        if entry.metric.name in installed:
            versions.append(dict([metric_distribution(entry.metric.name)]))
    return fingerprint.software(versions)


def code(entries: Sequence[Entry]) -> str:
    """Return the digest of the code that the numbers of some metrics rest on."""
    modules = {module for entry in entries for module in _modules(entry)}
    return fingerprint.code_digest(*_COMPUTE, *_REDUCE, *sorted(modules))


def _modules(entry: Entry) -> tuple[str, ...]:
    """Return the modules of a metric, of what it rests on and of its preparation."""
    parts = (entry.metric, *entry.metric.rests_on(), *entry.steps)
    return tuple(sorted({type(part).__module__ for part in parts}))


@contextmanager
def blame(label: str, doing: str) -> Iterator[None]:
    """Turn whatever a metric or a feature raises into a :class:`MetricError` that names it.

    Errors of our own, and a set whose value is undefined, pass as they are.
    """
    try:
        yield
    except (FhptEvalError, Undefined):
        raise
    except Exception as error:  # a plugin may fail in any way
        raise MetricError(
            f"Metric {label} failed while {doing}: {type(error).__name__}: {error}"
        ) from error
