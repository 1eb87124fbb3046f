"""Neck and trunk, with what is worn there: the upper garment, skirts, collars."""

from __future__ import annotations

import numpy as np

from fhpt_eval.benchmarks.mannequin import textures
from fhpt_eval.benchmarks.mannequin.canvas import XY
from fhpt_eval.benchmarks.mannequin.exact import Array, hypot
from fhpt_eval.benchmarks.mannequin.figure import (
    HIP,
    LOWER,
    TORSO,
    TRUNK,
    WAIST,
    Figure,
    Row,
    flat,
    folded,
    garment_label,
    panels,
    shaded,
    silhouette,
)
from fhpt_eval.benchmarks.mannequin.identity import Person

_LEG = 0.465


def _rows(person: Person) -> list[Row]:
    b, wide, hips = person.build, person.shoulders, person.hips * (0.5 + 0.5 * person.build)
    chest = (0.077 if person.woman else 0.09) * b
    waist = (0.058 if person.woman else 0.073) * b
    bust = 0.066 if person.woman else 0.055
    return [
        (0.0, 0.026, 0.022, 0.03),
        (0.012, 0.036, 0.026, 0.036),
        (0.022, wide * 0.66, 0.034, 0.044),
        (0.036, wide * 1.0, 0.042, 0.05),
        (0.056, wide * 1.06, 0.048, 0.052),
        (0.1, (chest + wide) / 2, bust * b, 0.05 * b),
        (0.13, chest, bust * b, 0.046 * b),
        (WAIST, waist, 0.046 * b, 0.036 * b),
        (0.28, hips * 0.93, 0.052 * b, 0.05 * b),
        (HIP, hips, 0.05 * b, 0.062 * b),
        (0.372, hips * 0.97, 0.046 * b, 0.058 * b),
        (TRUNK, hips * 0.8, 0.03, 0.036),
    ]


def _axis(figure: Figure) -> tuple[XY, XY]:
    x, y, z = figure.pose.pelvis
    grow = TRUNK / y
    return figure.place((0.0, 0.0, 0.0)), figure.place((x * grow, TRUNK, z))


def neck(figure: Figure) -> None:
    """Paint the neck."""
    size, canvas = figure.scale, figure.canvas
    top = figure.place((figure.pose.head[0], figure.pose.head[1] + 0.03, 0.0))
    low = figure.place((0.0, 0.04, 0.0))
    wide = (0.023 if figure.person.woman else 0.029) * figure.person.build * size
    field = canvas.tube([top, low], [wide, wide * 1.15])
    skin = flat(figure.person.skin, field.across)
    skin = skin * (0.86 + np.clip(field.along / (0.09 * size), 0, 1) * 0.14)
    canvas.paint(field, skin, "neck", TORSO, edge=0.4)


def trunk(figure: Figure) -> None:
    """Paint the trunk's skin, and the lower garment where it covers the hips."""
    size, canvas, person = figure.scale, figure.canvas, figure.person
    left, right = silhouette(_rows(person), figure.pose.yaw, size)
    start, end = _axis(figure)
    field = canvas.sheet(start, end, left, right, 0.02 * size)
    edge = np.clip(field.along / (0.05 * size) - 0.4, 0, 1) * 0.4
    skin = flat(person.skin, field.across)
    canvas.paint(field, skin, "torso_skin", TORSO, edge=edge)
    if person.bottom.kind in ("trousers", "jeans", "shorts"):
        inside = np.minimum(field.inside + (person.bottom.ease * 0.7 * size),
                            field.along - ((WAIST + 0.025) * size))  # fmt: skip
        s = panels(field.angle(figure.pose.yaw), 7.5)
        t = field.along * (100 / size)
        colours = shaded(textures.cloth(person.bottom.texture, s, t), field.across)
        near_crotch = np.clip(1 - np.abs(field.across) * 9, 0, 1) * np.clip((t - 33) / 5, 0, 1)
        colours = colours * (1 - near_crotch * 0.3)
        fade = np.clip((0.33 * size - field.along) / (0.03 * size), 0, 1) * 0.5
        canvas.paint(field, colours, "trousers", LOWER, inside=inside, edge=fade)
    elif person.bottom.kind in ("skirt", "dress"):
        _skirt(figure, start, end)


def _skirt(figure: Figure, start: XY, end: XY) -> None:
    person, size, canvas = figure.person, figure.scale, figure.canvas
    bottom, yaw = person.bottom, figure.pose.yaw
    long = HIP - WAIST + _LEG * bottom.length
    share = WAIST / TRUNK
    begin = (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)
    finish = (begin[0] + (end[0] - start[0]) * 0.4, begin[1] + long * size)
    hips = person.hips * (0.5 + 0.5 * person.build) + bottom.ease + 0.004
    waist = (0.062 if person.woman else 0.075) * person.build
    wide = hips * (0.94 if bottom.flare < 0.02 else 1.02) + bottom.flare
    fall = HIP - WAIST
    rows: list[Row] = [
        (0.0, waist, 0.048, 0.04),
        (fall * 0.6, hips * 0.95, 0.056, 0.058),
        (fall, hips, 0.056, 0.068),
        (long, wide, 0.056 + bottom.flare, 0.062 + bottom.flare),
    ]
    left, right = silhouette(rows, yaw, size)
    left, right = _over_knees(figure, finish[0], left, right)
    field = canvas.sheet(begin, finish, left, right, 0.03 * size)
    angle = field.angle(yaw)
    curve = (field.across * field.across) * (0.012 * size)
    length = hypot(finish[0] - begin[0], finish[1] - begin[1])
    inside = np.minimum(field.inside, length - field.along - curve)
    s, t = panels(angle, 8.0), field.along * (100 / size)
    colours = textures.cloth(bottom.texture, s, t + 21.5)
    pleats = angle * 3.2
    pleats = np.abs(pleats - np.floor(pleats) - 0.5) * 2
    deep = np.clip(t / (long * 100), 0, 1) * (0.1 + bottom.flare * 3)
    colours = shaded(colours * (1 - np.clip(pleats * 2 - 1, 0, 1) * deep), field.across)
    label = "dress" if bottom.kind == "dress" else "skirt"
    canvas.paint(field, colours, label, LOWER, inside=inside, edge=0.5, shadow=0.3)


def _over_knees(figure: Figure, middle: float, left: Array, right: Array) -> tuple[Array, Array]:
    """Widen a skirt so that the knees stay below it."""
    steps = np.linspace(0, 1, len(left), dtype=np.float32)
    for number in (9, 12):
        away = figure.joint(number)[0] - middle
        reach = abs(away) + 0.04 * figure.scale * min(figure.person.bottom.length / 0.4, 1)
        table = right if away > 0 else left
        more = max(reach - float(table[-1]), 0.0) * min(figure.person.bottom.length / 0.56, 1.0)
        if away > 0:
            right = right + steps * more
        else:
            left = left + steps * more
    return left, right


def _neckline(collar: str, angle: Array) -> Array:
    """Return how far below the neck a garment begins, around the body, in heights of the body."""
    away = np.abs(angle)
    front = np.clip(1 - away / 1.2, 0, 1)
    if collar in ("v", "shirt", "lapel"):
        deep = {"v": 0.085, "shirt": 0.04, "lapel": 0.0}[collar]
        return 0.018 + np.clip(1 - away / 0.62, 0, 1) * deep
    if collar == "scoop":
        return 0.03 + np.clip(front * 2, 0, 1) * 0.05
    if collar in ("turtle", "hood"):
        return np.full_like(away, -0.01)
    return 0.02 + np.clip(front * 1.8, 0, 1) * 0.02


def top(figure: Figure) -> None:
    """Paint the upper garment on the trunk."""
    person, size, canvas = figure.person, figure.scale, figure.canvas
    garment, yaw = person.top, figure.pose.yaw
    left, right = silhouette(_rows(person), yaw, size)
    start, end = _axis(figure)
    field = canvas.sheet(start, end, left, right, 0.03 * size)
    angle = field.angle(yaw)
    down = field.along * (1 / size)
    fitted = 0.35 if garment.kind in ("dress", "tank") else 1.0
    waist = np.clip(1 - np.abs(down - (WAIST + 0.02)) / 0.13, 0, 1)
    high = np.clip((down - 0.01) / 0.03, 0.25, 1)
    ease = high * (garment.ease * size) + waist * (garment.ease * fitted * 1.4 * size)
    curve = (1 - field.across * field.across) * 0.008
    hem = ((WAIST + garment.length) + curve - down) * size
    neckline = (down - _neckline(garment.collar, angle)) * size
    inside = np.minimum(np.minimum(field.inside + ease, hem), neckline)
    if garment.sleeve == 0:  # free shoulders
        bare = np.clip((0.12 - down) / 0.09, 0, 1)
        inside = np.minimum(inside, field.inside - bare * (0.032 * size))
    s, t = panels(angle, 7.5), down * 100
    colours = textures.cloth(garment.texture, s, t)
    colours = _details(figure, colours, angle, s, t, neckline, hem)
    colours = folded(shaded(colours, field.across), s, t, 21, 9, 0.16)
    fade = np.clip(field.along / (0.06 * size) - 0.5, 0, 1)
    if garment.kind == "dress":
        fade = fade * np.clip(hem / (0.02 * size), 0, 1)
    canvas.paint(field, colours, garment_label(figure), TORSO, inside=inside, edge=fade * 0.5,
                 shadow=fade * 0.25)  # fmt: skip
    _collar(figure)


def _details(
    figure: Figure, colours: Array, angle: Array, s: Array, t: Array, neckline: Array, hem: Array
) -> Array:
    garment, size = figure.person.top, figure.scale
    front = (np.abs(angle) < 1.5).astype(np.float32)
    if garment.front == "open":
        colours = _jacket(figure, colours, s, t, front)
    if garment.kind in ("sweater", "hoodie"):
        colours = textures.mix(colours, garment.trim, np.clip(0.022 * size - hem, 0, 1))
    if garment.collar in ("crew", "v", "scoop"):
        colours = textures.mix(colours, garment.trim, np.clip(0.011 * size - neckline, 0, 1))
    if garment.front == "buttons":
        placket = textures.band(np.abs(s), 0.95, 1.12, 0.15) * front
        colours = colours * (1 - placket * 0.22)
        rows = t / 4.2
        y = (rows - np.floor(rows) - 0.5) * 4.2
        far = np.sqrt(s * s + y * y)
        colours = textures.mix(colours, garment.trim, np.clip((0.62 - far) * 4, 0, 1) * front)
    if garment.front == "zip":
        line = textures.band(np.abs(s), -1, 0.28, 0.2) * front
        colours = textures.mix(colours, (196, 196, 200), line)
    return _decorated(figure, colours, s, t, front)


def _decorated(figure: Figure, colours: Array, s: Array, t: Array, front: Array) -> Array:
    garment = figure.person.top
    kind, trim, salt = garment.decoration, garment.trim, garment.texture.salt
    third = garment.texture.colours[2 if trim == garment.texture.colours[1] else 1]
    if kind == "letters":
        size = 5.4 if len(garment.word) < 4 else 4.4
        low = 15.0 if garment.collar in ("v", "scoop") else 12.5
        cover = textures.letters(garment.word, s, t - low, size) * front
        colours = textures.mix(colours, trim, cover)
    elif kind == "emblem":
        disc, inner = textures.emblem(s, t - 13, 4.2, salt)
        colours = textures.mix(textures.mix(colours, trim, disc * front), third, inner * front)
    elif kind == "logo":
        disc, inner = textures.emblem(s - 4.2, t - 9, 1.5, salt)
        colours = textures.mix(textures.mix(colours, trim, disc * front), third, inner * front)
    elif kind == "pocket":
        x, y = np.abs(s - 4.4), t - 11.5
        box = np.maximum(x - 1.8, np.maximum(-2.1 - y, y - 2.1))
        line = textures.band(box, -0.35, 0.05, 0.2) * front
        flap = textures.band(box, -9, 0, 0.2) * textures.band(y, -3, -1.2, 0.2) * front
        colours = textures.mix(colours * (1 - line * 0.3), trim, flap)
    return colours


def _jacket(figure: Figure, colours: Array, s: Array, t: Array, front: Array) -> Array:
    """Lay what is worn below an open jacket, and its lapels, over the jacket's cloth."""
    garment = figure.person.top
    half = np.clip(3.6 - np.abs(t - 14) * 0.05, 1, 4)
    away = np.abs(s)
    shirt = np.clip((half - away) * 3 + 0.5, 0, 1) * front
    bare = np.clip((2.2 - away - (t - 1) * 0.42) * 3, 0, 1) * front
    wide = half + np.clip(3.2 - np.abs(t - 7.5) * 0.42, 0, 3)
    lapel = np.clip((wide - away) * 3 + 0.5, 0, 1) * front
    line = textures.band(away - wide, -0.3, 0.1, 0.2) * front * lapel
    colours = textures.mix(colours, garment.trim, lapel * 0.55) * (1 - line * 0.4)
    colours = textures.mix(colours, (240, 238, 232), shirt)
    return textures.mix(colours, figure.person.skin, bare)


def _collar(figure: Figure) -> None:
    garment, size = figure.person.top, figure.scale
    if garment.collar not in ("turtle", "hood", "shirt", "lapel"):
        return
    rise, wide = {"turtle": (0.035, 0.031), "hood": (0.012, 0.046)}.get(
        garment.collar, (0.01, 0.036)
    )
    wide = wide * figure.person.build
    x = figure.pose.head[0] * 0.3
    high, low = figure.place((x, -rise, 0.0)), figure.place((0.0, 0.018, 0.0))
    field = figure.canvas.tube([high, low], [wide * size, wide * 1.1 * size])
    angle = np.abs(field.angle(figure.pose.yaw))
    over = field.along + (0.01 * size)
    inside = np.minimum(field.inside, over)
    if garment.collar != "turtle":  # open at the front
        gap = 0.035 - np.clip(1 - angle / 1.3, 0, 1) * 0.07
        inside = np.minimum(inside, gap * size)
        inside = np.minimum(inside, (0.028 * size) - field.along)
    colour = garment.trim if garment.collar != "turtle" else garment.texture.colours[0]
    colours = flat(colour, field.across)
    figure.canvas.paint(field, colours, garment_label(figure), TORSO, inside=inside, edge=0.55)
