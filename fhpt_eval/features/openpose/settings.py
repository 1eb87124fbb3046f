"""The decoder's numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat

from fhpt_eval.common.validation import CheckedSettings


class Decoding(CheckedSettings):
    """The decoder's numbers.

    All defaults but ``max_peaks`` are those of the Python demo of Cao et al., CVPR 2017, which
    Hzzone/pytorch-openpose (``src/body.py``) and the scripts of pose transfer repeat.

    Fields:
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
    """

    peak_threshold: Annotated[FiniteFloat, Field(ge=0)] = 0.1
    peak_sigma: Annotated[float, Field(ge=0, le=64)] = 3.0
    max_peaks: Annotated[int, Field(ge=1, le=1000)] = 127
    limb_points: Annotated[int, Field(ge=2, le=100)] = 10
    limb_threshold: FiniteFloat = 0.05
    limb_share: Annotated[float, Field(ge=0, lt=1)] = 0.8
    min_joints: Annotated[int, Field(ge=2, le=1000)] = 4
    min_score: FiniteFloat = 0.4


#: The published numbers.
STANDARD = Decoding()
