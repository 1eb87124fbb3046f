"""Embeddings for retrieval:

a vector per image, by a named embedder, a plugin or a file. ``classical`` needs no weights;
``networks`` has ResNet-50 and timm's models, ``files`` networks in TorchScript and ONNX files.

An embedder is a :class:`~fhpt_eval.features.base.Feature` whose ``compute`` gives one array,
``embedding`` (N, D), finite floats. Anyone's is found by its entry point in the group
``fhpt_eval.embedders``; ours register alike.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from fhpt_eval.common.validation import explain_validation
from fhpt_eval.errors import ProtocolError, did_you_mean
from fhpt_eval.features.base import Feature
from fhpt_eval.features.embedding.files import ENDINGS as _ENDINGS
from fhpt_eval.features.embedding.files import is_network_file

__all__ = ["GROUP", "embedder_names", "is_network_file", "load_embedder"]

#: The entry-point group in which built-in and third-party embedders register alike.
GROUP = "fhpt_eval.embedders"
_TIMM = "timm:"


def embedder_names() -> list[str]:
    """Return the names of all installed embedders, sorted; imports none of them."""
    return sorted(_entry_points())


def load_embedder(name: str, settings: Mapping[str, Any] | None = None) -> Feature:
    """Return the embedder of that name.

    Args:
        name: an installed one, ``timm:MODEL``, or the path of a file that ends in ``.pt``, ``.ts``
            or ``.onnx``.
        settings: its fields, such as ``weights`` or ``input``.

    Raises:
        ProtocolError: there is none of that name (near misses are named), two packages claim it,
            it cannot be imported or is no embedder, or it has no such setting.
    """
    given = dict(settings or {})
    kind: type[Feature]
    if name.startswith(_TIMM):
        from fhpt_eval.features.embedding.networks import Timm

        kind, given = Timm, given | {"model": name.removeprefix(_TIMM)}
    elif is_network_file(name):
        from fhpt_eval.features.embedding.files import NetworkFile

        kind, given = NetworkFile, given | {"path": name}
    else:
        kind = _installed(name)
    unknown = sorted(given.keys() - kind.model_fields.keys())
    if unknown:
        known = ", ".join(sorted(kind.model_fields)) or "no settings"
        raise ProtocolError(f"The embedder '{name}' takes no {', '.join(unknown)}, but {known}.")
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise ProtocolError(explain_validation(error, kind, f"embedder {name}")) from None


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, tuple[EntryPoint, ...]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return {name: tuple(entries) for name, entries in found.items()}


def _installed(name: str) -> type[Feature]:
    entries = _entry_points().get(name, ())
    if not entries:
        known = embedder_names()
        raise ProtocolError(
            f"There is no embedder '{name}'.{did_you_mean(name, known)} Installed: "
            f"{', '.join(known)}; also timm:MODEL, and files that end in {', '.join(_ENDINGS)}."
        )
    if len(entries) > 1:
        owners = " and ".join(f"{_distribution(entry)} ({entry.value})" for entry in entries)
        raise ProtocolError(f"Embedder '{name}' is claimed by {owners}; uninstall one of them.")
    (entry,) = entries
    try:
        kind = entry.load()
    except Exception as error:  # a plugin may fail in any way while it is imported
        raise ProtocolError(
            f"Embedder '{name}' of {_distribution(entry)} cannot be imported from {entry.value}: "
            f"{type(error).__name__}: {error}"
        ) from error
    fault = _fault(kind)
    if fault:
        raise ProtocolError(f"Embedder '{name}' of {_distribution(entry)}: {entry.value} {fault}.")
    loaded: type[Feature] = kind
    return loaded


def _fault(kind: object) -> str:
    """Say why an entry point is no embedder, or return an empty text."""
    if not (isinstance(kind, type) and issubclass(kind, Feature)):
        return "is not a subclass of fhpt_eval.features.base.Feature"
    if inspect.isabstract(kind):
        return f"lacks {', '.join(sorted(kind.__abstractmethods__))}"
    return "" if hasattr(kind, "name") else "lacks the class attribute name"


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
