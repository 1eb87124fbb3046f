"""Where shapes are painted: colours, labels and parts on a grid of sub-pixels.

A shape is a field over a box of sub-pixels: the distance inside its outline, the place across it
and the place along it. What is painted on a limb is given in those places, so it moves with the
limb. Everything is elementwise, so bits do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.benchmarks.mannequin.exact import Array, arcsine, hypot, lookup
from fhpt_eval.benchmarks.mannequin.identity import Colour

#: Sub-pixels per side of a pixel; odd, so that one of them lies in the pixel's middle.
SAMPLES = 3
BACKGROUND: Colour = (246, 245, 243)

#: Labels of the parsing map, by their number.
LABELS = (
    "background", "hair", "face", "neck", "torso_skin", "right_arm", "left_arm", "right_leg",
    "left_leg", "upper_clothes", "dress", "trousers", "skirt", "right_shoe", "left_shoe",
    "glasses",
)  # fmt: skip
LABEL = {name: number for number, name in enumerate(LABELS)}

XY = tuple[float, float]
Place = tuple[slice, slice]  # rows and columns of the grid
_MARGIN = 10


@dataclass(frozen=True, slots=True)
class Field:
    """A shape on a box of the grid, ``(h, w)`` float32 each.

    ``inside`` is the distance to the outline in sub-pixels, positive inside; ``across`` goes from
    -1 at the left outline to 1 at the right one; ``along`` is the way from the start.
    """

    place: Place
    inside: Array
    across: Array
    along: Array

    def angle(self, yaw: float) -> Array:
        """Return the angle around the shape, 0 at the person's front, positive to their left."""
        return wrap(arcsine(self.across) - yaw)


def wrap(angle: Array) -> Array:
    """Bring angles into [-pi, pi)."""
    turn = 6.2831855
    wrapped: Array = angle - np.floor(angle / turn + 0.5) * turn
    return wrapped


class Canvas:
    """An image under work. Places are in sub-pixels, with (0, 0) the upper left corner."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height * SAMPLES, width * SAMPLES
        self.colour = np.empty((3, self.height, self.width), np.float32)
        for plane, value in zip(self.colour, BACKGROUND, strict=True):
            plane[:] = value
        self.label = np.zeros((self.height, self.width), np.uint8)
        self.part = np.zeros((self.height, self.width), np.uint8)
        self.unit = self.height / 256 / SAMPLES

    def box(self, points: Sequence[XY], reach: float) -> tuple[Place, Array, Array]:
        """Return the box around points, cut off at the image's edges, and x and y within it."""
        reach = reach + _MARGIN
        left = max(int(min(x for x, _ in points) - reach), 0)
        right = max(min(int(max(x for x, _ in points) + reach) + 1, self.width), left)
        top = max(int(min(y for _, y in points) - reach), 0)
        bottom = max(min(int(max(y for _, y in points) + reach) + 1, self.height), top)
        xs = np.arange(left, right, dtype=np.float32)[None, :] + 0.5
        ys = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5
        return (slice(top, bottom), slice(left, right)), xs, ys

    def tube(self, points: Sequence[XY], radii: Sequence[float], reach: float = 0) -> Field:
        """Return a limb around a line of points, with a radius at each; its ends are round."""
        place, xs, ys = self.box(points, max(radii) + reach)
        shape = (ys.shape[0], xs.shape[1])
        inside = np.full(shape, -1e6, np.float32)
        across, along = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        way = 0.0
        for (ax, ay), (bx, by), ra, rb in zip(points, points[1:], radii, radii[1:], strict=False):
            dx, dy = bx - ax, by - ay
            length = hypot(dx, dy)
            dx, dy = (dx / length, dy / length) if length > 1e-3 else (0.0, 1.0)
            length = max(length, 1e-3)
            px, py = xs - ax, ys - ay
            along_it = px * dx + py * dy
            on = np.clip(along_it, 0, length)
            side = py * dx - px * dy
            beyond = along_it - on
            radius = ra + on * ((rb - ra) / length)
            depth = radius - np.sqrt(side * side + beyond * beyond)
            better = depth > inside
            np.copyto(inside, depth, where=better)
            # Limbs point down: their left in the image is on the positive side.
            np.copyto(across, -side / radius, where=better)
            np.copyto(along, along_it + way, where=better)
            way = way + length
        return Field(place, inside, np.clip(across, -1, 1), along)

    def sheet(self, start: XY, end: XY, left: Array, right: Array, reach: float = 0) -> Field:
        """Return a shape along an axis, with tables of how far it goes to the left and right."""
        place, xs, ys = self.box((start, end), float(max(left.max(), right.max())) + reach)
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = hypot(dx, dy)
        dx, dy = dx / length, dy / length
        px, py = xs - start[0], ys - start[1]
        along = px * dx + py * dy
        side = px * dy - py * dx
        share = np.asarray(along / length, np.float32)
        to_left, to_right = lookup(left, share), lookup(right, share)
        inside = np.minimum(to_left + side, to_right - side)
        ends = np.minimum(along, length - along)
        inside = np.minimum(inside + np.minimum(ends, 0), ends)
        half = np.maximum((to_left + to_right) * 0.5, 0.5)
        middle = (to_right - to_left) * 0.5
        return Field(place, inside, np.clip((side - middle) / half, -1, 1), along)

    def paint(
        self,
        field: Field,
        colour: Array | Colour,
        label: str,
        part: int,
        *,
        inside: Array | None = None,
        edge: Array | float = 0.0,
        shadow: Array | float = 0.0,
    ) -> None:
        """Paint a shape: a soft shadow on what is below it, its colour, a darker outline."""
        depth = field.inside if inside is None else inside
        target = self.colour[:, *field.place]
        near = np.clip(depth / (4.0 * SAMPLES * self.unit) + 1, 0, 1)
        dark = near * near * shadow * (self.part[field.place] > 0)
        target *= 1 - dark.astype(np.float32)
        rim = np.clip(1.15 - depth / (1.0 * SAMPLES * self.unit), 0, 1)
        tone = 1 - (rim * edge).astype(np.float32)
        cover = np.clip(depth + 0.5, 0, 1)
        for plane, value in zip(target, colour, strict=True):
            plane += (value * tone - plane) * cover
        hit = cover >= 0.5
        self.label[field.place][hit] = LABEL[label]
        self.part[field.place][hit] = part

    def dot(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, *, opacity: float = 1.0,
        soft: float = 0.0, label: str = "",
    ) -> None:  # fmt: skip
        """Paint an ellipse onto what is there; labels stay, unless one is given."""
        if min(rx, ry) <= 0:
            return
        place, xs, ys = self.box(((x, y),), max(rx, ry))
        across, down = (xs - x) / rx, (ys - y) / ry
        far = np.sqrt(across * across + down * down)
        depth = (1 - far) * min(rx, ry)
        cover = np.clip(depth + 0.5, 0, 1)
        if soft > 0:
            cover = np.clip((1 - far) / soft, 0, 1)
        self._blend(place, cover * opacity, colour, label)

    def line(
        self, points: Sequence[XY], radii: Sequence[float], colour: Colour, *, opacity: float = 1.0,
        label: str = "",
    ) -> None:  # fmt: skip
        """Paint a stroke onto what is there; labels stay, unless one is given."""
        field = self.tube(points, radii)
        self._blend(field.place, np.clip(field.inside + 0.5, 0, 1) * opacity, colour, label)

    def _blend(self, place: Place, alpha: Array, colour: Colour, label: str) -> None:
        for plane, value in zip(self.colour[:, *place], colour, strict=True):
            plane += (value - plane) * alpha
        if label:
            self.label[place][alpha >= 0.5] = LABEL[label]

    def reduced(self) -> NDArray[np.uint8]:
        """Return the image, ``(H, W, 3)`` uint8: the mean of each pixel's sub-pixels, rounded."""
        rows = self.colour[:, 0::SAMPLES]
        for offset in range(1, SAMPLES):
            rows = rows + self.colour[:, offset::SAMPLES]
        total = rows[:, :, 0::SAMPLES]
        for offset in range(1, SAMPLES):
            total = total + rows[:, :, offset::SAMPLES]
        mean = np.floor(total / (SAMPLES * SAMPLES) + 0.5)
        return np.ascontiguousarray(np.clip(mean, 0, 255).astype(np.uint8).transpose(1, 2, 0))

    def middles(self, grid: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return what lies in the middle of each pixel."""
        start = SAMPLES // 2
        return np.ascontiguousarray(grid[start::SAMPLES, start::SAMPLES])
