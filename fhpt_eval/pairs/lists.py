"""Read a CSV that says which pairs are expected.

Columns are found by name, so that the field's own lists (``from,to``, with or without an index
column in front) are read as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fhpt_eval.common.files import read_text
from fhpt_eval.errors import InputError
from fhpt_eval.images.files import without_ending
from fhpt_eval.pairs.naming import pair_key

#: Largest pairs CSV that is read, in bytes (a million pairs of long names).
MAX_CSV_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the names without endings, and the line that it stands in."""

    line: int
    source: str | None
    target: str
    generated: str | None
    item: str | None

    @property
    def key(self) -> str:
        """The key of the pair that the row expects."""
        return pair_key(self.source, self.target)


def read_pairs_csv(path: Path) -> list[Row]:
    """Read a pairs CSV by its column names.

    Raises:
        InputError: it cannot be read, or a row is not what the header says; the line is named.
    """
    text = read_text(path, MAX_CSV_BYTES, "a CSV of pairs (--pairs)")
    reader = csv.DictReader(io.StringIO(text, newline=None))
    try:
        columns = {name.strip(): name for name in reader.fieldnames or []}
    except csv.Error as error:
        raise InputError(f"--pairs: {path}, line 1: {error}.") from error
    names: tuple[str | None, str, str | None]
    if {"from", "to"} <= columns.keys():
        names = (columns["from"], columns["to"], None)
    elif {"generated", "ground_truth"} <= columns.keys():
        names = (columns.get("source"), columns["ground_truth"], columns["generated"])
    else:
        raise InputError(
            f"--pairs: {path}, line 1: the columns are {', '.join(columns) or 'missing'}; "
            "expected from,to (source and target names) or generated,ground_truth."
        )
    try:
        rows = [
            _row(reader.line_num, record, names, columns.get("item"), path) for record in reader
        ]
    except csv.Error as error:
        raise InputError(f"--pairs: {path}, line {reader.line_num}: {error}.") from error
    if not rows:
        raise InputError(f"--pairs: {path} holds no pairs, only a header.")
    return rows


def _row(
    line: int,
    record: Mapping[str, str | None],
    names: tuple[str | None, str, str | None],
    item: str | None,
    path: Path,
) -> Row:
    source, target, generated = (
        None if name is None else without_ending(record.get(name) or "") for name in names
    )
    if not target or source == "" or generated == "":
        raise InputError(f"--pairs: {path}, line {line}: a name is missing.")
    return Row(line, source, target, generated, (record.get(item) or None) if item else None)
