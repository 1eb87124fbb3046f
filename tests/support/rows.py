"""Rows of features as the engine hands them to a metric, for tests that need no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fhpt_eval.metrics import FeatureRows
from fhpt_eval.metrics.on_features import Arrays


def feature_rows(
    keys: Sequence[str],
    generated: Mapping[str, Arrays],
    ground_truth: Mapping[str, Arrays] | None = None,
    *,
    source: Mapping[str, Arrays] | None = None,
    distinct: Sequence[bool] | None = None,
    targets: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    items: Sequence[str] | None = None,
) -> FeatureRows:
    """Return rows of pairs that by default have targets of their own."""
    blank = ("",) * len(keys)
    return FeatureRows(
        tuple(keys),
        tuple(targets or keys),
        tuple(sources or blank),
        tuple(items or blank),
        np.ones(len(keys), bool) if distinct is None else np.array(distinct, bool),
        generated,
        ground_truth or {},
        source or {},
    )
