"""Key points of people: the 18 joints, what is known of images, and the field's file formats.

This is the front door; other modules import key points from here. docs/keypoints.md describes the
formats.
"""

from fhpt_eval.keypoints.annotation_csv import annotation_csv, read_annotation_csv
from fhpt_eval.keypoints.frame import Box, Frame, Outside
from fhpt_eval.keypoints.joints import BODY_25, HEAD, JOINTS, REGIONS
from fhpt_eval.keypoints.openpose_json import (
    JSON_SUFFIX,
    main_person,
    openpose_json,
    read_openpose_folder,
    read_openpose_json,
)
from fhpt_eval.keypoints.points import Keypoints, image_name
from fhpt_eval.keypoints.reading import read_keypoints

__all__ = [
    "BODY_25",
    "HEAD",
    "JOINTS",
    "JSON_SUFFIX",
    "REGIONS",
    "Box",
    "Frame",
    "Keypoints",
    "Outside",
    "annotation_csv",
    "image_name",
    "main_person",
    "openpose_json",
    "read_annotation_csv",
    "read_keypoints",
    "read_openpose_folder",
    "read_openpose_json",
]
