"""Folders of images without pairs: reference sets, galleries, images to find key points in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fhpt_eval.evaluation.survey.checks import images_below
from tests.support.progress import Kept


@pytest.mark.parametrize(
    ("people", "beside"),
    [
        (("image/00055_00", "image/01967_00"), ("cloth/00055_00", "cloth-mask/00055_00")),
        (("dresses/images/020714_0",), ("dresses/images/020714_1", "dresses/skeletons/020714_5")),
        (("a", "b"), ()),
    ],
)
def test_of_try_on_sets_the_people_alone_are_taken(
    people: tuple[str, ...], beside: tuple[str, ...], tmp_path: Path
) -> None:
    for number, name in enumerate((*people, *beside)):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(path)
    progress = Kept()
    assert [image.name for image in images_below(tmp_path, (), 1, progress)] == list(people)
    said = [line for line in progress.said if line.endswith("show no person: set aside")]
    assert len(said) == bool(beside)
