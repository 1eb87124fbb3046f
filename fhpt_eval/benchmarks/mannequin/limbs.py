"""Arms and legs, with sleeves, trouser legs, hands and shoes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from fhpt_eval.benchmarks.mannequin import textures
from fhpt_eval.benchmarks.mannequin.canvas import XY, Field
from fhpt_eval.benchmarks.mannequin.exact import Array, hypot
from fhpt_eval.benchmarks.mannequin.figure import (
    LEFT_ARM,
    LEFT_LEG,
    RIGHT_ARM,
    RIGHT_LEG,
    Figure,
    flat,
    folded,
    garment_label,
    panels,
    shaded,
)


def _bent(a: XY, b: XY, c: XY) -> list[XY]:
    """Return a line through two bones that is round at the joint between them."""

    def between(p: XY, q: XY, share: float) -> XY:
        return p[0] + (q[0] - p[0]) * share, p[1] + (q[1] - p[1]) * share

    before, after = between(a, b, 0.84), between(b, c, 0.16)
    round_ = between(between(before, after, 0.5), b, 0.6)
    return [a, between(a, b, 0.45), before, round_, after, between(b, c, 0.42), c]


def arm(figure: Figure, right: bool) -> None:
    """Paint an arm, its hand and its sleeve."""
    person, canvas, size = figure.person, figure.canvas, figure.scale
    first = 2 if right else 5
    shoulder, elbow, wrist = (figure.joint(first + k) for k in range(3))
    hand = figure.place(figure.pose.hands[0 if right else 1])
    part, label = (RIGHT_ARM, "right_arm") if right else (LEFT_ARM, "left_arm")
    thick = person.build * size
    _hand(figure, wrist, hand, label, part)
    radii = [r * thick for r in (0.0235, 0.0265, 0.0225, 0.022, 0.022, 0.0205, 0.014)]
    points = _bent(shoulder, elbow, wrist)
    field = canvas.tube(points, radii, 0.02 * size)
    fade = np.clip(field.along / (0.075 * size) - 0.25, 0, 1)
    skin = flat(person.skin, field.across)
    canvas.paint(field, skin, label, part, edge=fade * 0.42, shadow=fade * 0.3)
    if person.top.sleeve > 0:
        _sleeve(figure, field, _way(points), fade, part)


def _sleeve(figure: Figure, field: Field, way: float, fade: Array, part: int) -> None:
    top, size = figure.person.top, figure.scale
    long = way * top.sleeve
    share = field.along / max(long, 1)
    loose = 0.5 if top.kind == "dress" and top.sleeve == 0.6 else 0.0
    ease = (top.ease * 0.75 * size) + np.clip(share, 0, 1) * (loose * 0.03 * size)
    curve = (1 - field.across * field.across) * (0.006 * size)
    hem = long + curve - field.along
    inside = np.minimum(field.inside + ease, hem)
    angle = field.angle(figure.pose.yaw)
    s, t = panels(angle, 2.9), field.along * (100 / size)
    colours = textures.cloth(top.texture, s, t + 3)
    if top.kind in ("sweater", "hoodie", "jacket") or top.sleeve < 0.5:
        cuff = np.clip((0.016 * size - hem) + 0.5, 0, 1)
        colours = textures.mix(colours, top.trim, cuff)
    colours = folded(shaded(colours, field.across), s, t, 15, 6, 0.2)
    canvas = figure.canvas
    canvas.paint(field, colours, garment_label(figure), part, inside=inside,
                 edge=fade * 0.5, shadow=fade * 0.3)  # fmt: skip


def _hand(figure: Figure, wrist: XY, end: XY, label: str, part: int) -> None:
    size, skin = figure.scale, figure.person.skin
    dx, dy = end[0] - wrist[0], end[1] - wrist[1]
    middle = (wrist[0] + dx * 0.5, wrist[1] + dy * 0.5)
    inward = 1.0 if (figure.origin[0] > wrist[0]) else -1.0
    thumb = (wrist[0] + dx * 0.55 + inward * 0.016 * size, wrist[1] + dy * 0.55)
    for points, radii in (
        ([wrist, thumb], [0.009, 0.006]),
        ([wrist, middle, (end[0] + dx * 0.25, end[1] + dy * 0.25)], [0.012, 0.0155, 0.007]),
    ):
        field = figure.canvas.tube(points, [r * size for r in radii])
        colours = flat(skin, field.across)
        figure.canvas.paint(field, colours, label, part, edge=0.42, shadow=0.25)


def leg(figure: Figure, right: bool) -> None:
    """Paint a leg, its trouser leg and its shoe."""
    person, size = figure.person, figure.scale
    first = 8 if right else 11
    hip, knee, ankle = (figure.joint(first + k) for k in range(3))
    part, label = (RIGHT_LEG, "right_leg") if right else (LEFT_LEG, "left_leg")
    thick = person.build * size
    radii = [r * thick for r in (0.047, 0.043, 0.033, 0.031, 0.031, 0.032, 0.0175)]
    points = _bent(hip, knee, ankle)
    field = figure.canvas.tube(points, radii, 0.04 * size)
    if figure.pose.half is False:
        _shoe(figure, ankle, right, part)
    colours = flat(person.skin, field.across)
    figure.canvas.paint(field, colours, label, part, edge=0.42, shadow=0.25)
    if person.shoes == "boot":
        _boot(figure, field, points, right, part)
    if person.bottom.kind in ("trousers", "jeans", "shorts"):
        _trouser_leg(figure, field, points, part)


def _way(points: Sequence[XY]) -> float:
    """Return the way along a limb that is seen, so that a sleeve shortens with its arm."""
    total = 0.0  # not the sum of the standard library, whose last bit depends on its version
    for p, q in pairwise(points):
        total = total + hypot(q[0] - p[0], q[1] - p[1])
    return total


def _boot(figure: Figure, field: Field, points: Sequence[XY], right: bool, part: int) -> None:
    long = _way(points)
    inside = np.minimum(field.inside + (0.006 * figure.scale), field.along - (long * 0.82))
    colours = flat(figure.person.shoe_colour, field.across)
    label = "right_shoe" if right else "left_shoe"
    figure.canvas.paint(field, colours, label, part, inside=inside, edge=0.5)


def _trouser_leg(figure: Figure, field: Field, points: Sequence[XY], part: int) -> None:
    bottom, size = figure.person.bottom, figure.scale
    long = _way(points)
    share = np.clip(field.along / long, 0, 1)
    ease = (bottom.ease * size) + share * share * ((bottom.flare + 0.006) * size)
    curve = (1 - field.across * field.across) * (0.006 * size)
    hem = (long * bottom.length) + curve - field.along
    inside = np.minimum(field.inside + ease, hem)
    s, t = panels(field.angle(figure.pose.yaw), 4.0), field.along * (100 / size)
    colours = textures.cloth(bottom.texture, s, t + 7)
    if bottom.kind == "jeans":
        worn = np.clip(1 - np.abs(t - 17) / 9, 0, 1) * (1 - np.abs(field.across))
        colours = textures.mix(colours, (214, 222, 232), worn * 0.3)
        seam = textures.band(np.abs(field.across), 0.72, 0.79, 0.06)
        colours = textures.mix(colours, (196, 150, 90), seam * 0.35)
    colours = folded(shaded(colours, field.across), s, t, 24, 9, 0.22)
    figure.canvas.paint(field, colours, "trousers", part, inside=inside, edge=0.5, shadow=0.3)


def _shoe(figure: Figure, ankle: XY, right: bool, part: int) -> None:
    person, size = figure.person, figure.scale
    toe = figure.place(figure.pose.toes[0 if right else 1])
    label = "right_shoe" if right else "left_shoe"
    dx, dy = toe[0] - ankle[0], toe[1] - ankle[1]
    heel = (ankle[0] - dx * 0.28, ankle[1] + 0.024 * size)
    middle = (ankle[0] + dx * 0.4, ankle[1] + dy * 0.55)
    colour = person.shoe_colour
    if person.shoes == "flat":  # what a low shoe leaves free
        field = figure.canvas.tube([ankle, middle, toe], [0.017 * size, 0.018 * size, 0.011 * size])
        skin = flat(person.skin, field.across)
        figure.canvas.paint(field, skin, "right_leg" if right else "left_leg", part, edge=0.4)
    field = figure.canvas.tube(
        [heel, middle, toe], [0.018 * size, 0.02 * size, 0.0165 * size], 0.01 * size
    )
    low = (0.012 * size) if person.shoes == "flat" else (-0.002 * size)
    ys = np.arange(field.inside.shape[0], dtype=np.float32)[:, None] + field.place[0].start
    sole = max(heel[1], toe[1]) + 0.013 * size
    inside = np.minimum(field.inside, np.minimum(ys - ankle[1] - low, sole - ys))
    colours = flat(colour, field.across)
    if person.shoes == "sneaker":
        white = np.clip(ys - (sole - 0.011 * size) + 0.5, 0, 1) + np.zeros_like(inside)
        colours = textures.mix(colours, (244, 244, 240), white)
        lace = textures.band(np.abs(field.along - (0.04 * size)), -1, 0.006 * size, 1.0)
        colours = textures.mix(colours, (244, 244, 240), lace * 0.7)
    figure.canvas.paint(field, colours, label, part, inside=inside, edge=0.55, shadow=0.2)
