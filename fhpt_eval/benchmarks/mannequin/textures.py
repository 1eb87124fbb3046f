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

_F = np.float32
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
    pattern = _PATTERNS[texture.kind](s / _F(texture.period), t / _F(texture.period), texture.salt)
    first, second, third = (np.array(c, _F)[:, None, None] for c in texture.colours)
    a, b = pattern
    mixed = first + (second - first) * a
    coloured: Array = mixed + (third - mixed) * b
    return coloured


def mix(colours: Array, colour: Colour, share: Array) -> Array:
    """Lay a colour over others, by a share of each place."""
    over = np.array(colour, _F)[:, None, None]
    laid: Array = colours + (over - colours) * share
    return laid


def band(value: Array, low: float, high: float, soft: float = 0.06) -> Array:
    """Return 1 between two bounds and 0 beyond, with soft edges."""
    inside: Array = np.clip((value - _F(low)) / _F(soft) + _F(0.5), 0, 1) * np.clip(
        (_F(high) - value) / _F(soft) + _F(0.5), 0, 1
    )
    return inside


def stroke(s: Array, t: Array, a: tuple[float, float], b: tuple[float, float]) -> Array:
    """Return the distance from a line between two places."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    px, py = s - _F(a[0]), t - _F(a[1])
    on = np.clip((px * _F(dx) + py * _F(dy)) / _F(max(dx * dx + dy * dy, 1e-6)), 0, 1)
    qx, qy = px - on * _F(dx), py - on * _F(dy)
    distance: Array = np.sqrt(qx * qx + qy * qy)
    return distance


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
    cover: Array = np.clip((_F(0.36 * scale) - near) / _F(0.22) + _F(0.5), 0, 1)
    return cover


def emblem(s: Array, t: Array, size: float, salt: int) -> tuple[Array, Array]:
    """Return two layers of a picture in its middle at (0, 0): a disc, ring, star or stripes."""
    x, y = s / _F(size), t / _F(size)
    far = np.sqrt(x * x + y * y)
    disc = np.clip((_F(1) - far) * _F(8), 0, 1)
    kind = salt % 4
    if kind == 0:
        inner = band(far, 0.5, 0.72, 0.12)
    elif kind == 1:
        inner = disc * band(np.abs(x) + np.abs(y), -1, 0.72, 0.12)
    elif kind == 2:
        inner = disc * np.clip(np.abs(_fraction(y * _F(2.2)) - _F(0.5)) * _F(12) - _F(3), 0, 1)
    else:
        star = np.minimum(np.abs(x), np.abs(y)) * _F(3) + np.maximum(np.abs(x), np.abs(y))
        inner = band(star, -1, 0.95, 0.15)
    return disc, inner


def _fraction(value: Array) -> Array:
    fraction: Array = value - np.floor(value)
    return fraction


def _soft(value: Array, half: float, soft: float = 0.07) -> Array:
    """Return 1 where a periodic value lies within ``half`` of a whole number."""
    away = np.abs(_fraction(value + _F(0.5)) - _F(0.5))
    share: Array = np.clip((_F(half) - away) / _F(soft) + _F(0.5), 0, 1)
    return share


_Layers = tuple[Array, Array]
_Pattern = Callable[[Array, Array, int], _Layers]


def _none(s: Array, t: Array) -> Array:
    return np.zeros(np.broadcast_shapes(s.shape, t.shape), np.float32)


def _plain(s: Array, t: Array, _salt: int) -> _Layers:
    return _none(s, t), _none(s, t)


def _stripes(s: Array, t: Array, salt: int) -> _Layers:
    thin = 0.25 if salt % 2 else 0.14
    return _soft(t * _F(0.8), thin), _none(s, t)


def _pinstripes(s: Array, t: Array, _salt: int) -> _Layers:
    return _soft(s * _F(1.6), 0.12, 0.12), _none(s, t)


def _checks(s: Array, t: Array, _salt: int) -> _Layers:
    a, b = _soft(s, 0.25), _soft(t, 0.25)
    return (a + b) * _F(0.5), _none(s, t)


def _tartan(s: Array, t: Array, _salt: int) -> _Layers:
    a = np.maximum(_soft(s * _F(0.5), 0.2, 0.05), _soft(t * _F(0.5), 0.2, 0.05)) * _F(0.6)
    b = np.maximum(_soft(s * _F(0.5) + _F(0.5), 0.05), _soft(t * _F(0.5) + _F(0.5), 0.05))
    return a + _soft(s * _F(0.5), 0.2) * _soft(t * _F(0.5), 0.2) * _F(0.4), b


def _dots(s: Array, t: Array, _salt: int) -> _Layers:
    row = np.floor(t)
    x = _fraction(s + _fraction(row * _F(0.5))) - _F(0.5)
    y = t - row - _F(0.5)
    return np.clip((_F(0.3) - np.sqrt(x * x + y * y)) * _F(10) + _F(0.5), 0, 1), _none(s, t)


def _flowers(s: Array, t: Array, salt: int) -> _Layers:
    s, t = s * _F(0.8), t * _F(0.8)
    column, row = np.floor(s), np.floor(t)
    x = s - column - _F(0.5) - (noise(column, row, salt) - _F(0.5)) * _F(0.5)
    y = t - row - _F(0.5) - (noise(column, row, salt + 1) - _F(0.5)) * _F(0.5)
    size = _F(0.2) + noise(column, row, salt + 2) * _F(0.12)
    petals = np.full(x.shape, 1e6, np.float32)
    for px, py in ((0.0, -1.0), (0.95, -0.31), (0.59, 0.81), (-0.59, 0.81), (-0.95, -0.31)):
        qx, qy = x - size * _F(0.62 * px), y - size * _F(0.62 * py)
        np.minimum(petals, np.sqrt(qx * qx + qy * qy), out=petals)
    heart = np.sqrt(x * x + y * y)
    return (
        np.clip((size * _F(0.62) - petals) * _F(14) + _F(0.5), 0, 1),
        np.clip((size * _F(0.42) - heart) * _F(14) + _F(0.5), 0, 1),
    )


def _zigzag(s: Array, t: Array, _salt: int) -> _Layers:
    wave = np.abs(_fraction(s * _F(0.6)) - _F(0.5)) * _F(1.2)
    return _soft((t + wave) * _F(0.7), 0.2), _soft((t + wave) * _F(0.7) + _F(0.5), 0.07)


def _blocks(_s: Array, t: Array, salt: int) -> _Layers:
    return band(t, -20, 3.4 + salt % 3), band(t, 3.4 + salt % 3, 4.6 + salt % 3)


def _speckles(s: Array, t: Array, salt: int) -> _Layers:
    layers = []
    for layer in (0, 2):
        x, y = s * _F(2.4) + _F(layer), t * _F(2.4)
        column, row = np.floor(x), np.floor(y)
        wide = noise(column, row, salt + layer) * _F(0.45)
        px, py = np.abs(x - column - _F(0.5)), np.abs(y - row - _F(0.5))
        layers.append(np.clip((wide - np.maximum(px, py)) * _F(8), 0, 1))
    return layers[0], layers[1]


def _diamonds(s: Array, t: Array, _salt: int) -> _Layers:
    a, b = s * _F(0.7), t * _F(0.45)
    away = np.abs(_fraction(a) - _F(0.5)) + np.abs(_fraction(b) - _F(0.5))
    body = np.clip((_F(0.46) - away) * _F(12) + _F(0.5), 0, 1)
    lines = np.maximum(_soft(a + b, 0.03), _soft(a - b, 0.03))
    return body, lines


_PATTERNS: dict[str, _Pattern] = {
    "plain": _plain,
    "stripes": _stripes,
    "pinstripes": _pinstripes,
    "checks": _checks,
    "tartan": _tartan,
    "dots": _dots,
    "flowers": _flowers,
    "zigzag": _zigzag,
    "blocks": _blocks,
    "speckles": _speckles,
    "diamonds": _diamonds,
}
