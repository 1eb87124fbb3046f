"""Groups of pairs that are not independent."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fhpt_eval.images.names import PHOTOGRAPHS, identity_of
from fhpt_eval.pairs.pair import Pair

#: A frame of a clip: a number below a folder that is named after the clip.
_FRAME = re.compile(r"(?P<clip>.+)/(?:frame[_-]?)?\d+", re.IGNORECASE)


def groups_of(pairs: Sequence[Pair]) -> list[int]:
    """Number the groups of pairs that share a source image, a target image, an item or a clip.

    Pairs of one person or garment are not independent, so intervals go by whole groups. Where the
    item is not known, images that their names do not tell apart (Market-1501's distractors, the
    frames of one of several clips) share. Returns one group number per pair, in order of first
    appearance.
    """
    groups = _groups_by_name([pair.target_name or pair.key for pair in pairs])
    # A source image is also the target of other pairs, so both live in one name space.
    return linked([
        [f"t:{pair.target_name or pair.key}"]
        + ([f"t:{pair.source_name}"] if pair.source_name else [])
        + ([f"i:{pair.item}"] if pair.item else [f"g:{group}"] if group else [])
        for pair, group in zip(pairs, groups, strict=True)
    ])  # fmt: skip


def linked(labels: Sequence[Sequence[str]]) -> list[int]:
    """Number the sets of what is linked by shared labels, in order of first appearance.

    They are the connected components of "shares a label"; ``labels`` has those of each.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not labels:
        return []
    count, numbers = len(labels), dict[str, int]()
    rows = [row for row, shown in enumerate(labels) for _ in shown]
    columns = [count + numbers.setdefault(x, len(numbers)) for shown in labels for x in shown]
    nodes = count + len(numbers)
    graph = coo_array(([True] * len(rows), (rows, columns)), shape=(nodes, nodes))
    _, components = connected_components(graph, directed=False)
    order: dict[int, int] = {}
    return [order.setdefault(each, len(order)) for each in components[:count].tolist()]


def _groups_by_name(names: Sequence[str]) -> list[str]:
    """Return what the names tell images to share, or "" where they tell nothing."""
    frames = [_FRAME.fullmatch(name) for name in names]
    clips = {match["clip"] for match in frames if match}
    groups = []
    for name, match in zip(names, frames, strict=True):
        identity = identity_of(name)
        # One folder of numbers is the test set, and not a clip.
        clip = match["clip"] if match and len(clips) > 1 else ""
        clip = "" if clip.rpartition("/")[2] in PHOTOGRAPHS else clip
        groups.append(identity.group if identity else clip)
    return groups
