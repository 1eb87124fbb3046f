"""Metrics that judge by features alone, which the engine computes once per image and keeps.

Images never reach such a metric, so that a further one on features that are there costs no network.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fhpt_eval.common.intervals import mean
from fhpt_eval.errors import ArgumentError, InputError
from fhpt_eval.features.base import Feature
from fhpt_eval.features.levels import checked_images
from fhpt_eval.images.preparation import Side
from fhpt_eval.metrics.base import Metric, Shown, State, StateMetric, Takes

#: Named arrays, a row per image.
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Features of N pairs: by the metric's own name for each feature, named arrays of N rows.

    A side that the metric does not use is empty. ``targets`` and ``sources`` are the names of the
    ground-truth and source images, ``items`` the ids of the garments; "" where unknown. Pairs that
    share a ground-truth image carry its rows each; ``distinct`` marks, ``(N,)`` bool, one pair for
    every ground-truth image. ``target_images`` and ``source_images`` say what an image is by its
    content, whatever its name; empty where nothing is known of that.
    """

    keys: tuple[str, ...]
    targets: tuple[str, ...]
    sources: tuple[str, ...]
    items: tuple[str, ...]
    distinct: NDArray[np.bool_]
    generated: Mapping[str, Arrays]
    ground_truth: Mapping[str, Arrays]
    source: Mapping[str, Arrays]
    target_images: tuple[str, ...] = ()
    source_images: tuple[str, ...] = ()


def refuse_floats(metric: FeatureMetric, shown: Shown) -> None:
    """Refuse a preparation that leaves floats where features take 8-bit images alone."""
    if not metric.takes_floats and any(step.get("result") == "float" for step in shown.steps):
        raise InputError(
            f"{metric.name} takes 8-bit images, and the protocol's resize leaves floats (result "
            "= 'float'). Give it a preparation of its own."
        )


class FeatureMetric(Metric):
    """What both kinds below share: the features, and what is known through them."""

    takes: ClassVar[Takes] = "features"
    same_size: ClassVar[bool] = False
    #: Whether its features take float images, rather than 8-bit ones alone.
    takes_floats: ClassVar[bool] = False
    checks: ClassVar[tuple[Callable[[Any, Shown], None], ...]] = (refuse_floats,)

    @abstractmethod
    def features(self) -> Mapping[str, Feature]: ...


class FeaturePairMetric(FeatureMetric):
    """Gives each pair its values by features; implement :meth:`measure`."""

    def __call__(
        self, generated: Tensor, ground_truth: Tensor | None = None, source: Tensor | None = None
    ) -> Mapping[str, NDArray[np.float64]]:
        """Measure N pairs, ``(N, 3, H, W)`` uint8 or float in [0, 1] each; ``(N,)`` by part.

        Raises:
            ArgumentError: a tensor has the wrong type, shape or range, or is missing.
        """
        return self.measure(compute_rows(self, generated, ground_truth, source))

    def columns(self, shown: FeatureRows) -> Mapping[str, NDArray[np.float64]]:
        return self.measure(shown)

    @abstractmethod
    def measure(self, rows: FeatureRows) -> Mapping[str, NDArray[np.float64]]:
        """Return ``(N,)`` values by part, NaN where undefined."""


class FeatureSetMetric(FeatureMetric, StateMetric):
    """Judges a set of pairs by features, through a state; see :class:`StateMetric`."""

    def __call__(
        self,
        generated: Tensor,
        ground_truth: Tensor | None = None,
        source: Tensor | None = None,
        *,
        items: Sequence[str] = (),
    ) -> Mapping[str, float]:
        """Compute the metric on one set of N pairs, ``(N, 3, H, W)`` each; values by part.

        Images are uint8 or float in [0, 1]. Ground truth, source images and ``items``, N item ids,
        are for metrics that use them.

        Raises:
            ArgumentError: a tensor has the wrong type, shape or range, or is missing.
            Undefined: the sets have no such value; the message is the reason.
        """
        rows = compute_rows(self, generated, ground_truth, source, items)
        state = self.update(self.empty(), rows)
        _, columns = self.pair_values(state)
        means = {part: mean_of_defined(np.asarray(values)) for part, values in columns.items()}
        if means.keys() == self.parts().keys():
            return means
        return {**means, **self.compute(state)}

    @abstractmethod
    def update(self, state: State, shown: FeatureRows) -> State: ...


def mean_of_defined(values: NDArray[np.float64]) -> float:
    """Return the mean of ``(N,)`` values that are defined, as a run has it; NaN where none is."""
    defined = values[~np.isnan(values)]
    return mean(defined, np.ones(len(defined))) if len(defined) else math.nan


def compute_rows(
    metric: Metric,
    generated: Tensor,
    ground_truth: Tensor | None = None,
    source: Tensor | None = None,
    items: Sequence[str] = (),
) -> FeatureRows:
    """Compute the features of N pairs that a metric uses, ``(N, 3, H, W)`` each.

    Raises:
        ArgumentError: a tensor has the wrong type, shape or range, or is missing.
    """
    given = {"generated": generated, "ground_truth": ground_truth, "source": source}
    rows: dict[str, Mapping[str, Arrays]] = {side: {} for side in given}
    uses = {"generated", *metric.uses()}
    for side, images in given.items():
        if side not in uses and (images is None or side not in metric.may_use()):
            continue
        rows[side] = features_of(metric, images, side)
        if images is not None and len(images) != len(generated):
            raise ArgumentError(f"'generated' and '{side}' differ in their number")
    count = len(generated)
    if "item" in metric.uses() and len(items) != count:
        raise ArgumentError(f"'items' must hold {count} item ids; {metric.name} needs them")
    keys = tuple(f"{number:09d}" for number in range(count))
    names = tuple(items) or ("",) * count
    return FeatureRows(
        keys, keys, tuple(f"source {key}" for key in keys), names, np.ones(count, bool),
        rows["generated"], rows["ground_truth"], rows["source"],
    )  # fmt: skip


def rows_of_set(metric: Metric, images: Tensor | None, side: Side) -> FeatureRows:
    """Compute the features of a set of N images that belong to no pairs, ``(N, 3, H, W)``.

    Raises:
        ArgumentError: the tensor has the wrong type, shape or range, or is missing.
    """
    features = features_of(metric, images, side)
    count = len(images) if images is not None else 0
    keys, blank = tuple(f"{number:09d}" for number in range(count)), ("",) * count
    ours, theirs = (features, {}) if side == "generated" else ({}, features)
    return FeatureRows(keys, keys, blank, blank, np.ones(count, bool), ours, theirs, {})


def features_of(metric: Metric, images: Tensor | None, argument: str) -> dict[str, Arrays]:
    """Return what a metric wants to know of N images, ``(N, 3, H, W)``, by its names for it.

    Raises:
        ArgumentError: the tensor has the wrong type, shape or range, or is missing.
    """
    if images is None:
        raise ArgumentError(f"'{argument}' is missing; {metric.name} needs it")
    images = checked_images(images, argument=argument)
    return {
        name: {part: array.cpu().numpy() for part, array in feature.compute(images).items()}
        for name, feature in metric.features().items()
        if argument in metric.sides_of(name)
    }
