"""The doors: read no more of a file than is bearable, and write none that is not ours to write."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import secrets
import stat
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from fhpt_eval.common.text import printable
from fhpt_eval.errors import FhptEvalError, InputError, StorageError

#: A spreadsheet takes a cell that starts with one of these for a formula.
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n")

Cell = str | float | int | None
#: Most dots in a line of TOML: a key that has so many is nobody's.
MAX_DOTS = 200
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# A temporary file that has not been touched for so many seconds belongs to no run.
_LONG_AGO = 3600.0
# What files of partials are called while they are written: a name that nobody else gives.
_HALF_PARTIAL = re.compile(r"\.[0-9a-f]{40}-[0-9a-f]{19}\.[0-9a-f]{8}\.tmp")
_ELSEWHERE = " Choose another place."
# What is never replaced, by the bits of its kind.
_KINDS = {
    stat.S_IFLNK: "it is a link; give the file that it leads to",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
    stat.S_IFDIR: os.strerror(errno.EISDIR),
}


def read_text(path: Path, limit: int, what: str, *, error: type[FhptEvalError] = InputError) -> str:
    """Read a file of at most ``limit`` bytes as UTF-8 text; a byte order mark is dropped.

    Args:
        path: of a regular file.
        limit: most bytes that are read.
        what: completes "Give ...", which messages end with, as in "a protocol file".
        error: what is raised.

    Raises:
        FhptEvalError: (``error``) it cannot be read, is too large or no regular file, or is not
            UTF-8 text, with the line.
    """
    data = read_bytes(path, limit, what, error=error)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise error(
            f"{path}, line {line}: is not UTF-8 text ({fault.reason}). Save the file as UTF-8."
        ) from fault


def toml_table(text: str, label: str, *, error: type[FhptEvalError] = InputError) -> dict[str, Any]:
    """Parse TOML, or raise ``error``; ``label`` names the text.

    A key of thousands of parts would cost gigabytes, and a control character has no place in a name
    or a path: both are refused.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MAX_DOTS:
            raise error(f"{label}, line {number}: has more than {MAX_DOTS} dots; break it.")
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as fault:
        raise error(f"{label}: is not valid TOML: {fault}.") from fault
    if odd := _with_control_characters(table):
        raise error(f"{label}: {printable(odd)}: there is a control character; leave it out.")
    return table


def _with_control_characters(value: object, key: str = "") -> str:
    """Return the key under which, or in which, a text has control characters, or nothing."""
    if isinstance(value, str):
        return key if _CONTROL.search(value) else ""
    if isinstance(value, list):
        return next(filter(None, (_with_control_characters(item, key) for item in value)), "")
    for name, inner in value.items() if isinstance(value, dict) else ():
        where = f"{key}.{name}" if key else name
        if odd := where if _CONTROL.search(name) else _with_control_characters(inner, where):
            return odd
    return ""


def check_json(text: str, most: int) -> None:
    """Refuse JSON of more values than are bearable, before anything is built of them.

    Raises:
        ValueError: says how many are allowed. Commas and brackets within texts count as well.
    """
    if sum(map(text.count, ",[{")) > most:
        raise ValueError(f"it holds more than {most:,} values")


def read_bytes(
    path: Path, limit: int, what: str, *, error: type[FhptEvalError] = InputError
) -> bytes:
    """Read a file of at most ``limit`` bytes; arguments and errors as of :func:`read_text`."""
    try:
        return read_within(path, limit)
    except (OSError, ValueError) as fault:  # a ValueError: no file system can hold the name
        raise error(f"{path} cannot be read ({why(fault)}). Give {what}.") from fault


def read_within(path: Path, limit: int) -> bytes:
    """Read a regular file if it has at most ``limit`` bytes; errors as of :func:`opened`."""
    with opened(path, limit) as file:
        # It may have grown since: one byte more than the limit tells.
        data = file.read(limit + 1)
        if len(data) > limit:
            raise _too_large(path, limit)
        return data


@contextmanager
def opened(path: Path, limit: int) -> Iterator[io.BufferedReader]:
    """Open a regular file of at most ``limit`` bytes, once, to be read: the only way in.

    Raises:
        OSError: it cannot be read, is larger, or is something else, such as a pipe or a device.
    """
    # A pipe that nobody writes to would be waited for without end.
    waits_not = getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | waits_not)) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        if state.st_size > limit:
            raise _too_large(path, limit)
        yield file


def _too_large(path: Path, limit: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {limit:,} bytes", str(path))


def why(fault: Exception) -> str:
    """Return the reason that an error states, without its number and the file's name."""
    return str(getattr(fault, "strerror", None) or fault)


def write_atomically(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` as :func:`replacing` does, with its errors."""
    with replacing(path, durable=durable) as file:
        file.write(data)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path``; rename it when it is complete, else remove it.

    ``durable`` waits until the disk has it, for files that cannot be made again. Only a regular
    file is ever replaced, and who may read the new one is what the user's umask says.

    Raises:
        StorageError: the folder cannot be written, the disk is full, or ``path`` is a link, a
            device or something else that is no regular file.
    """
    # 60 characters are at most 240 bytes, and file systems take 255 with the 14 that are added.
    temporary = path.with_name(f".{path.name[:60]}.{secrets.token_hex(4)}.tmp")
    begun = False
    try:
        _refuse_special(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            begun = True
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
        begun = False
    except OSError as error:
        raise StorageError(_explain(path, error)) from error
    finally:
        if begun:
            temporary.unlink(missing_ok=True)


def _refuse_special(path: Path) -> None:
    """Raise an ``OSError`` if something stands at a path that is no regular file."""
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if kind != stat.S_IFREG:
        raise OSError(errno.EINVAL, _KINDS.get(kind, "it is not a file"))


def keep_apart(out: Path, given: Mapping[str, Path]) -> None:
    """Refuse to write a file, or into a folder, that was given to be read or holds what was.

    ``given`` has what is read, by what messages call it, as in ``--pairs``.

    Raises:
        InputError: names both.
    """
    place = Path(os.path.realpath(out))
    for name, path in given.items():
        real = Path(os.path.realpath(path))
        if real == place:
            raise InputError(f"{out} is read here ({name}), so it is not written over.{_ELSEWHERE}")
        if place in real.parents:
            raise InputError(
                f"{out} holds what is read here ({name} {path}), and only results belong into a "
                f"folder of results.{_ELSEWHERE}"
            )


def check_writable(folder: Path) -> None:
    """Make a folder and try to write into it, before any work is done for it.

    Raises:
        StorageError: says why it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StorageError(_explain(folder, error)) from error


def remove_leftovers(partials: Path) -> None:
    """Remove half-written partials of runs that were killed long ago, and nothing else."""
    for temporary in partials.glob("??/.*.tmp"):
        try:
            age = time.time() - temporary.lstat().st_mtime
            if _HALF_PARTIAL.fullmatch(temporary.name) and age > _LONG_AGO:
                temporary.unlink()
        except OSError:
            continue  # another run was quicker, or it is not ours to remove


def csv_text(rows: Iterable[Sequence[Cell]]) -> str:
    """Return rows as CSV: ``None`` is an empty cell, numbers keep all their digits.

    A text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    lines: list[str] = []
    # Cells are quoted where they hold what ends lines here, so a carriage return must count.
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return "".join(line.removesuffix("\r\n") + "\n" for line in lines)


def plain_text(cell: str) -> str:
    """Undo the apostrophe that :func:`csv_text` puts before what looks like a formula."""
    bare = cell.lstrip("'")
    return cell[1:] if bare != cell and bare.startswith(_FORMULA_START) else cell


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.lstrip("'").startswith(_FORMULA_START) else value
    return repr(value)


def _explain(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return (
            f"The disk is full: {path} could not be written ({error.strerror}). What was finished "
            "is kept; free some room and repeat the command to go on from there."
        )
    reason = "a file is in the way" if isinstance(error, FileExistsError) else why(error)
    return f"{path} cannot be written ({reason}).{_ELSEWHERE}"
