"""The published decoding of OpenPose's maps, step by step in plain NumPy and SciPy.

May import: numpy, scipy; nothing of the package. What ``fhpt_eval.features.openpose.decode`` is
measured against, in speed here and in what it finds in the tests. The steps are those of the Python
demo of Cao et al., "Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields", CVPR
2017, as ported by Hzzone/pytorch-openpose:

1. enlarge all maps to the input's size, bicubic, a = -0.75, edges repeated, and crop;
2. peaks: smoothed by a Gaussian of sigma 3, above 0.1 and not below any of 4 neighbours;
3. limb scores: the mean projection at 10 points, less for long limbs, 9 of 10 above 0.05;
4. per limb the best pairs first, each peak once;
5. persons grown limb by limb, joined where they share no joint;
6. persons of fewer than 4 joints or a mean score under 0.4 dropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]

#: Joints of each limb, and the channel of its field's x component.
LIMBS = (
    (1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24), (1, 8, 0),
    (8, 9, 2), (9, 10, 4), (1, 11, 6), (11, 12, 8), (12, 13, 10), (1, 0, 28), (0, 14, 30),
    (14, 16, 34), (0, 15, 32), (15, 17, 36), (2, 16, 18), (5, 17, 26),
)  # fmt: skip
#: Limbs behind this one found no person.
FOUNDING = 17
JOINTS = 18
POINTS = 10

Peak = tuple[int, int, float]  # x, y, confidence
Connection = tuple[int, int, float]  # numbers of two peaks of a limb's joints, score


def enlarge(maps: Floats, size: tuple[int, int], stride: int = 8) -> Floats:
    """Return ``(C, H, W)`` maps at the input's resolution, ``(C, *size)``."""
    rows = bicubic(maps.shape[1], maps.shape[1] * stride)[: size[0]]
    columns = bicubic(maps.shape[2], maps.shape[2] * stride)[: size[1]]
    return rows @ maps @ columns.T


def bicubic(size: int, target: int, a: float = -0.75) -> Floats:
    """Return the matrix (target, size) of bicubic interpolation, pixel centres at half."""
    matrix = np.zeros((target, size))
    for row in range(target):
        position = (row + 0.5) * size / target - 0.5
        before = int(np.floor(position))
        for cell in range(before - 1, before + 3):
            d = abs(position - cell)
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * (d**3 - 5 * d**2 + 8 * d - 4)
            matrix[row, min(max(cell, 0), size - 1)] += near if d <= 1 else far
    return matrix


def decode_enlarged(heatmaps: Floats, pafs: Floats) -> Floats:
    """Return (P, 18, 3) of the enlarged maps, steps 2 to 6."""
    peaks = [find_peaks(heatmaps[joint]) for joint in range(JOINTS)]
    persons: list[tuple[dict[int, int], float]] = []
    for number, (start, end, channel) in enumerate(LIMBS):
        field = pafs[channel : channel + 2]
        for connection in connect(peaks[start], peaks[end], field):
            persons = grow(persons, peaks, number, connection)
    kept = [parts for parts, score in persons if len(parts) >= 4 and score / len(parts) >= 0.4]
    found = np.full((len(kept), JOINTS, 3), np.nan)
    for row, parts in enumerate(kept):
        for joint, peak in parts.items():
            found[row, joint] = peaks[joint][peak]
    return found


def find_peaks(heatmap: Floats) -> list[Peak]:
    """Return the peaks of one enlarged heatmap."""
    smooth = gaussian_filter(heatmap, sigma=3)
    left, right, up, down = (np.zeros_like(smooth) for _ in range(4))
    left[:, 1:], right[:, :-1] = smooth[:, :-1], smooth[:, 1:]
    up[1:], down[:-1] = smooth[:-1], smooth[1:]
    best = np.logical_and.reduce(
        (smooth >= left, smooth >= right, smooth >= up, smooth >= down, smooth > 0.1)
    )
    return [(int(x), int(y), float(heatmap[y, x])) for y, x in np.argwhere(best)]


def connect(starts: list[Peak], ends: list[Peak], field: Floats) -> list[Connection]:
    """Return the pairs of peaks that are a limb, the best first, each peak once."""
    candidates = []
    for i, start in enumerate(starts):
        for j, end in enumerate(ends):
            score = score_of(start, end, field)
            if score > 0:
                candidates.append((i, j, score))
    found: list[Connection] = []
    for i, j, score in sorted(candidates, key=lambda row: row[2], reverse=True):
        if all(i != k and j != m for k, m, _ in found):
            found.append((i, j, score))
    return found


def score_of(start: Peak, end: Peak, field: Floats) -> float:
    """Return the score of one pair of peaks, 0 if it does not count."""
    vector = np.array([end[0] - start[0], end[1] - start[1]], float)
    length = float(np.sqrt((vector**2).sum()))
    if length == 0:
        return 0.0
    vector /= length
    xs, ys = (np.linspace(start[axis], end[axis], POINTS) for axis in (0, 1))
    projections = np.array([
        field[:, round(float(y)), round(float(x))] @ vector for x, y in zip(xs, ys, strict=True)
    ])  # fmt: skip
    score = float(projections.mean()) + min(0.5 * field.shape[1] / length - 1, 0)
    return score if (projections > 0.05).sum() > 0.8 * POINTS else 0.0


def grow(
    persons: list[tuple[dict[int, int], float]],
    peaks: list[list[Peak]],
    number: int,
    connection: Connection,
) -> list[tuple[dict[int, int], float]]:
    """Return the persons after one more limb."""
    start, end, _ = LIMBS[number]
    i, j, score = connection
    near = [p for p in persons if p[0].get(start) == i or p[0].get(end) == j]
    rest = [p for p in persons if p not in near]
    confidence = peaks[end][j][2]
    if not near:
        both = peaks[start][i][2] + confidence
        return [*rest, ({start: i, end: j}, both + score)] if number < FOUNDING else rest
    if len(near) == 1:
        parts, total = near[0]
        if parts.get(end) == j:
            return persons
        return [*rest, (parts | {end: j}, total + confidence + score)]
    (one, total), (other, more) = near[:2]
    if one.keys() & other.keys():
        return persons
    return [*rest, (one | other, total + more + score)]


def decode(heatmaps: Floats, pafs: Floats, size: tuple[int, int]) -> Floats:
    """Return (P, 18, 3) of a network's maps: x and y in pixels of its input, confidence."""
    return decode_enlarged(enlarge(heatmaps, size), enlarge(pafs, size))
