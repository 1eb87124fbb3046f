"""FID of infinitely many generated images, extrapolated.

Chong and Forsyth, "Effectively Unbiased FID and Inception Score and Where to Find Them", CVPR 2020:
the bias of FID is linear in one over the number of generated images, so that a line through FIDs of
growing subsets meets the axis at the FID of infinitely many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from fhpt_eval.errors import Undefined
from fhpt_eval.metrics.base import Direction, Part, State
from fhpt_eval.metrics.fid import ReferenceMetric, few_images, gaussian, real_gaussian, side_of
from fhpt_eval.metrics.sets import kept, moments
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
    holds: ClassVar[Mapping[str, ModuleType]] = {"generated": kept, "real": moments}
    no_interval: ClassVar[str] = "no interval: it is an extrapolation already"

    points: Annotated[int, Field(ge=2, le=100)] = 15
    smallest: Annotated[int, Field(ge=2)] = 5000
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 0

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        """See :meth:`Metric.parts`; the line of two equal sets may end on either side of zero."""
        return {"": Part(cls.title, cls.direction, cls.range, judges=False)}

    def compute(self, state: State) -> Mapping[str, float]:
        rows = kept.in_order(side_of(state, "generated"))
        if len(rows) <= self.smallest:
            raise Undefined(
                f"draws subsets of {self.smallest:,} generated images and more (smallest), and "
                f"there are {len(rows):,}"
            )
        real = real_gaussian(self, rows.shape[1]) or gaussian(side_of(state, "real"))
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
        real = side_of(state, "real")
        width = moments.width(real)
        return few_images(width + 1, moments.count(real), width, self)


def _fitted(rows: np.ndarray) -> Gaussian:
    """Return the Gaussian fitted to ``(N, D)`` float64 rows."""
    mean = rows.mean(axis=0)
    factor = (rows - mean) / math.sqrt(len(rows) - 1)
    if len(rows) <= rows.shape[1]:
        return Gaussian(mean, factor=factor)
    return Gaussian(mean, factor.T @ factor)
