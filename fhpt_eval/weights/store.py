"""Files of weights on this machine: find them, check them, put a checked one in its place.

A file, shipped or not, is used only with the digest that the registry states for it; one that the
user names by its path, with the digest it has.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fhpt_eval.common.files import opened, why
from fhpt_eval.errors import StorageError, WeightsError, did_you_mean
from fhpt_eval.weights.registry import (
    MAX_BYTES,
    WeightsEntry,
    cure,
    entry_of,
    path_of,
    registered,
)

#: Digests taken in this process, by path, file, size and time of the last change.
_taken: dict[tuple[str, int, int, int], str] = {}


@dataclass(frozen=True, slots=True)
class Weights:
    """A checked file of weights: its name in the registry (else the file's), path and digest."""

    name: str
    path: Path
    sha256: str


def find(name_or_path: str | Path) -> Weights:
    """Find weights and check them: a name of the registry, or the path of a file of your own.

    A name wins over a file of that name (write ``./name`` for the file). Reads the whole file the
    first time in a process, and again when it has changed.

    Raises:
        WeightsError: the file is missing, cut off, unreadable, or not what the registry says.
    """
    entry = _registered(name_or_path)
    path = path_of(entry) if entry else Path(name_or_path)
    fault = fault_of(entry) if entry else _fault_of_file(path, str(name_or_path))
    if fault:
        raise WeightsError(fault)
    digest = sha256_of(path)
    if entry is None:
        return Weights(path.name, path, digest)
    if digest != entry.sha256:
        raise WeightsError(
            f"{path} is not what the registry calls {entry.name}: its SHA-256 is {digest} and "
            f"should be {entry.sha256}. It is not used. Get the right one: {cure(entry)}"
        )
    return Weights(entry.name, path, digest)


def available(name_or_path: str | Path) -> str:
    """Say why weights cannot be used here and what would cure it, or nothing.

    Looks at existence and size only; the digest is checked when they are loaded.
    """
    try:
        entry = _registered(name_or_path)
        if entry is None:
            return _fault_of_file(Path(name_or_path), str(name_or_path))
        if path_of(entry).exists():
            return fault_of(entry)
        return f"needs the weights {entry.name} ({cure(entry)})"
    except (WeightsError, OSError) as error:
        return str(error)


def digest_of(name_or_path: str | Path) -> str:
    """Return the SHA-256 that weights have or must have; for a name that has it, without a file.

    Raises:
        WeightsError: the name is a path, and there is no usable file.
    """
    entry = _registered(name_or_path)
    return entry.sha256 if entry else find(name_or_path).sha256


def fault_of(entry: WeightsEntry) -> str:
    """Say what is wrong with the file of a registered network by its size, or nothing."""
    path = path_of(entry)
    get = f"Get it: {cure(entry)}"
    try:
        if not path.exists():
            return f"The weights {entry.name} are not here: there is no {path}. {get}"
        if not path.is_file():
            return f"{path} is not a file. Move it away. {get}"
        size = path.stat().st_size
    except OSError as error:
        return f"{path} cannot be read ({why(error)})."
    if size == 0 or (entry.size is not None and size != entry.size):
        should = f"{entry.size:,}" if entry.size else "more"
        return (
            f"{path} has {size:,} bytes and should have {should}: it was cut off, or is not "
            f"{entry.name}. It is not used. {get}"
        )
    return ""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, taken once per process as long as the file does not change.

    Raises:
        WeightsError: the file cannot be read.
    """
    try:
        with opened(path, MAX_BYTES) as file:
            state = os.fstat(file.fileno())
            key = (str(path.absolute()), state.st_ino, state.st_size, state.st_mtime_ns)
            if key not in _taken:
                _taken[key] = sha256_of_stream(file)
            return _taken[key]
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({why(error)}).") from error


def sha256_of_stream(file: io.BufferedReader | io.BufferedRandom) -> str:
    """Return the SHA-256 of an open file from where it stands."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def install(entry: WeightsEntry, checked: Path) -> Weights:
    """Rename a file whose digest has been checked to its place.

    Raises:
        StorageError: the folder cannot be written.
    """
    target = path_of(entry)
    with writing(target):
        checked.chmod(0o644)
        checked.replace(target)
    return Weights(entry.name, target, entry.sha256)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of a failure to write what to do about it.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written ({why(error)}). Free some room, or choose another "
            "folder with --weights-dir or FHPT_WEIGHTS."
        ) from error


def _registered(name_or_path: str | Path) -> WeightsEntry | None:
    """Return the entry that a name stands for; ``None`` for a path."""
    if isinstance(name_or_path, Path):
        return None
    return registered().get(name_or_path)


def _fault_of_file(path: Path, name: str) -> str:
    """Say why a file that the user named cannot be read, or nothing."""
    try:
        if path.is_file():
            size = path.stat().st_size
            if 0 < size <= MAX_BYTES:
                return ""
            return f"{path} has {size:,} bytes: these are no weights."
        if path.exists():
            return f"{path} is not a file: give the file with the weights."
    except (OSError, ValueError) as error:
        return f"{name!r} cannot be read ({error})."
    if len(path.parts) > 1 or path.suffix:
        return f"There is no file {path}. Check the path."
    try:
        entry_of(name)
    except WeightsError as error:
        return str(error)
    hint = did_you_mean(name, list(registered()))
    return f"There is no file {path}.{hint}"
