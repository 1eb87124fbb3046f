"""What two protocols differ in, as a table, and what such differences were measured to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

from fhpt_eval.common.settings import MISSING, differences
from fhpt_eval.common.tables import Table
from fhpt_eval.images.preparation import Side
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.protocol.effects import EFFECTS, Effect

#: So many digits of a digest tell files apart.
_DIGITS = 12
_ABSENT = "-"


class Row(NamedTuple):
    """A setting of a metric that two protocols have otherwise, or that only one has."""

    metric: str
    setting: str
    first: str
    second: str


@dataclass(frozen=True)
class Comparison:
    """What two protocols differ in that moves a number; no row if in nothing.

    ``names`` is what they are called, ``digests`` the start of their digests; ``alike`` are the
    metrics that both have with equal settings, ``effects`` those that apply.
    """

    names: tuple[str, str]
    digests: tuple[str, str]
    rows: tuple[Row, ...]
    alike: tuple[str, ...]
    effects: tuple[Effect, ...]

    @property
    def head(self) -> str:
        """A sentence that says whether results under the two can be ranked together."""
        (first, second), (ours, theirs) = self.names, self.digests
        if ours == theirs:
            return f"{first} and {second} are equal in all that moves a number; digest {ours}."
        return (
            f"{first} (digest {ours}) and {second} (digest {theirs}) differ: results under them "
            "are not ranked together."
        )

    def tables(self) -> list[Table]:
        """Return the differences and the effects that apply, as far as there are any."""
        header = ("metric", "setting", *self.names)
        effects = [(effect.change, "; ".join(effect.sizes), effect.source)
                   for effect in self.effects]  # fmt: skip
        tables = [
            Table(header, self.rows, frozenset(header)),
            Table(("known effect", "size", "source"), effects, frozenset({"size", "source"})),
        ]
        return [table for table in tables if table.rows]

    def notes(self) -> list[str]:
        """Return what stands below the tables."""
        return [f"The same in both: {', '.join(self.alike)}."] if self.rows and self.alike else []

    def markdown(self) -> str:
        """Return everything as Markdown."""
        return "\n".join(
            [f"{self.head}\n", *(table.markdown() for table in self.tables()),
             *(f"{note}\n" for note in self.notes())]
        )  # fmt: skip


def compare(first: Protocol, second: Protocol, names: tuple[str, str] | None = None) -> Comparison:
    """Find what moves a number in one protocol and not in the other.

    ``names`` are what the protocols are called; their ids by default.
    """
    theirs = {entry.name: entry for entry in second.entries}
    both = [(entry, theirs[entry.name]) for entry in first.entries if entry.name in theirs]
    common = {entry.name for entry, _ in both}
    rows = [
        *(Row(entry.name, "metric", _whole(entry), _namesake(entry, second))
          for entry in first.entries if entry.name not in common),
        *(Row(entry.name, "metric", _namesake(entry, first), _whole(entry))
          for entry in second.entries if entry.name not in common),
        *_preparation(both),
        *(row for pair in both for row in _settings(*pair)),
    ]  # fmt: skip
    return Comparison(
        names=names or (first.id, second.id),
        digests=(first.digest[:_DIGITS], second.digest[:_DIGITS]),
        rows=tuple(rows),
        alike=tuple(a.name for a, b in both if a.canonical() == b.canonical()),
        effects=tuple(e for e in EFFECTS if any(_applies(e, *pair) for pair in both)),
    )


def _settings(ours: Entry, theirs: Entry) -> Iterator[Row]:
    """Yield what a metric that both have differs in, but for its preparation."""
    apart = ({**entry.canonical(), "prepare": None} for entry in (ours, theirs))
    for name, first, second in differences(*apart):
        yield Row(ours.name, name.removeprefix("parameters."), _text(first), _text(second))


def _preparation(both: Sequence[tuple[Entry, Entry]]) -> Iterator[Row]:
    """Yield the steps that differ, once for all metrics that share them."""
    metrics: dict[tuple[str, str, str], list[str]] = {}
    for pair in both:
        first, second = (
            {f"step {number}": _step(step) for number, step in enumerate(_prepared(entry), start=1)}
            for entry in pair
        )
        for name, ours, theirs in differences(first, second):
            metrics.setdefault((name, _text(ours), _text(theirs)), []).append(pair[0].name)
    for row, names in metrics.items():
        yield Row("all in both" if len(names) == len(both) > 1 else ", ".join(names), *row)


def _applies(effect: Effect, ours: Entry, theirs: Entry) -> bool:
    """Whether something was measured of what a metric differs in, its preparation included."""
    first, second = _prepared(ours), _prepared(theirs)
    apart = [step for step in first if step not in second]
    apart += [step for step in second if step not in first]
    if any(step["step"] == effect.of and effect.applies(step) for step in apart):
        return True
    parameters = [entry.canonical()["parameters"] for entry in (ours, theirs)]
    return ours.metric.name == theirs.metric.name == effect.of and effect.applies(*parameters)


def _whole(entry: Entry) -> str:
    """Write a metric that only one protocol has, with all its parameters."""
    settings = entry.canonical()
    parameters = [f"{name} {_text(value)}" for name, value in settings["parameters"].items()]
    if settings["drop_incomplete"]:
        parameters.append(f"drop_incomplete {settings['drop_incomplete']}")
    steps = [_step(step) for step in settings["prepare"]]
    return "; ".join([settings["metric"], *parameters, *steps])


def _namesake(entry: Entry, protocol: Protocol) -> str:
    """Name the metric of another protocol that is computed alike, if there is one."""
    settings = entry.canonical()
    for candidate in protocol.entries:
        alike = candidate.canonical()
        if alike | {"prepare": settings["prepare"]} == settings:
            same = alike["prepare"] == settings["prepare"]
            return f"as its {candidate.name}" + ("" if same else ", but for the steps")
    return _ABSENT


def _prepared(entry: Entry) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = entry.canonical()["prepare"]
    return steps


def _step(step: Mapping[str, Any]) -> str:
    """Write a step with all its settings; one of all sides of a pair does not name them."""
    settings = {name: value for name, value in step.items() if name not in ("step", "of")}
    if len(step["of"]) < len(get_args(Side)):
        settings["of"] = step["of"]
    return " ".join([step["step"], *(f"{name} {_text(value)}" for name, value in settings.items())])


def _text(value: Any) -> str:
    """Write a value as in JSON, texts and lists without marks, and digests by their start."""
    if value is MISSING:
        return _ABSENT
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if not isinstance(value, str):
        return json.dumps(value)
    return value[:_DIGITS] if re.fullmatch(r"[0-9a-f]{64}", value) else value
