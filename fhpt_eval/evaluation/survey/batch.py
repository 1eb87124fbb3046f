"""Pairs of a batch of tensors: checked as files are, before anything is computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from fhpt_eval.errors import ArgumentError
from fhpt_eval.evaluation.survey.checks import size_problem
from fhpt_eval.evaluation.survey.chunks import CheckedPair
from fhpt_eval.evaluation.survey.shapes import misfits
from fhpt_eval.features.levels import checked_images
from fhpt_eval.images.files import HeldImage, ImageRef
from fhpt_eval.images.preparation import Step
from fhpt_eval.pairs.naming import item_of, names_in, pair_key
from fhpt_eval.pairs.pair import Pair

if TYPE_CHECKING:
    from torch import Tensor

#: The names of a source image, where known, and of a target.
Names = tuple[str | None, str]


def pairs_of(
    images: Mapping[str, Tensor | None],
    keys: Sequence[str],
    items: Sequence[str] | None,
    names: Sequence[Names] | None,
) -> list[CheckedPair]:
    """Return the pairs of a batch; what keys tell of names is read as of files.

    ``images`` are ``(N, 3, H, W)`` by side, or ``None``.

    Raises:
        ArgumentError: names the argument, and what is wrong with it.
    """
    held = {side: _held(tensor, side) for side, tensor in images.items() if tensor is not None}
    count = len(held["generated"])
    for argument, values in {**held, "keys": keys, "items": items, "names": names}.items():
        if values is not None and (isinstance(values, str) or len(values) != count):
            raise ArgumentError(f"'{argument}' must hold one for each of {count} generated images")
    _check_keys(keys)
    pairs = []
    for row, key in enumerate(keys):
        source_name, target = names[row] if names else names_in(key)
        truth, source = (
            replace(held[side][row], ref=ImageRef(Path(name or f"source of {key}")))
            if side in held
            else None
            for side, name in (("ground_truth", target), ("source", source_name))
        )
        item = items[row] if items else item_of(target)
        pair = Pair(
            key if names else pair_key(source_name, target),
            ImageRef(Path(key)),
            truth.ref if truth else None,
            source.ref if source else None,
            source_name,
            target,
            item or None,
        )
        generated = replace(held["generated"][row], ref=pair.generated)
        pairs.append(CheckedPair(pair, generated, truth, source))
    return pairs


def _held(images: object, argument: str) -> list[HeldImage]:
    """Hold the images of a batch as 8-bit ones, floats at the nearest of 256 levels."""
    checked = checked_images(images, argument=argument)
    if checked.dtype != torch.uint8:
        checked = (checked.float() * 255).round().to(torch.uint8)
    pixels = checked.detach().permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return [HeldImage.of(argument, image) for image in pixels]


def _check_keys(keys: Sequence[str]) -> None:
    for key in keys:
        if not isinstance(key, str) or not key or not key.isprintable():
            raise ArgumentError(
                f"'keys' must be the names of generated images, printable texts; {key!r} is none"
            )


def check_sizes(
    pairs: Sequence[CheckedPair],
    preparations: Mapping[tuple[Step, ...], str],
    alone: Collection[tuple[Step, ...]],
) -> None:
    """Refuse images that cannot be compared, see :func:`fhpt_eval.evaluation.survey.checks.survey`.

    Raises:
        PairingError: their shapes say that they are not what they are taken for.
        ArgumentError: their sizes differ.
    """
    faults = {key: problem.reason for key, problem in misfits(pairs, preparations).items()}
    for pair in pairs:
        reason = faults.get(pair.key) or size_problem(pair, preparations, alone)
        if reason:
            raise ArgumentError(f"'generated': the image of {pair.key} {reason}")
