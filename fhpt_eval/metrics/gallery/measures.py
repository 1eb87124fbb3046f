"""What a ranking is worth: recall@k, average precision, and what chance alone gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError


def recall_at(
    k: int,
    indices: NDArray[np.int64],
    query_items: Sequence[str],
    gallery_items: Sequence[str],
) -> NDArray[np.float64]:
    """Return ``(Q,)`` for each query 1 if one of the first k is of its item, else 0.

    NaN where the gallery has no image of the item, or the item is "".

    Args:
        k: 1 to K.
        indices: ``(Q, K)`` rows of the gallery, nearest first, as
            :func:`fhpt_eval.metrics.gallery.nearest.search` gives them.
        query_items: Q item ids.
        gallery_items: G item ids.

    Raises:
        ArgumentError: the lengths do not fit, or k is more than was searched for.
    """
    if indices.ndim != 2 or len(indices) != len(query_items):
        raise ArgumentError(
            f"'indices' must have a row for each of {len(query_items)} queries, not {indices.shape}"
        )
    if not 1 <= k <= indices.shape[1]:
        raise ArgumentError(f"'k' must lie in 1 to {indices.shape[1]}, the searched, not {k}")
    if indices.size and not (indices.min() >= 0 and indices.max() < len(gallery_items)):
        raise ArgumentError(f"'indices' point outside the {len(gallery_items)} 'gallery_items'")
    queried, shown = numbered(
        np.array(query_items, dtype=np.str_), np.array(gallery_items, dtype=np.str_)
    )
    hits = (shown[indices[:, :k]] == queried[:, None]).any(axis=1)
    return np.where(queried >= 0, hits.astype(np.float64), np.nan)


def average_precision(ranks: NDArray[np.int64]) -> float:
    """Return the mean precision at the ranks of all relevant images, ``(R,)`` ascending from 1.

    Precision at a rank is the share of relevant images up to it (Manning, Raghavan, Schütze,
    "Introduction to Information Retrieval", 2008, section 8.4).
    """
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def chance_of_a_hit(k: int, relevant: int, gallery: int) -> float:
    """Return how likely one of k images drawn from a gallery is relevant.

    ``1 - C(G - R, k) / C(G, k)`` for R relevant ones among G: the recall@k of a query that knows
    nothing.

    Args:
        k: 1 or more; from G on the chance is 1, if anything is relevant.
        relevant: R, 0 to G.
        gallery: G.
    """
    if k >= gallery:
        return float(relevant > 0)
    missed = 1.0
    for drawn in range(k):
        missed *= max(0, gallery - relevant - drawn) / (gallery - drawn)
    return 1 - missed


def numbered(
    queried: NDArray[np.str_], shown: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the items of a gallery; -1 stands for "" and for items that it has not.

    ``(Q,)`` for what is asked, ``(G,)`` for what it shows.
    """
    known = np.unique(shown[shown != ""])
    labels = []
    for items in (queried, shown):
        if not len(known):
            labels.append(np.full(len(items), -1))
            continue
        place = np.searchsorted(known, items).clip(0, len(known) - 1)
        labels.append(np.where(known[place] == items, place, -1))
    return labels[0], labels[1]
