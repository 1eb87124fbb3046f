"""Fréchet distance of Inception features. May import: metrics.base, metrics.moments, features.

Heusel, Ramsauer, Unterthiner, Nessler, Hochreiter, "GANs Trained by a Two Time-Scale Update Rule
Converge to a Local Nash Equilibrium", NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import Undefined
from fhpt_eval.features.base import Feature
from fhpt_eval.features.inception import Inception, NetworkName, ResizeName
from fhpt_eval.metrics import moments
from fhpt_eval.metrics.base import Direction, State
from fhpt_eval.metrics.on_features import FeatureRows, FeatureSetMetric

Floats = NDArray[np.float64]


class FID(FeatureSetMetric):
    """Fréchet distance between Gaussians fitted to features of generated and of real images.

    Parameters:
        network, resize, network_weights: the network, what makes its input of an image, and weights
            of your own; see :class:`fhpt_eval.features.inception.Inception`.
        ground_truth: ``"images"`` counts each distinct ground-truth image once, as a folder would
            have it; ``"pairs"`` counts it for every pair.
    """

    name: ClassVar[str] = "fid"
    title: ClassVar[str] = "FID"
    direction: ClassVar[Direction] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, np.inf)

    by_content: ClassVar[frozenset[str]] = frozenset({"network_weights"})

    network: NetworkName = "inception-2015"
    resize: ResizeName = "pytorch-fid"
    network_weights: str | None = None
    ground_truth: Literal["images", "pairs"] = "images"

    def features(self) -> Mapping[str, Feature]:
        """See :meth:`FeatureMetric.features`."""
        return {"inception": inception(self.network, self.resize, self.network_weights)}

    def empty(self) -> State:
        """See :meth:`FeatureSetMetric.empty`."""
        return _join(moments.empty(), moments.empty())

    def update(self, state: State, rows: FeatureRows) -> State:
        """See :meth:`FeatureSetMetric.update`."""
        generated, real = _part(state, "generated"), _part(state, "real")
        chosen = rows.distinct if self.ground_truth == "images" else slice(None)
        return _join(
            moments.add(generated, rows.generated["inception"]["pool"]),
            moments.add(real, rows.ground_truth["inception"]["pool"][chosen]),
        )

    def merge(self, first: State, second: State) -> State:
        """See :meth:`FeatureSetMetric.merge`."""
        sides = (
            moments.merge(_part(first, side), _part(second, side)) for side in ("generated", "real")
        )
        return _join(*sides)

    def compute(self, state: State) -> Mapping[str, float]:
        """See :meth:`FeatureSetMetric.compute`."""
        (n, mean, covariance), (m, real_mean, real_covariance) = (
            moments.moments(_part(state, side)) for side in ("generated", "real")
        )
        if min(n, m) < 2:
            raise Undefined("a covariance needs at least 2 images on each side")
        return {"": frechet_distance(mean, covariance, real_mean, real_covariance)}

    def note(self, state: State) -> str:
        """See :meth:`FeatureSetMetric.note`: says when there are fewer images than dimensions."""
        counts = [moments.count(_part(state, side)) for side in ("generated", "real")]
        size = 2048
        if min(counts) > size:
            return ""
        return (
            f"rests on {counts[0]:,} generated and {counts[1]:,} real images, fewer than its "
            f"{size:,} dimensions: strongly biased upwards, and comparable only at equal numbers"
        )


def inception(network: str, resize: str, weights: str | None) -> Inception:
    """Return the feature that FID, KID and IS share, so that equal settings are one pass."""
    return Inception.model_validate({"network": network, "resize": resize, "weights": weights})


def frechet_distance(
    mean: Floats, covariance: Floats, other_mean: Floats, other_covariance: Floats
) -> float:
    """Return the squared Fréchet distance of two Gaussians (Dowson and Landau 1982).

    ``|m1 - m2|^2 + tr(S1) + tr(S2) - 2 tr((S1^1/2 S2 S1^1/2)^1/2)``, by two symmetric eigenvalue
    problems in float64: real by construction, where a general square root of S1 S2 is not.

    Means are ``(D,)``, covariances ``(D, D)``, symmetric and positive semi-definite; float64.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    product = root @ other_covariance @ root
    # Rounding makes the product slightly asymmetric, and zero eigenvalues slightly negative.
    spectrum = np.linalg.eigvalsh((product + product.T) / 2)
    cross = np.sqrt(np.clip(spectrum, 0, None)).sum()
    gap = mean - other_mean
    distance = gap @ gap + np.trace(covariance) + np.trace(other_covariance) - 2 * cross
    return float(max(distance, 0.0))


def _join(generated: State, real: State) -> State:
    state = {f"generated.{name}": array for name, array in generated.items()}
    return state | {f"real.{name}": array for name, array in real.items()}


def _part(state: State, side: str) -> State:
    prefix = f"{side}."
    return {n.removeprefix(prefix): array for n, array in state.items() if n.startswith(prefix)}
