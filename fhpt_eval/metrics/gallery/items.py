"""A CSV that says which item each image of a gallery shows.

Columns ``image`` (its path below the folder, with or without the ending) and ``item``.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from fhpt_eval.common.files import read_bytes, read_text
from fhpt_eval.errors import InputError
from fhpt_eval.images.listing import without_ending
from fhpt_eval.images.names import canonical

#: Largest file that is read, in bytes (some million images).
MAX_BYTES = 2**28
_WHAT = "the items of the gallery as a CSV file with the columns image and item"


def read_gallery_items(path: str) -> Mapping[str, str]:
    """Return items by the names of images, without endings.

    Raises:
        InputError: it cannot be read, or a row is not what the header says; the line is named.
    """
    return _read(path, digest_of_items(path))


@lru_cache(maxsize=2)
def _read(path: str, digest: str) -> Mapping[str, str]:  # noqa: ARG001 - a key of the cache
    text = read_text(Path(path), MAX_BYTES, _WHAT)
    try:
        return _items(csv.DictReader(io.StringIO(text, newline="")), path)
    except csv.Error as error:
        raise InputError(f"{path}: {error}.") from error


def digest_of_items(path: str) -> str:
    """Return the SHA-256 of the file.

    Raises:
        InputError: it cannot be read.
    """
    return hashlib.sha256(read_bytes(Path(path), MAX_BYTES, _WHAT)).hexdigest()


def _items(reader: csv.DictReader[str], path: str) -> Mapping[str, str]:
    columns = {name.strip(): name for name in reader.fieldnames or []}
    if not {"image", "item"} <= columns.keys():
        header = ", ".join(columns) or "missing"
        raise InputError(f"{path}, line 1: the columns are {header}; expected image and item.")
    items: dict[str, str] = {}
    for row in reader:
        name, item = ((row[columns[column]] or "").strip() for column in ("image", "item"))
        if not name or not item:
            raise InputError(f"{path}, line {reader.line_num}: the image or the item is missing.")
        name = canonical(without_ending(name))
        if items.setdefault(name, item) != item:
            raise InputError(
                f"{path}, line {reader.line_num}: {name} is item {item} here and {items[name]} "
                "above."
            )
    return items
