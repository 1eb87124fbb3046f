"""The same images under several protocols: how far each score moves with the protocol alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from fhpt_eval.common.files import Cell, csv_text
from fhpt_eval.common.tables import Table, arrowed, escaped
from fhpt_eval.errors import ResultError, did_you_mean
from fhpt_eval.leaderboard.agreement import check_agreement
from fhpt_eval.leaderboard.entries import entry_of, settings_of
from fhpt_eval.result import Result, Score

#: Digits after the point, for people.
_DIGITS = 4


@dataclass(frozen=True, eq=False)
class Line:
    """A row of the table: a protocol, or a further variant of a metric that it has several of.

    ``scores`` are by column; ``variant`` is empty in a protocol's first line, and else the name of
    the metric there.
    """

    result: Result
    variant: str
    scores: dict[str, Score]

    @property
    def protocol(self) -> str:
        """The id of the protocol."""
        return self.result.protocol.id

    @property
    def label(self) -> str:
        """What the row is called."""
        return f"{self.protocol}: {self.variant}" if self.variant else self.protocol

    def value(self, column: str) -> float | None:
        """Return the value in a column, if there is one."""
        return self.scores[column].value if column in self.scores else None


@dataclass(frozen=True)
class Sensitivity:
    """Results of one set of images under several protocols, and their scores by metric.

    Columns are metrics (with the part of a value after a dot), whatever a protocol calls them:
    ``ssim`` has every structural similarity. ``bases`` holds, for each column, the line from whose
    value the others move.
    """

    base: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    bases: dict[str, Line]

    def moved(self, line: Line, column: str) -> float | None:
        """Return how far a value lies above the base's; nothing where it is the base's own."""
        value, base = line.value(column), self.bases.get(column, line)
        start = base.value(column)
        return None if base is line or value is None or start is None else value - start

    def headlines(self) -> list[str]:
        """Return the columns that have a place on a terminal: with a value, and no details."""
        shown = {c for line in self.lines for c, score in line.scores.items()
                 if score.value is not None and not score.detail}  # fmt: skip
        return [column for column in self.columns if column in shown]

    def cell(self, line: Line, column: str) -> str:
        """Return a value for people, and behind it how far it moved."""
        value, moved = line.value(column), self.moved(line, column)
        if value is None:
            return "-"
        text = f"{value:.{_DIGITS}f}" + ("" if moved is None else f" ({moved:+.{_DIGITS}f})")
        return text + _over(line.scores[column])

    def table(self) -> Table:
        """Return the values of the lines that have any, for people."""
        columns = self.headlines()
        heads = [arrowed(c, self.bases[c].scores[c].direction) for c in columns]
        rows = [[line.label, *(self.cell(line, column) for column in columns)]
                for line in self.lines]  # fmt: skip
        return Table(["protocol", *heads], [row for row in rows if {*row[1:]} != {"-"}])

    def spans(self) -> Table:
        """Return from where to where each metric runs, of those that several lines have."""
        rows = []
        for column in self.headlines():
            values = [
                (value, line.label + _over(line.scores[column]))
                for line in self.lines
                if (value := line.value(column)) is not None
            ]
            (low, least), (high, most) = min(values), max(values)
            if len(values) > 1:
                figures = [f"{figure:.{_DIGITS}f}" for figure in (low, high, high - low)]
                rows.append([column, figures[0], least, figures[1], most, figures[2]])
        header = ("metric", "lowest", "lowest under", "highest", "highest under", "span")
        return Table(header, rows, frozenset({"lowest under", "highest under"}))

    def notes(self) -> list[str]:
        """Say what the tables leave open: what has no value and why, other bases, other code."""
        faults: dict[str, list[str]] = {}
        for line in self.lines:
            undefined: dict[str, list[str]] = {}
            for column, score in line.scores.items():
                if score.reason is not None and not score.detail:
                    undefined.setdefault(score.reason, []).append(column)
            for reason, columns in undefined.items():
                fault = f"{', '.join(columns)} could not be computed: {reason}"
                faults.setdefault(fault, []).append(line.label)
        notes = [f"{', '.join(labels)}: {fault}" for fault, labels in faults.items()]
        elsewhere: dict[str, list[str]] = {}
        for column in self.headlines():
            elsewhere.setdefault(self.bases[column].protocol, []).append(column)
        elsewhere.pop(self.base, None)
        notes += [f"{', '.join(columns)}: moves are from {protocol}; {self.base} has none."
                  for protocol, columns in elsewhere.items()]  # fmt: skip
        standings = {line.protocol: line.result.protocol.standing for line in self.lines}
        notes += [f"{protocol}: {text}" for protocol, text in standings.items() if text]
        if len({line.result.provenance.code for line in self.lines}) > 1:
            notes.append(
                "These results were computed by different versions of the code, which may move "
                "numbers too."
            )
        return notes

    def to_csv(self) -> str:
        """Return a row per line as CSV, with all digits; cells without a value are empty."""
        header: list[Cell] = ["protocol", "variant"]
        header += [name for column in self.columns for name in (column, f"{column}_moved")]
        header += ["method", "pairs", "protocol_digest", "test_set_digest", "generated_digest"]
        rows: list[list[Cell]] = [[*header, "version"]]
        for line in self.lines:
            result = line.result
            row: list[Cell] = [line.protocol, line.variant]
            for column in self.columns:
                row += [line.value(column), self.moved(line, column)]
            row += [result.method, result.test_set.pairs, result.protocol.digest]
            row += [result.test_set.digest, result.provenance.generated_digest]
            rows.append([*row, result.provenance.software.get("fhpt-eval")])
        return csv_text(rows)

    def to_markdown(self) -> str:
        """Return both tables and the notes as Markdown."""
        tables = [table.markdown() for table in (self.table(), self.spans()) if table.rows]
        notes = "".join(f"- {escaped(note)}\n" for note in self.notes())
        return "\n".join([*tables, notes]).rstrip() + "\n"


def build(results: Sequence[Result], base: str | None = None) -> Sensitivity:
    """Put results of the same images under several protocols side by side, in their order.

    They are of one method. Values move from those under the protocol whose id is ``base``; under
    the first one by default.

    Raises:
        ResultError: they are of other images, or two of them under one protocol.
    """
    if not results:
        raise ResultError("A sensitivity table needs at least one result.")
    _check_same_images(results)
    check_agreement(results)
    ids = [result.protocol.id for result in results]
    start = base if base is not None else ids[0]
    if start not in ids:
        raise ResultError(
            f"There is no result under protocol '{start}'.{did_you_mean(start, ids)} "
            f"Protocols: {', '.join(ids)}."
        )
    lines = tuple(line for result in results for line in _lines(result))
    columns = tuple(dict.fromkeys(column for line in lines for column in line.scores))
    bases: dict[str, Line] = {}
    for line in sorted(lines, key=lambda line: (line.protocol != start, bool(line.variant))):
        for column in line.scores:
            if line.value(column) is not None:
                bases.setdefault(column, line)
    return Sensitivity(start, columns, lines, bases)


def _lines(result: Result) -> list[Line]:
    """Sort a result's scores by metric; of several of one metric each has a line."""
    entries: dict[str, dict[str, Score]] = {}
    for label, score in result.scores.items():
        name = entry_of(result, label)
        column = _metric(result, name) + label.removeprefix(name)
        entries.setdefault(name, {})[column] = score
    metrics: dict[str, list[str]] = {}
    for name in entries:
        metrics.setdefault(_metric(result, name), []).append(name)
    lines = [Line(result, "", {})]
    for metric, names in metrics.items():
        # The one that is called after the metric stands for it, else the first.
        first, *variants = sorted(names, key=lambda name: name != metric)
        lines[0].scores.update(entries[first])
        lines += [Line(result, name, entries[name]) for name in variants]
    return lines


#: Parameters that give a number another unit, so that differences mean nothing, and the usual one.
_UNITS = {"scale": "0..1", "per": "value", "norm": "l1", "overflow": "none"}


def _metric(result: Result, entry: str) -> str:
    """Return the name of the metric that a protocol has under some name, and of its unit.

    A metric that has nothing but a scale has another unit on another scale; where it has more, as a
    network, the scale is of its input.
    """
    settings = settings_of(result).get(entry)
    metric = settings.get("metric") if isinstance(settings, dict) else None
    if not isinstance(settings, dict) or not isinstance(metric, str):
        return entry
    parameters = settings.get("parameters")
    values = parameters if isinstance(parameters, dict) else {}
    names = _UNITS.keys() - (set() if values.keys() <= _UNITS.keys() else {"scale"})
    units = [f"{name} {values[name]}" for name in sorted(names & values.keys())
             if values[name] != _UNITS[name]]  # fmt: skip
    return f"{metric} ({', '.join(units)})" if units else metric


def _check_same_images(results: Sequence[Result]) -> None:
    """Refuse to put down to the protocol what other images do."""
    first = results[0]
    faults = []
    for result in results[1:]:
        names = f"{_named(first)} and {_named(result)}"
        if result.provenance.generated_digest != first.provenance.generated_digest:
            ours, theirs = (r.provenance.generated_digest[:12] for r in (first, result))
            faults.append(f"{names} are of other generated images, or other pairs of them: "
                          f"{first.test_set.pairs:,} pairs with digest {ours} and "
                          f"{result.test_set.pairs:,} with digest {theirs}")  # fmt: skip
        elif result.test_set.digest != first.test_set.digest:
            faults.append(
                f"{names} are against other ground truth: digest {first.test_set.digest[:12]} and "
                f"{result.test_set.digest[:12]}"
            )
    twice = [id_ for id_, n in Counter(result.protocol.id for result in results).items() if n > 1]
    if twice:
        faults.append(f"Several results are under protocols named {', '.join(twice)}")
    if faults:
        raise ResultError(
            "These results do not show what the protocol alone does.\n" + "\n".join(faults) + "\n"
            "Give results of one method on one test set, each under another protocol, as 'run "
            "--protocol A,B' writes them."
        )


def _named(result: Result) -> str:
    return f"{result.method} under {result.protocol.id}"


def _over(score: Score) -> str:
    """Say on how many pairs a score rests, where it is not all: a protocol may leave some out."""
    return "" if score.coverage == 1 else f", {score.n:,} pairs"
