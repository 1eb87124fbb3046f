"""Time the Fréchet distance of 2,048 features against pytorch-fid 0.3.0, in one process.

pytorch-fid takes the general square root of the product of both covariances (SciPy's ``sqrtm``);
ours solves two symmetric eigenvalue problems. Both get the same means and covariances, of more rows
than features, so that both covariances are well conditioned, and the same number of threads.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import scipy
from numpy.typing import NDArray
from pytorch_fid.fid_score import calculate_frechet_distance
from threadpoolctl import threadpool_limits

from tests.support.gaussians import frechet_distance

ROWS, FEATURES = 5000, 2048
ROUNDS = 2

Floats = NDArray[np.float64]
Gaussians = tuple[Floats, Floats, Floats, Floats]


def gaussians() -> Gaussians:
    """Return mean and covariance of two sets of rows, as pool features are: not below zero,
    correlated, and with a spectrum that decays by a power of the rank.
    """
    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((FEATURES, FEATURES)) / np.sqrt(FEATURES)
    scales = np.arange(1, FEATURES + 1) ** -0.5
    found = []
    for shift in (0.0, 0.02):
        hidden = generator.standard_normal((ROWS, FEATURES)) * scales * (1 + 5 * shift)
        rows = np.maximum(hidden @ mixing + 0.1 + shift, 0)
        found += [rows.mean(axis=0), np.cov(rows, rowvar=False)]
    return found[0], found[1], found[2], found[3]


def seconds(distance: Callable[..., float], given: Gaussians) -> tuple[float, float]:
    """Return the time of one call, and its value."""
    start = time.perf_counter()
    value = float(distance(*given))
    return time.perf_counter() - start, value


def compare(given: Gaussians, threads: int) -> None:
    """Print the least of both over rounds that alternate, their ratio, and how far they differ."""
    with threadpool_limits(limits=threads):
        rounds = [
            (seconds(frechet_distance, given), seconds(calculate_frechet_distance, given))
            for _ in range(ROUNDS)
        ]
    # Other work on the machine only adds to a time.
    mine, other = (min(time for time, _ in side) for side in zip(*rounds, strict=True))
    (_, value), (_, expected) = rounds[-1]
    difference = abs(value - expected) / expected
    print(f"{threads:7}{mine:12.2f}{other:14.2f}{mine / other:8.3f}{difference:23.1e}")


def main() -> None:
    # SciPy announces that an argument of pytorch-fid's call goes away.
    warnings.simplefilter("ignore", DeprecationWarning)
    given = gaussians()
    spectra = [np.linalg.eigvalsh(covariance) for covariance in given[1::2]]
    condition = " and ".join(f"{values[-1] / values[0]:.0f}" for values in spectra)
    print(f"two Gaussians of {FEATURES} features, from {ROWS} rows each; condition {condition}")
    print(f"seconds; NumPy {np.__version__}, SciPy {scipy.__version__}")
    print(
        f"{'threads':>7}{'fhpt-eval':>12}{'pytorch-fid':>14}{'ratio':>8}{'relative difference':>23}"
    )
    for threads in (1, 2):
        compare(given, threads)


if __name__ == "__main__":
    main()
