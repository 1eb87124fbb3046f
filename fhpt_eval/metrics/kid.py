"""Kernel distance of a network's rows.

Bińkowski, Sutherland, Arbel, Gretton, "Demystifying MMD GANs", ICLR 2018.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fhpt_eval.errors import Undefined
from fhpt_eval.metrics.base import Direction, Part, State
from fhpt_eval.metrics.fid import ReferenceMetric, check_size, origin, side_of
from fhpt_eval.metrics.sets import kept
from fhpt_eval.metrics.sets.reference_set import Statistics

# Rows of a kernel that are held at a time.
_BLOCK = 2048


class KID(ReferenceMetric):
    """Unbiased squared maximum mean discrepancy of features, with a cubic polynomial kernel.

    Mean and standard deviation over random subsets, as torch-fidelity draws them: rows in the order
    of keys, NumPy's legacy generator, generated images first.

    Parameters:
        network, resize, network_weights, reference: as those of FID; a file of statistics must hold
            features (``feats``), as clean-fid writes it.
        subsets, subset_size: number and size of the subsets.
        seed: of the generator that draws them.
    """

    name: ClassVar[str] = "kid"
    title: ClassVar[str] = "KID"
    direction: ClassVar[Direction] = "lower"
    holds: ClassVar[Mapping[str, ModuleType]] = {"generated": kept, "real": kept}

    subsets: Annotated[int, Field(ge=1, le=10_000)] = 100
    subset_size: Annotated[int, Field(ge=2, le=100_000)] = 1000
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 2020

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        return {
            "mean": Part("KID", "lower"),
            "std": Part("KID, deviation over subsets", "none", (0.0, math.inf)),
        }

    def missing(self, statistics: Statistics) -> str:
        if statistics.features is None:
            return (
                f"needs the features of the reference images, and {self.reference} holds moments "
                "alone (give the folder of images, or clean-fid's file for KID)"
            )
        check_size(self, statistics.features.shape[1])
        return ""

    def compute(self, state: State) -> Mapping[str, float]:
        generated, real = (kept.in_order(side_of(state, side)) for side in ("generated", "real"))
        statistics = self.statistics()
        if statistics is not None and statistics.features is not None:
            real = statistics.features.astype(np.float64)
        least = min(len(generated), len(real))
        if self.subset_size > least:
            raise Undefined(
                f"draws subsets of {self.subset_size:,} images (subset_size), and one side has "
                f"{least:,}"
            )
        generator = np.random.RandomState(self.seed)
        values = []
        for _ in range(self.subsets):
            ours = generator.choice(len(generated), self.subset_size, replace=False)
            theirs = generator.choice(len(real), self.subset_size, replace=False)
            values.append(squared_mmd(generated[ours], real[theirs]))
        return {"mean": float(np.mean(values)), "std": float(np.std(values))}

    def note(self, state: State) -> str:
        _ = state
        return origin(self)


def squared_mmd(x: NDArray[Any], y: NDArray[Any]) -> float:
    """Return the unbiased squared MMD of ``(N, D)`` and ``(M, D)`` rows (Bińkowski et al., eq. 4).

    The kernel is ``(x . y / D + 1)^3``, in float64, in blocks of rows.
    """
    n, m = len(x), len(y)
    own_x = _kernel_sum(x, x) - float(_kernel(np.einsum("nd,nd->n", x, x), x.shape[1]).sum())
    own_y = _kernel_sum(y, y) - float(_kernel(np.einsum("nd,nd->n", y, y), y.shape[1]).sum())
    return own_x / (n * (n - 1)) + own_y / (m * (m - 1)) - 2 * _kernel_sum(x, y) / (n * m)


def _kernel_sum(x: NDArray[Any], y: NDArray[Any]) -> float:
    blocks = (x[start : start + _BLOCK] @ y.T for start in range(0, len(x), _BLOCK))
    return math.fsum(float(_kernel(block, x.shape[1]).sum()) for block in blocks)


def _kernel(products: NDArray[Any], size: int) -> NDArray[Any]:
    return (products / size + 1) ** 3
