"""Read a list that says which pairs are expected, in any of the field's forms.

A CSV whose columns are found by name (``from,to``, with or without an index column in front); a
CSV without a header, as NTED's ``test_pairs.txt`` (target, then its sources); ``test_pairs.txt`` of
try-on (person, garment); JSON as PCDMs' ``test_data.json``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fhpt_eval.common.files import read_text
from fhpt_eval.errors import InputError
from fhpt_eval.images.listing import REFUSED_SUFFIXES, SUFFIXES, without_ending
from fhpt_eval.images.names import POSE_TRANSFER
from fhpt_eval.pairs.naming import are_people_of, pair_key

#: Largest list that is read, in bytes (a million pairs of long names).
MAX_LIST_BYTES = 2**28

#: What a column means, by the names that the field's lists give it.
COLUMNS = {
    "from": "source",
    "source": "source",
    "source_image": "source",
    "to": "target",
    "target": "target",
    "target_image": "target",
    "ground_truth": "target",
    "generated": "generated",
    "item": "item",
}
#: Columns without which a row is no pair.
_NEEDED = (("source", "target"), ("generated", "target"))

Form = Literal["a CSV", "target,source", "person garment", "JSON"]
_Record = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the names without endings, and the line that it stands in.

    Lists of try-on name the garment in place of a source. ``is_choice`` rows are several of one
    line, of which results need have but one.
    """

    line: int
    source: str | None
    target: str
    generated: str | None
    item: str | None
    garment: str | None = None
    is_choice: bool = False

    @property
    def key(self) -> str:
        """The key of the pair that the row expects."""
        beside = self.garment if self.source is None else self.source
        return pair_key(beside, self.target)

    @property
    def swapped(self) -> Row:
        """The row with source and target exchanged."""
        return replace(self, source=self.target, target=self.source or self.target)


def read_pairs(path: Path) -> list[Row]:
    """Read a list of pairs; rows of nothing but commas are passed over.

    Raises:
        InputError: it cannot be read, or a row is not what its form says; the line is named.
    """
    return read_list(path)[0]


def read_list(path: Path) -> tuple[list[Row], Form]:
    """Read a list of pairs, and say in which form it is.

    Raises:
        InputError: as of :func:`read_pairs`.
    """
    label = f"--pairs: {path}"
    text = read_text(path, MAX_LIST_BYTES, "a list of pairs (--pairs)")
    form: Form = "JSON"
    if text.lstrip()[:1] in ("[", "{"):
        rows = list(_json(text, label))
    else:
        rows, form = _lines(text, label)
    if not rows:
        raise InputError(f"{label} holds no pairs, only a header.")
    return rows, form


def _lines(text: str, label: str) -> tuple[list[Row], Form]:
    first = next((line for line in text.splitlines() if line.strip(" ,\t")), "")
    spaced = first.split()
    if "," not in first and len(spaced) > 1 and all(map(_is_image, spaced[:2])):
        return list(_try_on(text, label)), "person garment"
    reader = csv.reader(io.StringIO(text, newline=None))
    try:
        lines = [
            (reader.line_num, [cell.strip() for cell in cells])
            for cells in reader
            if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise InputError(f"{label}, line {max(1, reader.line_num)}: {error}.") from error
    if lines and len(lines[0][1]) > 1 and all(map(_is_image, lines[0][1])):
        return list(_headless(lines, label)), "target,source"
    header = lines[0][1] if lines else []
    records = ((number, dict(zip(header, cells, strict=False))) for number, cells in lines[1:])
    return list(_records(header, records, label)), "a CSV"


def _records(
    header: Sequence[str], records: Iterator[tuple[int, _Record]], label: str
) -> Iterator[Row]:
    """Yield rows of records whose columns have names."""
    columns = {COLUMNS[name.lower()]: name for name in header if name.lower() in COLUMNS}
    if not any(set(needed) <= columns.keys() for needed in _NEEDED):
        raise InputError(
            f"{label}, line 1: the columns are {', '.join(filter(None, header)) or 'missing'}; "
            "expected from,to (source and target names) or generated,ground_truth. A list "
            "without a header has image names with endings, target,source, in every line."
        )
    for number, record in records:
        cells = {kind: record.get(name, "") for kind, name in columns.items()}
        source, target, generated = (
            listed_name(cells[kind]) if kind in cells else None
            for kind in ("source", "target", "generated")
        )
        if not target or source == "" or generated == "":
            raise InputError(f"{label}, line {number}: a name is missing.")
        yield Row(number, source, target, generated, cells.get("item") or None)


def _headless(lines: Sequence[tuple[int, list[str]]], label: str) -> Iterator[Row]:
    """Yield rows of lines that hold a target and one or several sources of it."""
    for number, cells in lines:
        names = [listed_name(cell) for cell in cells]
        while len(names) > 1 and not names[-1]:
            names.pop()
        if len(names) < 2 or not all(names):
            raise InputError(
                f"{label}, line {number}: a name is missing (the list has no header, so each line "
                "is target,source)."
            )
        target, *sources = names
        for source in sources:
            yield Row(number, source, target, None, None, is_choice=len(sources) > 1)


def _try_on(text: str, label: str) -> Iterator[Row]:
    """Yield rows of lines that hold a person and a garment, with blanks between them."""
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) < 2 or not all(map(_is_image, cells[:2])):
            raise InputError(
                f"{label}, line {number}: '{line.strip()[:60]}' is not two image names (person and "
                "garment) with a blank between them."
            )
        person, garment = map(listed_name, cells[:2])
        if are_people_of(POSE_TRANSFER, person, garment):
            raise InputError(
                f"{label}, line {number}: which of {person} and {garment} is the source? Put "
                "from,to or to,from into the first line, and commas between names."
            )
        yield Row(number, None, person, None, garment, garment)


def _json(text: str, label: str) -> Iterator[Row]:
    """Yield rows of a JSON list of objects."""
    try:
        objects = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{label} is no JSON ({error}).") from error
    if not isinstance(objects, list) or not all(isinstance(each, dict) for each in objects):
        raise InputError(
            f'{label} should be a list like [{{"source_image": "a.jpg", "target_image": "b.jpg"}}].'
        )
    records = ({k: v if isinstance(v, str) else "" for k, v in each.items()} for each in objects)
    yield from _records(list(objects[0]) if objects else [], enumerate(records, start=1), label)


def listed_name(text: str) -> str:
    """Return a name in a list as pairs have it: ``/`` in paths, no ending, no ``./``."""
    return without_ending(text.replace("\\", "/"))


def _is_image(cell: str) -> bool:
    _, dot, ending = cell.rpartition(".")
    return bool(dot) and f".{ending.lower()}" in SUFFIXES | REFUSED_SUFFIXES
