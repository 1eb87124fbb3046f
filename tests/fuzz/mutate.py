"""What damage and malice make of a file; the same seed gives the same."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

TOKENS = (
    b"\0", b"\xff\xfe", b"\x1b]0;owned\x07", b"\x1b[2J", "\u202e".encode(), b"NaN", b"1e999",
    b"-1", b"9" * 400, b"=HYPERLINK(1)", b"../../etc/passwd", b'"', b"\\u0000", b"\r", b",,,,",
    b"[" * 5_000, b'{"a":' * 5_000, b"a." * 5_000, b"{}," * 300_000, b"x" * 2**20, b"\n" * 2**18,
)  # fmt: skip

Mutation = Callable[[random.Random, bytes], bytes]


def _flip(chance: random.Random, data: bytes) -> bytes:
    spoilt = bytearray(data or b"x")
    for _ in range(chance.choice((1, 3, 30))):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return bytes(spoilt)


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _lose(chance: random.Random, data: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[end:]


def _insert(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.choice(TOKENS) + data[place:]


def _repeat(chance: random.Random, data: bytes) -> bytes:
    start, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[start:end] * chance.choice((1, 10, 1000)) + data[end:]


def _word(chance: random.Random, data: bytes) -> bytes:
    """Replace a word by another of the file or by a hostile one."""
    words = data.split(b" ") if b" " in data[:4096] else data.split(b",")
    words[chance.randrange(len(words))] = chance.choice((*TOKENS, *words))
    return b" ".join(words)


BYTES: tuple[Mutation, ...] = (_flip, _cut, _lose, _insert, _repeat, _word)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


SPECIAL: tuple[Callable[[Path], None], ...] = (_pipe, _loop, _device, Path.mkdir)


def mutate(path: Path, seed: int) -> str:
    """Spoil a file in place, and return in which way."""
    chance = random.Random(seed)
    if chance.random() < 0.05:
        special = chance.choice(SPECIAL)
        path.unlink()
        special(path)
        return special.__name__.strip("_")
    data, names = path.read_bytes(), []
    for _ in range(chance.choice((1, 1, 2))):
        mutation = chance.choice(BYTES)
        data = mutation(chance, data)
        names.append(mutation.__name__.strip("_"))
    path.write_bytes(data)
    return ", ".join(names)
