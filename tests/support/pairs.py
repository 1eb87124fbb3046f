"""What tests ask of pairs."""

from __future__ import annotations

from pathlib import Path

from fhpt_eval.pairs.pair import Pair


def truth_of(pair: Pair) -> Path:
    """Return the file of a pair's ground truth, which it must have."""
    assert pair.ground_truth is not None
    return pair.ground_truth.path
