"""Results: scores and provenance of one method under one protocol, to and from JSON.

The files are described in docs/results.md.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from fhpt_eval.common.files import (
    Cell,
    check_json,
    csv_text,
    plain_text,
    read_text,
    why,
    write_atomically,
)
from fhpt_eval.common.settings import digest_of
from fhpt_eval.common.tables import Table, arrowed
from fhpt_eval.common.text import printable
from fhpt_eval.common.validation import explain_validation
from fhpt_eval.errors import ResultError, StorageError

if TYPE_CHECKING:
    import pandas as pd

#: Longest name of a method, in characters.
MAX_NAME = 200
SCHEMA_VERSION: Literal[1] = 1
#: Largest files that are read, in bytes.
MAX_JSON_BYTES, MAX_PAIRS_BYTES = 2**26, 2**31
#: Most values in a ``result.json``, such as those of a hundred thousand files that were left out.
MAX_JSON_VALUES = 500_000
_WHAT = "the folder that 'fhpt-eval run' wrote"
#: What a run writes to its folder; without the first there is no result.
FILES = ("result.json", "scores.csv", "pairs.csv", "files.csv")
#: What their names start with while the next run of the folder has no result yet.
EARLIER = "earlier-"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Rows = TypeVar("Rows")
Finite = Annotated[float, Field(allow_inf_nan=False)]


def is_method_name(name: str) -> bool:
    """Whether a text can name a method: printable, and a folder's name."""
    fits = 1 <= len(name) <= MAX_NAME and name.isprintable()
    return fits and not set(name) & set("/\\") and bool(name.strip("."))


def _checked_name(name: str) -> str:
    if not is_method_name(name):
        raise ValueError("is no name of a method")
    return name


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Score(_Model):
    """One number: ``value``, or ``None`` and the ``reason``; they exclude each other.

    ``direction`` is ``"none"`` where no value is better than another, as of a spread or a count.
    ``n`` is the number of pairs that it rests on, ``coverage`` their share of all pairs that the
    test set has, ``interval`` the 95 % interval (``None`` where there is none; ``note`` says why),
    ``note`` anything a reader must know beside the number. ``over`` is the SHA-256 of the keys of
    the pairs that it rests on where these are not all of the run's: with equal ones, two scores are
    means over the same pairs. ``weight`` is the column of ``pairs.csv`` that weighs a mean over
    pairs that do not count alike. ``detail`` marks a value that tables on a terminal leave out.
    """

    value: Finite | None
    direction: Literal["higher", "lower", "none"]
    n: Annotated[int, Field(ge=0)]
    coverage: Annotated[Finite, Field(ge=0, le=1)]
    interval: Annotated[tuple[Finite, Finite], Field(strict=False)] | None
    reason: str | None
    note: str | None = None
    over: Digest | None = None
    weight: str | None = None
    detail: bool = False

    @model_validator(mode="after")
    def _has_value_or_reason(self) -> Self:
        if (self.value is None) == (self.reason is None):
            raise ValueError("a score has either a value or a reason")
        return self


class ProtocolRecord(_Model):
    """The protocol of a result: its id, its digest, and all that the digest stands for.

    ``standing`` says what published numbers the result may be compared with, or what keeps it from
    that; empty where the protocol is not made for any.
    """

    id: str
    digest: Digest
    settings: dict[str, Any]
    standing: str = ""

    @field_validator("settings")
    @classmethod
    def _are_finite(cls, settings: dict[str, Any]) -> dict[str, Any]:
        json.dumps(settings, allow_nan=False)  # raises ValueError, which pydantic reports
        return settings

    @model_validator(mode="after")
    def _has_its_digest(self) -> Self:
        if digest_of(self.settings) != self.digest:
            raise ValueError("the digest is not that of the settings")
        return self


class TestSet(_Model):
    """What was scored against: number of pairs, and the digest of keys and ground-truth pixels."""

    digest: Digest
    pairs: Annotated[int, Field(ge=0)]

    __test__ = False  # pytest takes the name for a test class


class Excluded(_Model):
    """A pair or file that was left out (``--allow-missing``), and why."""

    kind: str
    name: str
    reason: str


class Provenance(_Model):
    """What the scores were computed from and with.

    ``assumptions`` says, in a line each, what was taken for granted of the files; ``passed_over``
    how many entries of each folder are no images, by kind.
    """

    generated_digest: Digest
    matching: str
    example: str
    groups: int
    assumptions: Annotated[tuple[str, ...], Field(strict=False)] = ()
    passed_over: dict[str, dict[str, int]] = {}
    excluded: Annotated[tuple[Excluded, ...], Field(strict=False)]
    software: dict[str, str]
    code: Digest
    weights: dict[str, Digest]
    device: str
    precision: str


class Timing(_Model):
    """The only part of a result that differs from run to run."""

    seconds: Finite
    finished: str
    workers: int
    chunks: int
    chunks_reused: int


@dataclass(frozen=True, eq=False)
class PairTable:
    """Per-pair values: ``keys`` (sorted) and a ``(N,)`` float64 column per name, NaN undefined.

    What :attr:`Result.pairs` is made of and ``pairs.csv`` is written from: without pandas, whose
    import takes longer than a small run.
    """

    keys: tuple[str, ...]
    columns: Mapping[str, NDArray[np.float64]]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The values as a DataFrame of their own, indexed by ``pair``."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns), pd.Index(self.keys, dtype="str", name="pair"))

    def __eq__(self, other: object) -> bool:
        """Whether keys and columns are the same, undefined values included."""
        return isinstance(other, PairTable) and self.frame.equals(other.frame)

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    def to_csv(self) -> str:
        """Return the text of ``pairs.csv``: first column ``pair``, empty cells where undefined."""
        names = list(self.columns)
        rows: list[Sequence[Cell]] = [["pair", *names]]
        values = [self.columns[name].tolist() for name in names]
        for row, key in enumerate(self.keys):
            cells = [column[row] for column in values]
            rows.append([key, *(None if math.isnan(cell) else cell for cell in cells)])
        return csv_text(rows)

    @classmethod
    def from_csv(cls, text: str, label: str) -> PairTable:
        """Read the text of ``pairs.csv``; ``label`` names it in messages.

        Raises:
            ResultError: the text is not such a table.
        """
        try:
            header, *rows = csv.reader(io.StringIO(text))
            keys = tuple(plain_text(row[0]) for row in rows)
            if header[0] != "pair" or len({*header}) < len(header) or len({*keys}) < len(keys):
                raise ValueError("the first column is not 'pair', or a name stands twice")
            table = np.array(
                [[float(cell) if cell else math.nan for cell in row[1:]] for row in rows],
                dtype=np.float64,
            ).reshape(len(rows), len(header) - 1)
        except (ValueError, IndexError, csv.Error) as error:
            raise ResultError(f"{label}: is not a table of pairs ({error}).") from error
        return cls(keys, {name: table[:, column] for column, name in enumerate(header[1:])})


class FileRow(NamedTuple):
    """Which files a pair is of, below their folders, its item, and the number of its group.

    Empty where there is none, or where it is not known.
    """

    pair: str
    generated: str
    ground_truth: str
    source: str
    item: str
    group: int


def _file_row(
    pair: str, generated: str, ground_truth: str, source: str, item: str, group: str
) -> FileRow:
    return FileRow(pair, generated, ground_truth, source, item, int(group))


@dataclass(frozen=True)
class FileTable:
    """What :attr:`Result.files` is made of and ``files.csv`` is written from, sorted by key."""

    rows: tuple[FileRow, ...]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame of their own, indexed by ``pair``."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=list(FileRow._fields)).set_index("pair")

    def to_csv(self) -> str:
        """Return the text of ``files.csv``."""
        return csv_text([FileRow._fields, *self.rows])

    @classmethod
    def from_csv(cls, text: str, label: str) -> FileTable:
        """Read the text of ``files.csv``; ``label`` names it in messages.

        Raises:
            ResultError: the text is not such a table.
        """
        try:
            header, *rows = csv.reader(io.StringIO(text))
            if tuple(header) != FileRow._fields:
                raise ValueError(f"the columns are not {', '.join(FileRow._fields)}")
            return cls(tuple(_file_row(*map(plain_text, row)) for row in rows))
        except (ValueError, TypeError, csv.Error) as error:
            raise ResultError(f"{label}: is not a table of files ({error}).") from error


class Result(_Model):
    """Scores and provenance of one method under one protocol on one test set.

    ``pairs`` holds the per-pair values and ``files`` the names of the pairs' files; they are
    written to ``pairs.csv`` and ``files.csv``, not to ``result.json``.
    Printed, it is a table of its scores, and in a notebook too.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    method: Annotated[str, AfterValidator(_checked_name)]
    protocol: ProtocolRecord
    test_set: TestSet
    scores: Annotated[dict[str, Score], Field(min_length=1)]
    provenance: Provenance
    timing: Timing
    _pairs: PairTable | None = PrivateAttr(default=None)
    _files: FileTable | None = PrivateAttr(default=None)

    @property
    def pairs(self) -> pd.DataFrame:
        """The per-pair values: a float64 column per name, NaN undefined, indexed by ``pair``.

        Raises:
            ResultError: the result was read from a ``result.json`` without its ``pairs.csv``.
        """
        if self._pairs is None:
            raise ResultError(
                f"The per-pair values of {self.method} were not loaded: give the run's folder, "
                "with its pairs.csv, rather than result.json alone."
            )
        return self._pairs.frame

    @property
    def files(self) -> pd.DataFrame:
        """The pairs' files: the columns of :class:`FileRow`, indexed by ``pair``.

        Raises:
            ResultError: the result was read from a ``result.json`` without its ``files.csv``.
        """
        if self._files is None:
            raise ResultError(
                f"The files of {self.method} were not loaded: give the run's folder, with its "
                "files.csv, rather than result.json alone."
            )
        return self._files.frame

    @property
    def pair_table(self) -> PairTable | None:
        """The per-pair values without pandas; nothing where they were not loaded."""
        return self._pairs

    def with_pairs(self, table: PairTable, files: FileTable | None = None) -> Self:
        """Return the same result with these per-pair values and, of the same pairs, files."""
        copy = self.model_copy()
        copy._pairs, copy._files = table, files
        return copy

    def table(self) -> Table:
        """Return the scores for people, without details and those that rest on no pair."""
        rows = []
        for name, score in self.scores.items():
            if score.n and not score.detail:
                ends = [f"{round(end, 4) + 0.0:.4f}" for end in score.interval or ()]
                rows.append((
                    arrowed(name, score.direction),
                    "-" if score.value is None else f"{score.value:.4f}",
                    " to ".join(ends) or "-",
                    f"{score.n:,}" + (f" ({score.coverage:.1%})" if score.coverage < 1 else ""),
                ))  # fmt: skip
        return Table(("score", "value", "95 % interval", "pairs"), rows)

    @property
    def title(self) -> str:
        """What stands above a table of the scores."""
        return f"{self.method} under protocol {self.protocol.id}"

    @property
    def citation(self) -> str:
        """What a reader of the numbers needs beside them, in one line."""
        version = self.provenance.software.get("fhpt-eval", "of unknown version")
        return (
            f"{self.test_set.pairs:,} pairs in {self.provenance.groups:,} groups, protocol "
            f"{self.protocol.id} ({self.protocol.digest[:12]}), test set "
            f"{self.test_set.digest[:12]}, fhpt-eval {version}"
        )

    def __str__(self) -> str:
        lines = "\n".join(filter(None, (self.citation, self.protocol.standing)))
        return printable(f"{self.title}\n{self.table().text()}{lines}")

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        title, citation = (html.escape(text) for text in (self.title, self.citation))
        return f"<p><b>{title}</b></p>{self.table().html()}<p>{citation}</p>"

    def to_json(self) -> str:
        """Return the text of ``result.json``: the same result gives the same text."""
        table = self.model_dump(mode="json")
        return printable(json.dumps(table, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"

    def scores_csv(self) -> str:
        """Return the text of ``scores.csv``: a row per score."""
        rows: list[Sequence[Cell]] = [
            ["score", "value", "low", "high", "direction", "n", "coverage", "reason", "note"]
        ]
        for name, score in self.scores.items():
            low, high = score.interval or (None, None)
            rows.append([name, score.value, low, high, score.direction, score.n, score.coverage,
                         score.reason, score.note])  # fmt: skip
        return csv_text(rows)

    def save(self, folder: Path) -> None:
        """Write ``pairs.csv``, ``files.csv``, ``scores.csv`` and, last, ``result.json``.

        What :func:`set_aside` kept of the folder's earlier result is removed then.

        Raises:
            StorageError: the folder cannot be written, or the disk is full.
        """
        if self._pairs is not None:
            write_atomically(folder / "pairs.csv", self._pairs.to_csv().encode())
        if self._files is not None:
            write_atomically(folder / "files.csv", self._files.to_csv().encode())
        write_atomically(folder / "scores.csv", self.scores_csv().encode())
        write_atomically(folder / "result.json", self.to_json().encode())
        for name in FILES:
            (folder / f"{EARLIER}{name}").unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Read a run's folder (with its per-pair values) or a ``result.json`` alone.

        Raises:
            ResultError: it is missing, or not a result of this version.
        """
        path = Path(path)
        file = path / "result.json" if path.is_dir() else path
        folder = path if path.is_dir() else path.parent
        if not file.exists() and list(folder.glob("*/result.json")):
            raise ResultError(f"{folder} holds several runs; name each, as in {folder}/*.")
        if not file.exists() and (folder / f"{EARLIER}result.json").exists():
            raise ResultError(f"{folder} {UNFINISHED}")
        text = read_text(file, MAX_JSON_BYTES, _WHAT, error=ResultError)
        try:
            check_json(text, MAX_JSON_VALUES)
            result = cls.model_validate_json(text)
        except ValidationError as error:
            raise ResultError(_not_a_result(error, file)) from None
        except ValueError as error:
            raise ResultError(f"{file}: is not a result of fhpt-eval: {error}.") from None
        if path.is_dir():
            result._pairs = _beside(file, "pairs.csv", PairTable.from_csv)
            result._files = _beside(file, "files.csv", FileTable.from_csv)
        return result


def _beside(file: Path, name: str, read: Callable[[str, str], Rows]) -> Rows | None:
    """Read a table that lies beside ``result.json``, if it is there."""
    table = file.with_name(name)
    if not table.is_file():
        return None
    return read(read_text(table, MAX_PAIRS_BYTES, _WHAT, error=ResultError), str(table))


#: Said of a folder whose result was set aside.
UNFINISHED = (
    "holds no result: its last run was refused or interrupted. What the run before that gave is in "
    f"{EARLIER}result.json; repeat the last command."
)


def set_aside(folder: Path) -> None:
    """Rename the files of a folder's result, so that no command shows it as the folder's any more.

    A run does so before it looks at any image: if it is refused or interrupted, what stands there
    would be of other inputs than the last command's. Its partials stay where they are.

    Raises:
        StorageError: a file cannot be renamed.
    """
    if not (folder / "result.json").exists():
        return
    for name in FILES:
        try:
            (folder / name).replace(folder / f"{EARLIER}{name}")
        except FileNotFoundError:  # none of this run: then none of an earlier one either
            (folder / f"{EARLIER}{name}").unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{folder / name} cannot be renamed: {why(error)}.") from error


def _not_a_result(error: ValidationError, file: Path) -> str:
    faults = explain_validation(error, Result, "result").splitlines()
    more = f"\n  and {len(faults) - 3} more" if len(faults) > 3 else ""
    return f"{file}: is not a result of fhpt-eval:\n  " + "\n  ".join(faults[:3]) + more
