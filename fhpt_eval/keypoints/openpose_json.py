"""OpenPose's JSON (``--write_json``): a file per image, with all persons in it.

A person's ``pose_keypoints_2d`` is x, y, confidence of
each joint, 18 (COCO) or 25 (BODY_25) of them; 0, 0, 0 is a missing joint. Coordinates are pixels of
the image, OpenPose's ``--keypoint_scale 0`` (doc/02_output.md of OpenPose).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from fhpt_eval.common.files import read_text
from fhpt_eval.common.validation import explain_validation
from fhpt_eval.errors import ArgumentError, InputError
from fhpt_eval.keypoints.joints import BODY_25, JOINTS
from fhpt_eval.keypoints.points import Keypoints, Number, image_name, unit_fault

#: Largest file that is read, in bytes: hundreds of persons, with their hands and faces.
MAX_JSON_BYTES = 2**22
#: What OpenPose appends to an image's name.
JSON_SUFFIX = "_keypoints.json"

_KEY = "pose_keypoints_2d"
#: Numbers of a person, and the joints that are taken of them.
_LAYOUTS = {3 * len(JOINTS): range(len(JOINTS)), 75: BODY_25}
#: The lists beside ``pose_keypoints_2d`` that OpenPose writes and its readers may look for.
_EMPTY = [
    f"{part}_keypoints_{d}d" for d in (2, 3) for part in ("pose", "face", "hand_left", "hand_right")
][1:]

People = NDArray[np.float64]


class _Person(BaseModel):
    """What is read of a person; other keys are passed over."""

    model_config = ConfigDict(strict=True)

    pose_keypoints_2d: list[Number]

    @field_validator("pose_keypoints_2d")
    @classmethod
    def _of_known_length(cls, numbers: list[float]) -> list[float]:
        if len(numbers) not in _LAYOUTS:
            raise ValueError(
                f"has {len(numbers)} numbers; 54 (18 joints) or 75 (25 joints) are expected, x, y "
                "and confidence of each"
            )
        return numbers


class _File(BaseModel):
    """A file of one image's persons."""

    model_config = ConfigDict(strict=True)

    people: list[_Person]


def read_openpose_json(path: str | Path) -> People:
    """Read the persons of one image, ``(P, 18, 3)`` float64: x, y, confidence; NaN where missing.

    Of 25 joints the 18 of COCO are taken. Other keys are passed over.

    Raises:
        InputError: the file cannot be read, or is not in the format; the line or person is named.
    """
    path = Path(path)
    text = read_text(path, MAX_JSON_BYTES, "one of OpenPose's JSON files")
    try:
        people = _File.model_validate_json(text).people
        persons = [
            _points(person.pose_keypoints_2d, number) for number, person in enumerate(people)
        ]
    except ValidationError as error:
        fault = explain_validation(error, _File, "JSON").partition("\n")[0]
        raise InputError(
            f"{path}: {fault} Write it with OpenPose's --write_json, or with 'fhpt-eval keypoints "
            "--format json'."
        ) from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return np.array(persons).reshape(-1, len(JOINTS), 3)


def read_openpose_folder(folder: str | Path) -> Keypoints:
    """Read ``NAME_keypoints.json`` of every image, in the folder and those below it.

    Of several persons in an image :func:`main_person` chooses; an image without one has no joints.
    Other files are passed over.

    Raises:
        InputError: the folder holds no such file, two are of one image, or one cannot be used.
    """
    folder = Path(folder)
    points: dict[str, NDArray[np.float64]] = {}
    for path in _files(folder):
        below = path.relative_to(folder).as_posix().removesuffix(JSON_SUFFIX)
        try:
            name = image_name(below)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if name in points:
            raise InputError(f"{path}: the image '{name}' has two files. Remove one of them.")
        people = read_openpose_json(path)
        nobody = np.full((len(JOINTS), 3), math.nan)
        points[name] = people[main_person(people)] if len(people) else nobody
    if not points:
        raise InputError(
            f"{folder} holds no key points: there is no file NAME{JSON_SUFFIX} in it. Give the "
            "folder that OpenPose wrote with --write_json, or an annotation CSV."
        )
    return Keypoints(points, str(folder))


def main_person(people: NDArray[Any]) -> int:
    """Return which of ``(P, 18, 3)`` persons an image is about, P > 0.

    It is the rule of :func:`fhpt_eval.features.openpose.choose_person`. (Pose-Transfer's
    ``compute_coordinates.py`` takes the largest sum of the scores of joints and limbs; JSON does
    not hold the latter.)

    Raises:
        ArgumentError: there is no person, or the shape is another.
    """
    people = np.asarray(people)
    if people.ndim != 3 or people.shape[1:] != (len(JOINTS), 3) or not len(people):
        raise ArgumentError(f"'people' must be (P, 18, 3) with P > 0, not {people.shape}")
    return int(rank(people)[0])


def rank(persons: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the order of persons ``(P, J, 3)``, the one that an image is about first.

    See :func:`fhpt_eval.features.openpose.choose_person` for the rule.
    """
    missing = np.isnan(persons[..., 0])
    joints = (~missing).sum(axis=1)
    sides = [
        np.where(missing, -np.inf, axis).max(axis=1, initial=-np.inf)
        - np.where(missing, np.inf, axis).min(axis=1, initial=np.inf)
        for axis in persons[..., :2].astype(np.float64).transpose(2, 0, 1)
    ]
    # Squared, so that whole pixels give whole numbers, and ties are ties.
    diagonal = np.where(joints > 0, np.square(sides[0]) + np.square(sides[1]), 0)
    weight = np.square(joints) * diagonal
    confidence = np.where(missing, 0, persons[..., 2]).sum(axis=1)
    ties = np.where(missing[..., None], np.inf, persons[..., 1::-1]).reshape(
        -1, 2 * persons.shape[1]
    )
    return np.lexsort((*ties.T[::-1], -confidence, -joints, -weight))


def openpose_json(people: NDArray[Any]) -> str:
    """Return the JSON of one image's persons, ``(P, 18, 3)``; NaN where a joint is missing.

    Numbers have nine digits, which keep a float32 exactly.

    Raises:
        ArgumentError: the shape or a value is not as stated.
    """
    array = np.asarray(people)
    if array.ndim != 3 or array.shape[1:] != (len(JOINTS), 3):
        raise ArgumentError(f"'people' must be (P, {len(JOINTS)}, 3), not {array.shape}")
    persons = []
    for number, person in enumerate(array):
        checked = Keypoints({f"person {number}": person})[f"person {number}"]
        numbers = [float(f"{value:.9g}") for value in np.nan_to_num(checked).ravel().tolist()]
        persons.append({"person_id": [-1], _KEY: numbers, **{key: [] for key in _EMPTY}})
    return json.dumps({"version": 1.3, "people": persons}, allow_nan=False) + "\n"


def _files(folder: Path) -> Iterator[Path]:
    """Find the files in a fixed order; hidden ones and links to folders are passed over."""

    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}).") from error

    for root, folders, files in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            if file.endswith(JSON_SUFFIX) and not file.startswith("."):
                yield Path(root, file)


def _points(numbers: Sequence[float], person: int) -> NDArray[np.float64]:
    """Return a person's joints, ``(18, 3)``; NaN where one is missing."""
    points = np.array(numbers).reshape(-1, 3)[list(_LAYOUTS[len(numbers)])]
    doubtful = (points[:, 2] == 0) & (points[:, :2] != 0).any(axis=1)
    negative = points[:, 2] < 0
    for wrong, reason in (
        (doubtful, "a place and confidence 0; a missing joint is 0, 0, 0"),
        (negative, "a negative confidence"),
    ):
        if wrong.any():
            joint = JOINTS[int(np.flatnonzero(wrong)[0])]
            raise InputError(f"person {person} (from 0): the {joint} has {reason}.")
    points[points[:, 2] == 0] = math.nan
    if fault := unit_fault(points[:, :2]):
        raise InputError(f"person {person} (from 0): {fault} (OpenPose: --keypoint_scale 0).")
    return points
