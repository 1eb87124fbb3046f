"""Rows that are all kept, with the keys of their images; the interface is that of ``moments``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.metrics.base import State, merge_rows


def empty() -> State:
    """Return the state of no rows."""
    return {"rows": np.zeros((0,)), "keys": np.zeros((0,))}


def add(state: State, rows: NDArray[Any], keys: Sequence[str]) -> State:
    """Return the state with ``(N, D)`` rows of N keys added."""
    return merge(state, {"rows": rows, "keys": np.array(keys, dtype=np.str_)})


merge = merge_rows


def in_order(state: State) -> NDArray[np.float64]:
    """Return the rows in the order of their keys, in float64."""
    order = np.argsort(state["keys"], kind="stable")
    return np.asarray(state["rows"][order], dtype=np.float64)
