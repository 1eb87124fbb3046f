"""Can the garment be found: generated images query a gallery.

Recall@k as in Liu, Luo, Qiu, Wang, Tang, "DeepFashion: Powering Robust Clothes Recognition and
Retrieval with Rich Annotations", CVPR 2016 (in-shop retrieval, top-k accuracy: at least one hit
among the first k); with generated images as queries in Yang et al., "Towards Fine-grained Human
Pose Transfer with Detail Replenishing Network", arXiv 2005.12494.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fhpt_eval.errors import InputError, MetricError
from fhpt_eval.features.base import Feature
from fhpt_eval.features.embedding.normalised import Deviation, Level, Side
from fhpt_eval.features.networks import ROWS, Gift, vectors_of
from fhpt_eval.images.names import canonical
from fhpt_eval.images.preparation import Side as SideOfPair
from fhpt_eval.metrics.base import Columns, Direction, Need, Part, State, merge_rows
from fhpt_eval.metrics.gallery.duplicates import Thumbnail
from fhpt_eval.metrics.gallery.items import digest_of_items, read_gallery_items
from fhpt_eval.metrics.gallery.left_out import LeftOut
from fhpt_eval.metrics.gallery.measures import average_precision, chance_of_a_hit, numbered
from fhpt_eval.metrics.gallery.nearest import Distance, hit_ranks
from fhpt_eval.metrics.gallery.partition import digest_of_partition, in_shop_id, read_partition
from fhpt_eval.metrics.networks import NetworkMetric, Text
from fhpt_eval.metrics.on_features import Arrays, FeatureRows, FeatureSetMetric
from fhpt_eval.metrics.sets import reference_set
from fhpt_eval.pairs.naming import item_of

#: Of recall@k; one of them is in the tables on a terminal.
KS = (1, 5, 10, 20)
_SHOWN = 10

_NO_IMAGE = (
    "no image of the item, besides the pair's own ground truth (or, with a partition, the ground "
    "truth is none of its queries)"
)

_QUERIES = (
    "queries",
    *(f"queries.{name}" for name in ("keys", "targets", "items", "images", "thumbnails")),
)
_GALLERY = (
    "gallery",
    *(f"gallery.{name}" for name in ("names", "items", "keys", "images", "thumbnails")),
)


class Retrieval(NetworkMetric, FeatureSetMetric):
    """Recall@k and mean average precision of generated images in a gallery of real ones.

    A hit is an image of the query's item. The gallery is ranked by the distance of embeddings,
    equal distances by name. Not in it is the image that a query should equal: by name, by content,
    or saved anew. Recall@k of a gallery of no more than k images is undefined.

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
        items: an item is a garment in one colour, as the pairs have it (``"colour"``); or in all
            of its colours, which is DeepFashion's in-shop id (``"in-shop"``). By default the
            former, and the latter with a partition.
        partition: DeepFashion's ``list_eval_partition.txt``: of the gallery its gallery images are
            searched.
        queries: with a partition: ``"listed"``, those pairs query whose ground truth is one of its
            query images; or ``"all"``.
        own_ground_truth: leave the image that a query should equal in its gallery.
    """

    name: ClassVar[str] = "retrieval"
    title: ClassVar[str] = "Retrieval"
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[frozenset[Need]] = frozenset({"source", "item"})
    instead: ClassVar[Mapping[Need, str]] = {"source": "--gallery"}
    undefined_when: ClassVar[str] = f"the gallery has {_NO_IMAGE}"
    version: ClassVar[int] = 2

    by_content: ClassVar[frozenset[str]] = frozenset(
        {"network_weights", "gallery", "gallery_items", "partition"}
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
    items: Literal["colour", "in-shop"] | None = None
    partition: Text | None = None
    queries: Literal["listed", "all"] = "listed"
    own_ground_truth: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.gallery_items and not self.gallery:
            raise ValueError("gallery_items says what a gallery shows; there is no gallery")
        return self

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        share, many = (0.0, 1.0), (0.0, math.inf)
        parts = {}
        for k in KS:
            detail = k != _SHOWN
            few = f"the gallery has no more than {k} images, or {_NO_IMAGE}"
            parts[f"recall@{k}"] = Part(
                f"Retrieval recall@{k}", "higher", share, undefined_when=few, detail=detail
            )
            parts[f"chance@{k}"] = Part(
                f"Retrieval recall@{k} by chance", "none", share, detail=True
            )
        return parts | {
            "map": Part("Retrieval mean average precision", "higher", share),
            "gallery": Part("Images in the gallery", "none", many, detail=True),
            "near_duplicates": Part(
                "Near duplicates of the own ground truth that are left out", "none", many,
                detail=True,
            ),
        }  # fmt: skip

    def uses(self) -> frozenset[Need]:
        return frozenset({"item"}) if self.gallery else self.needs

    def may_use(self) -> frozenset[Need]:
        """See :meth:`Metric.may_use`: ground truth, to know it where it is saved anew."""
        return frozenset() if self.own_ground_truth else frozenset({"ground_truth"})

    def features(self) -> Mapping[str, Feature]:
        if self.own_ground_truth:
            return {"embedding": self.chosen()}
        return {"embedding": self.chosen(), "thumbnail": Thumbnail()}

    def sides_of(self, feature: str) -> frozenset[SideOfPair]:
        """See :meth:`Metric.sides_of`: no network has to see the ground truth."""
        own: SideOfPair = "generated" if feature == "embedding" else "ground_truth"
        return frozenset({own, "source"})

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: of paths the content counts.

        Raises:
            InputError: a file or folder is not there.
        """
        items = digest_of_items(self.gallery_items) if self.gallery_items else None
        gallery = reference_set.digest(str(self.reference_folder())) if self.gallery else None
        return {
            **super().canonical(),
            "gallery": gallery,
            "gallery_items": items,
            "items": "in-shop" if self._in_shop else "colour",
            "partition": digest_of_partition(self.partition) if self.partition else None,
            "queries": self.queries if self.partition else None,
        }

    @property
    def _in_shop(self) -> bool:
        """Whether an item is a garment in all of its colours."""
        return (self.items or ("in-shop" if self.partition else "colour")) == "in-shop"

    def lacks(self) -> str:
        """See :meth:`Metric.lacks`; the lists of items and images are read.

        Raises:
            InputError: it cannot be used.
        """
        if self.gallery_items:
            read_gallery_items(self.gallery_items)
        if self.partition:
            read_partition(self.partition)
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
            "queries.items": _texts(self._labels(rows.targets, rows.items, "query")),
            "queries.images": _texts(rows.target_images or [""] * len(rows.keys)),
            "queries.thumbnails": _thumbnails(rows.ground_truth, len(rows.keys)),
        }
        if not self.gallery:
            names = [
                name or f"source of {key}"
                for key, name in zip(rows.keys, rows.sources, strict=True)
            ]
            items = [
                item or item_of(name) or "" for name, item in zip(names, rows.items, strict=True)
            ]
            images = rows.source_images or [""] * len(names)
            new |= self._gallery_rows(rows.source, names, items, rows.keys, images)
        return self.merge(state, new)

    def _gallery_rows(
        self,
        features: Mapping[str, Arrays],
        names: Sequence[str],
        items: Sequence[str],
        keys: Sequence[str],
        images: Sequence[str],
    ) -> State:
        """Return what the state has of images that are searched."""
        rows = {
            "gallery": self._vectors(features),
            "gallery.names": _texts(names),
            "gallery.items": _texts(self._labels(names, items, "gallery")),
            "gallery.keys": _texts(keys),
            "gallery.images": _texts(images),
            "gallery.thumbnails": _thumbnails(features, len(names)),
        }
        if not self.partition:
            return rows
        partition = read_partition(self.partition)
        listed = [partition.status(name) == "gallery" for name in names]
        return {name: array[listed] for name, array in rows.items()}

    def _labels(
        self, names: Sequence[str], items: Sequence[str], status: Literal["query", "gallery"]
    ) -> list[str]:
        """Return the items of images under these parameters; "" for none, and for no query."""
        labels = list(items)
        if self._in_shop:
            pairs = zip(names, items, strict=True)
            labels = [in_shop_id(item) or in_shop_id(name) or "" for name, item in pairs]
        if not self.partition:
            return labels
        partition = read_partition(self.partition)
        if self._in_shop:
            known = map(partition.item, names)
            labels = [item or label for item, label in zip(known, labels, strict=True)]
        if status == "gallery" or self.queries == "all":
            return labels
        listed = [partition.status(name) == status for name in names]
        return [label if query else "" for label, query in zip(labels, listed, strict=True)]

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
        blank = [""] * len(rows.keys)
        images = rows.target_images or blank
        new = self._gallery_rows(rows.ground_truth, rows.keys, items, blank, images)
        return self.merge(state, self.empty() | new)

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
            left_out = LeftOut.of(state, nothing=self.own_ground_truth)
            queried, shown = numbered(state["queries.items"], state["gallery.items"])
            ranked = hit_ranks(
                state["queries"], state["gallery"], queried, shown, left_out.rows, self.distance
            )
            sizes = len(shown) - left_out.numbers
            for row, ranks in enumerate(ranked):
                if not state["queries.items"][row]:
                    continue
                values["gallery"][row] = sizes[row]
                values["near_duplicates"][row] = left_out.near[row]
                if len(ranks):
                    values["map"][row] = average_precision(ranks)
                for k in KS if len(ranks) else ():
                    values[f"chance@{k}"][row] = chance_of_a_hit(k, len(ranks), int(sizes[row]))
                    if sizes[row] > k:
                        values[f"recall@{k}"][row] = float(ranks[0] <= k)
        return tuple(state["queries.keys"].tolist()), values

    def remarks(self, columns: Columns) -> Mapping[str, str]:
        """See :meth:`Metric.remarks`: the gallery's size, chance, and what was left out."""
        sizes = np.asarray(columns["gallery"])
        sizes = sizes[~np.isnan(sizes)]
        if not len(sizes):
            return {}
        least, most = int(sizes.min()), int(sizes.max())
        size = f"{most:,} images" if least == most else f"{least:,} to {most:,} images"
        near = int(np.nansum(np.asarray(columns["near_duplicates"])))
        without = f"; {near:,} near duplicates of own ground truth are left out" if near else ""
        texts = {}
        if not np.isnan(np.asarray(columns["map"])).all():
            texts["map"] = f"in a gallery of {size}{without}"
        for k in KS:
            defined = ~np.isnan(np.asarray(columns[f"recall@{k}"]))
            if defined.any():
                chance = np.asarray(columns[f"chance@{k}"])[defined].mean()
                texts[f"recall@{k}"] = f"in a gallery of {size}, by chance {chance:.4f}{without}"
            elif most <= k:
                texts[f"recall@{k}"] = f"the gallery has {size}, so k = {k} is always met"
        return texts

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


def _thumbnails(features: Mapping[str, Arrays], count: int) -> NDArray[Any]:
    """Return the thumbnails of N images, ``(N, 192)``; ``(N, 0)`` where they are not known."""
    if "thumbnail" not in features:
        return np.zeros((count, 0), np.uint8)
    return features["thumbnail"]["thumbnail"]


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
