"""A pair: a generated image, its ground truth, and what is known beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fhpt_eval.errors import InputError
from fhpt_eval.images.files import ImageRef

#: Panels (source, target, generated) of the strips that the field writes, by their number.
STRIPS = {3: (1, 2, 3), 5: (1, 3, 5)}


@dataclass(frozen=True, slots=True)
class Pair:
    """A generated image and its ground truth, by key; with them, where known, source and item."""

    key: str
    generated: ImageRef
    ground_truth: ImageRef
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

    ``expected`` is the number of pairs that there would be if everything fitted.
    """

    pairs: tuple[Pair, ...]
    rule: str
    counts: Mapping[str, int]
    problems: tuple[Problem, ...]
    expected: int

    def describe(self) -> str:
        """Say in a line which rule matched how many files."""
        less = [f"{rule}: {n:,}" for rule, n in self.counts.items() if n and rule != self.rule]
        also = f" (other rules: {', '.join(less)})" if less else ""
        pairs = "1 pair" if len(self.pairs) == 1 else f"{len(self.pairs):,} pairs"
        return f"{pairs} matched by {self.rule}{also}"


@dataclass(frozen=True)
class Folders:
    """Where images are: folders of generated images, ground truth and, perhaps, source images."""

    generated: Path
    ground_truth: Path
    source: Path | None = None
    panels: int | None = None
    panel: int | None = None

    @property
    def is_strip_only(self) -> bool:
        """Whether the ground truth is a panel of the generated images' own files."""
        return self.panels is not None and self.is_one_folder

    @property
    def is_one_folder(self) -> bool:
        """Whether generated images and ground truth lie in the same folder."""
        return os.path.realpath(self.generated) == os.path.realpath(self.ground_truth)

    def generated_panel(self) -> int | None:
        """Return the panel of generated images, by default the last; ``None`` for no strips.

        Raises:
            InputError: the panel is not one of the strip's.
        """
        if self.panels is None:
            if self.panel is not None:
                raise InputError("--panel needs --panels: of how many is it one?")
            return None
        panel = self.panels if self.panel is None else self.panel
        if not 1 <= panel <= self.panels:
            raise InputError(f"--panel {panel} does not lie in 1 to {self.panels}.")
        return panel

    def strip(self) -> tuple[int, int, int]:
        """Return the panels of source, target and generated image in a strip that holds all.

        Raises:
            InputError: it is not known where they are in strips of so many panels.
        """
        if self.panels not in STRIPS:
            known = " or ".join(str(n) for n in STRIPS)
            raise InputError(
                "--pred and --gt are one folder, so the ground truth is a panel of each strip; "
                f"that is known for {known} panels, not {self.panels}. Give --gt a folder of its "
                "own."
            )
        if self.panel == STRIPS[self.panels][1]:
            raise InputError(f"--panel {self.panel} is the ground truth's own panel.")
        return STRIPS[self.panels]
