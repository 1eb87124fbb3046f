"""FID of infinitely many images: the line through FIDs of subsets meets the axis."""

from __future__ import annotations

import numpy as np
import pytest

from fhpt_eval.errors import ProtocolError, Undefined
from fhpt_eval.metrics import FeatureRows, FIDInfinity
from tests.support.gaussians import frechet_distance
from tests.support.patches import PatchFIDInfinity
from tests.support.rows import feature_rows


def rows(count: int, shift: float = 0.2, size: int = 12) -> FeatureRows:
    generator = np.random.default_rng(5)
    ours, theirs = generator.normal(size=(2, count, size))
    keys = [f"pair{n:05d}" for n in range(count)]
    generated, truth = ({"network": {"pool": side}} for side in (ours + shift, theirs))
    return feature_rows(keys, generated, truth)


def value(metric: FIDInfinity, made: FeatureRows) -> float:
    return metric.compute(metric.update(metric.empty(), made))[""]


def test_it_is_the_intercept_of_a_line_over_one_over_n() -> None:
    made = rows(900)
    ours = made.generated["network"]["pool"]
    theirs = made.ground_truth["network"]["pool"]
    generator = np.random.Generator(np.random.PCG64(3))
    points = []
    for size in (300, 500, 700, 900):
        drawn = ours[generator.permutation(900)[:size]]
        fid = frechet_distance(drawn.mean(axis=0), np.cov(drawn.T), theirs.mean(axis=0),
                               np.cov(theirs.T))  # fmt: skip
        points.append((1 / size, fid))
    x, y = np.array(points).T
    matrix = np.stack([np.ones(4), x], axis=1)
    intercept = np.linalg.lstsq(matrix, y, rcond=None)[0][0]
    metric = PatchFIDInfinity(points=4, smallest=300, seed=3)
    assert value(metric, made) == pytest.approx(intercept, rel=1e-9)


def test_it_is_nearer_than_fid_to_the_distance_of_the_distributions() -> None:
    """Both sides are normal and 0.2 apart in 12 dimensions: 12 x 0.04 = 0.48."""
    made = rows(4000)
    ours = made.generated["network"]["pool"]
    few = ours[:200]
    fid = frechet_distance(few.mean(axis=0), np.cov(few.T), np.zeros(12), np.eye(12))
    found = value(PatchFIDInfinity(smallest=100), made)
    assert abs(found - 0.48) < abs(fid - 0.48)
    assert found == pytest.approx(0.48, abs=0.1)  # three deviations of the gap of the means


@pytest.mark.parametrize(
    "changed", [{"points": 5}, {"smallest": 200}, {"seed": 1}], ids=lambda one: next(iter(one))
)
def test_every_parameter_moves_the_value(changed: dict[str, int]) -> None:
    made = rows(400)
    before = value(PatchFIDInfinity(smallest=100), made)
    assert value(PatchFIDInfinity.model_validate({"smallest": 100, **changed}), made) != before


def test_too_few_images_have_none() -> None:
    with pytest.raises(Undefined, match="subsets of 5,000 generated images and more"):
        value(PatchFIDInfinity(), rows(100))


def test_a_line_needs_two_points() -> None:
    with pytest.raises(ProtocolError, match="points"):
        FIDInfinity(points=1)
