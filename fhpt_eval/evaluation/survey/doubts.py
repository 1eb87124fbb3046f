"""Metrics whose networks are shown images of a kind that they do not know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.evaluation.survey.chunks import CheckedPair
from fhpt_eval.features.kinds import decoded_some, doubt
from fhpt_eval.features.networks import Network
from fhpt_eval.protocol import Entry
from fhpt_eval.result import Score


def doubts_of(entries: Iterable[Entry], pairs: Sequence[CheckedPair]) -> dict[str, str]:
    """Say, by the name of a metric, why its network can say nothing of these images.

    Looks at some ground-truth images, or at generated ones where there are none. Weights of one's
    own are taken to know what they are shown.
    """

    @cache
    def look() -> list[NDArray[np.uint8]]:
        return decoded_some(
            dict.fromkeys(pair.image("ground_truth") or pair.generated for pair in pairs)
        )

    doubts = {}
    for entry in entries:
        networks = [part for part in entry.metric.rests_on() if isinstance(part, Network)]
        plain = [network for network in networks if not getattr(network, "weights", None)]
        reason = next(filter(None, (doubt(network.made_for, look) for network in plain)), "")
        if reason:
            doubts[entry.name] = reason
    return doubts


def noted(scores: Mapping[str, Score], reason: str) -> dict[str, Score]:
    """Return scores with a doubt put before their notes."""
    return {
        name: score.model_copy(update={"note": "; ".join(filter(None, (reason, score.note)))})
        if reason and score.value is not None
        else score
        for name, score in scores.items()
    }
