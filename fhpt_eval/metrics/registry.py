"""Plugins: find metrics by name among the installed entry points. Listing names"""

from __future__ import annotations

import inspect
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from fhpt_eval.errors import ProtocolError, did_you_mean

if TYPE_CHECKING:
    from fhpt_eval.metrics.base import Metric

#: The entry-point group in which built-in and third-party metrics register alike.
GROUP = "fhpt_eval.metrics"


@lru_cache(maxsize=1)
def metric_entry_points() -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of every installed metric by name, sorted; imports none of them."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return {name: tuple(found[name]) for name in sorted(found)}


def metric_names() -> list[str]:
    """Return the names of all installed metrics, sorted."""
    return list(metric_entry_points())


def load_metric(name: str) -> type[Metric]:
    """Import the metric of that name.

    Raises:
        ProtocolError: no such metric is installed (near misses are named), two packages claim the
            name, or the plugin cannot be imported or is not a metric.
    """
    entries = metric_entry_points().get(name, ())
    if not entries:
        known = metric_names()
        raise ProtocolError(
            f"There is no metric '{name}'.{did_you_mean(name, known)} "
            f"Installed: {', '.join(known)}."
        )
    if len(entries) > 1:
        owners = " and ".join(f"{_distribution(entry)} ({entry.value})" for entry in entries)
        raise ProtocolError(f"Metric '{name}' is claimed by {owners}; uninstall one of them.")
    entry = entries[0]
    try:
        metric = entry.load()
    except Exception as error:  # a plugin may fail in any way while it is imported
        raise ProtocolError(
            f"Metric '{name}' of {_distribution(entry)} cannot be imported from {entry.value}: "
            f"{type(error).__name__}: {error}"
        ) from error
    fault = _fault(metric, name)
    if fault:
        raise ProtocolError(f"Metric '{name}' of {_distribution(entry)}: {entry.value} {fault}.")
    loaded: type[Metric] = metric
    return loaded


def _fault(metric: object, name: str) -> str:
    """Say why an entry point is not the metric that it should be, or return an empty text."""
    from fhpt_eval.metrics.base import Metric

    if not (isinstance(metric, type) and issubclass(metric, Metric)):
        return "is not a subclass of fhpt_eval.metrics.Metric"
    if inspect.isabstract(metric):
        return f"lacks {', '.join(sorted(metric.__abstractmethods__))}"
    missing = [a for a in ("name", "title", "direction") if not hasattr(metric, a)]
    if missing:
        return f"lacks the class attribute {' and '.join(missing)}"
    if metric.name != name:
        return f"calls itself {metric.name!r}; its name and its entry point must agree"
    return ""


def metric_distribution(name: str) -> tuple[str, str]:
    """Return the name and version of the package that brings an installed metric."""
    entry = metric_entry_points()[name][0]
    return (entry.dist.name, entry.dist.version) if entry.dist else ("unknown", "unknown")


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
