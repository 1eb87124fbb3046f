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

    Pairs of one person or garment are not independent, so intervals resample whole groups: the
    connected components of "shares something". Where the item is not known, images that their names
    do not tell apart (Market-1501's distractors, the frames of one of several clips) share. Returns
    one group number per pair, in order of first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return []
    groups = _groups_by_name([pair.target_name or pair.key for pair in pairs])
    labels: dict[str, int] = {}
    rows, columns = [], []  # of the graph's edges: a pair, and what it shows
    for row, pair in enumerate(pairs):
        # A source image is also the target of other pairs, so both live in one name space.
        shown = [f"t:{pair.target_name or pair.key}"]
        shown += [f"t:{pair.source_name}"] if pair.source_name else []
        shown += [f"i:{pair.item}"] if pair.item else []
        shown += [f"g:{groups[row]}"] if groups[row] and not pair.item else []
        rows += [row] * len(shown)
        columns += [len(pairs) + labels.setdefault(label, len(labels)) for label in shown]
    nodes = len(pairs) + len(labels)
    graph = coo_array(([True] * len(rows), (rows, columns)), shape=(nodes, nodes))
    _, components = connected_components(graph, directed=False)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(c, len(numbers)) for c in components[: len(pairs)].tolist()]


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
