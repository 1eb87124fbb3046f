"""Fréchet distance of a network's rows.

Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, "GANs Trained by a Two Time-Scale Update Rule
Converge to a Local Nash Equilibrium", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fhpt_eval.errors import InputError, Undefined
from fhpt_eval.features.networks import Gift, vectors_of
from fhpt_eval.metrics.base import Direction, Need, Shown, State
from fhpt_eval.metrics.networks import SetNetworkMetric
from fhpt_eval.metrics.on_features import Arrays, FeatureRows, rows_of_set
from fhpt_eval.metrics.sets import moments, reference_set
from fhpt_eval.metrics.sets.frechet import Gaussian, frechet


def _made_otherwise(metric: ReferenceMetric, shown: Shown) -> None:
    """Refuse a file of statistics that says that it was made in another way.

    Raises:
        InputError: names each difference.
    """
    if metric.reference is not None and metric.statistics() is not None:
        reference_set.check_settings(metric.reference, metric.settings(shown.steps))


class ReferenceMetric(SetNetworkMetric):
    """What FID and its kin share: a reference set in place of the ground truth.

    Parameters:
        network, resize, network_weights: see :class:`SetNetworkMetric`.
        reference: a folder of real images to compare with, or a file of their statistics; the
            ground truth of the pairs by default.
    """

    by_content: ClassVar[frozenset[str]] = frozenset({"network_weights", "reference"})
    wants: ClassVar[Gift] = "rows"
    instead: ClassVar[Mapping[Need, str]] = {"ground_truth": "--fid-reference"}

    reference: str | None = None

    checks: ClassVar = (_made_otherwise,)
    #: How rows of the generated and of the real images are held in a state.
    holds: ClassVar[Mapping[str, ModuleType]] = {"generated": moments, "real": moments}

    def add(
        self, state: State, generated: Tensor, ground_truth: Tensor | None = None,
        source: Tensor | None = None, *, items: Sequence[str] = (), keys: Sequence[str] = (),
    ) -> State:  # fmt: skip
        """See :meth:`StateMetric.add`: two sets of any two numbers; ``keys`` name the first.

        Beside a ``reference`` no ground truth is needed; sources and items are not looked at.
        """
        _ = source, items
        ours = rows_of_set(self, generated, "generated", keys)
        state = self._add(state, "generated", ours.generated, ours.keys)
        if self.reference:
            return state
        if keys and ground_truth is not None and len(ground_truth) != len(keys):
            keys = [f"{keys[0]} {number:09d}" for number in range(len(ground_truth))]
        return self.refer(state, rows_of_set(self, ground_truth, "ground_truth", keys))

    @property
    def dimensions(self) -> int | None:
        """The size of a row, where the network states it beforehand."""
        sizes = self.chosen().dimensions
        return vectors_of(sizes) if sizes else None

    def uses(self) -> frozenset[Need]:
        return frozenset() if self.reference else self.needs

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: of a reference set its content counts."""
        reference = reference_set.digest(self.reference) if self.reference else None
        return {**super().canonical(), "reference": reference}

    def reference_folder(self) -> Path | None:
        return reference_set.folder_of(self.reference)

    def statistics(self) -> reference_set.Statistics | None:
        """Return the statistics of the reference set where it is a file.

        Raises:
            InputError: it is no such file.
        """
        if self.reference is None or self.reference_folder() is not None:
            return None
        return reference_set.load_statistics(self.reference)

    def lacks(self) -> str:
        """See :meth:`Metric.lacks`; a file of statistics is read.

        Raises:
            InputError: the file of statistics cannot be used.
        """
        statistics = self.statistics()
        return (statistics and self.missing(statistics)) or super().lacks()

    def missing(self, statistics: reference_set.Statistics) -> str:
        """Say what a file of statistics does not hold that the value rests on, or nothing.

        Raises:
            InputError: it is of another network's rows.
        """
        if statistics.gaussian is None:
            return (
                f"needs mean and covariance of the reference images, and {self.reference} holds "
                "features alone (fhpt-eval stats makes them)"
            )
        check_size(self, len(statistics.gaussian.mean))
        return ""

    def counted(self, rows: FeatureRows) -> NDArray[np.bool_]:
        """Return which ground-truth images count, ``(N,)``: each distinct one once."""
        return rows.distinct

    def empty(self) -> State:
        return _joined({side: kind.empty() for side, kind in self.holds.items()})

    def update(self, state: State, rows: FeatureRows) -> State:
        added = self._add(state, "generated", rows.generated, rows.keys)
        if self.reference:
            return added
        return self._add(added, "real", rows.ground_truth, rows.keys, self.counted(rows))

    def refer(self, state: State, rows: FeatureRows) -> State:
        return self._add(state, "real", rows.ground_truth, rows.keys)

    def merge(self, first: State, second: State) -> State:
        return _joined({
            side: kind.merge(side_of(first, side), side_of(second, side))
            for side, kind in self.holds.items()
        })  # fmt: skip

    def _add(
        self, state: State, side: str, features: Mapping[str, Arrays], keys: Sequence[str],
        counted: NDArray[np.bool_] | slice = slice(None),
    ) -> State:  # fmt: skip
        rows, kept_keys = vectors_of(features["network"])[counted], np.array(keys)[counted]
        return state | _joined({side: self.holds[side].add(side_of(state, side), rows, kept_keys)})

    def settings(self, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return what makes features of real images, as a file of statistics says it."""
        prepare = [dict(step) for step in steps if "ground_truth" in step["of"]]
        return {"feature": self.features()["network"].canonical(), "prepare": prepare}


class FID(ReferenceMetric):
    """Fréchet distance between Gaussians fitted to features of generated and of real images.

    Parameters:
        network, resize, network_weights, reference: see :class:`ReferenceMetric`.
        ground_truth: ``"images"`` counts each distinct ground-truth image once, as a folder would
            have it; ``"pairs"`` counts it for every pair.
    """

    name: ClassVar[str] = "fid"
    title: ClassVar[str] = "FID"
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, np.inf)

    ground_truth: Literal["images", "pairs"] = "images"

    def counted(self, rows: FeatureRows) -> NDArray[np.bool_]:
        return rows.distinct if self.ground_truth == "images" else np.ones_like(rows.distinct)

    def compute(self, state: State) -> Mapping[str, float]:
        generated = gaussian(side_of(state, "generated"))
        real = real_gaussian(self, len(generated.mean)) or gaussian(side_of(state, "real"))
        return {"": frechet(generated, real)}

    def statistics_of(
        self, state: State, steps: Sequence[Mapping[str, Any]]
    ) -> reference_set.Statistics:
        count, mean, covariance = moments.moments(side_of(state, "real"))
        return reference_set.Statistics(mean, covariance, count, self.settings(steps))

    def note(self, state: State) -> str:
        """See :meth:`StateMetric.note`: says when there are fewer images than dimensions."""
        generated, real = (side_of(state, side) for side in ("generated", "real"))
        counts = moments.count(generated), moments.count(real)
        return few_images(*counts, moments.width(generated), self)


def gaussian(state: State) -> Gaussian:
    """Return the Gaussian fitted to the rows of a state of ``moments``.

    Raises:
        Undefined: there are fewer than two rows.
    """
    if moments.count(state) < 2:
        raise Undefined("a covariance needs at least 2 images on each side")
    factor = moments.factor(state)
    if factor is not None:
        return Gaussian(state["rows"].astype(np.float64).mean(axis=0), factor=factor)
    _, mean, covariance = moments.moments(state)
    return Gaussian(mean, covariance)


def real_gaussian(metric: ReferenceMetric, width: int) -> Gaussian | None:
    """Return the Gaussian that a file of statistics holds, where the metric rests on one.

    Raises:
        InputError: the file cannot be used.
        Undefined: it is of rows of another size than ``width``.
    """
    statistics = metric.statistics()
    if statistics is None or statistics.gaussian is None:
        return None
    size = len(statistics.gaussian.mean)
    if size != width:  # seen only now where the network does not state its size beforehand
        raise Undefined(f"{metric.reference} has {size:,} dimensions, and the network {width:,}")
    return statistics.gaussian


def check_size(metric: ReferenceMetric, size: int) -> None:
    """Refuse statistics of another network's features.

    Raises:
        InputError: they have another number of dimensions.
    """
    if metric.dimensions not in (None, size):
        raise InputError(
            f"{metric.reference} has {size:,} dimensions, and {metric.name} {metric.dimensions:,}."
        )


def few_images(ours: int, theirs: int, width: int, metric: ReferenceMetric) -> str:
    """Say when there are too few images for the dimensions, and :func:`origin`.

    ``ours`` and ``theirs`` are the numbers of generated and, unless they lie in a file of
    statistics, of real images; ``width`` is the size of a row.
    """
    statistics = metric.statistics()
    real = f" and {theirs:,} real" if statistics is None else ""
    if statistics is not None:
        theirs = statistics.count or width + 1
        real = f" and {statistics.count:,} real" if statistics.count else ""
    few = ""
    if min(ours, theirs) <= width:
        few = (
            f"rests on {ours:,} generated{real} images, too few for its {width:,} "
            "dimensions: strongly biased upwards, and comparable only at equal numbers"
        )
    return "; ".join(filter(None, (origin(metric), few)))


def origin(metric: ReferenceMetric) -> str:
    """Say that a file of statistics does not say how it was made, or nothing."""
    statistics = metric.statistics()
    if statistics is None or statistics.settings is not None:
        return ""
    return (
        "the reference statistics do not say how they were made: network, resizing and preparation "
        "must have been this protocol's"
    )


def _joined(sides: Mapping[str, State]) -> State:
    return {f"{side}.{n}": array for side, held in sides.items() for n, array in held.items()}


def side_of(state: State, side: str) -> State:
    """Return what a state holds of one side."""
    prefix = f"{side}."
    return {n.removeprefix(prefix): array for n, array in state.items() if n.startswith(prefix)}
