"""Conformance kits: what built-in and third-party plugins are held to alike."""

from fhpt_eval.testing.clauses import ConformanceError, textures
from fhpt_eval.testing.metrics import check_metric
from fhpt_eval.testing.networks import check_network

__all__ = ["ConformanceError", "check_metric", "check_network", "textures"]
