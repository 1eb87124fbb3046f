"""The Inception score equals its definition, and its splits follow the order of keys."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fhpt_eval.errors import Undefined
from fhpt_eval.metrics import FeatureRows, InceptionScore
from tests.support.rows import feature_rows


def rows(logits: np.ndarray, keys: list[str] | None = None) -> FeatureRows:
    names = tuple(keys or [f"pair{n:03d}" for n in range(len(logits))])
    arrays = {"network": {"logits_unbiased": logits, "logits": logits + 0.3 * np.arange(8)}}
    return feature_rows(names, arrays)


def score(metric: InceptionScore, made: FeatureRows) -> dict[str, float]:
    return dict(metric.compute(metric.update(metric.empty(), made)))


LOGITS = np.random.default_rng(0).normal(size=(25, 8)).astype(np.float32) * 2


def test_the_score_equals_its_definition_written_with_loops() -> None:
    expected = []
    for split in range(4):
        block = LOGITS[split * 25 // 4 : (split + 1) * 25 // 4].astype(float)
        p = [[math.exp(v) / sum(math.exp(w) for w in row) for v in row] for row in block]
        marginal = [sum(row[k] for row in p) / len(p) for k in range(8)]
        divergence = [
            sum(q * (math.log(q) - math.log(marginal[k])) for k, q in enumerate(row)) for row in p
        ]
        expected.append(math.exp(sum(divergence) / len(divergence)))
    found = score(InceptionScore(splits=4), rows(LOGITS))
    assert found["mean"] == pytest.approx(np.mean(expected), rel=1e-12)
    assert found["std"] == pytest.approx(np.std(expected), rel=1e-9)


def test_splits_follow_the_keys_not_the_chunks() -> None:
    metric = InceptionScore(splits=4)
    keys = [f"pair{n:03d}" for n in range(25)]
    order = np.random.default_rng(1).permutation(25)
    shuffled = rows(LOGITS[order], [keys[at] for at in order])
    assert score(metric, shuffled) == score(metric, rows(LOGITS))


def test_equal_images_score_one_and_different_sure_ones_their_number() -> None:
    metric = InceptionScore(splits=1)
    assert score(metric, rows(np.tile(LOGITS[:1], (8, 1))))["mean"] == pytest.approx(1)
    assert score(metric, rows(np.eye(8) * 1000.0))["mean"] == pytest.approx(8)


@pytest.mark.parametrize("other", [{"splits": 5}, {"logits": "biased"}])
def test_every_parameter_moves_the_value(other: dict[str, object]) -> None:
    base = {"splits": 4}
    one, two = (InceptionScore.model_validate(s) for s in (base, {**base, **other}))
    assert score(one, rows(LOGITS)) != score(two, rows(LOGITS))


def test_fewer_images_than_splits_are_undefined() -> None:
    with pytest.raises(Undefined, match="10 splits"):
        score(InceptionScore(), rows(LOGITS[:9]))
