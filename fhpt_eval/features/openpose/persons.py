"""Persons from limbs, and which person is meant where an image should show one.

Source of the grouping: the Python demo of Cao et al., CVPR 2017, as ported by
Hzzone/pytorch-openpose (``src/body.py``), which can give one peak to two persons; here a peak has
one owner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.openpose.bands import Floats
from fhpt_eval.features.openpose.layout import Layout
from fhpt_eval.features.openpose.limbs import Connection
from fhpt_eval.features.openpose.peaks import Peaks
from fhpt_eval.keypoints.openpose_json import rank


@dataclass(slots=True, eq=False)
class _Person:
    """Peaks by joint, and the sum of the scores of peaks and limbs that brought them together."""

    peaks: dict[int, int]
    score: float


def group(
    layout: Layout,
    peaks: Peaks,
    connections: Sequence[Connection],
    min_joints: int,
    min_score: float,
) -> Floats:
    """Grow persons limb by limb and return those that have enough joints and a good mean score.

    A limb between two free peaks founds a person, where the layout lets it; one from a person's
    peak to a free one adds that, or puts it in the place of the joint that the person had; one
    between two persons joins them if they have no joint in common. Other limbs change nothing.

    Returns:
        (P, J, 3) x, y and confidence, NaN where missing; in the order of :func:`rank`.
    """
    owners: dict[int, _Person] = {}
    confidence = peaks.confidence.tolist()
    for connection in connections:
        _use(connection, layout, confidence, owners)
    persons = [
        person
        for person in dict.fromkeys(owners.values())
        if len(person.peaks) >= min_joints and person.score / len(person.peaks) >= min_score
    ]
    rows = np.full((len(persons), len(layout.joints), 3), np.nan)
    places = np.stack([peaks.x, peaks.y], axis=1) + peaks.offset
    for row, person in enumerate(persons):
        joints, numbers = list(person.peaks), list(person.peaks.values())
        rows[row, joints, :2] = places[numbers]
        rows[row, joints, 2] = peaks.confidence[numbers]
    return rows[rank(rows)]


def choose_person(persons: NDArray[np.floating]) -> NDArray[np.floating]:
    """Choose the person that a picture of one person shows.

    The one with most joints; of these the one with the largest bounding box of its joints; of these
    the one with the greatest sum of confidences; of these the first in reading order of its first
    differing joint. The order in which persons are given does not matter.

    Args:
        persons: (P, J, 3) x, y and confidence, NaN where missing.

    Returns:
        (J, 3), a copy; NaN everywhere if there are no persons.

    Raises:
        ArgumentError: ``persons`` has another type or shape.
    """
    if (
        not isinstance(persons, np.ndarray)
        or persons.dtype.kind != "f"
        or persons.ndim != 3
        or persons.shape[2] != 3
    ):
        raise ArgumentError("'persons' must be a float array (P, J, 3) of x, y and confidence")
    if not len(persons):
        return np.full(persons.shape[1:], np.nan, persons.dtype)
    chosen: NDArray[np.floating] = persons[rank(persons)[0]].copy()
    return chosen


def _use(
    limb_used: Connection, layout: Layout, confidence: Sequence[float], owners: dict[int, _Person]
) -> None:
    """Let one limb found, extend or join persons."""
    limb = layout.limbs[limb_used.limb]
    first, second = owners.get(limb_used.start), owners.get(limb_used.end)
    if first is None and second is None:
        if limb.founds:
            person = _Person(
                {limb.start: limb_used.start, limb.end: limb_used.end}, limb_used.score
            )
            person.score += confidence[limb_used.start] + confidence[limb_used.end]
            owners[limb_used.start] = owners[limb_used.end] = person
    elif first is not None and second is None:
        before = first.peaks.get(limb.end)
        if before is not None:
            first.score -= confidence[before]
            del owners[before]
        first.peaks[limb.end] = limb_used.end
        first.score += confidence[limb_used.end] + limb_used.score
        owners[limb_used.end] = first
    elif first is None or second is None or first is second:
        return
    elif first.peaks.keys().isdisjoint(second.peaks):
        first.peaks |= second.peaks
        first.score += second.score + limb_used.score
        owners.update(dict.fromkeys(second.peaks.values(), first))
