"""What metrics need and a run or this machine lacks, before any work."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import InputError
from fhpt_eval.evaluation.survey.chunks import CheckedPair
from fhpt_eval.images.files import CheckedImage
from fhpt_eval.images.preparation import Side, Step, prepared_size
from fhpt_eval.metrics.base import Need, Shown, check_shown
from fhpt_eval.protocol import Entry


def lack_of(entry: Entry, pairs: Sequence[CheckedPair]) -> str:
    """Say what a metric needs and the run or the machine lacks, or return an empty text.

    Raises:
        InputError: the metric, its preparation and the pairs do not go together.
    """
    steps, uses = entry.steps, entry.metric.uses()
    if "ground_truth" in uses and any(pair.ground_truth is None for pair in pairs):
        return "needs ground truth (--gt" + _instead(entry, "ground_truth") + ")"
    targets = tuple(pair.pair.target_name for pair in pairs)
    canonical = [step.canonical() for step in steps]
    check_shown(entry.metric, Shown(canonical, targets, _sizes(steps, pairs)))
    names = [pair.names for pair in pairs]
    for number, step in enumerate(steps):
        step.check(names, _sizes(steps[:number], pairs))
    if entry.metric.reference_folder() is not None:
        _refuse_nameless(entry, "reference images")
    if "source" in uses and entry.metric.takes == "features":
        _refuse_nameless(entry, "source images")
    lacking = next(filter(None, (step.lacks() for step in steps)), entry.metric.lacks())
    return lacking or _lack_of_pairs(entry, pairs)


def sides_there(steps: Sequence[Step], pairs: Sequence[CheckedPair]) -> frozenset[Side]:
    """Return the images that all pairs have, and that can be prepared by some steps."""
    nameless = any(step.by_name and "source" in step.of for step in steps)
    there: set[Side] = {"generated"}
    if all(pair.ground_truth is not None for pair in pairs):
        there.add("ground_truth")
    if not nameless and all(pair.source is not None for pair in pairs):
        there.add("source")
    return frozenset(there)


def _lack_of_pairs(entry: Entry, pairs: Sequence[CheckedPair]) -> str:
    """Say which images or ids some pairs lack, or return an empty text."""
    uses = entry.metric.uses()
    without = sum(pair.source is None for pair in pairs)
    if "source" in uses and without:
        return (
            f"needs source images, and {without:,} of {len(pairs):,} pairs have none "
            f"(--source{_instead(entry, 'source')})"
        )
    nameless = sum(pair.pair.item is None for pair in pairs)
    if "item" in uses and nameless:
        return (
            f"needs item ids, and {nameless:,} of {len(pairs):,} pairs have none (names as "
            "DeepFashion, Market-1501 or VITON-HD have them, or a column 'item' in --pairs)"
        )
    return ""


def _instead(entry: Entry, need: Need) -> str:
    """Return what may be said in the place of a need's own option, after it."""
    instead = entry.metric.instead.get(need)
    return f", or {instead.replace('NAME', entry.name)}" if instead else ""


def _refuse_nameless(entry: Entry, images: str) -> None:
    """Refuse a step that goes by the names of a pair for images that belong to none.

    Raises:
        InputError: there is such a step.
    """
    side = "source" if images == "source images" else "ground_truth"
    for step in entry.steps:
        if step.by_name and side in step.of:
            raise InputError(
                f"{entry.name}: the protocol's step '{step.model_dump()['step']}' needs the names "
                f"of a pair, which {images} have not; limit it to the sides that it is meant for "
                "(of)."
            )


def _sizes(steps: tuple[Step, ...], pairs: Sequence[CheckedPair]) -> NDArray[np.int64]:
    """Return height and width of each image to be equalled after some steps.

    Where there is no ground truth that is the size of the generated image.
    """
    sides: list[tuple[CheckedImage, Side]] = [
        (p.ground_truth, "ground_truth") if p.ground_truth else (p.generated, "generated")
        for p in pairs
    ]
    sizes = [prepared_size((i.width, i.height), steps, side) for i, side in sides]
    return np.array(sizes, np.int64).reshape(-1, 2)[:, ::-1]
