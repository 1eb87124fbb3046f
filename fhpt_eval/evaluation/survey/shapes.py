"""Before any work: strips are cut, and what has no shape to be compared is refused.

Sizes alone are looked at, before any resize of the protocol, which would hide what they tell.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from fhpt_eval.errors import ImageError, InputError, PairingError
from fhpt_eval.evaluation.survey.chunks import CheckedPair, Size
from fhpt_eval.images.files import CheckedImage
from fhpt_eval.images.preparation import Side, Step, size_before_resize
from fhpt_eval.pairs.pair import Problem
from fhpt_eval.pairs.shapes import Cut, misfit, strip_of_itself


def cut_pair(pair: CheckedPair, cut: Cut, *, with_source: bool) -> CheckedPair | Problem:
    """Return a pair of whole files with the panels that are its images, or what is wrong with one.

    A source image that has no file of its own is taken out of the strip of ground truth, or where
    its panel was named out of that of the results.

    Raises:
        InputError: a file is a strip, and which panel it is is not known.
    """
    generated, truth, source = pair.generated, pair.ground_truth, pair.source
    size = _size(generated)
    of_truth = cut.of_truth(size, _size(truth)) if truth else None
    if with_source and source is None:
        if truth and of_truth and cut.source:
            source = truth
        elif "--source-panel" in cut.named:
            source = generated
    cuts = (
        (generated, cut.of_generated(size, _size(truth) if truth else None)),
        (truth, of_truth),
        (source, cut.of_source(size, _size(source)) if source else None),
    )
    images: list[CheckedImage | None] = []
    for image, panel in cuts:
        try:
            images.append(image.cut(panel) if image else None)
        except ImageError as error:
            return Problem("unreadable", str(image.ref.path if image else ""), str(error))
    return replace(pair, generated=images[0] or generated, ground_truth=images[1], source=images[2])


def panels_of(pairs: Sequence[CheckedPair], cut: Cut) -> str:
    """Say in a line which panels the images of some pairs are, or nothing if none was cut."""
    sides: dict[str, Side] = {
        "generated image": "generated",
        "ground truth": "ground_truth",
        "source image": "source",
    }
    said = []
    for title, side in sides.items():
        images = (pair.image(side) for pair in pairs)
        panels = {image.ref.panel.index for image in images if image and image.ref.panel}
        said += [f"{title} {index}" for index in panels]
    return f"Panels of {cut.label}: {', '.join(said)}" if said else ""


def misfits(
    pairs: Sequence[CheckedPair], preparations: Collection[tuple[Step, ...]]
) -> dict[str, Problem]:
    """Return, by key, what is wrong with pairs whose shapes no resize should make equal.

    Raises:
        PairingError: that is so for most pairs, so that a file is not what it is taken for.
    """
    reasons: dict[tuple[Size, Size], str] = {}
    faults: dict[str, Problem] = {}
    first = ""
    for pair in pairs:
        truth = pair.ground_truth
        if truth is None:
            continue
        sizes = _size(pair.generated), _size(truth)
        if sizes not in reasons:
            reasons[sizes] = _misfit(*sizes, preparations)
        reason = reasons[sizes]
        if reason:
            ours, theirs = (f"{width} x {height}" for width, height in sizes)
            files = f"is {ours}, and its ground truth {truth.ref.path.name} {theirs}"
            first = first or f"{pair.generated.ref.path.name} {files}.\n{reason}"
            faults[pair.key] = Problem("size", str(pair.generated.ref.path), f"{files}; {reason}")
    if len(faults) > len(pairs) / 2:
        raise PairingError(
            f"{len(faults):,} of {len(pairs):,} pairs are of images that differ in shape, such as\n"
            f"  {first}\nNothing was computed."
        )
    return faults


def refuse_copies(pairs: Sequence[CheckedPair]) -> None:
    """Refuse results that are their own ground truth, byte for byte.

    Raises:
        InputError: every one of them is.
    """
    if not pairs or any(
        pair.ground_truth is None or pair.generated.identity != pair.ground_truth.identity
        for pair in pairs
    ):
        return
    path = pairs[0].generated.ref.path
    same = pairs[0].ground_truth is not None and path.samefile(pairs[0].ground_truth.ref.path)
    hint = strip_of_itself(_size(pairs[0].generated))
    also = f" If these are strips:\n{hint}" if hint else ""
    raise InputError(
        f"Every generated image is {'its own' if same else 'a copy of its'} ground truth:\n"
        f"  {path}, ...\n"
        "Images compared with themselves are no result. Give --pred the folder of results,\n"
        f"and --gt that of real images.{also}"
    )


def _misfit(ours: Size, theirs: Size, preparations: Collection[tuple[Step, ...]]) -> str:
    """Say what is wrong with two sizes under some preparation, or return an empty text."""
    for steps in preparations:
        try:
            prepared = (
                size_before_resize(ours, steps, "generated"),
                size_before_resize(theirs, steps, "ground_truth"),
            )
        except ImageError:
            prepared = ours, theirs
        fault = misfit(*prepared)
        if fault:
            return misfit(ours, theirs) or fault
    return ""


def _size(image: CheckedImage) -> Size:
    return image.width, image.height
