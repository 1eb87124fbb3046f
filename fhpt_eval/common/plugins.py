"""Plugins: what installed packages, this one among them, register by entry points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any

from fhpt_eval.errors import FhptEvalError, InputError, did_you_mean


@lru_cache(maxsize=16)
def installed(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """Return a group's entry points by name, sorted; imports none of them.

    Looks them up once per process (``installed.cache_clear()`` forgets them).
    """
    by_name: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        by_name.setdefault(point.name, []).append(point)
    return {name: tuple(by_name[name]) for name in sorted(by_name)}


def fault_of_class(plugin: object, name: str, base: type, attributes: Sequence[str]) -> str:
    """Say why a plugin is no complete class of a kind, with these attributes, or nothing."""
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        package = base.__module__.rpartition(".")[0]
        return f"is not a subclass of {package}.{base.__name__}"
    abstract: frozenset[str] = getattr(plugin, "__abstractmethods__", frozenset())
    if abstract:
        return f"lacks {', '.join(sorted(abstract))}"
    missing = [attribute for attribute in attributes if not hasattr(plugin, attribute)]
    if missing:
        return f"lacks the class attribute {' and '.join(missing)}"
    registered = getattr(plugin, "name", None)
    if registered != name:
        return f"calls itself {registered!r}; its name and its entry point must agree"
    return ""


@dataclass(frozen=True)
class Group:
    """A kind of plugin: the entry points of one group, built-in and third-party ones alike.

    ``name`` is the group's and ``kind`` the noun that messages use. ``error`` is raised for what
    cannot be loaded. ``fault`` says of an imported plugin and its name why it is not of this kind
    ("is not a subclass of ..."), or an empty text; ``also`` what else may be named ("; also
    timm:MODEL").
    """

    name: str
    kind: str
    error: type[FhptEvalError] = InputError
    fault: Callable[[Any, str], str] = lambda plugin, name: ""  # noqa: ARG005
    also: str = ""

    def names(self) -> list[str]:
        """Return the names of all installed plugins, sorted; imports none of them."""
        return list(installed(self.name))

    def load(self, name: str) -> Any:
        """Import the plugin of that name.

        Raises:
            FhptEvalError: (``error``) none of that name is installed (near misses are named), two
                packages claim the name, or the plugin cannot be imported or has a fault.
        """
        points = installed(self.name).get(name, ())
        if not points:
            known = self.names()
            raise self.error(
                f"There is no {self.kind} '{name}'.{did_you_mean(name, known)} "
                f"Installed: {', '.join(known) or 'none'}{self.also}."
            )
        label = f"{self.kind[:1].upper()}{self.kind[1:]} '{name}'"
        if len(points) > 1:
            owners = " and ".join(f"{_package(point)} ({point.value})" for point in points)
            raise self.error(f"{label} is claimed by {owners}; uninstall one of them.")
        (point,) = points
        try:
            plugin = point.load()
        except Exception as error:  # a plugin may fail in any way while it is imported
            raise self.error(
                f"{label} of {_package(point)} cannot be imported from {point.value}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if fault := self.fault(plugin, name):
            raise self.error(f"{label} of {_package(point)}: {point.value} {fault}.")
        return plugin

    def distribution(self, name: str) -> tuple[str, str]:
        """Return the name and version of the package that brings an installed plugin."""
        package = installed(self.name)[name][0].dist
        return _identity(package) if package else ("unknown", "unknown")


@lru_cache(maxsize=256)
def _identity(package: Distribution) -> tuple[str, str]:
    """Return a package's name and version, which lie in a file of its own."""
    return package.name, package.version


def _package(point: EntryPoint) -> str:
    return " ".join(_identity(point.dist)) if point.dist else "an unknown package"
