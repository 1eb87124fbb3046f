"""Cloth: patterns and decorations in places on the garment.

Places are in hundredths of the body's height: ``s`` around the body or limb, 0 at its front, and
``t`` along it. A pattern is a function of them alone, so it moves with what it is on.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from fhpt_eval.benchmarks.mannequin.exact import Array, noise
from fhpt_eval.benchmarks.mannequin.identity import Colour, Texture

#: Strokes of letters on a field of 2 x 4: lines through points.
_STROKES: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "A": (((0, 4), (1, 0), (2, 4)), ((0.5, 2.6), (1.5, 2.6))),
    "C": (((2, 0.4), (1, 0), (0, 1), (0, 3), (1, 4), (2, 3.6)),),
    "E": (((2, 0), (0, 0), (0, 4), (2, 4)), ((0, 2), (1.6, 2))),
    "F": (((2, 0), (0, 0), (0, 4)), ((0, 2), (1.6, 2))),
    "H": (((0, 0), (0, 4)), ((2, 0), (2, 4)), ((0, 2), (2, 2))),
    "K": (((0, 0), (0, 4)), ((2, 0), (0, 2), (2, 4))),
    "L": (((0, 0), (0, 4), (2, 4)),),
    "M": (((0, 4), (0, 0), (1, 2), (2, 0), (2, 4)),),
    "N": (((0, 4), (0, 0), (2, 4), (2, 0)),),
    "O": (((1, 0), (0, 1), (0, 3), (1, 4), (2, 3), (2, 1), (1, 0)),),
    "S": (((2, 0.4), (1, 0), (0, 0.9), (2, 3), (1, 4), (0, 3.6)),),
    "T": (((0, 0), (2, 0)), ((1, 0), (1, 4))),
    "U": (((0, 0), (0, 3), (1, 4), (2, 3), (2, 0)),),
    "V": (((0, 0), (1, 4), (2, 0)),),
    "X": (((0, 0), (2, 4)), ((2, 0), (0, 4))),
    "Z": (((0, 0), (2, 0), (0, 4), (2, 4)),),
}


def cloth(texture: Texture, s: Array, t: Array) -> Array:
    """Return the pattern's colours, ``(3, h, w)`` float32."""
    pattern = _PATTERNS[texture.kind](s / texture.period, t / texture.period, texture.salt)
    first, second, third = (np.array(c, np.float32)[:, None, None] for c in texture.colours)
    a, b = pattern
    mixed = first + (second - first) * a
    return mixed + (third - mixed) * b


def mix(colours: Array, colour: Colour, share: Array) -> Array:
    """Lay a colour over others, by a share of each place."""
    over = np.array(colour, np.float32)[:, None, None]
    return colours + (over - colours) * share


def band(value: Array, low: float, high: float, soft: float = 0.06) -> Array:
    """Return 1 between two bounds and 0 beyond, with soft edges."""
    inside: Array = np.clip((value - low) / soft + 0.5, 0, 1) * np.clip(
        (high - value) / soft + 0.5, 0, 1
    )
    return inside


def stroke(s: Array, t: Array, a: tuple[float, float], b: tuple[float, float]) -> Array:
    """Return the distance from a line between two places."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    px, py = s - a[0], t - a[1]
    on = np.clip((px * dx + py * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
    qx, qy = px - on * dx, py - on * dy
    return np.sqrt(qx * qx + qy * qy)


def letters(word: str, s: Array, t: Array, size: float) -> Array:
    """Return how much of a word, in its middle at (0, 0) and ``size`` high, covers each place."""
    scale = size / 4
    near = np.full(np.broadcast_shapes(s.shape, t.shape), 1e6, np.float32)
    pace = 2.9 * scale
    left = -(pace * len(word) - 0.9 * scale) / 2
    for number, letter in enumerate(word):
        start = left + number * pace
        for line in _STROKES[letter]:
            places = [(start + x * scale, (y - 2) * scale) for x, y in line]
            for a, b in pairwise(places):
                np.minimum(near, stroke(s, t, a, b), out=near)
    cover: Array = np.clip((0.36 * scale - near) / 0.22 + 0.5, 0, 1)
    return cover


def emblem(s: Array, t: Array, size: float, salt: int) -> tuple[Array, Array]:
    """Return two layers of a picture in its middle at (0, 0): a disc, ring, star or stripes."""
    x, y = s / size, t / size
    far = np.sqrt(x * x + y * y)
    disc = np.clip((1 - far) * 8, 0, 1)
    kind = salt % 4
    if kind == 0:
        inner = band(far, 0.5, 0.72, 0.12)
    elif kind == 1:
        inner = disc * band(np.abs(x) + np.abs(y), -1, 0.72, 0.12)
    elif kind == 2:
        inner = disc * np.clip(np.abs(_fraction(y * 2.2) - 0.5) * 12 - 3, 0, 1)
    else:
        star = np.minimum(np.abs(x), np.abs(y)) * 3 + np.maximum(np.abs(x), np.abs(y))
        inner = band(star, -1, 0.95, 0.15)
    return disc, inner


def _fraction(value: Array) -> Array:
    return value - np.floor(value)


def _soft(value: Array, half: float, soft: float = 0.07) -> Array:
    """Return 1 where a periodic value lies within ``half`` of a whole number."""
    away = np.abs(_fraction(value + 0.5) - 0.5)
    share: Array = np.clip((half - away) / soft + 0.5, 0, 1)
    return share


_Layers = tuple[Array, Array]
_Pattern = Callable[[Array, Array, int], _Layers]


def _none(s: Array, t: Array) -> Array:
    return np.zeros(np.broadcast_shapes(s.shape, t.shape), np.float32)


def _tartan(s: Array, t: Array, _salt: int) -> _Layers:
    a = np.maximum(_soft(s * 0.5, 0.2, 0.05), _soft(t * 0.5, 0.2, 0.05)) * 0.6
    b = np.maximum(_soft(s * 0.5 + 0.5, 0.05), _soft(t * 0.5 + 0.5, 0.05))
    return a + _soft(s * 0.5, 0.2) * _soft(t * 0.5, 0.2) * 0.4, b


def _dots(s: Array, t: Array, _salt: int) -> _Layers:
    row = np.floor(t)
    x = _fraction(s + _fraction(row * 0.5)) - 0.5
    y = t - row - 0.5
    return np.clip((0.3 - np.sqrt(x * x + y * y)) * 10 + 0.5, 0, 1), _none(s, t)


def _flowers(s: Array, t: Array, salt: int) -> _Layers:
    s, t = s * 0.8, t * 0.8
    column, row = np.floor(s), np.floor(t)
    x = s - column - 0.5 - (noise(column, row, salt) - 0.5) * 0.5
    y = t - row - 0.5 - (noise(column, row, salt + 1) - 0.5) * 0.5
    size = 0.2 + noise(column, row, salt + 2) * 0.12
    petals = np.full(x.shape, 1e6, np.float32)
    for px, py in ((0.0, -1.0), (0.95, -0.31), (0.59, 0.81), (-0.59, 0.81), (-0.95, -0.31)):
        qx, qy = x - size * (0.62 * px), y - size * (0.62 * py)
        np.minimum(petals, np.sqrt(qx * qx + qy * qy), out=petals)
    heart = np.sqrt(x * x + y * y)
    return (
        np.clip((size * 0.62 - petals) * 14 + 0.5, 0, 1),
        np.clip((size * 0.42 - heart) * 14 + 0.5, 0, 1),
    )


def _zigzag(s: Array, t: Array, _salt: int) -> _Layers:
    wave = np.abs(_fraction(s * 0.6) - 0.5) * 1.2
    return _soft((t + wave) * 0.7, 0.2), _soft((t + wave) * 0.7 + 0.5, 0.07)


def _speckles(s: Array, t: Array, salt: int) -> _Layers:
    layers = []
    for layer in (0, 2):
        x, y = s * 2.4 + layer, t * 2.4
        column, row = np.floor(x), np.floor(y)
        wide = noise(column, row, salt + layer) * 0.45
        px, py = np.abs(x - column - 0.5), np.abs(y - row - 0.5)
        layers.append(np.clip((wide - np.maximum(px, py)) * 8, 0, 1))
    return layers[0], layers[1]


def _diamonds(s: Array, t: Array, _salt: int) -> _Layers:
    a, b = s * 0.7, t * 0.45
    away = np.abs(_fraction(a) - 0.5) + np.abs(_fraction(b) - 0.5)
    body = np.clip((0.46 - away) * 12 + 0.5, 0, 1)
    lines = np.maximum(_soft(a + b, 0.03), _soft(a - b, 0.03))
    return body, lines


_PATTERNS: dict[str, _Pattern] = {
    "plain": lambda s, t, _: (_none(s, t), _none(s, t)),
    "stripes": lambda s, t, salt: (_soft(t * 0.8, 0.25 if salt % 2 else 0.14), _none(s, t)),
    "pinstripes": lambda s, t, _: (_soft(s * 1.6, 0.12, 0.12), _none(s, t)),
    "checks": lambda s, t, _: ((_soft(s, 0.25) + _soft(t, 0.25)) * 0.5, _none(s, t)),
    "tartan": _tartan,
    "dots": _dots,
    "flowers": _flowers,
    "zigzag": _zigzag,
    "blocks": lambda _, t, salt: (
        band(t, -20, 3.4 + salt % 3), band(t, 3.4 + salt % 3, 4.6 + salt % 3)
    ),
    "speckles": _speckles,
    "diamonds": _diamonds,
}  # fmt: skip
