"""Read no more of a file than is bearable, and write it so that nobody sees half of one."""

from __future__ import annotations

import csv
import errno
import os
import stat
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from fhpt_eval.errors import FhptEvalError, InputError, StorageError

#: A spreadsheet takes a cell that starts with one of these for a formula.
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n")

Cell = str | float | int | None
# A temporary file that has not been touched for so many seconds belongs to no run.
_LONG_AGO = 3600.0


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
    """Parse TOML, or raise ``error``; ``label`` names the text."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as fault:
        raise error(f"{label}: is not valid TOML: {fault}.") from fault


def read_bytes(
    path: Path, limit: int, what: str, *, error: type[FhptEvalError] = InputError
) -> bytes:
    """Read a file of at most ``limit`` bytes; arguments and errors as of :func:`read_text`."""
    try:
        return read_within(path, limit)
    except (OSError, ValueError) as fault:  # a ValueError: no file system can hold the name
        raise error(f"{path} cannot be read ({why(fault)}). Give {what}.") from fault


def read_within(path: Path, limit: int) -> bytes:
    """Open a regular file once, and read it if it has at most ``limit`` bytes.

    Raises:
        OSError: it cannot be read, is larger, or is something else, such as a pipe.
    """
    # A pipe that nobody writes to would be waited for without end.
    waits_not = getattr(os, "O_NONBLOCK", 0)
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | waits_not)) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        # It may have grown since: one byte more than the limit tells.
        data = b"" if state.st_size > limit else file.read(limit + 1)
        if state.st_size > limit or len(data) > limit:
            raise OSError(errno.EFBIG, f"it is larger than {limit:,} bytes")
        return data


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

    ``durable`` waits until the disk has it, for files that cannot be made again.

    Raises:
        StorageError: the folder cannot be written, or the disk is full.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # 60 characters are at most 240 bytes, and file systems take 255 with the 14 that are added.
        start = f".{path.name[:60]}."
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=start, suffix=".tmp")
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise StorageError(_explain(path, error)) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


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


def remove_leftovers(folder: Path) -> None:
    """Remove what a refused run listed, and temporary files of runs that were killed long ago."""
    listed = folder / "problems.csv"
    if listed.is_file():
        listed.unlink()
    for temporary in folder.rglob(".*.tmp"):
        if time.time() - temporary.stat().st_mtime > _LONG_AGO:
            temporary.unlink(missing_ok=True)


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
    why = "a file is in the way" if isinstance(error, FileExistsError) else error.strerror
    return f"{path} cannot be written ({why or error}). Choose another place."
