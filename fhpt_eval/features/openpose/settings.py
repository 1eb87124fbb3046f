"""The decoder's numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from fhpt_eval.errors import ArgumentError


@dataclass(frozen=True, slots=True)
class Decoding:
    """The decoder's numbers.

    All defaults but ``max_peaks`` are those of the Python demo of Cao et al., CVPR 2017, which
    Hzzone/pytorch-openpose (``src/body.py``) and the scripts of pose transfer repeat.

    Attributes:
        peak_threshold: a peak's smoothed heatmap is above it; in [0, inf).
        peak_sigma: of the Gaussian that smooths heatmaps, in pixels; in [0, 64], 0 smooths nothing.
        max_peaks: so many peaks of one joint are kept, the highest; in [1, 1000]. 127 is
            OpenPose's POSE_MAX_PEOPLE.
        limb_points: points on the line between two peaks at which a field is read; in [2, 100].
        limb_threshold: a field's projection counts if above it.
        limb_share: more than this share of the points must count; in [0, 1).
        min_joints: persons with fewer joints are dropped; at least 2.
        min_score: persons are dropped whose scores of peaks and limbs, summed and divided by the
            number of joints, are below it.

    Raises:
        ArgumentError: a value is out of its range.
    """

    peak_threshold: float = 0.1
    peak_sigma: float = 3.0
    max_peaks: int = 127
    limb_points: int = 10
    limb_threshold: float = 0.05
    limb_share: float = 0.8
    min_joints: int = 4
    min_score: float = 0.4

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = _RANGES[field.name]
            value = getattr(self, field.name)
            whole = isinstance(field.default, int)
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise ArgumentError(f"'{field.name}' must be a number, not {value!r}")
            if not low <= value <= high or not math.isfinite(value):
                raise ArgumentError(f"'{field.name}' must lie in [{low}, {high}], not {value}")


_INF = math.inf
_RANGES = {
    "peak_threshold": (0, _INF),
    "peak_sigma": (0, 64),
    "max_peaks": (1, 1000),
    "limb_points": (2, 100),
    "limb_threshold": (-_INF, _INF),
    "limb_share": (0, math.nextafter(1, 0)),
    "min_joints": (2, 1000),
    "min_score": (-_INF, _INF),
}

#: The published numbers.
STANDARD = Decoding()
