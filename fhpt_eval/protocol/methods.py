"""Methods of the field, and which shipped protocols their printed numbers can be compared with."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from importlib import resources

from pydantic import Field

from fhpt_eval.common.validation import Frozen
from fhpt_eval.errors import ProtocolError, did_you_mean


class Comparable(Frozen):
    """A shipped protocol, those of its scores that a method's evaluation computes so, and why."""

    protocol: str
    scores: tuple[str, ...] = Field(min_length=1, strict=False)
    why: str


class Method(Frozen):
    """What is known of a method's evaluation.

    ``also`` are other names of it, ``results`` says how its images lie on disk, ``notes`` what
    stands against a comparison. ``commit`` is where the repository was read; without one it was
    not.
    """

    name: str
    also: tuple[str, ...] = Field((), strict=False)
    repository: str = ""
    commit: str = ""
    results: str
    comparable: tuple[Comparable, ...] = Field(strict=False)
    notes: tuple[str, ...] = Field(strict=False)


class _File(Frozen):
    method: tuple[Method, ...] = Field(strict=False)


@lru_cache(maxsize=1)
def methods() -> tuple[Method, ...]:
    """Return all methods that anything is known of, in the file's order."""
    text = resources.files("fhpt_eval.protocol").joinpath("methods.toml").read_text("utf-8")
    return _File.model_validate(tomllib.loads(text)).method


def find_method(name: str) -> Method:
    """Return a method by any of its names, whatever their case, blanks and marks.

    Raises:
        ProtocolError: nothing is known of such a method; near misses are named.
    """
    names = {alias: method for method in methods() for alias in (method.name, *method.also)}
    plain = {_plain(alias): method for alias, method in names.items()}
    if _plain(name) in plain:
        return plain[_plain(name)]
    folded = {alias.casefold(): alias for alias in names}
    near = did_you_mean(name.casefold(), list(folded))
    for alias, spelled in folded.items():
        near = near.replace(f"'{alias}'", f"'{spelled}'")
    raise ProtocolError(
        f"Nothing is known of a method '{name}'.{near} "
        f"Known: {', '.join(method.name for method in methods())}."
    )


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
