"""Limbs from peaks, persons from limbs, and which person is meant where an image shows one.

Source: the Python demo of Cao et al., CVPR 2017, as ported by Hzzone/pytorch-openpose
(``src/body.py``), which can give one peak to two persons; here a peak has one owner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.openpose.bands import Floats, Integers
from fhpt_eval.features.openpose.layout import Layout
from fhpt_eval.features.openpose.peaks import Peaks
from fhpt_eval.features.openpose.settings import Decoding
from fhpt_eval.features.openpose.surface import Surface, sample
from fhpt_eval.keypoints.openpose_json import rank

#: Pairs of peaks that are scored together, which bounds memory, however many peaks there are.
_TOGETHER = 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """Two peaks found to be one limb: number of the limb, numbers of its peaks, score."""

    limb: int
    start: int
    end: int
    score: float


def connect(pafs: Surface, layout: Layout, peaks: Peaks, decoding: Decoding) -> list[Connection]:
    """Connect peaks to limbs, limb by limb in the layout's order, the best of each limb first.

    A pair's score is the mean projection of the limb's field on the line between the peaks, at
    ``limb_points`` points from end to end, each rounded to a pixel, and less for pairs farther
    apart than half the image's height: ``+ min(height / 2 / distance - 1, 0)``. A pair counts if
    the score is positive and more than ``limb_share`` of the projections exceed
    ``limb_threshold``. Within one limb each peak is used once.
    """
    limb, start, end = _pairs(layout, peaks)
    scores = np.zeros(len(limb))
    for begin in range(0, len(limb), _TOGETHER):
        part = slice(begin, begin + _TOGETHER)
        pairs = limb[part], start[part], end[part]
        scores[part] = _scores(pafs, layout, peaks, pairs, decoding)
    kept = np.flatnonzero(scores > 0)
    order = kept[np.lexsort((end[kept], start[kept], -scores[kept], limb[kept]))]
    columns = (column[order].tolist() for column in (limb, start, end, scores))
    return list(_greedy(Connection(*row) for row in zip(*columns, strict=True)))


def _pairs(layout: Layout, peaks: Peaks) -> tuple[Integers, Integers, Integers]:
    """Return limb, first and second peak of every pair that a limb could connect."""
    bounds = np.searchsorted(peaks.joint, np.arange(len(layout.joints) + 1)).tolist()
    limbs, starts, ends = [], [], []
    for number, limb in enumerate(layout.limbs):
        first = np.arange(bounds[limb.start], bounds[limb.start + 1])
        second = np.arange(bounds[limb.end], bounds[limb.end + 1])
        starts.append(np.repeat(first, len(second)))
        ends.append(np.tile(second, len(first)))
        limbs.append(np.full(len(first) * len(second), number))
    return np.concatenate(limbs), np.concatenate(starts), np.concatenate(ends)


def _scores(
    pafs: Surface,
    layout: Layout,
    peaks: Peaks,
    pairs: tuple[Integers, Integers, Integers],
    decoding: Decoding,
) -> Floats:
    """Return the score of each pair, 0 for those that do not count."""
    (limb, start, end), points = pairs, decoding.limb_points
    across = (peaks.x[end] - peaks.x[start]).astype(np.float64)
    down = (peaks.y[end] - peaks.y[start]).astype(np.float64)
    distance = np.sqrt(across**2 + down**2)
    apart = np.where(distance > 0, distance, np.inf)  # two joints in one pixel have no direction
    x = np.rint(np.linspace(peaks.x[start], peaks.x[end], points, axis=1)).astype(np.intp).ravel()
    y = np.rint(np.linspace(peaks.y[start], peaks.y[end], points, axis=1)).astype(np.intp).ravel()
    channel = np.repeat(np.array([limb.channel for limb in layout.limbs])[limb], points)
    along = sample(pafs, channel, y, x, depth=2).reshape(-1, points, 2)
    direction = np.stack([across, down], axis=1) / apart[:, None]
    projected = np.einsum("pkc,pc->pk", along, direction)
    height = len(pafs[0].rows.plain)
    score = projected.mean(axis=1) + np.minimum(0.5 * height / apart - 1, 0)
    count = np.count_nonzero(projected > decoding.limb_threshold, axis=1)
    enough = count > decoding.limb_share * points
    return np.where(enough & (distance > 0), score, 0.0)


def _greedy(connections: Iterator[Connection]) -> Iterator[Connection]:
    """Pass over a connection if one of its peaks is already used in the same limb."""
    used: set[tuple[int, int]] = set()
    for connection in connections:
        ends = {(connection.limb, connection.start), (connection.limb, connection.end)}
        if used.isdisjoint(ends):
            used |= ends
            yield connection


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

    The one whose number of joints times the diagonal of their bounding box is largest, so that a
    whole skeleton of a few pixels does not beat a person of whom a half is hidden, nor a long limb
    that is none a whole person; of equal ones the one with most joints; of these the one with the
    greatest sum of confidences; of these the first in reading order of its first differing joint.
    The order in which persons are given does not matter. Of ``(P, J, 3)`` x, y and confidence, NaN
    where missing, a copy ``(J, 3)``; NaN everywhere if there are no persons.

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
