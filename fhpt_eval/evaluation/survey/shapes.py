"""Before any work: strips are cut, and what has no shape to be compared is refused.

Sizes alone are looked at, before any resize of the protocol, which would hide what they tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from fhpt_eval.errors import ImageError, InputError, PairingError
from fhpt_eval.evaluation.survey.chunks import CheckedPair, SetImage, Size
from fhpt_eval.images.files import CheckedImage
from fhpt_eval.images.preparation import Side, Step, size_before_resize
from fhpt_eval.pairs.pair import Problem
from fhpt_eval.pairs.shapes import Cut, misfit, strip_of_itself

#: What generated images are compared with.
SIDES: tuple[Side, ...] = ("ground_truth", "source")
_TITLES: Mapping[Side, str] = {
    "generated": "generated image", "ground_truth": "ground truth", "source": "source image",
}  # fmt: skip


def cut_pair(pair: CheckedPair, cut: Cut, *, with_source: bool) -> CheckedPair | Problem:
    """Return a pair of whole files with the panels that are its images, or what is wrong with one.

    A source image that has no file of its own is taken out of the strip of ground truth, or where
    its panel was named out of that of the results.

    Raises:
        InputError: a file is a strip, and which panel it is is not known.
    """
    generated, truth, source = pair.generated, pair.ground_truth, pair.source
    size = _size(generated)
    strip = cut.strip_among(size, *(_size(other) for other in (truth, source) if other))
    of_truth = cut.of_truth(_size(truth), strip) if truth else None
    if with_source and source is None:
        if truth and of_truth and cut.source:
            source = truth
        elif "--source-panel" in cut.named:
            source = generated
    cuts = (
        (generated, cut.of_generated(size, strip)),
        (truth, of_truth),
        (source, cut.of_source(_size(source), strip) if source else None),
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
    said = []
    for side, title in _TITLES.items():
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
    fault_of = _Faults(preparations)
    faults: dict[str, Problem] = {}
    first = ""
    for pair in pairs:
        for side in SIDES:
            image = pair.image(side)
            reason = fault_of(pair.generated, image, side) if image else ""
            if reason and image:
                theirs = f"{_TITLES[side]} {_named(image, True)}"
                files = f"is {_named(pair.generated)}, and its {theirs}"
                first = first or f"{pair.generated.ref.path.name} {files}.\n{reason}"
                reason = f"{files}; {reason}"
                faults.setdefault(pair.key, Problem("size", str(pair.generated.ref.path), reason))
    if len(faults) > len(pairs) / 2:
        raise PairingError(
            f"{len(faults):,} of {len(pairs):,} pairs are of images that differ in shape, such as\n"
            f"  {first}\nNothing was computed."
        )
    return faults


def check_set(
    what: str,
    images: Sequence[SetImage],
    pairs: Sequence[CheckedPair],
    preparations: Collection[tuple[Step, ...]],
) -> None:
    """Refuse a set that generated images are compared with, if no resize should make it like them.

    Raises:
        PairingError: that is so for most of its images and the generated images' commonest size.
    """
    common = Counter(_size(pair.generated) for pair in pairs).most_common(1)
    fault_of = _Faults(preparations)
    for size, _ in common:
        ours = next(pair.generated for pair in pairs if _size(pair.generated) == size)
        wrong = [(i, r) for i in images if (r := fault_of(ours, i.own_image, "ground_truth"))]
        if len(wrong) > len(images) / 2:
            image, reason = wrong[0]
            raise PairingError(
                f"{len(wrong):,} of {len(images):,} images in {what} differ in shape from the "
                f"generated ones:\n  {_named(image.own_image, True)}, and the generated image "
                f"{_named(ours, True)}.\n{reason}\nNothing was computed."
            )


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


class _Faults:
    """Says what is wrong with two sizes under some preparation; thinks of each two once."""

    def __init__(self, preparations: Collection[tuple[Step, ...]]) -> None:
        self._preparations = preparations
        self._known: dict[tuple[Size, Size, Side], str] = {}

    def __call__(self, generated: CheckedImage, other: CheckedImage, side: Side) -> str:
        key = _size(generated), _size(other), side
        if key not in self._known:
            self._known[key] = self._fault(*key)
        return self._known[key]

    def _fault(self, ours: Size, theirs: Size, side: Side) -> str:
        for steps in self._preparations:
            try:
                prepared = (
                    size_before_resize(ours, steps, "generated"),
                    size_before_resize(theirs, steps, side),
                )
            except ImageError:
                prepared = ours, theirs
            fault = misfit(*prepared)
            if fault:
                return misfit(ours, theirs) or fault
        return ""


def _named(image: CheckedImage, with_name: bool = False) -> str:
    name = f"{image.ref.path.name} " if with_name else ""
    return f"{name}{image.width} x {image.height}"


def _size(image: CheckedImage) -> Size:
    return image.width, image.height
