"""Which peaks belong to one limb: scores along the part affinity fields, best pairs first.

Source: the Python demo of Cao et al., CVPR 2017, as ported by Hzzone/pytorch-openpose
(``src/body.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fhpt_eval.features.openpose.bands import Floats, Integers
from fhpt_eval.features.openpose.layout import Layout
from fhpt_eval.features.openpose.peaks import Peaks
from fhpt_eval.features.openpose.settings import Decoding
from fhpt_eval.features.openpose.surface import Surface, sample

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
