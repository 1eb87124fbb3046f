"""FID of infinitely many generated images, extrapolated.

Chong and Forsyth, "Effectively Unbiased FID and Inception Score and Where to Find Them", CVPR 2020:
the bias of FID is linear in one over the number of generated images, so that a line through FIDs of
growing subsets meets the axis at the FID of infinitely many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fhpt_eval.errors import Undefined
from fhpt_eval.features.networks import vectors_of
from fhpt_eval.metrics.base import Direction, Part, State, merge_rows
from fhpt_eval.metrics.fid import (
    ReferenceMetric,
    few_images,
    gaussian,
    lacks_moments,
    real_gaussian,
)
from fhpt_eval.metrics.kid import in_order
from fhpt_eval.metrics.on_features import Arrays, FeatureRows
from fhpt_eval.metrics.sets import moments
from fhpt_eval.metrics.sets.frechet import Gaussian, frechet


class FIDInfinity(ReferenceMetric):
    """FID extrapolated to infinitely many generated images; the real ones stay as they are.

    Subsets are drawn from the generated images in the order of their keys, without replacement,
    anew for every size. A value below zero is possible: it is what the line says.

    Parameters:
        network, resize, network_weights, reference: as those of FID.
        points: number of sizes, evenly spaced from ``smallest`` to all images (15 in the paper).
        smallest: the smallest size (5,000 in the paper).
        seed: of the generator that draws the subsets.
    """

    name: ClassVar[str] = "fid_infinity"
    title: ClassVar[str] = "FID, infinitely many images"
    direction: ClassVar[Direction] = "lower"
    no_interval: ClassVar[str] = "no interval: it is an extrapolation already"

    points: Annotated[int, Field(ge=2, le=100)] = 15
    smallest: Annotated[int, Field(ge=2)] = 5000
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        """See :meth:`Metric.parts`; the line of two equal sets may end on either side of zero."""
        return {"": Part(cls.title, cls.direction, cls.range, judges=False)}

    def lacks(self) -> str:
        """See :meth:`Metric.lacks`; a file of statistics is read.

        Raises:
            InputError: the file of statistics cannot be used.
        """
        return lacks_moments(self) or super().lacks()

    def empty(self) -> State:
        real = {f"real.{name}": array for name, array in moments.empty().items()}
        return {"generated": np.zeros((0,)), "generated.keys": np.zeros((0,)), **real}

    def update(self, state: State, rows: FeatureRows) -> State:
        new = self.empty()
        new["generated"] = vectors_of(rows.generated["network"])
        new["generated.keys"] = np.array(rows.keys, dtype=np.str_)
        if not self.reference:
            new |= _real(moments.add(moments.empty(), _distinct(rows)))
        return self.merge(state, new)

    def refer(
        self,
        state: State,
        names: tuple[str, ...],
        features: Mapping[str, Arrays],
        images: tuple[str, ...] = (),
    ) -> State:
        _ = names, images
        return state | _real(moments.add(_moments(state), vectors_of(features["network"])))

    def merge(self, first: State, second: State) -> State:
        ours = [{n: state[n] for n in ("generated", "generated.keys")} for state in (first, second)]
        return merge_rows(*ours) | _real(moments.merge(_moments(first), _moments(second)))

    def compute(self, state: State) -> Mapping[str, float]:
        rows = in_order(state, "generated")
        if len(rows) <= self.smallest:
            raise Undefined(
                f"draws subsets of {self.smallest:,} generated images and more (smallest), and "
                f"there are {len(rows):,}"
            )
        real = real_gaussian(self, rows.shape[1]) or gaussian(_moments(state))
        generator = np.random.Generator(np.random.PCG64(self.seed))
        sizes = np.linspace(self.smallest, len(rows), self.points).astype(int)
        values = []
        for size in sizes:
            drawn = generator.permutation(len(rows))[:size]
            values.append(frechet(_fitted(rows[drawn]), real))
        _, at_zero = np.polyfit(1 / sizes, values, 1)
        return {"": float(at_zero)}

    def note(self, state: State) -> str:
        # Few generated images are what it extrapolates from: only the real ones may be too few.
        width = moments.width(_moments(state))
        return few_images(width + 1, moments.count(_moments(state)), width, self)


def _fitted(rows: np.ndarray) -> Gaussian:
    """Return the Gaussian fitted to ``(N, D)`` float64 rows."""
    mean = rows.mean(axis=0)
    factor = (rows - mean) / math.sqrt(len(rows) - 1)
    if len(rows) <= rows.shape[1]:
        return Gaussian(mean, factor=factor)
    return Gaussian(mean, factor.T @ factor)


def _distinct(rows: FeatureRows) -> np.ndarray:
    return np.asarray(vectors_of(rows.ground_truth["network"])[rows.distinct])


def _moments(state: State) -> State:
    return {n.removeprefix("real."): array for n, array in state.items() if n.startswith("real.")}


def _real(state: State) -> State:
    return {f"real.{name}": array for name, array in state.items()}
