"""What an executor runs on each chunk: compute what the stores lack, and keep it.

May import: evaluation.chunk, evaluation.fingerprint, evaluation.partial, evaluation.store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.canonical import digest_of
from fhpt_eval.errors import StorageError
from fhpt_eval.evaluation import fingerprint
from fhpt_eval.evaluation.chunk import FeatureTask, Recipe, compute
from fhpt_eval.evaluation.partial import Partial, Yield
from fhpt_eval.evaluation.plan import Chunk
from fhpt_eval.evaluation.store import Store

Rows = Mapping[str, Mapping[str, NDArray[np.generic]]]


@dataclass(frozen=True)
class ChunkJob:
    """Computes what ``store`` lacks of a chunk, with ground-truth features out of ``cache``.

    ``cache`` is shared by all methods that are scored against the same ground truth: a chunk holds
    all pairs of its targets, so another method's chunk has the same ground-truth images.
    """

    recipe: Recipe
    store: Store
    cache: Store

    def __call__(self, chunk: Chunk) -> bool:
        """Return whether everything was in the store already."""
        lacking = Recipe(
            tuple(task for task in self.recipe.tasks if self._lacks(chunk, task.address)),
            self.recipe.device,
            tuple(task for task in self.recipe.features if self._lacks(chunk, task.address)),
        )
        if not lacking.tasks and not lacking.features:
            return True
        shared = [task for task in lacking.features if task.side == "ground_truth"]
        known = {task.address: self._cached(chunk, task) for task in shared}
        partial = compute(chunk, lacking, known)
        for task in shared:
            if not known[task.address]:
                self._keep(chunk, task, partial)
        for address, one in partial.yields.items():
            # A file for each, so that runs with other metrics may share a folder at the same time.
            self.store.save(yield_address(chunk, address), replace(partial, yields={address: one}))
        return False

    def _lacks(self, chunk: Chunk, address: str) -> bool:
        return self.store.load(yield_address(chunk, address)) is None

    def _cached(self, chunk: Chunk, task: FeatureTask) -> Rows:
        """Return the rows of the chunk's ground-truth images, or nothing."""
        found = self.cache.load(_truth_address(chunk, task))
        if found is None or task.address not in found.yields:
            return {}
        arrays = found.yields[task.address].state or {}
        return {
            identity: {name: array[row] for name, array in arrays.items()}
            for row, identity in enumerate(found.keys)
        }

    def _keep(self, chunk: Chunk, task: FeatureTask, partial: Partial) -> None:
        """Keep one row for each ground-truth image of the chunk."""
        by_key = {pair.pair.key: pair.ground_truth.identity for pair in chunk.pairs}
        rows = {by_key[key]: row for row, key in enumerate(partial.keys)}
        identities = tuple(sorted(rows))
        order = [rows[identity] for identity in identities]
        state = partial.yields[task.address].state or {}
        arrays = {name: array[order] for name, array in state.items() if name != "distinct"}
        blank = ("",) * len(identities)
        kept = Partial(identities, blank, blank, {task.address: Yield({}, arrays)})
        self.cache.save(_truth_address(chunk, task), kept)


def yield_address(chunk: Chunk, task: str) -> str:
    """Return the content address of what a task yields for a chunk: the chunk's, and the task's.

    The chunk's has what makes the pixels, and the order of the pairs; names of folders are not in
    it. 160 and 96 bits of the two digests are plenty, and keep the name of the file short.
    """
    pixels = digest_of(
        {
            "format": fingerprint.FORMAT,
            "decoder": fingerprint.decoder(),
            "pairs": [pair.identity for pair in chunk.pairs],
        }
    )
    return f"{pixels[:40]}-{task[:24]}"


def stored(store: Store, chunk: Chunk, addresses: Sequence[str]) -> Partial:
    """Load all that some tasks yielded for a chunk a moment ago, as one partial.

    Raises:
        StorageError: something is gone.
    """
    found = [store.load(yield_address(chunk, address)) for address in addresses]
    partials = [partial for partial in found if partial is not None]
    if not partials or len(partials) < len(found):
        raise StorageError(
            "Finished chunks vanished from the output folder during the run. Repeat the command, "
            "and let nothing else remove files there."
        )
    yields = {address: one for partial in partials for address, one in partial.yields.items()}
    return replace(partials[0], yields=yields)


def _truth_address(chunk: Chunk, task: FeatureTask) -> str:
    """Return the address of the features of a chunk's ground-truth images, whatever the method."""
    images = sorted({pair.ground_truth.identity for pair in chunk.pairs})
    return digest_of(
        {"task": task.address, "decoder": fingerprint.decoder(), "ground_truth": images}
    )
