"""fhpt-eval: evaluation of fine-grained human pose transfer.

The front door of the library. Names are imported when they are first used, so that
``fhpt-eval --help`` does not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhpt_eval._version import __version__

if TYPE_CHECKING:
    from fhpt_eval import metrics
    from fhpt_eval.errors import FhptEvalError
    from fhpt_eval.evaluation.evaluate import evaluate, evaluate_many
    from fhpt_eval.evaluation.suite import Suite
    from fhpt_eval.protocol import Protocol, load_protocol
    from fhpt_eval.result import Result, Score

__all__ = [
    "FhptEvalError",
    "Protocol",
    "Result",
    "Score",
    "Suite",
    "__version__",
    "evaluate",
    "evaluate_many",
    "load_protocol",
    "metrics",
]

_HOMES = {
    "FhptEvalError": "fhpt_eval.errors",
    "Protocol": "fhpt_eval.protocol",
    "Result": "fhpt_eval.result",
    "Score": "fhpt_eval.result",
    "Suite": "fhpt_eval.evaluation.suite",
    "evaluate": "fhpt_eval.evaluation.evaluate",
    "evaluate_many": "fhpt_eval.evaluation.evaluate",
    "load_protocol": "fhpt_eval.protocol",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "metrics":
        return import_module("fhpt_eval.metrics")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fhpt_eval' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
