"""Which images of a gallery a query does not search: the one that it should equal, in any form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.metrics.base import State
from fhpt_eval.metrics.gallery.duplicates import near_duplicates


@dataclass(frozen=True)
class LeftOut:
    """What each of Q queries does not search: ``rows`` of the gallery, ``(Q, E)``, -1 for none.

    ``numbers`` ``(Q,)`` are how many, ``near`` ``(Q,)`` how many of them are near duplicates alone.
    """

    rows: NDArray[np.int64]
    numbers: NDArray[np.int64]
    near: NDArray[np.int64]

    @classmethod
    def of(cls, state: State, *, nothing: bool = False) -> LeftOut:
        """Find each query's own ground truth, and what shows the same picture.

        Args:
            state: of retrieval: ``targets``, ``images`` and ``thumbnails`` of queries; ``names``,
                ``images`` and ``thumbnails`` of the gallery.
            nothing: leave nothing out.
        """
        own = [set[int]() for _ in state["queries"]] if nothing else _own_ground_truth(state)
        near = own if nothing else _saved_anew(state)
        both = [sorted(one | two) for one, two in zip(own, near, strict=True)]
        rows = np.full((len(both), max([1, *map(len, both)])), -1)
        for query, members in enumerate(both):
            rows[query, : len(members)] = members
        numbers = np.array([len(members) for members in both], np.int64)
        return cls(rows, numbers, numbers - np.array([len(members) for members in own], np.int64))


def _own_ground_truth(state: State) -> list[set[int]]:
    """Return for each query the rows of the gallery that are its own ground truth.

    By name, and by content: one image may lie in two folders, or have two names.
    """
    places: dict[str, list[int]] = {}
    for prefix in ("names", "images"):
        for row, label in enumerate(state[f"gallery.{prefix}"].tolist()):
            if label:
                places.setdefault(f"{prefix} {label}", []).append(row)
    return [
        {*places.get(f"names {target}", []), *places.get(f"images {image}", [])}
        for target, image in zip(
            state["queries.targets"].tolist(), state["queries.images"].tolist(), strict=True
        )
    ]


def _saved_anew(state: State) -> list[set[int]]:
    """Return for each query the rows of the gallery whose picture is its ground truth's."""
    queried, shown = state["queries.thumbnails"], state["gallery.thumbnails"]
    if queried.ndim < 2 or shown.ndim < 2 or not queried.shape[1] or not shown.shape[1]:
        return [set() for _ in queried]
    return [set(rows.tolist()) for rows in near_duplicates(queried, shown)]
