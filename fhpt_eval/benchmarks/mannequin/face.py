"""The head: its shape, a face that tells people apart, and hair.

Places on the head are an angle around it (0 at the face's middle, positive to the person's left)
and a share of its height from the crown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fhpt_eval.benchmarks.mannequin.canvas import XY, Field
from fhpt_eval.benchmarks.mannequin.exact import Array, cos, sin
from fhpt_eval.benchmarks.mannequin.figure import HAIR, HEAD, Figure, Row, flat, shaded, silhouette
from fhpt_eval.benchmarks.mannequin.identity import Colour, Person
from fhpt_eval.benchmarks.mannequin.textures import band, mix

_TALL = 0.136
_WIDE = 0.047


@dataclass(frozen=True, slots=True)
class Head:
    """Where a head is: its crown and chin in sub-pixels, its turn, and its size in sub-pixels."""

    crown: XY
    chin: XY
    yaw: float
    tall: float
    wide: float
    rows: tuple[Row, ...]

    def place(self, angle: float, down: float, out: float = 1.0) -> XY:
        """Return where a place on the head lies, in sub-pixels."""
        wide, front, back = self._girth(down)
        side, ahead = wide * sin(angle), cos(angle)
        ahead = ahead * (front if ahead > 0 else back)
        x = (side * cos(self.yaw) + ahead * sin(self.yaw)) * self.wide * out
        dx, dy = (self.chin[0] - self.crown[0]), (self.chin[1] - self.crown[1])
        return (
            self.crown[0] + dx * down + x * dy / self.tall,
            self.crown[1] + dy * down - x * dx / self.tall,
        )

    def facing(self, angle: float) -> float:
        """Return how much a place faces the viewer: 1 fully, 0 at the outline, negative behind."""
        return cos(angle + self.yaw)

    def _girth(self, down: float) -> tuple[float, float, float]:
        for low, high in zip(self.rows, self.rows[1:], strict=False):
            if down <= high[0]:
                share = max((down - low[0]) / (high[0] - low[0]), 0.0)
                a, b, c = (p + (q - p) * share for p, q in zip(low[1:], high[1:], strict=True))
                return a, b, c
        return self.rows[-1][1:]


def head_of(figure: Figure) -> Head:
    """Return where the head is."""
    person, pose = figure.person, figure.pose
    tall = _TALL * person.head * figure.scale
    x, y = figure.place(pose.head)
    tilt = pose.head_tilt
    dx, dy = sin(tilt) * tall / 2, cos(tilt) * tall / 2
    wide, jaw = person.face.width, person.face.jaw
    rows: tuple[Row, ...] = (
        (0.0, 0.2, 0.2, 0.24),
        (0.03, 0.42, 0.45, 0.5),
        (0.09, 0.68, 0.74, 0.86),
        (0.18, 0.87, 0.94, 1.1),
        (0.3, 0.97, 1.04, 1.24),
        (0.44, 1.0, 1.04, 1.26),
        (0.56, 0.98, 1.04, 1.16),
        (0.68, 0.93, 1.03, 0.9),
        (0.79, 0.8 * jaw, 1.02, 0.6),
        (0.89, 0.6 * jaw, 0.99, 0.3),
        (0.96, 0.36 * jaw, 0.88, 0.0),
        (1.0, 0.12, 0.6, -0.2),
    )
    return Head((x - dx, y - dy), (x + dx, y + dy), pose.head_yaw, tall,
                _WIDE * person.head * wide * figure.scale, rows)  # fmt: skip


def head(figure: Figure, place: Head) -> None:
    """Paint head, ears, face and the hair on the head."""
    person, canvas = figure.person, figure.canvas
    left, right = silhouette(place.rows, place.yaw, place.wide)
    field = canvas.sheet(place.crown, place.chin, left, right, place.wide * 0.7)
    ears = [side for side in (-1.0, 1.0) if place.facing(side * 1.57) > -0.75]
    for side in ears:
        if place.facing(side * 1.57) <= 0.25:
            _ear(figure, place, side)
    down = field.along * (1 / place.tall)
    angle = field.angle(place.yaw)
    plain = np.array(person.skin, np.float32)[:, None, None] + np.zeros_like(angle)
    skin = _beard(person, plain, angle, down)
    soft = np.clip((down - 0.86) / 0.2, 0, 1) * 0.14
    canvas.paint(field, shaded(skin, field.across) * (1 - soft), "face", HEAD, edge=0.4,
                 shadow=0.25)  # fmt: skip
    if place.facing(0.0) > -0.4:
        _features(figure, place)
    for side in ears:
        if place.facing(side * 1.57) > 0.25:
            _ear(figure, place, side)
    _cap(figure, field, angle, down, place)
    if person.face.glasses != "none" and place.facing(0.0) > -0.25:
        _glasses(figure, place)


def darker(colour: Colour, share: float) -> Colour:
    """Return a colour that is darker by a share."""
    r, g, b = (int(value * (1 - share)) for value in colour)
    return r, g, b


def _beard(person: Person, skin: Array, angle: Array, down: Array) -> Array:
    kind = person.face.beard
    away = np.abs(angle)
    if kind in ("full", "stubble"):
        line = 0.7 - np.clip((away - 0.5) / 0.9, 0, 1) * 0.2
        cover = np.clip((down - line) * 18, 0, 1) * np.clip((1.6 - away) * 6, 0, 1)
        return mix(skin, person.hair_colour, cover * (0.9 if kind == "full" else 0.28))
    if kind == "goatee":
        cover = np.clip((0.42 - away) * 8, 0, 1) * np.clip((down - 0.72) * 18, 0, 1)
        return mix(skin, person.hair_colour, cover * 0.88)
    if kind == "moustache":
        cover = band(away, -1, 0.4, 0.1) * band(down, 0.705, 0.755, 0.03)
        return mix(skin, person.hair_colour, cover * 0.9)
    return skin


def _ear(figure: Figure, head: Head, side: float) -> None:
    if figure.person.hair in ("long", "bob", "wavy"):
        return
    seen = abs(head.facing(side * 1.57))
    x, y = head.place(side * 1.6, 0.6, 1.02)
    wide = head.wide * (0.12 + 0.16 * max(seen, 0.1))
    canvas, skin = figure.canvas, figure.person.skin
    canvas.dot(x, y, wide * 1.15, head.tall * 0.098, darker(skin, 0.3), label="face")
    canvas.dot(x, y, wide * 0.9, head.tall * 0.085, skin, label="face")
    canvas.dot(x, y, wide * 0.4, head.tall * 0.045, darker(skin, 0.2))


def _features(figure: Figure, head: Head) -> None:
    face = figure.person.face
    for side in (-1.0, 1.0):
        angle = side * 0.43 * face.eye_gap
        if head.facing(angle) > 0.08:
            _eye(figure, head, angle, side)
    _nose(figure, head)
    _mouth(figure, head)


def _eye(figure: Figure, head: Head, angle: float, side: float) -> None:
    person, canvas = figure.person, figure.canvas
    face, unit = person.face, head.wide
    seen = max(head.facing(angle), 0.3)
    x, y = head.place(angle, 0.52)
    wide, high = unit * 0.235 * face.eye_size * seen, unit * 0.12 * face.eye_size
    cheek = head.place(angle * 1.1, 0.69)
    blush = (226, 120, 110) if sum(person.skin) > 400 else darker(person.skin, 0.1)
    canvas.dot(*cheek, unit * 0.3 * seen, unit * 0.22, blush, opacity=0.28, soft=1.0)
    canvas.dot(x, y - high * 0.25, wide * 1.22, high * 1.35, darker(person.skin, 0.3), opacity=0.8)
    canvas.dot(x, y, wide, high, (250, 250, 248))
    gaze = sin(angle + head.yaw) * wide * 0.25
    canvas.dot(x + gaze, y, min(high * 0.95, wide), high * 0.98, face.eye_colour)
    canvas.dot(x + gaze, y, min(high * 0.48, wide), high * 0.5, (18, 14, 16))
    canvas.dot(x + gaze - high * 0.3, y - high * 0.3, high * 0.22, high * 0.22, (255, 255, 255))
    lid = unit * (0.05 if person.woman else 0.034)
    corners = [
        (x - wide * 1.15, y - high * 0.1),
        (x, y - high * 1.08),
        (x + wide * 1.15, y - high * 0.1),
    ]
    canvas.line(corners, [lid * 0.7, lid, lid * 0.7], (34, 26, 26))
    inner, outer = head.place(angle - side * 0.26, 0.425), head.place(angle + side * 0.3, 0.43)
    middle = head.place(angle, 0.4)
    tilt = face.brow_tilt * unit * 0.3
    width = unit * 0.05 * face.brow
    brow = darker(person.hair_colour, 0.25)
    canvas.line([(inner[0], inner[1] + tilt), middle, (outer[0], outer[1] - tilt * 0.4)],
                [width, width * 0.9, width * 0.45], brow)  # fmt: skip


def _nose(figure: Figure, head: Head) -> None:
    canvas, skin, unit = figure.canvas, figure.person.skin, head.wide
    size = figure.person.face.nose
    turned = sin(head.yaw)
    out = 1.0 + 0.2 * size
    root, tip = head.place(0.0, 0.5), head.place(0.0, 0.67, out)
    base = head.place(0.0, 0.715)
    dark = darker(skin, 0.26)
    if abs(turned) > 0.3:
        radii = [unit * 0.06, unit * 0.12 * size, unit * 0.07]
        canvas.line([root, tip, base], radii, darker(skin, 0.06), label="face")
    side = 1.0 if turned >= 0 else -1.0
    if abs(turned) < 0.95:
        shade = [
            (root[0] + side * unit * 0.05, root[1]),
            (tip[0] + side * unit * 0.1 * size, tip[1]),
        ]
        canvas.line(shade, [unit * 0.025, unit * 0.04], dark, opacity=0.55)
    wide = unit * 0.15 * size * max(head.facing(0.0), 0.25)
    canvas.line([(base[0] - wide, base[1]), (base[0], base[1] + unit * 0.05),
                 (base[0] + wide, base[1])], [unit * 0.035] * 3, dark)  # fmt: skip


def _mouth(figure: Figure, head: Head) -> None:
    person, canvas, unit = figure.person, figure.canvas, head.wide
    face = person.face
    reach = 0.36 * face.mouth
    points = [head.place(a, 0.82 - 0.014 * (a != 0), 1.0) for a in (-reach, 0.0, reach)]
    if head.facing(reach) < 0 or head.facing(-reach) < 0:  # the far corner is behind the lips
        points = [points[0] if head.facing(-reach) > 0 else points[1], points[1],
                  points[2] if head.facing(reach) > 0 else points[1]]  # fmt: skip
    full = unit * (0.085 if person.woman else 0.06)
    lips = face.lips if person.woman else darker(person.skin, 0.22)
    raised = [(x, y - unit * 0.03) for x, y in points]
    lowered = [(x, y + unit * 0.055) for x, y in points]
    canvas.line(raised, [full * 0.3, full * 0.8, full * 0.3], darker(lips, 0.1))
    canvas.line(lowered, [full * 0.3, full, full * 0.3], lips)
    canvas.line(points, [unit * 0.022] * 3, darker(lips, 0.55))


def _glasses(figure: Figure, head: Head) -> None:
    canvas, unit = figure.canvas, head.wide
    face = figure.person.face
    rim = unit * 0.04
    dark = (36, 32, 36)
    inner = []
    for side in (-1.0, 1.0):
        angle = side * 0.45
        if head.facing(angle) < 0.05:
            continue
        x, y = head.place(angle, 0.53, 1.06)
        wide, high = unit * 0.36 * max(head.facing(angle), 0.22), unit * 0.33
        corner = 1.0 if face.glasses == "square" else 0.72
        ring = [(-1, 0), (-corner, -corner), (0, -1), (corner, -corner), (1, 0), (corner, corner),
                (0, 1), (-corner, corner), (-1, 0)]  # fmt: skip
        flat_ = 0.82 if face.glasses == "square" else 1.0
        points = [(x + a * wide, y + b * high * flat_) for a, b in ring]
        canvas.dot(x, y, wide, high * flat_, (214, 230, 240), opacity=0.22)
        canvas.line(points, [rim] * len(points), dark, label="glasses")
        inner.append((x - side * wide * (1 if cos(head.yaw) > 0 else -1), y - high * 0.2))
        ear = head.place(side * 1.5, 0.53, 1.02)
        if head.facing(side * 1.2) > 0.1:
            outer = (x + side * wide * (1 if cos(head.yaw) > 0 else -1), y - high * 0.2)
            canvas.line([outer, ear], [rim * 0.9] * 2, dark, label="glasses")
    if len(inner) == 2:
        canvas.line(inner, [rim * 0.9] * 2, dark, label="glasses")


# --- hair -------------------------------------------------------------------------------------


def _strands(colour: Colour, field: Field, angle: Array, down: Array) -> Array:
    """Return hair with strands that follow it and a soft shine."""
    wave = angle * 5.5 + down * 1.4
    wave = np.abs(wave - np.floor(wave) - 0.5) * 2
    shine = np.clip(1 - np.abs(down - 0.2) * 9, 0, 1)
    bright = np.clip(1 - np.abs(field.across + 0.3) * 2, 0, 1)
    tone = 0.86 + wave * 0.16 + shine * bright * 0.5
    strands: Array = flat(colour, field.across) * tone
    return strands


def _cap(figure: Figure, field: Field, angle: Array, down: Array, head: Head) -> None:
    """Paint the hair that lies on the head, above a line around it."""
    person, canvas = figure.person, figure.canvas
    style = person.hair
    if style == "bald":
        return
    away = np.abs(angle)
    front = person.fringe * (0.8 if style in ("bun", "ponytail", "crop") else 1.0)
    sides = {"long": 1.3, "wavy": 1.3, "bob": 1.02, "crop": 0.5, "short": 0.56, "curly": 0.72,
             "bun": 0.52, "ponytail": 0.52}[style]  # fmt: skip
    nape = {"long": 1.4, "wavy": 1.4, "bob": 1.1, "curly": 1.0}.get(style, 0.86)
    part = np.clip(angle * 0.5 + 0.3, 0, 1) * 0.06
    line = front + part * np.clip(1 - away, 0, 1)
    rise = np.clip((away - 0.72) / 0.42, 0, 1)
    line = line + rise * rise * (sides - front)
    line = line + np.clip((away - 1.7) / 0.5, 0, 1) * (nape - sides)
    thick = {"curly": 0.3, "wavy": 0.14, "long": 0.12, "bob": 0.16, "crop": 0.04}.get(style, 0.09)
    ease: Array = np.full((1, 1), thick * head.wide, np.float32)
    if style == "curly":
        bumps = away * 2.3 + down * 4
        bumps = np.abs(bumps - np.floor(bumps) - 0.5)
        ease = (ease * (0.75 + bumps)).astype(np.float32)
    inside = np.minimum(field.inside + ease, (line - down) * head.tall)
    colours = _strands(person.hair_colour, field, angle, down)
    canvas.paint(field, colours, "hair", HAIR, inside=inside, edge=0.35, shadow=0.0)
    if style == "bun":
        x, y = head.place(3.14, 0.02, 0.4)
        canvas.dot(
            x, y, head.wide * 0.48, head.wide * 0.42, darker(person.hair_colour, 0.3), label="hair"
        )
        canvas.dot(x, y, head.wide * 0.42, head.wide * 0.36, person.hair_colour, label="hair")


def long_hair(figure: Figure, head: Head) -> None:
    """Paint the hair that falls: behind the shoulders in front views, on the back in others."""
    person, canvas = figure.person, figure.canvas
    length = {"long": 1.95, "wavy": 1.6, "bob": 1.1, "ponytail": 1.5}.get(person.hair)
    if length is None:
        return
    if person.hair == "ponytail":
        _ponytail(figure, head)
        return
    end = (head.crown[0] + (head.chin[0] - head.crown[0]) * 0.6, head.crown[1] + head.tall * length)
    lush = 1.18 if person.hair == "wavy" else 1.06
    rows: tuple[Row, ...] = (
        (0.0, 0.1, 0.1, 0.1),
        (0.06 / length, 0.66, 0.2, 0.8),
        (0.18 / length, 0.98, 0.1, 1.16),
        (0.4 / length, 1.12 * lush, -0.02, 1.36),
        (0.8 / length, 1.16 * lush, 0.02, 1.34 * lush),
        (0.93, 1.08 * lush, 0.06, 1.2 * lush),
        (1.0, 0.7, 0.1, 0.9),
    )
    turned = sin(head.yaw)
    left, right = _hair_outline(rows, head, turned)
    field = canvas.sheet(head.crown, end, left, right)
    angle, down = field.across * 1.4, field.along * (1 / head.tall)
    inside = field.inside
    if person.hair == "wavy":
        wave = down * 3.2
        wave = np.abs(wave - np.floor(wave) - 0.5) * 2
        inside = inside - wave * (head.wide * 0.1)
    colours = _strands(person.hair_colour, field, angle, down)
    if cos(head.yaw) > 0:
        colours = colours * 0.8
    canvas.paint(field, colours, "hair", HAIR, inside=inside, edge=0.4, shadow=0.2)


def _hair_outline(rows: tuple[Row, ...], head: Head, turned: float) -> tuple[Array, Array]:
    """Return the outline of falling hair; in side views it lies behind the ears only."""
    left, right = silhouette(rows, head.yaw, head.wide)
    if abs(turned) > 0.8 and turned > 0:
        right = right * 0.3
    elif abs(turned) > 0.8:
        left = left * 0.3
    return left, right


def _ponytail(figure: Figure, head: Head) -> None:
    root, end = head.place(3.14, 0.22, 1.02), head.place(3.14, 0.7, 1.2)
    size = head.wide
    away = 1.0 if end[0] >= head.crown[0] else -1.0
    drop = (end[0] + away * size * 0.1, end[1] + head.tall * 0.75)
    field = figure.canvas.tube([root, end, drop], [size * 0.2, size * 0.42, size * 0.1])
    down = field.along * (1 / head.tall)
    colours = _strands(figure.person.hair_colour, field, field.across, down)
    figure.canvas.paint(field, colours, "hair", HAIR, edge=0.4, shadow=0.2)
