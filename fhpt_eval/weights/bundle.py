"""Bundles: files of registered weights in one tar file, for other machines.

A bundle is uncompressed. Only weights of the registry are packed and unpacked, and no shipped ones,
which are wherever the package is.
"""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from fhpt_eval.common.files import opened, replacing, why
from fhpt_eval.errors import FhptEvalError, WeightsError
from fhpt_eval.weights.registry import MAX_BYTES, OWN_REGISTRY, WeightsEntry, folder, registered
from fhpt_eval.weights.store import Weights, find, install, writing

_PIECE = 2**20
# Largest bundle, in bytes.
_MAX_BUNDLE = 8 * MAX_BYTES
_FORMAT = tarfile.USTAR_FORMAT
# Zeros that a tar file ends with, in bytes.
_END = 1024


def write_bundle(names: Iterable[str], target: Path) -> list[Weights]:
    """Pack registered weights of the folder into a tar file; equal content gives equal bytes.

    Shipped ones are left out. Returns what was packed.

    Raises:
        WeightsError: weights are missing or damaged, or named by a path, or all are shipped.
        StorageError: the tar file cannot be written.
    """
    known = registered()
    chosen = list(dict.fromkeys(names))
    if unknown := [name for name in chosen if name not in known]:
        raise WeightsError(
            f"Only weights of the registry can be bundled, not {', '.join(unknown)}. A network of "
            f"your own is registered in {folder() / OWN_REGISTRY}; a file is simply copied."
        )
    packed = [find(name) for name in chosen if not known[name].shipped]
    if chosen and not packed:
        verb = "is" if len(chosen) == 1 else "are"
        raise WeightsError(
            f"There is nothing to bundle: {', '.join(chosen)} {verb} part of fhpt-eval, and there "
            "wherever it is installed."
        )
    with replacing(target) as file, tarfile.open(fileobj=file, mode="w", format=_FORMAT) as tar:
        for weights in packed:
            member = tarfile.TarInfo(weights.path.name)
            member.size = weights.path.stat().st_size
            with opened(weights.path, MAX_BYTES) as content:
                tar.addfile(member, content)
    return packed


def import_bundle(path: Path) -> list[Weights]:
    """Unpack a bundle into the folder: every file is checked first, then all are put in place.

    Raises:
        WeightsError: the file is no bundle, or holds anything but files of registered weights with
            the right size and digest; nothing has been put in place then.
        StorageError: the folder cannot be written.
    """
    where = folder()
    with writing(where):
        where.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=where, prefix=".import-", suffix=".tmp") as scratch:
            try:
                with _Bounded(path) as file:
                    checked = _unpack(file, path, Path(scratch))
            except (FhptEvalError, OSError):
                raise
            except Exception as error:  # a hostile file may make its reader fail in any way
                raise WeightsError(f"{path}: is not a whole tar file ({error}).") from error
            return [install(entry, file) for file, entry in checked.items()]


class _Bounded(io.FileIO):
    """A file of which no large piece is read at once, whatever a tar header asks for."""

    def __init__(self, path: Path) -> None:
        try:
            with opened(path, _MAX_BUNDLE) as file:
                super().__init__(os.dup(file.fileno()))
        except OSError as error:
            raise WeightsError(f"{path} cannot be read ({why(error)}).") from error

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= 4 * _PIECE:
            raise tarfile.ReadError("a header is too large")
        return super().read(size) or b""


def _unpack(file: _Bounded, path: Path, scratch: Path) -> dict[Path, WeightsEntry]:
    """Write every member into the scratch folder and check it."""
    known = {entry.file: entry for entry in registered().values() if not entry.shipped}
    checked: dict[Path, WeightsEntry] = {}
    with tarfile.open(fileobj=file, mode="r:") as tar:
        while (member := tar.next()) is not None:
            _refuse_odd(member, path)
            entry, target = known.get(member.name), scratch / member.name
            if entry is None:
                raise WeightsError(
                    f"{path}: the registry here lists no file {member.name!r} that is not shipped, "
                    f"so its digest cannot be checked. Bring along the {OWN_REGISTRY} that lists "
                    f"it, into {folder()}. Nothing was imported."
                )
            if target in checked:
                raise WeightsError(f"{path}: {member.name!r} stands in it twice.")
            _extract(tar, member, entry, target, path)
            checked[target] = entry
    file.seek(max(0, file.seek(0, os.SEEK_END) - _END))
    if not checked or any(file.read(_END)):
        raise WeightsError(f"{path}: was cut off, or holds no weights. Nothing was imported.")
    return checked


def _refuse_odd(member: tarfile.TarInfo, path: Path) -> None:
    """Refuse whatever is not a plain file of a plain name."""
    what = f"{path}: member {member.name[:200]!r}"
    if "/" in member.name or "\\" in member.name or member.name in {"", ".", ".."}:
        raise WeightsError(f"{what}: a bundle has plain names only. Nothing was imported.")
    if not member.isreg() or member.issparse():
        raise WeightsError(f"{what}: is not a plain file. Nothing was imported.")


def _extract(
    tar: tarfile.TarFile, member: tarfile.TarInfo, entry: WeightsEntry, target: Path, path: Path
) -> None:
    """Write a member to a new file whose digest is the registry's."""
    limit = entry.size or MAX_BYTES
    if not 0 < member.size <= limit or (entry.size is not None and member.size != entry.size):
        raise WeightsError(
            f"{path}: {entry.file} has {member.size:,} bytes and should have {limit:,}"
            f"{'' if entry.size else ' at most'}. Nothing was imported."
        )
    stream = tar.extractfile(member)
    if stream is None:
        raise tarfile.ReadError(f"{member.name} cannot be read")
    sha256 = hashlib.sha256()
    with stream, target.open("xb") as out:
        while piece := stream.read(_PIECE):
            sha256.update(piece)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())
    if sha256.hexdigest() != entry.sha256:
        raise WeightsError(
            f"{path}: {entry.file} has the SHA-256 {sha256.hexdigest()} and should have "
            f"{entry.sha256}. Nothing was imported."
        )
