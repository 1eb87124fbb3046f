"""Pretrained networks: which there are, where their files lie, and how they are loaded.

The front door; docs/weights.md describes files and commands.
"""

from fhpt_eval.weights.bundle import import_bundle, write_bundle
from fhpt_eval.weights.download import pull
from fhpt_eval.weights.registry import WeightsEntry, configure, folder, made_for, registered
from fhpt_eval.weights.state import load_state
from fhpt_eval.weights.store import Weights, available, digest_of, find

__all__ = [
    "Weights",
    "WeightsEntry",
    "available",
    "configure",
    "digest_of",
    "find",
    "folder",
    "import_bundle",
    "load_state",
    "made_for",
    "pull",
    "registered",
    "write_bundle",
]
