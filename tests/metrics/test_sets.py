"""FID, KID and IS keep the contract of metrics, on features that cost nothing."""

from __future__ import annotations

import pytest

from fhpt_eval.metrics import FeatureSetMetric
from fhpt_eval.testing import check_metric
from tests.support.patches import PatchFID, PatchFIDInfinity, PatchKID, PatchScore


@pytest.mark.parametrize(
    "metric", [PatchFID(), PatchFID(ground_truth="pairs"), PatchScore(splits=1)], ids=type
)
def test_a_metric_over_sets_conforms(metric: FeatureSetMetric) -> None:
    check_metric(metric)


@pytest.mark.parametrize(
    "metric",
    [PatchKID(subsets=1, subset_size=6), PatchFIDInfinity(smallest=5, points=2, seed=1)],
    ids=type,
)
def test_a_metric_on_subsets_conforms_where_they_do_not_depend_on_the_keys(
    metric: FeatureSetMetric,
) -> None:
    """Subsets go by the order of keys, which the kit turns round: only large ones are alike."""
    check_metric(metric)
