"""The field's annotation CSV: a row per image, its y coordinates, then its x coordinates.

As in Pose-Transfer's ``fasion-annotation-test.csv``::

    name:keypoints_y:keypoints_x
    a.jpg: [40, 85, -1, ...]: [128, 129, -1, ...]

Lists have 18 numbers each, joints in OpenPose's COCO order; -1 in both is a missing joint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from fhpt_eval.common.files import read_text
from fhpt_eval.common.validation import brief
from fhpt_eval.errors import ArgumentError, InputError
from fhpt_eval.keypoints.joints import JOINTS
from fhpt_eval.keypoints.points import Keypoints, Number, image_name, unit_fault

#: Largest CSV that is read, in bytes: a million images.
MAX_CSV_BYTES = 2**28

_HEADER = ("name", "keypoints_y", "keypoints_x")
_MISSING = -1.0
_NUMBERS = TypeAdapter(
    Annotated[list[Number], Field(min_length=len(JOINTS), max_length=len(JOINTS))],
    config=ConfigDict(strict=True),
)


def read_annotation_csv(path: str | Path) -> Keypoints:
    """Read the field's annotation CSV; coordinates are given as they stand.

    Numbers may have decimals. A joint whose x and y are both -1 is missing; other negative
    coordinates are places outside of the image, as in lists that were moved to another frame.

    Raises:
        InputError: the file cannot be read or a line is not in the format; the line is named.
    """
    path = Path(path)
    lines = (
        read_text(path, MAX_CSV_BYTES, "the CSV of key points").replace("\r\n", "\n").split("\n")
    )
    _check_header(lines[0], path)
    points: dict[str, NDArray[np.float64]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            name, row = _row(line)
            if name in points:
                raise InputError(f"the image '{name}' stands in two lines.")
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        points[name] = row
    if not points:
        raise InputError(f"{path} holds no key points, only a header.")
    return Keypoints(points, str(path))


def annotation_csv(points: Mapping[str, NDArray[Any]]) -> str:
    """Return an annotation CSV as text: ``(18, 2 or 3)`` arrays by the name to write.

    Coordinates are rounded to the nearest integer, and halves up: the format's are integers. The
    confidence is lost.

    Raises:
        ArgumentError: a name cannot stand in this format, or a joint would round to -1.
    """
    lines = [":".join(_HEADER)]
    for name, person in Keypoints(points).items():
        _check_name(name)
        pixels = np.floor(person[:, :2] + 0.5)
        if (pixels == _MISSING).any():
            raise ArgumentError(
                f"{name!r} has a joint at -1, which means a missing one in this format."
            )
        cells = np.where(np.isnan(pixels), _MISSING, pixels).astype(np.int64)
        lines.append(f"{name}: {cells[:, 1].tolist()}: {cells[:, 0].tolist()}")
    return "\n".join(lines) + "\n"


def _check_name(name: str) -> None:
    """Refuse what the field's readers, which split at every colon, would read as something else."""
    try:
        image_name(name)
    except InputError as error:
        raise ArgumentError(str(error)) from error
    if name != name.strip() or name.startswith("./") or ":" in name or '"' in name:
        raise ArgumentError(f"{name!r} cannot stand in a CSV whose separator is ':'.")


def _check_header(line: str, path: Path) -> None:
    columns = tuple(cell.strip() for cell in line.split(":"))
    if columns == _HEADER:
        return
    wanted = ":".join(_HEADER)
    if set(columns) == set(_HEADER):
        raise InputError(
            f"{path}, line 1: the columns stand in the order {':'.join(columns)}. It must be "
            f"{wanted}: y first, then x. Exchange the columns (and the lists, if they are so)."
        )
    raise InputError(
        f"{path}, line 1: the header must be {wanted}, not {brief(line)}. Key points of OpenPose "
        "(JSON) are read from a folder."
    )


def _row(line: str) -> tuple[str, NDArray[np.float64]]:
    """Read a line; a colon may be part of the name, since lists of numbers have none."""
    cells = line.rsplit(":", 2)
    if len(cells) != 3:
        raise InputError(f"expected a name and two lists, separated by ':', not {brief(line)}.")
    name = image_name(cells[0])
    if '"' in name:
        raise InputError(f"the name {brief(name)} has quotation marks; write it without.")
    y, x = (_numbers(cell, column) for cell, column in zip(cells[1:], _HEADER[1:], strict=True))
    points = np.array([x, y]).T
    missing = points == _MISSING
    half = missing.any(axis=1) & ~missing.all(axis=1)
    if half.any():
        joint = int(np.flatnonzero(half)[0])
        raise InputError(
            f"the {JOINTS[joint]} has x = {x[joint]:g} and y = {y[joint]:g}: -1 in both means a "
            "missing joint, in one of them nothing."
        )
    points[missing.all(axis=1)] = math.nan
    if fault := unit_fault(points):
        raise InputError(f"{fault}.")
    return name, points


def _numbers(cell: str, column: str) -> list[float]:
    """Read a JSON list of 18 numbers."""
    try:
        return _NUMBERS.validate_json(cell)
    except ValidationError as error:
        fault = error.errors()[0]
        joint = "".join(f", {JOINTS[int(place)]}" for place in fault["loc"])
        reason = fault["msg"].replace(" at line 1 column", " at its column")
        raise InputError(
            f"{column}{joint}: {reason}. It must be a list of {len(JOINTS)} numbers."
        ) from None
