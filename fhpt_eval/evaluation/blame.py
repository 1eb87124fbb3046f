"""Say which metric failed, and at what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fhpt_eval.errors import FhptEvalError, MetricError, Undefined


@contextmanager
def blame(label: str, doing: str) -> Iterator[None]:
    """Turn whatever a metric raises into a :class:`MetricError` that names it.

    Errors of our own, and a set whose value is undefined, pass as they are.
    """
    try:
        yield
    except (FhptEvalError, Undefined):
        raise
    except Exception as error:  # a plugin may fail in any way
        raise MetricError(
            f"Metric {label} failed while {doing}: {type(error).__name__}: {error}"
        ) from error
