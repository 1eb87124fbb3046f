"""Can the garment be found: generated images query a gallery.

Recall@k as in Liu, Luo, Qiu, Wang, Tang, "DeepFashion: Powering Robust Clothes Recognition and
Retrieval with Rich Annotations", CVPR 2016 (in-shop retrieval, top-k accuracy: at least one hit
among the first k); with generated images as queries in Yang et al., "Towards Fine-grained Human
Pose Transfer with Detail Replenishing Network", arXiv 2005.12494.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fhpt_eval.errors import ArgumentError, InputError, MetricError
from fhpt_eval.features.base import Feature
from fhpt_eval.features.embedding.normalised import Deviation, Level, Side
from fhpt_eval.features.networks import ROWS, Gift, vectors_of
from fhpt_eval.images.names import canonical
from fhpt_eval.metrics.base import Direction, Need, Part, State, merge_rows
from fhpt_eval.metrics.gallery.items import digest_of_items, read_gallery_items
from fhpt_eval.metrics.gallery.nearest import Distance, hit_ranks
from fhpt_eval.metrics.networks import NetworkMetric, Text
from fhpt_eval.metrics.on_features import Arrays, FeatureRows, FeatureSetMetric
from fhpt_eval.metrics.sets import reference_set
from fhpt_eval.pairs.naming import item_of

#: Of recall@k; one of them is in the tables on a terminal.
KS = (1, 5, 10, 20)
_SHOWN = 10

_QUERIES = ("queries", "queries.keys", "queries.targets", "queries.items", "queries.images")
_GALLERY = ("gallery", "gallery.names", "gallery.items", "gallery.keys", "gallery.images")


class Retrieval(NetworkMetric, FeatureSetMetric):
    """Recall@k and mean average precision of generated images in a gallery of real ones.

    A hit is an image of the query's item. The gallery is ranked by the distance of embeddings,
    equal distances by name.

    Parameters:
        network: ``"classical"``, ``"resnet50"``, ``"timm:MODEL"``, another installed one that gives
            rows, or the path of a TorchScript (.pt, .ts) or ONNX (.onnx) file.
        network_weights: a registered name or a file, where they are not the registered ones; of
            timm's model, the file.
        input_size: height and width that ``resnet50`` or a file's network sees, ``(224, 224)`` by
            default.
        input_mean, input_std: of red, green and blue, levels in [0, 1]; ImageNet's by default.
        distance: ``"cosine"`` or ``"euclidean"``.
        gallery: a folder of images; by default the distinct source images of the pairs.
        gallery_items: a CSV (image, item) for a folder whose names do not tell the items.
        own_ground_truth: leave the image that a query should equal in its gallery.
    """

    name: ClassVar[str] = "retrieval"
    title: ClassVar[str] = "Retrieval"
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[frozenset[Need]] = frozenset({"source", "item"})
    instead: ClassVar[Mapping[Need, str]] = {"source": "--gallery"}
    undefined_when: ClassVar[str] = (
        "the gallery has no image of the item, besides the pair's own ground truth"
    )

    by_content: ClassVar[frozenset[str]] = frozenset(
        {"network_weights", "gallery", "gallery_items"}
    )

    wants: ClassVar[Gift] = "rows"
    of_network: ClassVar[tuple[str, ...]] = ("input_size", "input_mean", "input_std")

    network: Text = "classical"
    input_size: Annotated[tuple[Side, Side] | None, Field(strict=False)] = None
    input_mean: Annotated[tuple[Level, Level, Level] | None, Field(strict=False)] = None
    input_std: Annotated[tuple[Deviation, Deviation, Deviation] | None, Field(strict=False)] = None
    distance: Distance = "cosine"
    gallery: Text | None = None
    gallery_items: Text | None = None
    own_ground_truth: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.gallery_items and not self.gallery:
            raise ValueError("gallery_items says what a gallery shows; there is no gallery")
        return self

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        recall = {
            f"recall@{k}": Part(f"Retrieval recall@{k}", "higher", (0.0, 1.0), detail=k != _SHOWN)
            for k in KS
        }
        return recall | {"map": Part("Retrieval mean average precision", "higher", (0.0, 1.0))}

    def uses(self) -> frozenset[Need]:
        return frozenset({"item"}) if self.gallery else self.needs

    def features(self) -> Mapping[str, Feature]:
        return {"embedding": self.chosen()}

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: of paths the content counts.

        Raises:
            InputError: a file or folder is not there.
        """
        items = digest_of_items(self.gallery_items) if self.gallery_items else None
        gallery = reference_set.digest(str(self.reference_folder())) if self.gallery else None
        return {**super().canonical(), "gallery": gallery, "gallery_items": items}

    def lacks(self) -> str:
        """See :meth:`Metric.lacks`; the list of items is read.

        Raises:
            InputError: it cannot be used.
        """
        if self.gallery_items:
            read_gallery_items(self.gallery_items)
        return super().lacks()

    def reference_folder(self) -> Path | None:
        if self.gallery is None:
            return None
        folder = reference_set.folder_of(self.gallery)
        if folder is None:
            raise InputError(f"gallery: there is no folder {self.gallery}. Give one of images.")
        return folder

    def empty(self) -> State:
        return {name: np.zeros((0,)) for name in _QUERIES + _GALLERY}

    def update(self, state: State, rows: FeatureRows) -> State:
        new = self.empty() | {
            "queries": self._vectors(rows.generated),
            "queries.keys": _texts(rows.keys),
            "queries.targets": _texts(rows.targets),
            "queries.items": _texts(rows.items),
            "queries.images": _texts(rows.target_images or [""] * len(rows.keys)),
        }
        if not self.gallery:
            sources = zip(rows.keys, rows.sources, rows.items, strict=True)
            shown = [(name or f"source of {key}", item) for key, name, item in sources]
            new |= {
                "gallery": self._vectors(rows.source),
                "gallery.names": _texts([name for name, _ in shown]),
                "gallery.items": _texts([item or item_of(name) or "" for name, item in shown]),
                "gallery.keys": _texts(rows.keys),
                "gallery.images": _texts(rows.source_images or [""] * len(rows.keys)),
            }
        return self.merge(state, new)

    def refer(self, state: State, rows: FeatureRows) -> State:
        """See :meth:`Metric.refer`: adds images of the gallery.

        Raises:
            InputError: the CSV of items cannot be read.
        """
        if self.gallery_items:
            known = read_gallery_items(self.gallery_items)
            items = [known.get(canonical(name), "") for name in rows.keys]
        else:
            shown = zip(rows.keys, rows.items, strict=True)
            items = [item or item_of(name) or "" for name, item in shown]
        new = self.empty() | {
            "gallery": self._vectors(rows.ground_truth),
            "gallery.names": _texts(rows.keys),
            "gallery.items": _texts(items),
            "gallery.keys": _texts([""] * len(rows.keys)),
            "gallery.images": _texts(rows.target_images or [""] * len(rows.keys)),
        }
        return self.merge(state, new)

    def merge(self, first: State, second: State) -> State:
        """See :meth:`StateMetric.merge`: of a gallery's name, the image of the first pair stays."""
        queries, gallery = (
            merge_rows(*({name: state[name] for name in part} for state in (first, second)))
            for part in (_QUERIES, _GALLERY)
        )
        return queries | _distinct(gallery)

    def compute(self, state: State) -> Mapping[str, float]:  # noqa: ARG002 - pairs have them all
        """See :meth:`StateMetric.compute`: nothing, since :meth:`pair_values` gives every part."""
        return {}

    def pair_values(
        self, state: State
    ) -> tuple[tuple[str, ...], Mapping[str, NDArray[np.float64]]]:
        count = len(state["queries"])
        values = {part: np.full(count, np.nan) for part in self.parts()}
        if count and len(state["gallery"]):
            for row, ranks in enumerate(self._ranks(state)):
                if len(ranks):
                    values["map"][row] = average_precision(ranks)
                    for k in KS:
                        values[f"recall@{k}"][row] = float(ranks[0] <= k)
        return tuple(state["queries.keys"].tolist()), values

    def _ranks(self, state: State) -> Sequence[NDArray[np.int64]]:
        """Return for each query the ranks of its item's images, ascending."""
        queried, shown = _labels(state["queries.items"], state["gallery.items"])
        left_out = np.full((len(queried), 1), -1)
        if not self.own_ground_truth:
            left_out = _own_ground_truth(state)
        ranked = hit_ranks(
            state["queries"], state["gallery"], queried, shown, left_out, self.distance
        )
        return list(ranked)

    def _vectors(self, features: Mapping[str, Arrays]) -> NDArray[Any]:
        try:
            rows: NDArray[Any] = vectors_of(features["embedding"], reversed(ROWS))
        except StopIteration:
            rows = np.zeros(0)
        if rows.ndim != 2:
            raise MetricError(
                f"The network '{self.network}' gives no rows (N, D), though it says so; "
                "fhpt_eval.testing.check_network shows what is missing."
            )
        return rows


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
    queried, shown = _labels(_texts(query_items), _texts(gallery_items))
    hits = (shown[indices[:, :k]] == queried[:, None]).any(axis=1)
    return np.where(queried >= 0, hits.astype(np.float64), np.nan)


def average_precision(ranks: NDArray[np.int64]) -> float:
    """Return the mean precision at the ranks of all relevant images, ``(R,)`` ascending from 1.

    Precision at a rank is the share of relevant images up to it (Manning, Raghavan, Schütze,
    "Introduction to Information Retrieval", 2008, section 8.4).
    """
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def _labels(
    queried: NDArray[np.str_], shown: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the items of a gallery; -1 stands for "" and for items that it has not."""
    known = np.unique(shown[shown != ""])
    labels = []
    for items in (queried, shown):
        if not len(known):
            labels.append(np.full(len(items), -1))
            continue
        place = np.searchsorted(known, items).clip(0, len(known) - 1)
        labels.append(np.where(known[place] == items, place, -1))
    return labels[0], labels[1]


def _own_ground_truth(state: State) -> NDArray[np.int64]:
    """Return, ``(Q, E)``, the rows of the gallery that are a query's own ground truth; -1: none.

    By name, and by content: one image may lie in two folders, or have two names.
    """
    places: dict[str, list[int]] = {}
    for prefix in ("names", "images"):
        for row, label in enumerate(state[f"gallery.{prefix}"].tolist()):
            if label:
                places.setdefault(f"{prefix} {label}", []).append(row)
    places_of_query = [
        sorted({*places.get(f"names {target}", []), *places.get(f"images {image}", [])})
        for target, image in zip(
            state["queries.targets"].tolist(), state["queries.images"].tolist(), strict=True
        )
    ]
    rows_of_query = np.full((len(places_of_query), max(1, *map(len, places_of_query), 1)), -1)
    for query, rows in enumerate(places_of_query):
        rows_of_query[query, : len(rows)] = rows
    return rows_of_query


def _distinct(gallery: State) -> State:
    """Return the images by name, each once: that of the pair whose key comes first."""
    names = gallery["gallery.names"]
    if not len(names):
        return gallery
    order = np.lexsort((gallery["gallery.keys"], names))
    first = np.ones(len(order), bool)
    first[1:] = names[order][1:] != names[order][:-1]
    return {name: array[order[first]] for name, array in gallery.items()}


def _texts(values: Sequence[str]) -> NDArray[np.str_]:
    return np.array(values, dtype=np.str_)
