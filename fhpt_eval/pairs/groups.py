"""Groups of pairs that are not independent."""

from __future__ import annotations

from collections.abc import Sequence

from fhpt_eval.pairs.pair import Pair


def groups_of(pairs: Sequence[Pair]) -> list[int]:
    """Number the groups of pairs that share a source image, a target image or an item.

    Pairs of one person or garment are not independent, so intervals go by whole groups. Returns one
    group number per pair, in order of first appearance.
    """
    # A source image is also the target of other pairs, so both live in one name space.
    return linked([
        [f"t:{pair.target_name or pair.key}"]
        + ([f"t:{pair.source_name}"] if pair.source_name else [])
        + ([f"i:{pair.item}"] if pair.item else [])
        for pair in pairs
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
