"""What kind of images a network knows, and whether it is shown others.

Drawn people of the mannequin benchmark stand before one colour that JPEG, blurring and scaling
leave alone, and so do people that models draw who learnt from them. The share of an image's margin
(top, left and right) that has this colour is close to 1 for them; for photographs, even before a
studio's white, it rarely is above a half. docs/mannequin-networks.md has the rates of error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ImageError
from fhpt_eval.images.files import CheckedImage, decode

Image = NDArray[np.uint8]

#: What networks of the mannequin benchmark are ``made_for``.
DRAWN_PEOPLE = "drawn people"
#: The colour behind them, and how many levels a channel may lie off it.
BACKGROUND, TOLERANCE = (246, 245, 243), 5
#: Pixels along a cell of the margin, and the share of its cells that have this colour at least.
_CELL, _LEAST = 4, 0.82
#: So many images are looked at, and so large a share of them may look otherwise.
LOOKED_AT, _SPARED = 8, 0.25


def background(image: Image) -> float:
    """Return the share of an image's margin, ``(H, W, 3)`` uint8, that has the benchmark's colour.

    Colours are means of cells, so that noise does not count. The lower edge is left out, where
    people stand.
    """
    height, width, _ = image.shape
    cell = min(_CELL, height, width)
    rows, columns = height // cell, width // cell
    cells = image[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell, 3)
    colours = cells.mean(axis=(1, 3))
    margin = np.concatenate([colours[0], colours[:, 0], colours[:, -1]])
    return float((np.abs(margin - BACKGROUND).max(axis=1) <= TOLERANCE).mean())


def is_drawn(image: Image) -> bool:
    """Whether an image, ``(H, W, 3)`` uint8, looks like a drawn person of the benchmark."""
    return background(image) >= _LEAST


_CHECKS: Mapping[str, tuple[Callable[[Image], bool], str]] = {
    DRAWN_PEOPLE: (is_drawn, "drawn people of the mannequin benchmark")
}


def doubt(made_for: str, look: Callable[[], Sequence[Image]]) -> str:
    """Say that images are not of the kind that a network was made for, or nothing.

    Args:
        made_for: what the network, or the registry of its weights, says that it was made for.
        look: returns some of the images; asked only where there is a check for that kind.
    """
    if made_for not in _CHECKS:
        return ""
    fits, words = _CHECKS[made_for]
    images = look()
    others = sum(not fits(image) for image in images)
    if others <= _SPARED * len(images):
        return ""
    return f"{others} of the {len(images)} images looked at are no {words}, which alone it knows"


def decoded_some(images: Iterable[CheckedImage]) -> list[Image]:
    """Decode so many images as are looked at, from the first to the last.

    One that cannot be decoded is left out: whoever needs it will say so.
    """
    every = list(images)
    places = np.linspace(0, len(every) - 1, min(LOOKED_AT, len(every))).round().astype(int)
    decoded = []
    for place in places:
        with suppress(ImageError):
            decoded.append(decode(every[place]))
    return decoded
