"""Read a CSV that says which pairs are expected.

Columns are found by name, so that the field's own lists (``from,to``, with or without an index
column in front) are read as they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fhpt_eval.common.files import read_text
from fhpt_eval.errors import InputError
from fhpt_eval.images.listing import without_ending
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
    label = f"--pairs: {path}"
    text = read_text(path, MAX_CSV_BYTES, "a CSV of pairs (--pairs)")
    reader = csv.DictReader(io.StringIO(text, newline=None))
    try:
        columns = {name.strip(): name for name in reader.fieldnames or []}
        if {"from", "to"} <= columns.keys():
            names = ("from", "to", "")
        elif {"generated", "ground_truth"} <= columns.keys():
            names = ("source", "ground_truth", "generated")
        else:
            raise InputError(
                f"{label}, line 1: the columns are {', '.join(columns) or 'missing'}; "
                "expected from,to (source and target names) or generated,ground_truth."
            )
        wanted = [columns.get(name) for name in (*names, "item")]
        rows = [_row(reader.line_num, record, wanted, label) for record in reader]
    except csv.Error as error:
        raise InputError(f"{label}, line {max(1, reader.line_num)}: {error}.") from error
    if not rows:
        raise InputError(f"{label} holds no pairs, only a header.")
    return rows


def _row(
    line: int, record: Mapping[str, str | None], columns: Sequence[str | None], label: str
) -> Row:
    source, target, generated = (
        None if name is None else without_ending(record.get(name) or "") for name in columns[:3]
    )
    if not target or source == "" or generated == "":
        raise InputError(f"{label}, line {line}: a name is missing.")
    return Row(line, source, target, generated, record.get(columns[3] or "") or None)
