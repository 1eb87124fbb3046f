"""The Fréchet distance of two Gaussians by their means and covariances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.metrics.sets.frechet import Gaussian, frechet

Floats = NDArray[np.float64]


def frechet_distance(
    mean: Floats, covariance: Floats, other_mean: Floats, other_covariance: Floats
) -> float:
    return frechet(Gaussian(mean, covariance), Gaussian(other_mean, other_covariance))
