"""Protocols: read and check the TOML file that fixes every number, and give it a digest.

The file format is described in docs/protocols.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from fhpt_eval.common.files import toml_table
from fhpt_eval.common.settings import digest_of
from fhpt_eval.common.shipped import Shipped
from fhpt_eval.common.validation import Frozen, explained
from fhpt_eval.errors import ProtocolError, did_you_mean
from fhpt_eval.images.preparation import Color, Crop, Pad, Resize, Step
from fhpt_eval.keypoints.mask import Mask
from fhpt_eval.metrics.registry import load_metric, metric_names

if TYPE_CHECKING:
    from fhpt_eval.metrics.base import Metric

_PRESETS = Shipped("fhpt_eval.protocol.presets", "protocol", "a protocol file", ProtocolError)
#: The names of the shipped protocols, sorted.
preset_names = _PRESETS.names
_STEPS: dict[str, type[Step]] = {
    kind.model_fields["step"].default: kind for kind in (Crop, Pad, Resize, Color, Mask)
}
Size = Annotated[tuple[int, int], Field(strict=False)]
_NAME = r"[a-z][a-z0-9_]*(\[[a-z0-9_.-]+\])?"


class Source(Frozen):
    """Where a protocol was read: the repository, its files and the commit."""

    repository: str
    files: tuple[str, ...] = Field(strict=False)
    commit: str


class MadeFor(Frozen):
    """The images that a published protocol was made for, as its authors score them.

    ``pairs`` of ``data``; ``sizes`` that generated images may have, width and height, as they lie
    on disk (a panel's, of strips); ``reference`` images that a Fréchet distance is to.
    """

    data: str
    pairs: Annotated[int, Field(ge=1)] | None = None
    sizes: Annotated[tuple[Size, ...], Field(strict=False)] = ()
    reference: Annotated[int, Field(ge=1)] | None = None


class _File(Frozen):
    """The top level of a protocol file; metrics and steps are checked one by one."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]*$", max_length=100)]
    title: str = ""
    description: str = ""
    version: Annotated[int, Field(ge=1)] = 1
    source: Source | None = None
    quirks: list[str] = Field(default_factory=list)
    comparable_with: str = ""
    made_for: MadeFor | None = None
    panels: Annotated[int, Field(ge=2, le=100)] | None = None
    prepare: list[dict[str, Any]] = Field(default_factory=list)
    metrics: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]


@dataclass(frozen=True)
class Entry:
    """One metric of a protocol: the name of its scores, the metric, and its images' preparation.

    With ``drop_incomplete`` only whole batches of so many pairs count, in the order of their keys,
    and so many reference images. Fewer than one batch make the batch, and reference images make
    that of the pairs as well. 0: everything counts.
    """

    name: str
    metric: Metric
    steps: tuple[Step, ...]
    drop_incomplete: int = 0

    @property
    def compares_pixels(self) -> bool:
        """Whether the two images of a pair must have one size after the preparation."""
        return self.metric.same_size

    def counted(self, number: int, references: int = 0) -> int:
        """Return how many of so many reference images count, or of so many pairs beside them."""
        batch = self.batch(references)
        return number - number % batch if 0 < batch < number else number

    def batch(self, references: int = 0) -> int:
        """Return of how many pairs a batch is beside so many reference images; 0: of all.

        The scripts take the reference images first and keep the size that their batch shrank to
        (``self.batch_size`` of ``script/metrics.py`` in Global-Flow-Local-Attention, 3afa8fe).
        """
        return min(self.drop_incomplete, references or self.drop_incomplete)

    def with_parameter(self, name: str, value: object, *, required: bool = False) -> Entry:
        """Set a parameter where the metric, or a step, has it.

        Raises:
            ProtocolError: the value is not allowed; or nothing has it, where it is ``required``.
        """
        fields = type(self.metric).model_fields
        if required and name not in fields:
            raise ProtocolError(
                f"{self.name}: there is no parameter '{name}'.{did_you_mean(name, list(fields))} "
                f"Parameters: {', '.join(fields) or 'none'}."
            )
        metric = self.metric
        if name in fields:
            parameters = {field: getattr(metric, field) for field in fields}
            metric = type(metric)(**parameters | {name: value})
        steps = tuple(
            step.model_copy(update={name: value}) if name in type(step).model_fields else step
            for step in self.steps
        )
        return replace(self, metric=metric, steps=steps)

    def takes(self, name: str) -> bool:
        """Whether the metric, or a step of the preparation, has such a parameter."""
        return any(name in type(part).model_fields for part in (self.metric, *self.steps))

    def canonical(self) -> dict[str, Any]:
        """Return everything that fixes this metric's numbers, defaults written out."""
        return {
            "metric": self.metric.name,
            "version": self.metric.version,
            "parameters": dict(self.metric.canonical()),
            "weights": dict(self.metric.weights()),
            "prepare": [step.canonical() for step in self.steps],
            "drop_incomplete": self.drop_incomplete,
        }


@dataclass(frozen=True)
class Protocol:
    """A checked protocol: the metrics with all their parameters, in the file's order.

    ``steps`` are those of the common preparation, which each entry's own steps follow. What comes
    after ``entries`` is for people, as ``title`` and ``description`` are: ``version`` is raised
    whenever the digest changes, ``quirks`` are sentences on what is unusual. ``panels`` says of how
    many panels results are strips, as they lie on disk; ``changed`` which settings are not the
    file's.
    """

    id: str
    title: str
    description: str
    steps: tuple[Step, ...]
    entries: tuple[Entry, ...]
    version: int = 1
    source: Source | None = None
    quirks: tuple[str, ...] = ()
    comparable_with: str = ""
    panels: int | None = None
    made_for: MadeFor | None = None
    changed: tuple[str, ...] = ()

    def about(self) -> dict[str, Any]:
        """Return what people should know of it, as JSON values; nothing of it moves a number."""
        source, made_for = (
            part.model_dump(mode="json") if part else None for part in (self.source, self.made_for)
        )
        return {
            "id": self.id,
            "title": self.title,
            "version": self.version,
            "description": self.description,
            "source": source,
            "quirks": list(self.quirks),
            "comparable_with": self.comparable_with,
            "made_for": made_for,
            "panels": self.panels,
        }

    def canonical(self) -> dict[str, Any]:
        """Return all that fixes the numbers and nothing else; names for people are left out."""
        return {"metrics": {entry.name: entry.canonical() for entry in self.entries}}

    @property
    def digest(self) -> str:
        """The SHA-256 of the canonical form, as hexadecimal digits."""
        return digest_of(self.canonical())

    def entry_of(self, name: str) -> str | None:
        """Return the entry that a name means: the one of that name, else the one of that metric.

        ``retrieval`` means ``retrieval[mannequin]`` where that is the only retrieval there is;
        nothing where the protocol has no such metric.

        Raises:
            ProtocolError: the protocol has several entries of that metric, and none of that name.
        """
        if any(entry.name == name for entry in self.entries):
            return name
        meant = [entry.name for entry in self.entries if entry.metric.name == name]
        if len(meant) > 1:
            raise ProtocolError(
                f"Protocol {self.id} computes {name} in {len(meant)} ways: {', '.join(meant)}. "
                "Give the one that you mean, or all of them."
            )
        return meant[0] if meant else None

    def with_metrics(self, names: Iterable[str]) -> tuple[Protocol, tuple[str, ...]]:
        """Choose metrics by name; one that the protocol lacks is added with its defaults.

        A metric's name means the protocol's entry of that metric, see :meth:`entry_of`. Besides the
        names of the chosen entries the protocol is returned, extended where a metric was added: its
        id then says so, and its digest differs.

        Raises:
            ProtocolError: a name is neither in the protocol nor installed, or means several
                entries.
        """
        entries = {name: self.entry_of(name) for name in dict.fromkeys(names)}
        chosen = tuple(dict.fromkeys(entry or name for name, entry in entries.items()))
        new = tuple(name for name, entry in entries.items() if entry is None)
        if not new:
            return self, chosen
        installed = metric_names()
        for name in new:
            if name not in installed:
                have = [entry.name for entry in self.entries]
                raise ProtocolError(
                    f"There is no metric '{name}'.{did_you_mean(name, [*have, *installed])} "
                    f"In protocol {self.id}: {', '.join(have)}. Installed: {', '.join(installed)}."
                )
        added = tuple(_entry(name, {}, self.steps, "metrics") for name in new)
        extended = replace(self, id="+".join((self.id, *sorted(new))), entries=self.entries + added)
        return extended, chosen

    def takes(self, parameter: str) -> bool:
        """Whether any of the metrics has such a parameter."""
        return any(entry.takes(parameter) for entry in self.entries)

    def has_metric(self, name: str) -> bool:
        """Whether a name means one of its metrics, see :meth:`entry_of`."""
        return self.entry_of(name) is not None

    def with_setting(self, name: str, value: object) -> Protocol:
        """Set a parameter of one metric, by METRIC.PARAMETER.

        The protocol's id then says so, and its digest differs.

        Raises:
            ProtocolError: there is no such metric or parameter, or the value is not allowed.
        """
        metric, _, parameter = name.rpartition(".")
        meant = self.entry_of(metric)
        if meant is None:
            known = [entry.name for entry in self.entries]
            raise ProtocolError(
                f"--set {name}: protocol {self.id} has no metric '{metric}'."
                f"{did_you_mean(metric, known)} It has {', '.join(known)}."
            )
        entries = tuple(
            entry.with_parameter(parameter, value, required=True) if entry.name == meant else entry
            for entry in self.entries
        )
        setting = f"{meant}.{parameter}"
        changed = (*self.changed, f"{setting} = {value}")
        return replace(self, id=f"{self.id}+{setting}", entries=entries, changed=changed)

    def with_parameter(self, name: str, value: object, option: str) -> Protocol:
        """Set a parameter of every metric that has it, such as a reference set.

        ``option`` is what the user typed; the protocol's id then says so, and its digest differs.

        Raises:
            ProtocolError: no metric has it, or the value is not allowed.
        """
        if not self.takes(name):
            names = ", ".join(entry.name for entry in self.entries)
            raise ProtocolError(f"{option}: none of the metrics takes one ({names}).")
        entries = tuple(entry.with_parameter(name, value) for entry in self.entries)
        return replace(self, id=f"{self.id}+{option.lstrip('-')}", entries=entries)


def load_protocol(name: str | Path) -> Protocol:
    """Load a shipped protocol by name, or one of your own from a TOML file.

    Raises:
        ProtocolError: there is no such protocol, or the file has a fault; the message names the
            key, what is allowed, and near misses.
    """
    return parse_protocol(*_PRESETS.read(name))


def parse_protocol(text: str, label: str) -> Protocol:
    """Check the text of a protocol file; ``label`` names it in messages.

    Raises:
        ProtocolError: lists every fault at the top level, or the first one below it.
    """
    with explained(_File, label, ProtocolError):
        file = _File.model_validate(toml_table(text, label, error=ProtocolError))
    common = _steps(file.prepare, f"{label}: prepare")
    tables = file.metrics.items()
    entries = tuple(_entry(name, table, common, f"{label}: metrics") for name, table in tables)
    return Protocol(
        file.id, file.title, file.description.strip(), common, entries,
        file.version, file.source, tuple(file.quirks), file.comparable_with, file.panels,
        file.made_for,
    )  # fmt: skip


def _entry(name: str, table: Mapping[str, Any], common: tuple[Step, ...], label: str) -> Entry:
    """Build one metric from its table; three of its keys are not the metric's parameters."""
    if not re.fullmatch(_NAME, name):
        raise ProtocolError(
            f"{label}: '{name}' cannot name a score: use lower-case letters, digits and '_', "
            "and the network in brackets where it is not the metric's standard one."
        )
    parameters = dict(table)
    kind = parameters.pop("metric", name.partition("[")[0])
    steps = parameters.pop("prepare", [])
    where = f"{label}.{name}"
    batch = _batch_size(parameters.pop("drop_incomplete", 0), where)
    if not isinstance(kind, str) or not isinstance(steps, list):
        raise ProtocolError(f"{where}: 'metric' is a name and 'prepare' a list of steps.")
    try:
        metric = load_metric(kind)(**parameters)
    except ProtocolError as error:
        # The metric knows its faults by its own name; here it stands under the entry's.
        lines = [f"{where}{line.removeprefix(kind)}" for line in str(error).splitlines()
                 if line.startswith((f"{kind}.", f"{kind}:"))]  # fmt: skip
        raise ProtocolError("\n".join(lines) or f"{where}: {error}") from error
    entry = Entry(name, metric, common + _steps(steps, f"{where}.prepare"), batch)
    if batch and metric.takes == "images" and metric.gives == "set":
        raise ProtocolError(
            f"{where}.drop_incomplete: {metric.name} adds images up as they come, so that none can "
            "be left out afterwards; leave drop_incomplete out."
        )
    return entry


def _batch_size(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not (value == 0 or value > 1):
        raise ProtocolError(
            f"{where}.drop_incomplete: is the size of a batch, a whole number of at least 2 (or 0 "
            f"for none), not {value!r}."
        )
    return value


def _steps(tables: list[Any], label: str) -> tuple[Step, ...]:
    return tuple(_step(table, f"{label}[{n}]") for n, table in enumerate(tables, start=1))


def _step(table: Any, label: str) -> Step:
    """Build one step of the preparation."""
    kind = table.get("step") if isinstance(table, dict) else None
    if not isinstance(kind, str) or kind not in _STEPS:
        names = ", ".join(f"'{name}'" for name in _STEPS)
        raise ProtocolError(
            f"{label}: step must be one of {names}, not {kind!r}."
            f"{did_you_mean(str(kind), list(_STEPS))}"
        )
    with explained(_STEPS[kind], label, ProtocolError):
        return _STEPS[kind].model_validate(table)
