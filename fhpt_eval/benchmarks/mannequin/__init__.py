"""Mannequin: a benchmark of drawn people, whose truth is exact because it is what was drawn.

docs/mannequin.md describes the set.
"""

from fhpt_eval.benchmarks.mannequin.canvas import LABELS
from fhpt_eval.benchmarks.mannequin.draw import HIDDEN, OUTSIDE, SEEN, Drawing, draw, render
from fhpt_eval.benchmarks.mannequin.layout import (
    VERSION,
    Settings,
    Written,
    contact_sheet,
    write_benchmark,
)
from fhpt_eval.benchmarks.mannequin.pose import VIEWS

__all__ = [
    "HIDDEN",
    "LABELS",
    "OUTSIDE",
    "SEEN",
    "VERSION",
    "VIEWS",
    "Drawing",
    "Settings",
    "Written",
    "contact_sheet",
    "draw",
    "render",
    "write_benchmark",
]
