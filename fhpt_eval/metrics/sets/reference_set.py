"""Reference sets: folders of images, or files of their statistics, in place of the ground truth.

What a metric is given by path counts by content: the digest of the images or of the file is part
of a protocol.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.common.files import opened, why, write_atomically
from fhpt_eval.common.settings import differences, digest_of
from fhpt_eval.errors import InputError
from fhpt_eval.images.listing import find_images
from fhpt_eval.metrics.sets.frechet import Gaussian

#: Largest file of statistics that is read, in bytes: 2,048 dimensions take 34 MB, and the features
#: of 100,000 images, which clean-fid writes for KID, 0.8 GB.
MAX_BYTES = 2**31
#: Most dimensions of statistics that are read.
MAX_SIZE = 4096
# What a file may unpack to, in bytes: the largest mean and covariance, or so many times its size.
_UNPACKED, _RATIO = 9 * MAX_SIZE**2, 16

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """What a file of statistics holds; what it does not say is ``None``.

    ``mean`` is ``(D,)`` and ``covariance`` ``(D, D)``, float64; ``count`` the number of images;
    ``settings`` what made the features (:meth:`fhpt_eval.features.base.Feature.canonical` and the
    preparation); ``features`` ``(N, D)`` rows.
    """

    mean: Floats | None
    covariance: Floats | None
    count: int | None = None
    settings: Mapping[str, Any] | None = None
    features: NDArray[Any] | None = None

    @cached_property
    def gaussian(self) -> Gaussian | None:
        """The Gaussian of mean and covariance; kept, since its square root is worth keeping."""
        if self.mean is None or self.covariance is None:
            return None
        return Gaussian(self.mean, self.covariance)


def folder_of(reference: str | None) -> Path | None:
    """Return the folder of a reference set, or nothing if it is a file or there is none."""
    if reference is None or not Path(reference).is_dir():
        return None
    return Path(reference)


def digest(reference: str) -> str:
    """Return the SHA-256 of a reference set: of a file, or of a folder's names and images.

    Raises:
        InputError: there is no such file or folder, or it cannot be read.
    """
    path = Path(reference)
    try:
        if path.is_dir():
            paths_by_name = find_images(path, "The reference folder")
            files = tuple(path for paths in paths_by_name.values() for path in paths)
            states = (file.stat() for file in files)
            seen = tuple(
                (str(f), s.st_size, s.st_mtime_ns) for f, s in zip(files, states, strict=True)
            )
            return _folder_digest(str(path), seen)
        state = path.stat()
        return _file_digest(str(path), state.st_size, state.st_mtime_ns)
    except (OSError, ValueError) as error:  # a ValueError: no file system can hold the name
        raise InputError(
            f"The reference set {path} cannot be read ({why(error)}). Give a folder "
            "of images, or a file of statistics (.npz)."
        ) from error


@lru_cache(maxsize=8)
def _folder_digest(root: str, seen: tuple[tuple[str, int, int], ...]) -> str:
    """Take the digest once per process, as long as sizes and times of change stay."""
    names = [Path(name).relative_to(root).as_posix() for name, _, _ in seen]
    sums = [_file_digest(*file) for file in seen]
    return digest_of(dict(zip(names, sums, strict=True)))


@lru_cache(maxsize=2**20)
def _file_digest(path: str, size: int, changed: int) -> str:  # noqa: ARG001 - keys of the cache
    with opened(Path(path), MAX_BYTES) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_statistics(reference: str) -> Statistics:
    """Read a file of statistics: one of ours, pytorch-fid's (``mu``, ``sigma``) or clean-fid's.

    clean-fid's file for KID holds ``feats``. The file is read once per process.

    Raises:
        InputError: it is no such file; the message says what is wrong.
    """
    path = Path(reference)
    try:
        state = path.stat()
        return _load(reference, state.st_size, state.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({why(error)}).") from error


@lru_cache(maxsize=2)
def _load(path: str, size: int, changed: int) -> Statistics:  # noqa: ARG001 - keys of the cache
    try:
        with opened(Path(path), MAX_BYTES) as stream:
            _check_members(stream)
            stream.seek(0)
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("is a single array")
            arrays = {name: archive[name] for name in archive.files if name in _NAMES}
            if odd := [name for name in arrays if not isinstance(arrays[name], np.ndarray)]:
                raise ValueError(f"'{odd[0]}' is no array")
    except _DAMAGED as error:
        raise InputError(
            f"{path} is no file of statistics ({error}). It should be an .npz archive with 'mu' "
            "and 'sigma', as 'fhpt-eval stats', pytorch-fid and clean-fid write it."
        ) from error
    if fault := _fault(arrays):
        raise InputError(f"{path}: {fault}.")
    mean, covariance = arrays.get("mu"), arrays.get("sigma")
    return Statistics(
        None if mean is None else mean.astype(np.float64),
        None if covariance is None else covariance.astype(np.float64),
        int(arrays["count"]) if "count" in arrays else None,
        json.loads(str(arrays["settings"])) if "settings" in arrays else None,
        arrays.get("feats"),
    )


#: What reading a damaged or hostile archive may raise.
_DAMAGED = (
    ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError,
    RuntimeError, struct.error, SyntaxError, OverflowError, MemoryError,
)  # fmt: skip


def _check_members(stream: BinaryIO) -> None:
    """Refuse, by a ``ValueError``, what is no archive, or would unpack to more than it may."""
    if not zipfile.is_zipfile(stream):
        raise ValueError("is no archive")
    with zipfile.ZipFile(stream) as archive:
        size = sum(member.file_size for member in archive.infolist())
    most = min(MAX_BYTES, max(_UNPACKED, _RATIO * stream.seek(0, io.SEEK_END)))
    if size > most:
        raise ValueError(f"would unpack to {size:,} bytes, more than {most:,}")


_NAMES = ("mu", "sigma", "count", "settings", "feats")


def _fault(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Say what is wrong with the arrays of a file, or nothing."""
    for name in ("mu", "sigma", "feats"):
        array = arrays.get(name)
        if array is not None and array.dtype.kind != "f":
            return f"'{name}' holds {array.dtype}, not floating-point numbers"
        if array is not None and not np.isfinite(array).all():
            return f"'{name}' has values that are not finite"
    if ("mu" in arrays) != ("sigma" in arrays) or not arrays.keys() & {"mu", "feats"}:
        return "holds neither 'mu' and 'sigma' nor 'feats'"
    if "feats" in arrays and arrays["feats"].ndim != 2:
        return f"'feats' has shape {arrays['feats'].shape}, not (images, dimensions)"
    if "mu" in arrays:
        mean, covariance = arrays["mu"], arrays["sigma"]
        size = mean.shape[0] if mean.ndim == 1 else 0
        if not 1 <= size <= MAX_SIZE or covariance.shape != (size, size):
            return (
                f"'mu' has shape {mean.shape} and 'sigma' {covariance.shape}, not (D,) and (D, D)"
            )
        return _fault_of_covariance(covariance) or _fault_of_labels(arrays)
    return _fault_of_labels(arrays)


def _fault_of_covariance(covariance: NDArray[Any]) -> str:
    """Say why a ``(D, D)`` matrix is no covariance, or nothing.

    Rounding takes the eigenvalues that should be 0, as where there are fewer images than
    dimensions, to either side of it: by up to D times the precision of the stored type, relative to
    the largest (the tolerance of ``numpy.linalg.matrix_rank``).
    """
    precision = np.finfo(covariance.dtype).eps
    if precision > np.finfo(np.float32).eps:
        return f"'sigma' holds {covariance.dtype}, too coarse for a covariance; store float32 or 64"
    exact = covariance.astype(np.float64)
    slack = 8 * float(precision) * float(np.abs(exact).max())
    if not np.allclose(exact, exact.T, rtol=1e-6, atol=slack):
        return "'sigma' is not symmetric"
    spectrum = np.linalg.eigvalsh(exact)
    least, largest = float(spectrum[0]), float(spectrum[-1])
    # A file may hold in float64 what was computed in less; so much moves no digit that counts.
    floor = 1e-6 * max(float(np.trace(exact)), 0.0) / len(exact)
    if least < -max(floor, len(exact) * float(precision) * largest):
        return f"'sigma' is no covariance: it has the eigenvalue {least:g}"
    return ""


def _fault_of_labels(arrays: Mapping[str, NDArray[Any]]) -> str:
    if "count" in arrays and (arrays["count"].shape != () or arrays["count"].dtype.kind != "i"):
        return "'count' is not a whole number"
    if "count" in arrays and arrays["count"] < 2:
        return f"'count' is {arrays['count']}: a covariance needs at least 2 images"
    try:
        settings = json.loads(str(arrays["settings"])) if "settings" in arrays else {}
    except (ValueError, RecursionError):
        settings = None
    return "" if isinstance(settings, dict) else "'settings' is not a JSON object"


def save_statistics(path: Path, statistics: Statistics) -> None:
    """Write a file of statistics that pytorch-fid and clean-fid can read as well.

    Raises:
        StorageError: it cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    if statistics.mean is not None and statistics.covariance is not None:
        arrays = {"mu": statistics.mean, "sigma": statistics.covariance}
    arrays["count"] = np.asarray(statistics.count)
    arrays["settings"] = np.asarray(json.dumps(dict(statistics.settings or {}), sort_keys=True))
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **arrays)
    write_atomically(path, out.getvalue())


def check_settings(reference: str, wanted: Mapping[str, Any]) -> None:
    """Refuse statistics that say that their features were made in another way.

    Raises:
        InputError: names each difference.
    """
    settings = load_statistics(reference).settings
    if settings is None:
        return
    if differing := differences(wanted, settings):
        lines = [f"  {name}: {theirs} there, {ours} here" for name, ours, theirs in differing]
        raise InputError(
            f"The statistics in {reference} were made with other settings than this protocol has:\n"
            + "\n".join(lines)
            + "\nMake them anew with 'fhpt-eval stats', under this protocol."
        )
