"""The Fréchet distance of two Gaussians, by the cheapest exact route.

Dowson and Landau, "The Fréchet distance between multivariate normal distributions", 1982:
``|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1^1/2 S2 S1^1/2)^1/2)``. All in float64, and real by
construction, where a general square root of S1 S2 is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian: mean ``(D,)``, and its covariance or a factor of it.

    ``factor`` is ``(N, D)`` with covariance = factor^T factor: that of N < D rows is much smaller
    than the covariance, and gives the distance with fewer operations and rounding errors.
    """

    mean: Floats
    covariance: Floats | None = None
    factor: Floats | None = None

    @property
    def trace(self) -> float:
        """The trace of the covariance."""
        if self.factor is not None:
            return float(np.einsum("nd,nd->", self.factor, self.factor))
        return float(np.trace(self._covariance))

    @property
    def _covariance(self) -> Floats:
        if self.covariance is None:
            raise ValueError("a Gaussian needs a covariance or a factor")
        return self.covariance

    @cached_property
    def root(self) -> Floats:
        """A symmetric square root of the covariance, or the factor: A with A^T A = covariance."""
        if self.factor is not None:
            return self.factor
        values, vectors = np.linalg.eigh(self._covariance)
        root: Floats = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
        return root


def frechet(ours: Gaussian, theirs: Gaussian) -> float:
    """Return the squared Fréchet distance of two Gaussians of one dimension."""
    gap = ours.mean - theirs.mean
    distance = float(gap @ gap) + ours.trace + theirs.trace - 2 * _cross(ours, theirs)
    return max(distance, 0.0)


def _cross(ours: Gaussian, theirs: Gaussian) -> float:
    """Return tr((S1^1/2 S2 S1^1/2)^1/2): with S1 = A^T A that is tr((A S2 A^T)^1/2).

    With a factor B of S2 too it is the sum of the singular values of A B^T.
    """
    if ours.factor is not None and theirs.factor is not None:
        product = ours.factor @ theirs.factor.T
        return float(np.linalg.svd(product, compute_uv=False).sum())
    first, second = (theirs, ours) if ours.covariance is not None else (ours, theirs)
    if second.covariance is None:
        raise ValueError("a Gaussian needs a covariance or a factor")
    product = first.root @ second.covariance @ first.root.T
    # Rounding makes the product slightly asymmetric, and zero eigenvalues slightly negative.
    spectrum = np.linalg.eigvalsh((product + product.T) / 2)
    return float(np.sqrt(np.clip(spectrum, 0, None)).sum())
