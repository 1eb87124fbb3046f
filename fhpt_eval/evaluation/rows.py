"""Rows of features: what computes them, once for each image, and where they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fhpt_eval.common.digests import digest_of
from fhpt_eval.evaluation import fingerprint
from fhpt_eval.evaluation.blame import blame
from fhpt_eval.evaluation.partial import Partial, Yield
from fhpt_eval.evaluation.plan import CheckedPair
from fhpt_eval.evaluation.store import Store
from fhpt_eval.features.base import Feature
from fhpt_eval.images.preparation import Side, Step

#: The arrays of one image, by name.
Row = Mapping[str, NDArray[np.generic]]
#: Rows by the identity of the image.
Rows = Mapping[str, Row]


@dataclass(frozen=True)
class FeatureTask:
    """One feature of one side of the pairs: what is computed of images prepared how.

    ``content`` addresses what the rows depend on besides the image, so that tasks of two sides that
    are prepared alike have one; ``address`` tells sides apart.
    """

    content: str
    feature: Feature
    side: Side
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, feature: Feature, side: Side, steps: tuple[Step, ...], device: str) -> FeatureTask:
        """Work out the address for a device."""
        content = fingerprint.feature_address(feature, side, steps, device)
        return cls(content, feature, side, steps)

    @property
    def address(self) -> str:
        """The address of what the task yields for a chunk of pairs."""
        return digest_of({"feature": self.content, "side": self.side})


def row_identity(pair: CheckedPair, task: FeatureTask) -> str:
    """Return what a row of a pair's generated or ground-truth image rests on besides its task.

    That is what makes the pixels and, where a step goes by names, whose image it is.
    """
    image = pair.generated if task.side == "generated" else pair.ground_truth
    if not any(step.by_name for step in task.steps if task.side in step.of):
        return image.identity
    return f"{image.identity}@{pair.pair.target_name}@{pair.pair.source_name or ''}"


class RowMaker:
    """The rows of one feature so far; each image's are computed once."""

    def __init__(self, task: FeatureTask, known: Rows) -> None:
        self._task = task
        self._known = dict(known)

    def lacking(self, identities: Sequence[str]) -> dict[str, int]:
        """Return the images whose rows are not known, each once, with its place."""
        places = {identity: place for place, identity in enumerate(identities)}
        return {one: place for one, place in places.items() if one not in self._known}

    def add(self, images: torch.Tensor, identities: Sequence[str], what: str) -> None:
        """Compute the rows of ``(N, 3, H, W)`` prepared images that are not known yet."""
        new = self.lacking(identities)
        if not new:
            return
        name = self._task.feature.name
        with blame(name, f"computing the batch that starts with {what}"), torch.inference_mode():
            arrays = self._task.feature.compute(images[list(new.values())])
            found = {part: array.cpu().numpy() for part, array in arrays.items()}
        for at, identity in enumerate(new):
            self._known[identity] = {part: array[at] for part, array in found.items()}

    def stacked(self, identities: Sequence[str]) -> dict[str, NDArray[np.generic]]:
        """Return named arrays with a row for each of the images."""
        rows = [self._known[identity] for identity in identities]
        return {part: np.stack([row[part] for row in rows]) for part in rows[0]}


def load_rows(store: Store, task: FeatureTask, identities: Iterable[str]) -> Rows:
    """Return the kept rows of exactly these images, or nothing."""
    found = store.load(rows_address(task, identities))
    if found is None or task.content not in found.yields:
        return {}
    arrays = found.yields[task.content].state or {}
    return {
        identity: {part: array[row] for part, array in arrays.items()}
        for row, identity in enumerate(found.keys)
    }


def keep_rows(store: Store, task: FeatureTask, identities: Sequence[str], state: Row) -> None:
    """Keep a row for each of these images, which are sorted; ``state`` has them in that order."""
    blank = ("",) * len(identities)
    kept = Partial(tuple(identities), blank, blank, {task.content: Yield({}, dict(state))})
    store.save(rows_address(task, identities), kept)


def rows_address(task: FeatureTask, identities: Iterable[str]) -> str:
    """Return the address of one feature of a set of images, whatever method or run they are in."""
    images = sorted(set(identities))
    return digest_of({"feature": task.content, "decoder": fingerprint.decoder(), "images": images})
