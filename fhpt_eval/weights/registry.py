"""The registry of pretrained networks, and the folder in which their files lie.

The package's registry is weights.toml; a folder of weights may hold a registry.toml of the same
form with a lab's own. Files lie in the folder of weights, or, where an entry is shipped, in the
package.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from fhpt_eval.common.files import read_text, toml_table, why
from fhpt_eval.common.validation import Frozen, explained
from fhpt_eval.errors import WeightsError, did_you_mean

#: The file in a folder of weights that lists a lab's own networks.
OWN_REGISTRY = "registry.toml"
#: The environment variable that names the folder of weights.
VARIABLE = "FHPT_WEIGHTS"
#: The folder of the package: weights.toml is in it, and networks/ with the shipped files.
PACKAGE = Path(__file__).parent
#: Largest file of weights that is downloaded, unpacked or read, in bytes.
MAX_BYTES = 8 * 2**30
_MAX_REGISTRY_BYTES = 2**20
_NAME = r"[a-z0-9][a-z0-9_-]{0,99}"
_ENDINGS_OF_OURS = (".part", ".sha256", ".toml", ".tmp")

_configured: Path | None = None


class WeightsEntry(Frozen):
    """What the registry says of one pretrained network.

    ``sha256`` is the digest of the file and ``size`` its bytes. ``shipped``: the file is part of
    the package, in ``fhpt_eval/weights/networks/``; then ``size`` is known, and there are no
    addresses. ``made_for``: the only images that it knows, as ``features.kinds`` calls them, where
    others are worth a warning.
    """

    name: str
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")]
    title: str = ""
    addresses: tuple[str, ...] = Field(default=(), strict=False, max_length=20)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(gt=0, le=MAX_BYTES)] | None = None
    shipped: bool = False
    made_for: str = ""
    licence: str = ""
    citation: str = ""
    homepage: str = ""

    @field_validator("file")
    @classmethod
    def _not_ours(cls, file: str) -> str:
        if file.lower().endswith(_ENDINGS_OF_OURS):
            raise ValueError(f"may not end in {', '.join(_ENDINGS_OF_OURS)}")
        return file

    @field_validator("addresses")
    @classmethod
    def _permitted(cls, addresses: tuple[str, ...]) -> tuple[str, ...]:
        for address in addresses:
            if not is_permitted(address):
                raise ValueError(f"{address!r} is not an https:// or file:// address")
        return addresses

    @model_validator(mode="after")
    def _wholly_known_if_shipped(self) -> Self:
        if self.shipped and self.size is None:
            raise ValueError("a shipped file needs a size")
        if self.shipped and self.addresses:
            raise ValueError("a shipped file has no addresses: it is part of the package")
        return self


class _File(Frozen):
    """The top level of a registry file; entries are checked one by one."""

    schema_version: Literal[1]
    weights: dict[str, dict[str, Any]] = Field(default_factory=dict)


def is_permitted(address: str) -> bool:
    """Whether files may be fetched from an address: https, a local file, or this very machine."""
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        return False
    if any(c.isspace() or not c.isprintable() for c in address):
        return False
    if parts.scheme == "http":
        return host == "127.0.0.1"
    return (parts.scheme == "https" and bool(host)) or (parts.scheme == "file" and not host)


def configure(folder: str | Path | None) -> None:
    """Say where weights lie in this process; ``None`` goes back to FHPT_WEIGHTS or the default."""
    global _configured
    _configured = None if folder is None else Path(folder)


def folder() -> Path:
    """Return the folder of weights; it need not exist.

    The one given to :func:`configure`, else the environment variable FHPT_WEIGHTS, else a folder
    in the user's cache.
    """
    if _configured is not None:
        return _configured
    if named := os.environ.get(VARIABLE):
        return Path(named)
    import platformdirs

    return platformdirs.user_cache_path("fhpt-eval", appauthor=False) / "weights"


def path_of(entry: WeightsEntry) -> Path:
    """Return where the file of a registered network lies, or would lie."""
    return (PACKAGE / "networks" if entry.shipped else folder()) / entry.file


def cure(entry: WeightsEntry) -> str:
    """Return the command that brings weights into the folder in use, or what mends shipped ones."""
    if entry.shipped:
        return "reinstall fhpt-eval, which brings this file"
    where = f" --weights-dir {shlex.quote(str(_configured))}" if _configured is not None else ""
    return f"fhpt-eval weights pull {entry.name}{where}"


def registered() -> Mapping[str, WeightsEntry]:
    """Return every known network by name: the package's, then those of ``registry.toml``.

    Raises:
        WeightsError: the folder's ``registry.toml`` has a fault; the message names the key.
    """
    ours = _of_package(PACKAGE / "weights.toml")
    path = folder() / OWN_REGISTRY
    try:
        if not path.exists():
            return dict(ours)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({why(error)}).") from error
    text = read_text(path, _MAX_REGISTRY_BYTES, "a registry of weights", error=WeightsError)
    theirs = parse_registry(text, str(path))
    files = {entry.file: name for name, entry in ours.items()}
    for name, entry in theirs.items():
        if name in ours:
            raise WeightsError(
                f"{path}: weights.{name}: is a name of fhpt-eval's own registry. "
                "Give yours another name."
            )
        taken = files.setdefault(entry.file, name)
        if taken != name:
            raise WeightsError(
                f"{path}: weights.{name}.file: {entry.file} is the file of {taken}. "
                "Give yours another name."
            )
    return {**ours, **theirs}


def entry_of(name: str) -> WeightsEntry:
    """Return what the registry says of a network.

    Raises:
        WeightsError: there is none of that name; near misses are named.
    """
    known = registered()
    if name in known:
        return known[name]
    raise WeightsError(
        f"There are no weights '{name}' in the registry.{did_you_mean(name, list(known))} "
        f"Known: {', '.join(known)}. A file of your own is given by its path."
    )


def made_for(sha256: str) -> str:
    """Return the only images that a network knows, by the digest of its file; "" if none is said.

    Raises:
        WeightsError: a registry cannot be read.
    """
    entries = registered().values()
    return next((entry.made_for for entry in entries if entry.sha256 == sha256), "")


def parse_registry(text: str, label: str, *, of_package: bool = False) -> dict[str, WeightsEntry]:
    """Check the text of a registry file; ``label`` names it in messages.

    Only the package's own (``of_package``) may call files shipped.

    Raises:
        WeightsError: names the key that is wrong and what is allowed.
    """
    with explained(_File, label, WeightsError):
        file = _File.model_validate(toml_table(text, label, error=WeightsError))
    return {name: _entry(name, facts, label, of_package) for name, facts in file.weights.items()}


def _entry(name: str, facts: Mapping[str, Any], label: str, of_package: bool) -> WeightsEntry:
    where = f"{label}: weights.{name}"
    if not re.fullmatch(_NAME, name):
        raise WeightsError(f"{where}: use lower-case letters, digits, '_' and '-' in a name.")
    if "name" in facts:
        raise WeightsError(f"{where}.name: there is no such key; the name is in the brackets.")
    if "shipped" in facts and not of_package:
        raise WeightsError(
            f"{where}.shipped: only files of the package are shipped. Leave this key out, and put "
            "the file into the folder of weights."
        )
    with explained(WeightsEntry, where, WeightsError):
        return WeightsEntry.model_validate({"name": name, **facts})


@lru_cache(maxsize=1)
def _of_package(path: Path) -> dict[str, WeightsEntry]:
    return parse_registry(path.read_text("utf-8"), path.name, of_package=True)
