"""Leave out the last, incomplete batch of a set whose size is known only at the end.

Some published scripts score whole batches alone (``drop_incomplete`` in docs/protocols.md). Which
items fall off is clear when all have come, but features of all cannot be kept until then: only
those that may still be among the last are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.metrics.on_features import Arrays, FeatureRows
from fhpt_eval.protocol import Entry

#: Rows, and the number of the group that they came with.
Released = tuple[int, FeatureRows]


class Tail:
    """Passes rows on but for the last, incomplete batch in the order of keys.

    What comes out, and in which order, depends on what came in and in which order.
    """

    def __init__(self, entry: Entry) -> None:
        """Take the metric whose rows come, which says how many of them count."""
        self._entry = entry
        self._held: list[tuple[str, int, FeatureRows]] = []  # one row each, by key
        self.count = 0

    def add(self, group: int, rows: FeatureRows) -> Iterator[Released]:
        """Add rows; yield those that are certain to count."""
        if not rows.keys:
            return
        self.count += len(rows.keys)
        rows = _with_first_keys(rows)
        keys = sorted([*rows.keys, *(key for key, _, _ in self._held)])
        most = self._entry.drop_incomplete - 1  # more than these never fall off
        first_held = keys[-most] if most < len(keys) else keys[0]
        certain = [one for one in self._held if one[0] < first_held]
        self._held = [one for one in self._held if one[0] >= first_held]
        yield from _joined(certain)
        passed = [at for at, key in enumerate(rows.keys) if key < first_held]
        if passed:
            yield group, take(rows, passed)
        self._held += [
            (key, group, take(rows, [at])) for at, key in enumerate(rows.keys) if key >= first_held
        ]

    def finish(self) -> Iterator[Released]:
        """Yield what is left and counts."""
        self._held.sort(key=lambda one: one[0])
        dropped = self.count - self._entry.counted(self.count)
        yield from _joined(self._held[: len(self._held) - dropped])
        self._held = []


def take(rows: FeatureRows, at: Sequence[int]) -> FeatureRows:
    """Return the rows at some places."""
    return replace(
        rows,
        keys=tuple(rows.keys[place] for place in at),
        targets=tuple(rows.targets[place] for place in at),
        sources=tuple(rows.sources[place] for place in at),
        items=tuple(rows.items[place] for place in at),
        distinct=rows.distinct[list(at)],
        generated=_taken(rows.generated, at),
        ground_truth=_taken(rows.ground_truth, at),
        source=_taken(rows.source, at),
        target_images=tuple(rows.target_images[place] for place in at if rows.target_images),
        source_images=tuple(rows.source_images[place] for place in at if rows.source_images),
    )


def reference_rows(
    names: Sequence[str], features: Mapping[str, Arrays], images: Sequence[str]
) -> FeatureRows:
    """Return features of reference images as rows of ground truth."""
    blank = ("",) * len(names)
    every = np.ones(len(names), bool)
    own = tuple(names)
    return FeatureRows(own, own, blank, blank, every, {}, dict(features), {}, tuple(images), blank)


def _taken(side: Mapping[str, Arrays], at: Sequence[int]) -> dict[str, Arrays]:
    places = list(at)
    return {
        name: {part: array[places] for part, array in arrays.items()}
        for name, arrays in side.items()
    }


def _with_first_keys(rows: FeatureRows) -> FeatureRows:
    """Let the first key of each ground-truth image stand for it.

    So an image counts as long as one of its pairs does.
    """
    first: dict[str, int] = {}
    for at in sorted(range(len(rows.keys)), key=rows.keys.__getitem__):
        first.setdefault(rows.targets[at], at)
    return replace(rows, distinct=np.isin(np.arange(len(rows.keys)), list(first.values())))


def _joined(held: Sequence[tuple[str, int, FeatureRows]]) -> Iterator[Released]:
    """Yield single rows, joined by group."""
    ordered = sorted(held, key=lambda one: (one[1], one[0]))
    for group, some in groupby(ordered, key=lambda one: one[1]):
        yield group, _concatenated([rows for _, _, rows in some])


def _concatenated(parts: Sequence[FeatureRows]) -> FeatureRows:
    def sides(name: str) -> dict[str, dict[str, NDArray[np.generic]]]:
        first: Mapping[str, Arrays] = getattr(parts[0], name)
        return {
            feature: {
                part: np.concatenate([getattr(one, name)[feature][part] for one in parts])
                for part in arrays
            }
            for feature, arrays in first.items()
        }

    return FeatureRows(
        tuple(key for one in parts for key in one.keys),
        tuple(target for one in parts for target in one.targets),
        tuple(source for one in parts for source in one.sources),
        tuple(item for one in parts for item in one.items),
        np.concatenate([one.distinct for one in parts]),
        sides("generated"),
        sides("ground_truth"),
        sides("source"),
        tuple(image for one in parts for image in one.target_images),
        tuple(image for one in parts for image in one.source_images),
    )
