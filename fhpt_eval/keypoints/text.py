"""What both formats share: names, and signs of another unit than pixels."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fhpt_eval.errors import InputError
from fhpt_eval.images.files import without_ending

#: Largest coordinate, in pixels: no image that is read here is wider or higher.
MAX_COORDINATE = 2.0**26
#: A coordinate or a confidence in a file.
Number = Annotated[float, Field(ge=-MAX_COORDINATE, le=MAX_COORDINATE, allow_inf_nan=False)]


def image_name(text: str) -> str:
    """Return an image's name as pairs have it: its path without the ending of an image.

    Raises:
        InputError: nothing is left, or it has characters that cannot be printed.
    """
    name = without_ending(text)
    if not name or name.endswith("/"):
        raise InputError(f"{text[:80]!r} names no image.")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise InputError(f"the name {name[:80]!r} has characters that cannot be printed.")
    return name


def unit_fault(points: NDArray[Any]) -> str:
    """Say if ``(18, 2)`` positions are certainly no pixels, or nothing; NaN are missing joints.

    Several joints of a person do not lie in one pixel: such coordinates are shares of the image's
    sides, as several tools write them, or zeros that stand for missing joints.
    """
    present = points[~np.isnan(points).any(axis=1)]
    if len(present) < 2 or present.min() < 0 or present.max() > 1:
        return ""
    return (
        f"all {len(present)} joints lie between 0 and 1, so these are no pixels. Multiply shares "
        "of the width and height by them; a missing joint is -1 in a CSV and 0, 0, 0 in JSON"
    )
