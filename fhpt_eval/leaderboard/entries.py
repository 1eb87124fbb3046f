"""What a result's protocol says of its scores; a file that was edited may say anything."""

from __future__ import annotations

from typing import Any

from fhpt_eval.result import Result


def settings_of(result: Result) -> dict[str, Any]:
    """Return what the protocol fixes of each metric."""
    metrics = result.protocol.settings.get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def entry_of(result: Result, score: str) -> str:
    """Return the name that a score's metric has in the protocol: what stands before its part."""
    fitting = [n for n in settings_of(result) if score == n or score.startswith(f"{n}.")]
    return max(fitting, key=len, default=score)


def counted_of(result: Result, score: str) -> int:
    """Return the size of the batches that count alone, whole; 0 where every pair counts."""
    entry = settings_of(result).get(entry_of(result, score))
    batch = entry.get("drop_incomplete") if isinstance(entry, dict) else 0
    return batch if isinstance(batch, int) and batch > 1 else 0
