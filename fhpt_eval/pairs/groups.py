"""Groups of pairs that are not independent."""

from __future__ import annotations

from collections.abc import Sequence

from fhpt_eval.pairs.pair import Pair


def groups_of(pairs: Sequence[Pair]) -> list[int]:
    """Number the groups of pairs that share a source image, a target image or an item.

    Pairs of one person or garment are not independent, so intervals resample whole groups: the
    connected components of "shares something". Returns one group number per pair, in order of
    first appearance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not pairs:
        return []
    labels: dict[str, int] = {}
    rows, columns = [], []  # of the graph's edges: a pair, and what it shows
    for row, pair in enumerate(pairs):
        # A source image is also the target of other pairs, so both live in one name space.
        shown = [f"t:{pair.target_name or pair.key}"]
        shown += [f"t:{pair.source_name}"] if pair.source_name else []
        shown += [f"i:{pair.item}"] if pair.item else []
        rows += [row] * len(shown)
        columns += [len(pairs) + labels.setdefault(label, len(labels)) for label in shown]
    nodes = len(pairs) + len(labels)
    graph = coo_array(([True] * len(rows), (rows, columns)), shape=(nodes, nodes))
    _, components = connected_components(graph, directed=False)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(c, len(numbers)) for c in components[: len(pairs)].tolist()]
