"""Mean and covariance of rows, mergeable without losing digits.

A state holds either rows or moments of rows: few rows stay as they are, so that a small state is
small, and many are folded into count, mean and scatter (the sum of outer products of deviations
from the mean), so that a large one is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.metrics.base import State

#: More rows than this are folded into moments.
KEPT_ROWS = 2048

Floats = NDArray[np.float64]


def empty() -> State:
    """Return the state of no rows."""
    return {
        "rows": np.zeros((0, 0), np.float32),
        "count": np.zeros((), np.int64),
        "mean": np.zeros(0),
        "scatter": np.zeros((0, 0)),
    }


def add(state: State, rows: NDArray[Any], keys: Sequence[str] = ()) -> State:  # noqa: ARG001
    """Return the state with ``(N, D)`` rows added, whatever the keys of their images."""
    kept = state["rows"]
    joined = rows if not len(kept) else np.concatenate([kept, rows])
    return _bounded({**state, "rows": np.ascontiguousarray(joined)})


def merge(first: State, second: State) -> State:
    """Return the state of both sets of rows."""
    rows = [state["rows"] for state in (first, second) if len(state["rows"])]
    joined = np.concatenate(rows) if rows else first["rows"]
    return _bounded({**_merge_moments(first, second), "rows": joined})


def count(state: State) -> int:
    """Return the number of rows."""
    return int(state["count"]) + len(state["rows"])


def width(state: State) -> int:
    """Return D, the size of a row; 0 where there is none."""
    return len(state["mean"]) or int(state["rows"].shape[1])


def moments(state: State) -> tuple[int, Floats, Floats]:
    """Return the number of rows, their mean and their covariance (divided by N - 1)."""
    folded = _fold(state) if len(state["rows"]) else state
    number = int(folded["count"])
    return number, folded["mean"], folded["scatter"] / max(1, number - 1)


def factor(state: State) -> Floats | None:
    """Return ``(N, D)`` A with A^T A = covariance, of at most D rows that are still there."""
    rows = state["rows"].astype(np.float64)
    if state["count"] or not 2 <= len(rows) <= rows.shape[1]:
        return None
    deviations: Floats = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    return deviations


def _bounded(state: State) -> State:
    return _fold(state) if len(state["rows"]) > KEPT_ROWS else state


def _fold(state: State) -> State:
    """Fold the rows of a state into its moments."""
    rows = state["rows"].astype(np.float64)
    mean = rows.mean(axis=0)
    deviations = rows - mean
    new = {
        "count": np.asarray(len(rows)),
        "mean": mean,
        "scatter": deviations.T @ deviations,
    }
    none = state["rows"][:0]
    return {**_merge_moments(state, new), "rows": none}


def _merge_moments(first: State, second: State) -> State:
    """Merge count, mean and scatter (Chan, Golub and LeVeque 1983, equation 2.1).

    Shifted to the common mean, since raw second moments lose the digits that a covariance needs.
    """
    names = ("count", "mean", "scatter")
    if not first["count"] or not second["count"]:
        chosen = first if first["count"] else second
        return {name: chosen[name] for name in names}
    n, m = int(first["count"]), int(second["count"])
    gap = second["mean"] - first["mean"]
    return {
        "count": np.asarray(n + m),
        "mean": first["mean"] + gap * (m / (n + m)),
        "scatter": first["scatter"] + second["scatter"] + np.outer(gap, gap) * (n * m / (n + m)),
    }
