"""Results made by hand."""

from __future__ import annotations

from typing import Any

from fhpt_eval.common.settings import digest_of
from fhpt_eval.result import (
    Excluded,
    ProtocolRecord,
    Provenance,
    Result,
    Score,
    TestSet,
    Timing,
)


def under(protocol: str, scores: dict[str, Score | float], **metrics: str) -> Result:
    """Return a result; ``metrics`` says which metric a score of another name is."""
    told = {
        name: one if isinstance(one, Score) else score(one, interval=None)
        for name, one in scores.items()
    }
    entries = {name.partition(".")[0] for name in told}
    settings: dict[str, Any] = {
        "id": protocol,
        "metrics": {name: {"metric": metrics.get(name, name)} for name in entries},
    }
    record = ProtocolRecord(id=protocol, digest=digest_of(settings), settings=settings)
    return make_result(told).model_copy(update={"protocol": record})


SETTINGS = {"metrics": {"ssim": {"size": 11, "border": None}}}


DIGEST = "0123456789abcdef" * 4


def score(value: float | None = 0.5, reason: str | None = None, **more: Any) -> Score:
    """Return a score of four pairs."""
    known: dict[str, Any] = {"direction": "higher", "n": 4, "coverage": 1.0, "interval": None}
    return Score(value=value, reason=reason, **(known | more))


def make_result(scores: dict[str, Score] | None = None, method: str = "ours") -> Result:
    """Return a result with something in every part."""
    return Result(
        method=method,
        protocol=ProtocolRecord(id="fhpt", digest=digest_of(SETTINGS), settings=SETTINGS),
        test_set=TestSet(digest=DIGEST, pairs=4),
        scores=scores or {"ssim": score(interval=(0.4, 0.6)), "psnr": score(None, "no value")},
        provenance=Provenance(
            generated_digest=digest_of(method),
            matching="4 pairs matched by A_2_B",
            example="s0_2_t0_vis.png is compared with t0.png",
            groups=2,
            excluded=(Excluded(kind="missing", name="b", reason="no generated image"),),
            software={"fhpt-eval": "0.1", "numpy": "2.0"},
            code=DIGEST,
            weights={"brisque": DIGEST},
            device="cpu",
            precision="float64",
        ),
        timing=Timing(
            seconds=1.5, finished="2021-01-31T12:00:00Z", workers=2, chunks=1, chunks_reused=0
        ),
    )
