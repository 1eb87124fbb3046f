"""A pair: a generated image, its ground truth, and what is known beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fhpt_eval.images.files import ImageRef
from fhpt_eval.pairs.shapes import Cut


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of a pair, by key: of the generated image and, where known, the others; the item.

    ``ground_truth`` is ``None`` for all pairs of a run without ground truth. Which panels of the
    files they are, where these are strips, is settled by their sizes.
    """

    key: str
    generated: ImageRef
    ground_truth: ImageRef | None
    source: ImageRef | None = None
    source_name: str | None = None
    target_name: str = ""
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a pair, or a file, out of a run: what kind, which one, why."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class Matching:
    """What was matched: the pairs sorted by key, the rule, and what does not fit.

    ``expected`` is the number of pairs that there would be if everything fitted. ``example`` says
    of one pair what is compared with what, and ``notes`` what was recognised in the folders.
    ``passed_over`` is the number of entries of each side's folder that are no images, by kind.
    """

    pairs: tuple[Pair, ...]
    rule: str
    counts: Mapping[str, int]
    problems: tuple[Problem, ...]
    expected: int
    example: str = ""
    notes: tuple[str, ...] = ()
    passed_over: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def describe(self) -> str:
        """Say which rule matched how many files, with an example; and what was recognised."""
        alone = [pair for pair in self.pairs if pair.ground_truth is None]
        if alone:
            sources = sum(pair.source is not None for pair in alone)
            told = f"; of {sources:,} the source is known" if sources else ""
            return f"{len(alone):,} generated images, without ground truth (no --gt){told}"
        less = [f"{rule}: {n:,}" for rule, n in self.counts.items() if n and rule != self.rule]
        also = f" (other rules: {', '.join(less)})" if less else ""
        pairs = "1 pair" if len(self.pairs) == 1 else f"{len(self.pairs):,} pairs"
        example = f": {self.example}" if self.example else ""
        return "\n".join((f"{pairs} matched by {self.rule}{also}{example}", *self.notes))


@dataclass(frozen=True)
class Folders:
    """Where images are: folders of generated images and, perhaps, ground truth and source images.

    ``cut`` says of which panels files are strips.
    """

    generated: Path
    ground_truth: Path | None
    source: Path | None = None
    cut: Cut | None = None

    @property
    def is_strip_only(self) -> bool:
        """Whether the ground truth is a panel of the generated images' own files."""
        return self.cut is not None and self.is_one_folder

    @property
    def is_one_folder(self) -> bool:
        """Whether generated images and ground truth lie in the same folder."""
        truth = self.ground_truth
        return truth is not None and os.path.realpath(self.generated) == os.path.realpath(truth)
