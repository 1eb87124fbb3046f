"""DeepFashion's in-shop retrieval benchmark: its item ids, and which images query and are searched.

``Eval/list_eval_partition.txt`` of the benchmark (Liu, Luo, Qiu, Wang, Tang, CVPR 2016)::

    52712
    image_name item_id evaluation_status
    img/WOMEN/Dresses/id_00000002/02_1_front.jpg id_00000002 train

An item is there a garment in all of its colours, which a file's name has as eight digits; the
folder of the garment, or what stands behind those digits, is the colour.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from fhpt_eval.common.files import read_bytes, read_text
from fhpt_eval.common.validation import brief
from fhpt_eval.errors import InputError
from fhpt_eval.images.listing import without_ending
from fhpt_eval.images.names import canonical, identity_of

#: What an image is for.
Status = Literal["train", "query", "gallery"]
#: Largest file that is read, in bytes (DeepFashion's has 4 MB).
MAX_BYTES = 2**28
_WHAT = "DeepFashion's list_eval_partition.txt (parameter partition)"

#: The in-shop id in a name, whether it is ``..id0000508545_1front``, ``../id_00005085/45_1_front``
#: or ``..-id_00005085-45_1_front``.
_IN_SHOP = re.compile(r"id_?(\d{8})(?!\d{3})")


def in_shop_id(text: str) -> str | None:
    """Return the in-shop id, as ``id_00005085``, of an image's name or of an item id.

    ``None`` where there is none.
    """
    match = _IN_SHOP.search(text)
    return f"id_{match[1]}" if match else None


@dataclass(frozen=True)
class Partition:
    """What a list of the benchmark says of images, by what their names have in common."""

    listed: Mapping[str, tuple[str, Status]]

    def item(self, name: str) -> str:
        """Return the item id of an image (a path without its ending); "" if it is not listed."""
        return self.listed.get(_common(name), ("", ""))[0]

    def status(self, name: str) -> str:
        """Return what an image is for; "" if it is not listed."""
        return self.listed.get(_common(name), ("", ""))[1]


def read_partition(path: str) -> Partition:
    """Read the list; images are known in any spelling of their names.

    Raises:
        InputError: it cannot be read, or a line is not in the format; the line is named.
    """
    return _read(path, digest_of_partition(path))


def digest_of_partition(path: str) -> str:
    """Return the SHA-256 of the file.

    Raises:
        InputError: it cannot be read.
    """
    return hashlib.sha256(read_bytes(Path(path), MAX_BYTES, _WHAT)).hexdigest()


@lru_cache(maxsize=2)
def _read(path: str, digest: str) -> Partition:  # noqa: ARG001 - a key of the cache
    listed: dict[str, tuple[str, Status]] = {}
    text = read_text(Path(path), MAX_BYTES, _WHAT)
    for number, (name, item, status) in _rows(text, path):
        key = _common(without_ending(name))
        if listed.setdefault(key, (item, status)) != (item, status):
            raise InputError(
                f"{path}, line {number}: {name} stands in two lines that differ. Remove one."
            )
    if not listed:
        raise InputError(f"{path} lists no image. Give {_WHAT}.")
    return Partition(listed)


def _rows(text: str, path: str) -> Iterator[tuple[int, tuple[str, str, Status]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        cells = line.split()
        is_header = number == 1 and len(cells) == 1 and cells[0].isdecimal()
        if not cells or is_header or cells[0] == "image_name":
            continue
        if len(cells) != 3:
            raise InputError(
                f"{path}, line {number}: expected the name of an image, its item id and 'train', "
                f"'query' or 'gallery', not {brief(line)}."
            )
        name, item, word = cells
        status: Status | None = next((each for each in get_args(Status) if each == word), None)
        if status is None:
            raise InputError(
                f"{path}, line {number}: the status is 'train', 'query' or 'gallery', not "
                f"{brief(word)}."
            )
        yield number, (name, item, status)


def _common(name: str) -> str:
    """Return what all spellings of an image's name have in common."""
    return canonical(name).rpartition("/")[2] if identity_of(name) else name.removeprefix("img/")
