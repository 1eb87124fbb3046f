"""Chunks: small sets of pairs, or of further images, chosen by a stable rule from names alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from fhpt_eval.common.fingerprint import FORMAT, decoder
from fhpt_eval.common.settings import digest_of
from fhpt_eval.images.files import CheckedImage
from fhpt_eval.images.preparation import NAMELESS, Names, Side
from fhpt_eval.pairs.pair import Pair

#: A chunk is split in two when it holds more members than this. Small enough that an interruption
#: costs little and every worker has something to do, large enough to fill a device's batches.
CHUNK_PAIRS = 32

Item = TypeVar("Item")
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """A pair whose images passed every check that needs no decoding."""

    pair: Pair
    generated: CheckedImage
    ground_truth: CheckedImage | None
    source: CheckedImage | None

    @property
    def key(self) -> str:
        """What tells it from the other pairs."""
        return self.pair.key

    @property
    def place(self) -> str:
        """The name by which it is put into a chunk: its target's."""
        return self.pair.target_name or self.pair.key

    @property
    def names(self) -> Names:
        """The names by which steps of a preparation go."""
        return Names(self.pair.target_name, self.pair.source_name or "")

    @property
    def identity(self) -> tuple[str, ...]:
        """What its values rest on: its key, and what makes each image's pixels."""
        others = (self.ground_truth, self.source)
        return self.key, self.generated.identity, *(i.identity if i else "" for i in others)

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Width and height of the images that are compared."""
        compared = (self.generated, self.ground_truth)
        return tuple((image.width, image.height) for image in compared if image is not None)

    def image(self, side: Side) -> CheckedImage | None:
        """Return the image of a side."""
        sides = {"generated": self.generated, "ground_truth": self.ground_truth}
        return sides.get(side, self.source)


@dataclass(frozen=True, slots=True)
class SetImage:
    """An image apart from the pairs: a source image, or one of a reference folder.

    ``name`` is its path below its folder, without the ending; ``side`` says as which side of a pair
    it is prepared; ``item`` is what a list of pairs says that it shows.
    """

    name: str
    own_image: CheckedImage
    side: Side
    item: str = ""

    @property
    def key(self) -> str:
        """What tells it from the other images of the set."""
        return self.name

    @property
    def place(self) -> str:
        """The name by which it is put into a chunk."""
        return self.name

    @property
    def names(self) -> Names:
        """No names of a pair."""
        return NAMELESS

    @property
    def identity(self) -> tuple[str, ...]:
        """What its rows rest on."""
        return self.name, self.own_image.identity

    @property
    def sizes(self) -> tuple[Size, ...]:
        """Width and height."""
        return ((self.own_image.width, self.own_image.height),)

    def image(self, side: Side) -> CheckedImage | None:
        """Return the image, if the side is its own."""
        return self.own_image if side == self.side else None


Member = CheckedPair | SetImage


@dataclass(frozen=True)
class Chunk:
    """The unit of work: some pairs, or images of a set without pairs, by place and key."""

    members: tuple[Member, ...]

    @cached_property
    def content(self) -> str:
        """The digest of what it holds: keys, what makes the pixels, and what decodes them."""
        members = [member.identity for member in self.members]
        return digest_of({"format": FORMAT, "decoder": decoder(), "members": members})

    @property
    def ordered(self) -> tuple[Member, ...]:
        """The members as they are decoded: by sizes; those of one target are neighbours."""
        return tuple(sorted(self.members, key=lambda m: (m.sizes, m.place, m.key)))

    @property
    def pairs(self) -> tuple[CheckedPair, ...]:
        """The pairs, as they are decoded."""
        return tuple(member for member in self.ordered if isinstance(member, CheckedPair))


def split(members: Iterable[Member]) -> tuple[Chunk, ...]:
    """Split members into chunks, in a fixed order.

    A member's place is the SHA-256 of its target's name, read bit by bit; a chunk is the longest
    prefix shared by at most :data:`CHUNK_PAIRS` of them. So pairs of one ground-truth image share a
    chunk (it is decoded once), and a new pair disturbs only the chunk that it lands in.
    """
    placed = [(hashlib.sha256(m.place.encode()).digest(), m.key, m) for m in members]
    placed.sort(key=lambda entry: entry[:2])
    return tuple(map(Chunk, _split([(place, member) for place, _, member in placed], 0)))


def _split(placed: list[tuple[bytes, Item]], bit: int) -> Iterator[tuple[Item, ...]]:
    """Split items whose places agree in the first ``bit`` bits."""
    if not placed:
        return
    # Items of one name cannot be told apart, however many they are.
    if len(placed) <= CHUNK_PAIRS or placed[0][0] == placed[-1][0]:
        yield tuple(item for _, item in placed)
        return
    middle = sum(not place[bit // 8] >> (7 - bit % 8) & 1 for place, _ in placed)
    yield from _split(placed[:middle], bit + 1)
    yield from _split(placed[middle:], bit + 1)
