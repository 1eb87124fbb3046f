"""Check every image without decoding it, each file once."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ImageError, InputError
from fhpt_eval.evaluation.survey.chunks import CheckedPair, SetImage
from fhpt_eval.evaluation.survey.problems import unusable
from fhpt_eval.evaluation.survey.shapes import cut_pair, misfits, refuse_copies
from fhpt_eval.images.files import CheckedImage, ImageRef, check
from fhpt_eval.images.listing import counted, list_folder
from fhpt_eval.images.preparation import Side, Step, prepared_size
from fhpt_eval.pairs.layouts import layout_of
from fhpt_eval.pairs.pair import Matching, Pair, Problem
from fhpt_eval.pairs.shapes import Cut

# So many files are handed to the pool at a time, since what waits in it takes memory.
_AT_ONCE = 64


def survey(
    matching: Matching,
    preparations: Mapping[tuple[Step, ...], str],
    workers: int,
    progress: Progress,
    alone: Collection[tuple[Step, ...]] = (),
    *,
    cut: Cut | None = None,
    with_source: bool = True,
) -> tuple[list[CheckedPair], list[Problem]]:
    """Check every image of the matched pairs; each file is read once.

    Args:
        matching: the matched pairs.
        preparations: the different preparations, for the sizes that they give, and what a reason
            ends with where one of them is at fault: the protocol, where there are several.
        workers: how many files are read at a time.
        progress: is told how many images are checked.
        alone: those of them under which no two images are compared pixel by pixel: they may make
            sizes differ that were equal.
        cut: of which panels files are strips.
        with_source: whether source images are looked at.

    Returns:
        The pairs that passed, sorted by key, and what is wrong with the others.

    Raises:
        InputError: files are not what they are taken for: copies of the ground truth, or strips.
    """
    refs = list(dict.fromkeys(r for pair in matching.pairs for r in _refs(pair, with_source)))
    progress.stage("Checking images", len(refs))
    checked, broken = check_all(refs, workers, progress)
    known = {problem.name for problem in matching.problems if problem.kind == "unreadable"}
    problems = [
        Problem("unreadable", str(ref.path), reason)
        for ref, reason in broken.items()
        if str(ref.path) not in known
    ]
    whole = [
        CheckedPair(
            pair,
            checked[pair.generated],
            checked[pair.ground_truth] if pair.ground_truth else None,
            checked[pair.source] if pair.source and with_source else None,
        )
        for pair in matching.pairs
        if not any(ref in broken for ref in _refs(pair, with_source))
    ]
    parts = [cut_pair(p, cut, with_source=with_source) if cut else p for p in whole]
    # A strip that cannot be cut is one file, though several pairs may want it.
    problems += dict.fromkeys(each for each in parts if isinstance(each, Problem))
    pairs = [each for each in parts if isinstance(each, CheckedPair)]
    refuse_copies(pairs)
    faults = misfits(pairs, preparations)
    for pair in pairs:
        if pair.key not in faults and (reason := _size_problem(pair, preparations, alone)):
            faults[pair.key] = Problem("size", str(pair.generated.ref.path), reason)
    return [pair for pair in pairs if pair.key not in faults], [*problems, *faults.values()]


def images_below(
    root: Path,
    preparations: Collection[tuple[Step, ...]],
    workers: int,
    progress: Progress,
    what: str = "The reference folder",
) -> list[SetImage]:
    """Check all images below a folder, and that they can be prepared as ground truth.

    Of try-on sets the garments, and what lies beside the photographs of people, are left out.

    Raises:
        InputError: the folder, or an image in it, cannot be used.
    """
    listing = list_folder(root, what, whole=True)
    if listing.passed_over:
        progress.say(f"Passed over in {root}: {counted(listing.passed_over)}")
    layout = layout_of(listing.images, root)
    for line in layout.describe(what):
        progress.say(line)
    people = {n: files for n, files in listing.images.items() if n not in layout.aside}
    refs = {ImageRef(files[0]): name for name, files in people.items()}
    twice = [name for name, files in people.items() if len(files) > 1]
    problems = [Problem("duplicate", name, "several files have this name") for name in twice]
    progress.stage("Checking images", len(refs))
    checked, broken = check_all(list(refs), workers, progress)
    problems += [Problem("unreadable", str(ref.path), reason) for ref, reason in broken.items()]
    for ref, image in checked.items():
        try:
            for steps in preparations:
                prepared_size((image.width, image.height), steps, "ground_truth")
        except ImageError as error:
            problems.append(Problem("size", str(ref.path), str(error)))
    if problems:
        raise InputError(unusable(f"{what} {root}", problems))
    return [SetImage(name, checked[ref], "ground_truth") for ref, name in refs.items()]


def check_all(
    refs: Sequence[ImageRef], workers: int, progress: Progress
) -> tuple[dict[ImageRef, CheckedImage], dict[ImageRef, str]]:
    """Check images: those that passed, and what is wrong with the others.

    ``workers`` files are read at a time once the storage is seen to keep the processor waiting, as
    over a network. From a local disk threads take twice the time of none, since they wait for
    each other and not for files.
    """
    checked: dict[ImageRef, CheckedImage] = {}
    broken: dict[ImageRef, str] = {}
    waiting = False
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(refs), _AT_ONCE):
            batch = refs[start : start + _AT_ONCE]
            clock, busy = time.perf_counter(), time.thread_time()
            outcomes = pool.map(_try, batch) if waiting else map(_try, batch)
            for ref, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, CheckedImage):
                    checked[ref] = outcome
                else:
                    broken[ref] = outcome
            busy = time.thread_time() - busy
            waiting = waiting or time.perf_counter() - clock > 2 * busy
            progress.advance(start + len(batch))
    return checked, broken


def _refs(pair: Pair, with_source: bool) -> list[ImageRef]:
    refs = (pair.generated, pair.ground_truth, pair.source if with_source else None)
    return [ref for ref in refs if ref is not None]


def _try(ref: ImageRef) -> CheckedImage | str:
    try:
        return check(ref)
    except ImageError as error:
        return str(error)


def _size_problem(
    pair: CheckedPair,
    preparations: Mapping[tuple[Step, ...], str],
    alone: Collection[tuple[Step, ...]],
) -> str | None:
    """Say why the two images cannot be compared under some preparation, or return ``None``."""
    truth, equal = pair.ground_truth, len(set(pair.sizes)) == 1
    for steps, protocols in preparations.items():
        try:
            ours = _prepared(pair.generated, steps, "generated")
            theirs = _prepared(truth, steps, "ground_truth") if truth else ours
            if pair.source:
                _prepared(pair.source, steps, "source")
        except ImageError as error:
            return f"{error}{protocols}"
        if truth and ours != theirs and not (steps in alone and equal):
            return (
                f"is {ours[0]} x {ours[1]} and its ground truth "
                f"{truth.ref.path.name} {theirs[0]} x {theirs[1]}"
                + (" after preparation" if steps else "")
                + protocols
                + "; a protocol with a resize step says how to make them equal"
            )
    return None


def _prepared(image: CheckedImage, steps: tuple[Step, ...], side: Side) -> tuple[int, int]:
    try:
        return prepared_size((image.width, image.height), steps, side)
    except ImageError as error:
        raise ImageError(f"{side.replace('_', ' ')} {image.ref.path.name} {error}") from error
