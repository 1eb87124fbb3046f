"""What an executor runs on each chunk: compute what the stores lack, and keep it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fhpt_eval.common.digests import digest_of
from fhpt_eval.errors import StorageError
from fhpt_eval.evaluation import fingerprint
from fhpt_eval.evaluation.chunk import Recipe, compute
from fhpt_eval.evaluation.partial import Partial
from fhpt_eval.evaluation.plan import Chunk
from fhpt_eval.evaluation.rows import FeatureTask, Rows, keep_rows, load_rows, row_identity
from fhpt_eval.evaluation.store import Store


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
        known = {
            task.address: load_rows(
                self.cache, task, {row_identity(pair, task) for pair in chunk.pairs}
            )
            for task in shared
        }
        partial = compute(chunk, lacking, known)
        for task in shared:
            if not known[task.address]:
                rows = truth_rows(chunk, partial, task)
                order = sorted(rows)
                arrays = {part: [rows[one][part] for one in order] for part in rows[order[0]]}
                keep_rows(self.cache, task, order, {p: np.stack(a) for p, a in arrays.items()})
        for address, one in partial.yields.items():
            # A file for each, so that runs with other metrics may share a folder at the same time.
            self.store.save(yield_address(chunk, address), replace(partial, yields={address: one}))
        return False

    def _lacks(self, chunk: Chunk, address: str) -> bool:
        return self.store.load(yield_address(chunk, address)) is None


def truth_rows(chunk: Chunk, partial: Partial, task: FeatureTask) -> Rows:
    """Return a row for each ground-truth image of a chunk, out of what its task yielded."""
    by_key = {pair.pair.key: row_identity(pair, task) for pair in chunk.pairs}
    state = partial.yields[task.address].state or {}
    return {
        by_key[key]: {part: array[at] for part, array in state.items() if part != "distinct"}
        for at, key in enumerate(partial.keys)
    }


def yield_address(chunk: Chunk, task: str) -> str:
    """Return the content address of what a task yields for a chunk: the chunk's, and the task's.

    The chunk's has what makes the pixels, and the order of the pairs; names of folders are not in
    it. 160 bits of its digest, and 96 of the task's, are plenty, and keep the name of the file
    short.
    """
    pixels = digest_of(
        {
            "format": fingerprint.FORMAT,
            "decoder": fingerprint.decoder(),
            "pairs": [pair.identity for pair in chunk.pairs],
        }
    )
    return f"{pixels[:40]}-{ending(task)}"


def ending(task: str) -> str:
    """Return what the addresses of all that a task yields end with."""
    return task[:24]


def stored(store: Store, chunk: Chunk, addresses: Sequence[str]) -> Partial:
    """Load all that some tasks yielded for a chunk a moment ago, as one partial.

    Raises:
        StorageError: something is gone.
    """
    found = [store.load(yield_address(chunk, address)) for address in addresses]
    partials = [partial for partial in found if partial is not None]
    if not partials or len(partials) < len(found):
        raise StorageError(VANISHED)
    yields = {address: one for partial in partials for address, one in partial.yields.items()}
    return replace(partials[0], yields=yields)


#: Said when something that was kept a moment ago cannot be read back.
VANISHED = (
    "Finished chunks vanished from the output folder or the cache during the run. Repeat the "
    "command, and let nothing else remove files there."
)
