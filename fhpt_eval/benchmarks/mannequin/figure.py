"""A person in a pose on a canvas, and what painting any part of them needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fhpt_eval.benchmarks.mannequin.canvas import XY, Canvas
from fhpt_eval.benchmarks.mannequin.exact import Array, cos, hypot, sin, smooth_table
from fhpt_eval.benchmarks.mannequin.identity import Colour, Person
from fhpt_eval.benchmarks.mannequin.pose import Point, Pose

#: Numbers of the parts, by which occlusion is decided.
TORSO, HEAD, RIGHT_ARM, LEFT_ARM, RIGHT_LEG, LEFT_LEG, LOWER, HAIR = range(1, 9)
#: Where the axis of the trunk ends, and the waist, in heights of the body below the neck.
TRUNK, WAIST, HIP = 0.4, 0.215, 0.335

Row = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A person in a pose on a canvas; ``scale`` is the body's height in sub-pixels."""

    canvas: Canvas
    person: Person
    pose: Pose
    scale: float
    origin: XY

    def place(self, point: Point) -> XY:
        """Return where a point of the camera's axes lies, in sub-pixels."""
        x, y, _ = point
        return self.origin[0] + x * self.scale, self.origin[1] + y * self.scale

    def joint(self, number: int) -> XY:
        """Return where a joint lies, in sub-pixels."""
        return self.place(self.pose.joints[number])


def silhouette(rows: Sequence[Row], yaw: float, scale: float) -> tuple[Array, Array]:
    """Return how far ellipses reach to the left and right when they are turned.

    A row has its place, half the width, and the depth to the front and to the back.
    """
    c, s = cos(yaw), sin(yaw)
    left, right = [], []
    for place, wide, front, back in rows:
        to_right, to_left = (front, back) if s > 0 else (back, front)
        left.append((place, hypot(wide * c, to_left * s) * scale))
        right.append((place, hypot(wide * c, to_right * s) * scale))
    return smooth_table(left), smooth_table(right)


def shaded(colours: Array, across: Array) -> Array:
    """Darken what turns away from the light, which comes from the upper left."""
    away = across * 0.5 + 0.5
    square = across * across
    tone = 1.05 - 0.2 * away * away - 0.1 * square * square
    return colours * tone


def flat(colour: Colour, across: Array) -> Array:
    """Return one colour everywhere, shaded."""
    return shaded(np.array(colour, np.float32)[:, None, None] + np.zeros_like(across), across)


def panels(angle: Array, radius: float) -> Array:
    """Return places around a body: cloth has a front and a back, with seams at the sides."""
    half = 1.5707964
    back = np.abs(angle) > half
    turned = np.where(angle > 0, angle - 3.1415927, angle + 3.1415927)
    return np.where(back, turned, angle) * radius


def folded(colours: Array, s: Array, t: Array, middle: float, reach: float, much: float) -> Array:
    """Return colours that are darker in slanting folds around a height."""
    near = np.clip(1 - np.abs(t - middle) / reach, 0, 1)
    wave = t * 0.34 + s * 0.16
    wave = np.abs(wave - np.floor(wave) - 0.5) * 2
    dark: Array = colours * (1 - near * np.clip(wave * 2.4 - 1.3, 0, 1) * much)
    return dark


def garment_label(figure: Figure) -> str:
    """Return the label of the upper garment, by :data:`~.canvas.LABELS`."""
    return "dress" if figure.person.top.kind == "dress" else "upper_clothes"
