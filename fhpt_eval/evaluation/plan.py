"""Plan a run: check every image without decoding it, and split the pairs into chunks."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ImageError
from fhpt_eval.images.files import CheckedImage, ImageRef, check
from fhpt_eval.images.preparation import Side, Step, prepared_size
from fhpt_eval.pairs.pair import Matching, Pair, Problem

#: A chunk is split in two when it holds more pairs than this. Small enough that an interruption
#: costs little and every worker has something to do, large enough to fill a device's batches.
CHUNK_PAIRS = 32
# So many files are handed to the pool at a time, since what waits in it takes memory.
_AT_ONCE = 256

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class CheckedPair:
    """A pair whose images passed every check that needs no decoding."""

    pair: Pair
    generated: CheckedImage
    ground_truth: CheckedImage
    source: CheckedImage | None

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What the pair's values rest on: its key, and what makes each image's pixels."""
        source = self.source.identity if self.source else ""
        return self.pair.key, self.generated.identity, self.ground_truth.identity, source


@dataclass(frozen=True, slots=True)
class Chunk:
    """The unit of work: some pairs, in the order of their places and keys."""

    pairs: tuple[CheckedPair, ...]


def survey(
    matching: Matching,
    preparations: Mapping[tuple[Step, ...], str],
    workers: int,
    progress: Progress,
    alone: Collection[tuple[Step, ...]] = (),
) -> tuple[list[CheckedPair], list[Problem]]:
    """Check every image of the matched pairs; each file is read once.

    Args:
        matching: the matched pairs.
        preparations: the different preparations, for the sizes that they give, and what a reason
            ends with where one of them is at fault: the protocol, where there are several.
        workers: how many files are read at a time.
        progress: is told how many images are checked.
        alone: those of them under which no two images are compared pixel by pixel: they may make
            sizes differ that were equal.

    Returns:
        The pairs that passed, sorted by key, and what is wrong with the others.
    """
    refs = list(dict.fromkeys(ref for pair in matching.pairs for ref in _refs(pair)))
    progress.stage("Checking images", len(refs))
    checked, broken = check_all(refs, workers, progress)
    # A strip that cannot be used is one file, though several of its panels were asked for.
    faults = dict.fromkeys((str(ref.path), reason) for ref, reason in broken.items())
    problems = [Problem("unreadable", path, reason) for path, reason in faults]
    pairs = []
    for pair in matching.pairs:
        if any(ref in broken for ref in _refs(pair)):
            continue
        candidate = CheckedPair(
            pair,
            checked[pair.generated],
            checked[pair.ground_truth],
            checked[pair.source] if pair.source else None,
        )
        reason = _size_problem(candidate, preparations, alone)
        if reason:
            problems.append(Problem("size", str(pair.generated.path), reason))
        else:
            pairs.append(candidate)
    return pairs, problems


def check_all(
    refs: Sequence[ImageRef], workers: int, progress: Progress
) -> tuple[dict[ImageRef, CheckedImage], dict[ImageRef, str]]:
    """Check images, ``workers`` at a time: those that passed, and what is wrong with the others."""
    checked: dict[ImageRef, CheckedImage] = {}
    broken: dict[ImageRef, str] = {}
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(refs), _AT_ONCE):
            some = refs[start : start + _AT_ONCE]
            for ref, outcome in zip(some, pool.map(_try, some), strict=True):
                if isinstance(outcome, CheckedImage):
                    checked[ref] = outcome
                else:
                    broken[ref] = outcome
            progress.advance(start + len(some))
    return checked, broken


def split(pairs: Iterable[CheckedPair]) -> tuple[Chunk, ...]:
    """Split pairs into chunks, in a fixed order.

    A pair's place is the SHA-256 of its target's name, read bit by bit; a chunk is the longest
    prefix shared by at most :data:`CHUNK_PAIRS` pairs. So pairs of one ground-truth image share a
    chunk (it is decoded once), and a new pair disturbs only the chunk that it lands in.
    """
    named = ((pair.pair.target_name or pair.pair.key, pair.pair.key, pair) for pair in pairs)
    return tuple(Chunk(some) for some in split_by_name(named))


def split_by_name(named: Iterable[tuple[str, str, Item]]) -> Iterator[tuple[Item, ...]]:
    """Split items, given as (name, key, item), by the places of their names; see :func:`split`.

    Items of one name stay together; neighbours are in the order of places and then of keys.
    """
    placed = [(hashlib.sha256(name.encode()).digest(), key, item) for name, key, item in named]
    placed.sort(key=lambda one: one[:2])
    yield from _split([(place, item) for place, _, item in placed], 0)


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


def _refs(pair: Pair) -> list[ImageRef]:
    refs = [pair.generated, pair.ground_truth]
    return [*refs, pair.source] if pair.source else refs


def _try(ref: ImageRef) -> CheckedImage | str:
    try:
        return check(ref)
    except ImageError as error:
        return str(error)


def _size_problem(
    pair: CheckedPair,
    preparations: Mapping[tuple[Step, ...], str],
    alone: Collection[tuple[Step, ...]],
) -> str | None:
    """Say why the two images cannot be compared under some preparation, or return ``None``."""
    for steps, whose in preparations.items():
        try:
            ours = _prepared(pair.generated, steps, "generated")
            theirs = _prepared(pair.ground_truth, steps, "ground_truth")
            if pair.source:
                _prepared(pair.source, steps, "source")
        except ImageError as error:
            return f"{error}{whose}"
        meant = steps in alone and (
            (pair.generated.width, pair.generated.height)
            == (pair.ground_truth.width, pair.ground_truth.height)
        )
        if ours != theirs and not meant:
            return (
                f"is {ours[0]} x {ours[1]} and its ground truth "
                f"{pair.ground_truth.ref.path.name} {theirs[0]} x {theirs[1]}"
                + (" after preparation" if steps else "")
                + whose
                + "; a protocol with a resize step says how to make them equal"
            )
    return None


def _prepared(image: CheckedImage, steps: tuple[Step, ...], side: Side) -> tuple[int, int]:
    try:
        return prepared_size((image.width, image.height), steps, side)
    except ImageError as error:
        raise ImageError(f"{side.replace('_', ' ')} {image.ref.path.name} {error}") from error
