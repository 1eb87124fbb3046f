"""Find metrics by name among the installed entry points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhpt_eval.common.plugins import Group, fault_of_class
from fhpt_eval.errors import ProtocolError

if TYPE_CHECKING:
    from fhpt_eval.metrics.base import Metric


def _fault(metric: object, name: str) -> str:
    """Say why an entry point is not the metric that it should be, or return an empty text."""
    from fhpt_eval.metrics.base import Metric

    return fault_of_class(metric, name, Metric, ("name", "title", "direction"))


#: Built-in and third-party metrics, which register alike.
METRICS = Group("fhpt_eval.metrics", "metric", ProtocolError, _fault)


#: The names of all installed metrics, sorted; imports none of them.
metric_names = METRICS.names
#: The name and version of the package that brings an installed metric, by the metric's name.
metric_distribution = METRICS.distribution


def load_metric(name: str) -> type[Metric]:
    """Import the metric of that name.

    Raises:
        ProtocolError: no such metric is installed (near misses are named), two packages claim the
            name, or the plugin cannot be imported or is not a metric.
    """
    metric: type[Metric] = METRICS.load(name)
    return metric
