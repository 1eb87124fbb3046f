"""Groups of pairs are the same whatever the field's spelling of their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhpt_eval.images.files import ImageRef
from fhpt_eval.pairs.groups import groups_of
from fhpt_eval.pairs.naming import item_of
from fhpt_eval.pairs.pair import Pair
from tests.support import field_names as field


def groups(names: list[str]) -> list[int]:
    ref = ImageRef(Path("a.png"))
    return groups_of([Pair(n, ref, ref, target_name=n, item=item_of(n)) for n in names])


@pytest.mark.parametrize(
    "spelling",
    [
        field.flat, field.posegan, field.multimodal, field.tree, field.market,
        lambda n: f"clip{n // 3:02d}/{n:05d}", lambda n: f"{n // 3}/frame_{n}",
    ],
)  # fmt: skip
def test_three_images_of_each_of_four_items_are_four_groups(spelling: field.Spelling) -> None:
    assert groups([spelling(n) for n in range(12)]) == [n // 3 for n in range(12)]


def test_distractors_whom_names_do_not_tell_apart_are_one_group() -> None:
    assert groups(["0000_c1s1_000151_00", "0000_c2s1_000251_00", "0002_c1s1_000151_00"]) == [
        0,
        0,
        1,
    ]


@pytest.mark.parametrize("names", [["G/00001", "G/00002"], ["train/00001", "test/00002"]])
def test_folders_of_numbers_that_are_no_clips_join_nothing(names: list[str]) -> None:
    assert groups(names) == [0, 1]
