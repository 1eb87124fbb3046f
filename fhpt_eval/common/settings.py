"""Settings as nested tables: their digest, values by dotted names, and how two of them differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


#: The value of a setting that only the other side has; written "nothing".
MISSING = _Missing()


class Difference(NamedTuple):
    """A setting in which two sides differ; the value is :data:`MISSING` where a side lacks it."""

    name: str
    ours: Any
    theirs: Any


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of nested tables by dotted names, in order; an empty table is a value."""
    values: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            values |= {f"{key}.{below}": leaf for below, leaf in flat(value).items()}
        else:
            values[str(key)] = value
    return values


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """Return every setting that differs, in our order, then what only they have."""
    first, second = flat(ours), flat(theirs)
    compared = (
        Difference(name, first.get(name, MISSING), second.get(name, MISSING))
        for name in dict.fromkeys([*first, *second])
    )
    return [difference for difference in compared if difference.ours != difference.theirs]


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON: sorted keys, no white space, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
