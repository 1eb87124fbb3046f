"""What a run under a protocol may be compared with, and what keeps it from that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fhpt_eval.protocol.protocol import Entry, MadeFor, Protocol, Size


def standing(
    protocol: Protocol,
    entries: Sequence[Entry],
    sizes: Sequence[Size],
    doubts: Sequence[str] = (),
) -> str:
    """Say in a line what numbers a run may be compared with; nothing where the protocol has none.

    Args:
        protocol: what it was scored under.
        entries: the metrics that were computed.
        sizes: width and height of each generated image, as it lies on disk.
        doubts: why networks of some metrics can say nothing of these images.
    """
    doubts = list(dict.fromkeys(doubts))
    if not protocol.comparable_with:
        return f"Doubtful: {'; '.join(doubts)}." if doubts else ""
    made_for = protocol.made_for
    against = [] if made_for is None else [
        *_other_number(made_for, len(sizes)),
        *_other_sizes(made_for, sizes),
        *_other_reference(made_for, entries),
    ]  # fmt: skip
    against += [*protocol.changed, *doubts]
    if against:
        return f"Not comparable with {protocol.comparable_with}: {'; '.join(against)}."
    return f"Comparable with {protocol.comparable_with}."


def _other_number(made_for: MadeFor, pairs: int) -> list[str]:
    if made_for.pairs in (None, pairs):
        return []
    return [f"{pairs:,} pairs for {made_for.pairs:,} of {made_for.data}"]


def _other_sizes(made_for: MadeFor, sizes: Sequence[Size]) -> list[str]:
    """Say which images are of other sizes, the most frequent one as an example."""
    apart = Counter(size for size in sizes if size not in made_for.sizes)
    if not made_for.sizes or not apart:
        return []
    (example, _), *more = apart.most_common()
    count = "" if apart.total() == len(sizes) else f"{apart.total():,} of {len(sizes):,} "
    expected = " or ".join(f"{width} x {height}" for width, height in made_for.sizes)
    rest = " and other sizes" if more else ""
    return [f"{count}images {example[0]} x {example[1]}{rest} (width x height) for {expected}"]


def _other_reference(made_for: MadeFor, entries: Sequence[Entry]) -> list[str]:
    """Say which distances are to the pairs' ground truth, for want of the reference images."""
    names = [e.name for e in entries if getattr(e.metric, "reference", "none") is None]
    if made_for.reference is None or not names:
        return []
    return [
        f"{', '.join(names)} to the pairs' ground truth for {made_for.reference:,} training images "
        "(--fid-reference)"
    ]
