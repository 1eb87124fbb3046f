"""Read key points whatever their format."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from fhpt_eval.common.files import why
from fhpt_eval.errors import InputError
from fhpt_eval.keypoints.annotation_csv import read_annotation_csv
from fhpt_eval.keypoints.openpose_json import JSON_SUFFIX, read_openpose_folder
from fhpt_eval.keypoints.points import Keypoints


def read_keypoints(path: str | Path) -> Keypoints:
    """Read a file as the field's annotation CSV, and a folder as OpenPose's JSON, one per image.

    Reads once in a process, as long as the files do not change.

    Raises:
        InputError: it is not there, is not in the format, or no image has a joint; says where and
            what to do.
    """
    path = Path(path)
    try:
        files = sorted(path.rglob(f"*{JSON_SUFFIX}")) if path.is_dir() else [path]
        stats = [(str(file), file.stat()) for file in files]
    except (OSError, ValueError) as error:
        raise InputError(
            f"Key points: {path} cannot be read ({why(error)}). Give the annotation CSV, or the "
            "folder of OpenPose's JSON files."
        ) from error
    return _read(path, tuple((name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in stats))


@lru_cache(maxsize=4)
def _read(path: Path, state: tuple[object, ...]) -> Keypoints:  # noqa: ARG001 - part of the key
    keypoints = read_openpose_folder(path) if path.is_dir() else read_annotation_csv(path)
    if all(np.isnan(points).all() for points in keypoints.values()):
        how = "nobody is in a file, or all is 0, 0, 0" if path.is_dir() else "all are -1"
        raise InputError(
            f"Key points: {path} has no joint of any image ({len(keypoints):,} in all): {how}, "
            "which means missing. Nothing can be compared with it; check what wrote it."
        )
    return keypoints
