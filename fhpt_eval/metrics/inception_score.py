"""Inception score.

Salimans, Goodfellow, Zaremba, Cheung, Radford, Chen, "Improved Techniques for Training GANs",
NeurIPS 2016, and the authors' script of that year.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fhpt_eval.errors import Undefined
from fhpt_eval.features.networks import Gift
from fhpt_eval.metrics.base import Direction, Need, Part, State
from fhpt_eval.metrics.networks import SetNetworkMetric
from fhpt_eval.metrics.on_features import FeatureRows
from fhpt_eval.metrics.sets import kept


class InceptionScore(SetNetworkMetric):
    """Exponential of the mean divergence between an image's classes and those of its split.

    Images are split in the order of their keys. ``mean`` and ``std`` are those over the splits.

    Parameters:
        network, resize, network_weights: see :class:`SetNetworkMetric`.
        logits: ``"unbiased"`` leaves the bias out, as the 2016 original does; ``"biased"`` is what
            the common PyTorch script has.
        splits: number of splits, at ``i * N // splits``.
    """

    name: ClassVar[str] = "is"
    title: ClassVar[str] = "Inception score"
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (1.0, math.inf)
    needs: ClassVar[frozenset[Need]] = frozenset()
    wants: ClassVar[Gift] = "logits"

    logits: Literal["unbiased", "biased"] = "unbiased"
    splits: Annotated[int, Field(ge=1, le=1000)] = 10

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        return {
            "mean": Part("Inception score", "higher", (1.0, math.inf)),
            "std": Part("Inception score, deviation over splits", "none", (0.0, math.inf)),
        }

    def empty(self) -> State:
        return kept.empty()

    def update(self, state: State, rows: FeatureRows) -> State:
        name = "logits_unbiased" if self.logits == "unbiased" else "logits"
        return kept.add(state, rows.generated["network"][name], rows.keys)

    def merge(self, first: State, second: State) -> State:
        return kept.merge(first, second)

    def compute(self, state: State) -> Mapping[str, float]:
        count = len(state["keys"])
        if count < self.splits:
            raise Undefined(f"has {self.splits} splits (splits), and there are {count} images")
        logits = kept.in_order(state)
        ends = [split * count // self.splits for split in range(self.splits + 1)]
        scores = [_score(logits[start:end]) for start, end in pairwise(ends)]
        return {"mean": float(np.mean(scores)), "std": float(np.std(scores))}


def _score(logits: NDArray[Any]) -> float:
    """Return exp(mean KL(p(y|x) || p(y))) of one split, ``(N, K)`` logits, in float64."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    marginal = p.mean(axis=0, keepdims=True)
    # A class that no image has any share of adds nothing.
    log_marginal = np.log(np.where(marginal > 0, marginal, 1))
    return float(np.exp((p * (log_p - log_marginal)).sum(axis=1).mean()))
