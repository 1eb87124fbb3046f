"""Strips and grids of panels: which panel an image is, and whether two shapes can be compared.

Looked at before anything is resized, since a resize hides that a strip was compared with an image.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhpt_eval.errors import InputError
from fhpt_eval.images.files import Panel

#: Panels of source and ground truth in the strips that the field writes, by their number: three and
#: five are results (pose-gan; PATN and its heirs), ten and eleven the published comparisons of PIDM
#: and PCDMs. The generated image is the last.
STRIPS = {3: (1, 2), 5: (1, 3), 10: (2, 3), 11: (2, 3)}
#: Of two images that a resize makes equal, one has at most this many times the other's ratio of
#: width to height: square images of people padded from 176 x 256 have 1.45, a strip of two has 2.
MOST_STRETCHED = 1.75
# Two shapes are one if their ratios differ by less: 176 x 256 and 750 x 1101 differ by 0.009.
_SAME_SHAPE = 0.03

Size = tuple[int, int]


@dataclass(frozen=True)
class Cut:
    """How files are cut into equal panels, which are counted from 1 at the top left, row by row.

    ``generated`` is the panel of generated images. ``ground_truth`` and ``source`` are the panels
    of these where they are strips as well, ``None`` where that is not known; what is ``named`` is
    cut whatever its size.
    """

    columns: int
    rows: int
    generated: int
    ground_truth: int | None = None
    source: int | None = None
    named: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        panels: int | None = None,
        grid: tuple[int, int] | None = None,
        panel: int | None = None,
        gt_panel: int | None = None,
        source_panel: int | None = None,
    ) -> Cut | None:
        """Return what the options of these names say; ``None`` for no strips.

        Raises:
            InputError: they contradict each other, or a panel is not one of the strip's.
        """
        chosen = {"--panel": panel, "--gt-panel": gt_panel, "--source-panel": source_panel}
        present = {flag: number for flag, number in chosen.items() if number is not None}
        if panels is None and grid is None:
            for flag in present:
                raise InputError(f"{flag} needs --panels or --grid: of how many is it one?")
            return None
        if panels is not None and grid is not None:
            raise InputError("--panels and --grid: give one; --panels 5 is --grid 1x5.")
        rows, columns = grid or (1, panels or 1)
        count = rows * columns
        for flag, number in present.items():
            if not 1 <= number <= count:
                raise InputError(f"{flag} {number} does not lie in 1 to {count}.")
        source, truth = STRIPS.get(columns, (None, None)) if rows == 1 else (None, None)
        return cls(
            columns, rows, panel or count, gt_panel or truth, source_panel or source,
            frozenset(flag for flag in present if flag != "--panel"),
        )  # fmt: skip

    def check_own_truth(self) -> None:
        """Check that strips which hold their own ground truth say where.

        Raises:
            InputError: its panel is not known, or is that of the generated image.
        """
        if self.ground_truth is None:
            raise InputError(
                "--pred and --gt are one folder, so the ground truth is a panel of each strip; "
                f"which one is known for {_numbers(STRIPS)} panels, not for {self.label}. Say it "
                "with --gt-panel K, or give --gt a folder of its own."
            )
        if self.ground_truth == self.generated:
            raise InputError(f"--panel {self.generated} is the ground truth's own panel.")

    @property
    def label(self) -> str:
        """What the files are, as in ``strips of 5``."""
        if self.rows > 1:
            return f"grids of {self.rows} x {self.columns}"
        return f"strips of {self.columns}"

    def strip_among(self, generated: Size, *others: Size) -> Size:
        """Return the size that the strips of a pair have, by the sizes of its files.

        That of the generated file; or where another one is the strip of such panels, that one's.
        """
        strip = generated[0] * self.columns, generated[1] * self.rows
        return strip if strip in others else generated

    def of_generated(self, generated: Size, strip: Size) -> Panel | None:
        """Return the panel of a generated file; none where it is not of the strip's size."""
        return Panel(self.generated, self.columns, self.rows) if generated == strip else None

    def of_truth(self, truth: Size, strip: Size) -> Panel | None:
        """Return the panel of a file of ground truth; none where it is not of the strip's size.

        Raises:
            InputError: it is, and which panel it is is not known.
        """
        return self._panel(self.ground_truth, truth == strip, "--gt-panel", "the ground truth")

    def of_source(self, source: Size, strip: Size) -> Panel | None:
        """Return the panel of a source file; see :meth:`of_truth`."""
        return self._panel(self.source, source == strip, "--source-panel", "the source image")

    def _panel(self, index: int | None, alike: bool, flag: str, what: str) -> Panel | None:
        if not alike and flag not in self.named:
            return None
        if index is None:
            raise InputError(
                f"The files of {what} are {self.label} panels as well, and which of them is "
                f"{what} is known for {_numbers(STRIPS)} panels alone. Say it with {flag} K."
            )
        return Panel(index, self.columns, self.rows)


def misfit(ours: Size, theirs: Size) -> str:
    """Say why no resize should make equal what have these sizes, width and height; or nothing.

    That is, where one is several of the other, or their ratios of width to height are further
    apart than :data:`MOST_STRETCHED`.
    """
    strip = _as_strip(ours, theirs) or _as_strip(theirs, ours)
    if strip:
        return strip
    ratio = ours[0] * theirs[1] / (ours[1] * theirs[0])
    if 1 / MOST_STRETCHED < ratio < MOST_STRETCHED:
        return ""
    wide, narrow = (ours, theirs) if ratio > 1 else (theirs, ours)
    count = round(max(ratio, 1 / ratio))
    if wide[0] % count == 0 and abs(max(ratio, 1 / ratio) / count - 1) < _SAME_SHAPE:
        panel = _named((wide[0] // count, wide[1]))
        return (
            f"{_named(wide)} is {count} panels of {panel}, shaped as {_named(narrow)}: "
            f"--panels {count}?"
        )
    return (
        f"{_named(ours)} and {_named(theirs)} differ by a factor of {max(ratio, 1 / ratio):.2g} in "
        "width to height, more than a resize should hide. If one of them is a strip, say of how "
        "many panels (--panels N)"
    )


def strip_of_itself(size: Size) -> str:
    """Say which of the field's strips a size may be, or nothing."""
    width, height = size
    for count in STRIPS:
        # People are drawn on images from half as wide as high (Market-1501) to square.
        if width % count == 0 and 0.5 <= width / count / height <= 1:
            panel = _named((width // count, height))
            return f"{_named(size)} may be {count} panels of {panel}: --panels {count}?"
    return ""


def _as_strip(strip: Size, panel: Size) -> str:
    """Say of how many panels one is a strip, if it is one of unequally many columns and rows."""
    columns, rows = strip[0] // panel[0], strip[1] // panel[1]
    if (columns * panel[0], rows * panel[1]) != strip or columns == rows:
        return ""
    option = f"--panels {columns}" if rows == 1 else f"--grid {rows}x{columns}"
    return f"{_named(strip)} is {columns * rows} panels of {_named(panel)}: {option}?"


def _named(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def _numbers(numbers: dict[int, tuple[int, int]]) -> str:
    *first, last = (str(number) for number in numbers)
    return f"{', '.join(first)} or {last}"
