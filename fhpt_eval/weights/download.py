"""Download weights: resumed where broken off, checked, renamed into place.

The standard library's urllib: pooch neither resumes a download nor tries a second address.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fhpt_eval._version import __version__
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import WeightsError
from fhpt_eval.weights.registry import (
    MAX_BYTES,
    WeightsEntry,
    entry_of,
    folder,
    is_permitted,
    path_of,
)
from fhpt_eval.weights.store import Weights, find, install, sha256_of_stream, writing

#: Seconds without a byte after which a connection counts as lost.
TIMEOUT = 30.0
#: How often one address is tried, as long as each time brings it further.
_TIMES = 5
_PIECE = 2**18
_MEGABYTE = 10**6


class _FailedError(Exception):
    """One attempt at one address failed; the message is the reason."""


def pull(
    names: Iterable[str], progress: Progress | None = None, *, offline: bool = False
) -> list[Weights]:
    """Bring registered weights into the folder; those that are there and sound are left alone.

    Shipped ones are only checked: they are part of the package.

    A download goes to ``FILE.part`` in the same folder; the next call goes on from there. One that
    fails does not keep the others from being tried.

    Args:
        names: names in the registry.
        progress: is told what happens, in megabytes.
        offline: never try the network, only say what is missing.

    Raises:
        WeightsError: a name is unknown, or weights could not be had; every address that was tried
            is listed with the reason.
        StorageError: the folder cannot be written.
    """
    entries = [entry_of(name) for name in dict.fromkeys(names)]
    brought: list[Weights] = []
    failures: list[str] = []
    for entry in entries:
        try:
            brought.append(_bring(entry, progress or Progress(), offline))
        except WeightsError as error:
            failures.append(str(error))
    if failures:
        have = {weights.name for weights in brought}
        missing = [e.name for e in entries if e.name not in have and not e.shipped]
        raise WeightsError("\n".join(failures) + _without_network(" ".join(missing)))
    return brought


def _bring(entry: WeightsEntry, tell: Progress, offline: bool) -> Weights:
    """Find weights, or download them where they are not here, or not right, and can be had."""
    try:
        weights = find(entry.name)
    except WeightsError:
        if offline or entry.shipped or path_of(entry).is_dir():
            raise
        if path_of(entry).exists():
            tell.say(f"{entry.name}: the file is damaged or another one; downloading it again")
        weights = _download(entry, tell)
        tell.say(f"{entry.name}: {weights.path}")
        return weights
    how = "is part of fhpt-eval" if entry.shipped else "is there already"
    tell.say(f"{entry.name}: {how}, {weights.path}")
    return weights


def _without_network(missing: str) -> str:
    """Say how what is missing comes to a machine without network; shipped files never do."""
    return missing and (
        "\nFor a machine without network, on one that has it:\n"
        f"  fhpt-eval weights pull {missing}\n"
        f"  fhpt-eval weights bundle -o weights.tar {missing}\n"
        "then here:\n  fhpt-eval weights import weights.tar"
    )


def _download(entry: WeightsEntry, progress: Progress) -> Weights:
    """Try the addresses in turn until one gives the right bytes."""
    target = path_of(entry)
    part = target.with_name(target.name + ".part")
    reasons = []
    with _opened(part) as file:
        for address in entry.addresses:
            try:
                _complete(address, entry, file, progress)
                return install(entry, part)
            except _FailedError as error:
                reasons.append(f"  {address}: {error}")
    if not reasons:
        reasons = [f"  the registry has no address. Put {entry.file} into {folder()} by hand."]
    raise WeightsError("\n".join([f"{entry.name} could not be downloaded:", *reasons]))


@contextlib.contextmanager
def _opened(part: Path) -> Iterator[io.BufferedRandom]:
    """Open a half-finished download, or begin one, for this process alone."""
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("a+b")
    with file:
        if not _alone(file):
            raise WeightsError(
                f"{part} is being downloaded by another process. Wait for it, then repeat the "
                "command."
            )
        try:
            yield file
        finally:
            if not _size(file):
                part.unlink(missing_ok=True)


def _alone(file: io.BufferedRandom) -> bool:
    """Lock an open file; whether no other process has. Where there are no locks, it is."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # else a file system without locks; the digest guards the result
        return not isinstance(error, BlockingIOError)
    return True


def _complete(
    address: str, entry: WeightsEntry, file: io.BufferedRandom, progress: Progress
) -> None:
    """Complete the file from one address, and check its digest."""
    for _ in range(_TIMES):
        before = _size(file)
        try:
            _receive(address, entry, file, progress)
        except _FailedError:
            if _size(file) > before:
                continue  # the connection broke, and the next one goes on from there
            raise
        file.seek(0)
        digest = sha256_of_stream(file)
        if digest == entry.sha256:
            os.fsync(file.fileno())
            return
        _cut(file, 0)
        if not before:  # else the fault may lie in what was there before
            raise _FailedError(
                f"gives a file with SHA-256 {digest} instead of {entry.sha256}; discarded"
            )
    raise _FailedError(f"broke off {_TIMES} times; repeat the command to go on from there")


def _receive(
    address: str, entry: WeightsEntry, file: io.BufferedRandom, progress: Progress
) -> None:
    """Append what the file lacks, or write it anew where the server sends all."""
    start = _size(file)
    if entry.size is not None and start >= entry.size:
        if start == entry.size:
            return
        start = _cut(file, 0)
    headers = {"User-Agent": f"fhpt-eval/{__version__}"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        with _open(urllib.request.Request(address, headers=headers)) as response:  # noqa: S310 - checked by the registry
            total = _begin(response, entry, file, start)
            progress.stage(entry.name, -(-(total or 0) // _MEGABYTE), "MB")
            _copy(response, file, total, entry.size or MAX_BYTES, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and start:
            _cut(file, 0)
            _receive(address, entry, file, progress)
            return
        raise _FailedError(f"HTTP status {error.code} ({error.reason})") from error
    except urllib.error.URLError as error:
        raise _FailedError(str(error.reason)) from error
    except TimeoutError as error:
        raise _FailedError(f"nothing came for {TIMEOUT:g} seconds") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _FailedError(f"{type(error).__name__}: {error}") from error


def _begin(response: Any, entry: WeightsEntry, file: io.BufferedRandom, start: int) -> int | None:
    """Put the file to where the answer begins; return the whole size if the server tells it."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        content = str(response.headers.get("Content-Range", ""))
        if not content.startswith(f"bytes {start}-"):
            _cut(file, 0)
            raise _FailedError(f"sends other bytes than {start}-: {content[:100]!r}")
    else:
        start = 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length is not None else None
    limit = entry.size or MAX_BYTES
    if total is not None and (total > limit or (entry.size and total != entry.size)):
        raise _FailedError(f"offers {total:,} bytes instead of {limit:,}")
    _cut(file, start)
    return total


def _copy(
    response: Any, file: io.BufferedRandom, total: int | None, limit: int, progress: Progress
) -> None:
    done = _size(file)
    while piece := response.read(_PIECE):
        done += len(piece)
        if done > limit:
            _cut(file, 0)
            raise _FailedError(f"sends more than {limit:,} bytes; discarded")
        with writing(Path(file.name)):
            file.write(piece)
            file.flush()
        progress.advance(done // _MEGABYTE)
    if total is not None and done < total:
        raise _FailedError(f"the connection ended after {done:,} of {total:,} bytes")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect to where the registry might not point either."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        kinds = ("https:", "http:") if req.type == "http" else ("https:",)
        if not (is_permitted(newurl) and newurl.startswith(kinds)):
            raise _FailedError(f"leads to {newurl[:200]!r}, where nothing is fetched from")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(request: urllib.request.Request) -> Any:
    """Send a request; proxies of the environment are used, though not to reach this machine."""
    handlers: list[urllib.request.BaseHandler] = [_Redirects()]
    if request.type == "http":
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT)


def _size(file: io.BufferedRandom) -> int:
    return file.seek(0, os.SEEK_END)


def _cut(file: io.BufferedRandom, size: int) -> int:
    with writing(Path(file.name)):
        return file.truncate(size)
