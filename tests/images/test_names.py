"""One name for each image of the field, whatever its spelling."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhpt_eval.images.names import NameIndex, canonical, identity_of
from tests.support import field_names as field

DRESS = "fashionWOMENDressesid0000000101_1front"
plain = settings(deadline=None, derandomize=True, max_examples=200)


@pytest.mark.parametrize(
    "name",
    [
        DRESS,
        "WOMEN/Dresses/id_00000001/01_1_front",
        "img/WOMEN/Dresses/id_00000001/01_1_front",
        "img\\WOMEN\\Dresses\\id_00000001\\01_1_front",
        "women/dresses/id_00000001/01_1_front",
        "WOMEN-Dresses-id_00000001-01_1_front",
        "fasionWOMENDressesid0000000101_1front",
        "fashionWOMENDressesid0000000101_1_front",
        "deepfashionWOMENDressesid0000000101_1front",
        f"test/{DRESS}",
    ],
)
def test_an_image_of_deepfashion_has_one_name_in_every_spelling(name: str) -> None:
    assert canonical(name) == DRESS


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("bounding_box_test/0188_c2s2_149727_03", "0188_c2s2_149727_03"),
        ("Market-1501/query/0188_c2s2_149727_03", "0188_c2s2_149727_03"),
        ("bounding_box_train/-1_c1s1_000401_03", "-1_c1s1_000401_03"),
        ("test/image/00055_00", "00055_00"),
        ("dresses/images/020714_0", "020714_0"),
        ("fasionWOMENBlousesShirtsid0000337203_3back",
         "fashionWOMENBlouses_Shirtsid0000337203_3back"),
    ],
)  # fmt: skip
def test_so_has_an_image_of_other_data_sets(name: str, called: str) -> None:
    assert canonical(name) == called


@pytest.mark.parametrize(
    "name",
    [
        "img_1", "00001", "a/b", "generated_1", "cloth/00055_00_mask", "fashionWOMEN",
        f"{DRESS}_2_{DRESS}", "0188_c2s2_149727", "side_2_WOMEN-Dresses-id_00000001-01_1_front",
    ],
)  # fmt: skip
def test_any_other_name_stays_as_it_is(name: str) -> None:
    assert identity_of(name) is None
    assert canonical(name) == name


@pytest.mark.parametrize("folder", ["faces", "parsing", "seed_0", "cloth"])
def test_a_folder_that_is_not_the_data_sets_own_stays_in_the_name(folder: str) -> None:
    assert canonical(f"{folder}/{DRESS}") == f"{folder}/{DRESS}"
    assert canonical(f"{folder}/00055_00") == f"{folder}/00055_00"


def test_the_two_forms_of_an_accent_are_one_name() -> None:
    forms = {canonical(unicodedata.normalize(form, "José")) for form in ("NFC", "NFD")}
    assert len(forms) == 1


@plain
@given(st.integers(0, 200), st.sampled_from(field.DATASETS["DeepFashion"][1]))
def test_all_spellings_of_one_image_lead_to_one_name_and_item(
    number: int, spelling: field.Spelling
) -> None:
    name, plain_name = spelling(number), field.flat(number)
    assert canonical(name) == plain_name == canonical(canonical(name))
    assert identity_of(name) is not None
    assert getattr(identity_of(name), "item", "") == plain_name.rpartition("_")[0]


@plain
@given(st.integers(0, 200), st.integers(0, 200))
def test_different_images_have_different_names(first: int, second: int) -> None:
    for own, placed in field.DATASETS.values():
        for spelling in (*own, *placed):
            assert (canonical(spelling(first)) == canonical(spelling(second))) is (first == second)


class TestNameIndex:
    def test_an_equal_name_comes_before_another_spelling(self) -> None:
        index = NameIndex([DRESS, f"test/{DRESS}"])
        assert index.find(DRESS) == [DRESS]

    def test_two_files_of_one_image_are_both_returned(self) -> None:
        index = NameIndex([f"train/{DRESS}", f"test/{DRESS}"])
        assert index.find(DRESS) == [f"train/{DRESS}", f"test/{DRESS}"]
        assert index.called(f"train/{DRESS}") == f"train/{DRESS}"

    @pytest.mark.parametrize("name", ["results/a", "A", "x/y/A", "/data/results/a"])
    def test_folders_in_front_and_case_are_loose(self, name: str) -> None:
        index = NameIndex(["a", "b"])
        assert index.find(name) == []
        assert index.find_loosely(name) == ["a"]

    def test_the_right_case_comes_first(self) -> None:
        assert NameIndex(["a", "A"]).find_loosely("x/A") == ["A"]

    def test_another_folder_is_another_image(self) -> None:
        assert NameIndex(["seed_0/a"]).find_loosely("seed_1/a") == []

    @pytest.mark.parametrize("name", ["seed_1/IMG_1", "img_1", "seed_0/IMG_l"])
    def test_a_near_miss_is_named(self, name: str) -> None:
        assert NameIndex(["seed_0/IMG_1", "b"]).near(name) == " Did you mean 'seed_0/IMG_1'?"

    def test_nothing_is_near_to_something_else(self) -> None:
        assert NameIndex(["a"]).near("zzzzz") == ""
