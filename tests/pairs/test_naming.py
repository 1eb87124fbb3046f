"""Names of result files: what each rule reads in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhpt_eval.pairs.naming import RULES, NameRule, item_of

#: A real pair of DeepFashion, and one of Market-1501.
BACK, SIDE = (
    "fashionWOMENBlouses_Shirtsid0000337203_3back",
    "fashionWOMENBlouses_Shirtsid0000337203_2side",
)
CAMERA_2, CAMERA_4 = "0188_c2s2_149727_03", "0188_c4s6_008910_07"
PAIR_RULES = [rule for rule in RULES if rule.separator is not None and not rule.target_first]

garments = st.sampled_from(["Tees_Tanks", "Blouses_Shirts", "Sweaters", "Jackets_Vests", "Pants"])
views = st.sampled_from(["1front", "2side", "3back", "4full", "7additional", "6flat"])
deepfashion_names = st.builds(
    lambda gender, garment, number, view: f"fashion{gender}{garment}id{number:010d}_{view}",
    st.sampled_from(["WOMEN", "MEN"]),
    garments,
    st.integers(0, 10**8),
    views,
)
#: Names of the letters, digits and underscores that file names of the field are made of.
free_names = st.text("ab027_-.", min_size=1, max_size=12).filter(
    lambda name: not name.endswith("_vis") and not name.startswith("_")
)
stems = st.one_of(deepfashion_names, free_names)
endings = st.sampled_from(["", ".jpg", ".JPG", ".jpeg", ".png", ".webp", ".bmp"])
plain = settings(deadline=None, derandomize=True, max_examples=200)


def rule(name: str) -> NameRule:
    return next(rule for rule in RULES if rule.name == name)


def readings(name: str, stem: str) -> list[tuple[str | None, str]]:
    return list(rule(name).candidates(stem))


def test_the_names_of_the_rules_are_distinct() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_the_more_special_rule_comes_first() -> None:
    assert [rule.name for rule in RULES] == [
        "same-stem", "A___B", "A_2_B", "A_to_B", "A_B", "PERSON_GARMENT",
    ]  # fmt: skip


class TestRealNames:
    """The names of section 5 of the field's protocols, without their last ending."""

    def test_same_stem_reads_the_whole_name_as_the_target(self) -> None:
        assert readings("same-stem", "07853") == [(None, "07853")]

    def test_same_stem_takes_no_part_of_a_name_away(self) -> None:
        assert readings("same-stem", f"{BACK}.jpg_vis") == [(None, f"{BACK}.jpg_vis")]

    def test_patn_names_tell_source_and_target(self) -> None:
        assert readings("A___B", f"{BACK}.jpg___{SIDE}.jpg_vis") == [(BACK, SIDE)]

    @pytest.mark.parametrize("name", [f"{BACK}___{SIDE}", f"{BACK}___{SIDE}_vis"])
    def test_patn_names_may_lack_what_stands_inside(self, name: str) -> None:
        assert readings("A___B", name) == [(BACK, SIDE)]

    @pytest.mark.parametrize("name", [f"{BACK}_2_{SIDE}_vis", f"{BACK}_2_{SIDE}"])
    def test_gfla_names_tell_source_and_target(self, name: str) -> None:
        assert readings("A_2_B", name) == [(BACK, SIDE)]

    def test_pcdms_names_tell_source_and_target(self) -> None:
        assert readings("A_to_B", f"{BACK}_to_{SIDE}") == [(BACK, SIDE)]

    @pytest.mark.parametrize(
        "name",
        [f"{BACK}_{SIDE}_vis", f"{BACK}_{SIDE}", f"{BACK}.jpg_{SIDE}.jpg"],
        ids=["PISE", "SPGNet", "pose-gan"],
    )
    def test_names_with_one_underscore_have_the_right_reading_among_others(self, name: str) -> None:
        assert (BACK, SIDE) in readings("A_B", name)

    def test_market_names_are_cut_at_each_underscore(self) -> None:
        found = readings("A_B", f"{CAMERA_2}_{CAMERA_4}")
        assert (CAMERA_2, CAMERA_4) in found
        assert len(found) == 7

    def test_a_name_of_another_scheme_has_no_reading(self) -> None:
        assert readings("A___B", f"{BACK}_2_{SIDE}_vis") == []
        assert readings("A_2_B", f"{BACK}.jpg___{SIDE}.jpg_vis") == []
        assert readings("A_to_B", "generated_12") == []

    def test_a_number_within_a_name_is_not_taken_for_a_separator(self) -> None:
        assert readings("A_2_B", f"{BACK}_2_{SIDE}") == [(BACK, SIDE)]  # SIDE holds "_2side"

    def test_an_original_deepfashion_name_gives_every_reading(self) -> None:
        found = readings("A_2_B", "02_2_side_2_03_1_front_vis")
        assert found == [("02", "side_2_03_1_front"), ("02_2_side", "03_1_front")]

    def test_separators_that_overlap_give_every_reading(self) -> None:
        assert readings("A___B", "a____b") == [("a", "_b"), ("a_", "b")]

    @pytest.mark.parametrize(
        ("method", "name"), [("vunet", "A___B"), ("deformable_gan", "A_B"), ("pg2", "same-stem")]
    )
    def test_the_rule_of_a_real_method_reads_all_of_its_files(
        self, fixtures: Path, method: str, name: str
    ) -> None:
        files = sorted((fixtures / "result_strips" / method).iterdir())
        assert files
        for file in files:
            found = readings(name, file.stem)
            if name == "same-stem":
                assert found == [(None, file.stem)]
            else:
                right = [r for r in found if r[0] and item_of(r[0]) and item_of(r[1])]
                assert len(right) == 1
                assert item_of(right[0][0] or "") == item_of(right[0][1])


class TestFolders:
    def test_a_folder_stays_with_both_names_or_is_the_results_own(self) -> None:
        assert readings("A_2_B", "epoch_3/a_2_b_vis") == [("epoch_3/a", "epoch_3/b"), ("a", "b")]

    def test_a_separator_in_a_folders_name_is_none(self) -> None:
        assert readings("A_2_B", "run_2_more/a") == []

    def test_same_stem_keeps_the_folder(self) -> None:
        assert readings("same-stem", "train/a") == [(None, "train/a")]


class TestProperties:
    @plain
    @given(
        st.sampled_from(PAIR_RULES), stems, stems, endings, endings, st.sampled_from(["", "_vis"])
    )
    def test_the_right_reading_is_among_the_candidates(
        self, rule: NameRule, source: str, target: str, left: str, right: str, vis: str
    ) -> None:
        found = list(rule.candidates(f"{source}{left}{rule.separator}{target}{right}{vis}"))
        assert (source, target) in found

    @plain
    @given(st.sampled_from(PAIR_RULES), stems, stems)
    def test_every_candidate_makes_up_the_name(
        self, rule: NameRule, source: str, target: str
    ) -> None:
        name = f"{source}{rule.separator}{target}"
        for left, right in rule.candidates(name):
            assert left is not None
            assert name.startswith(left)
            assert name.removesuffix("_vis").endswith(right)
            assert len(left) + len(rule.separator or "") + len(right) <= len(name)

    @plain
    @given(st.sampled_from(RULES), st.text(max_size=30))
    def test_no_candidate_is_empty_and_none_is_given_twice(self, rule: NameRule, name: str) -> None:
        found = list(rule.candidates(name)) if name else []
        assert len(found) == len(set(found))
        assert all(target for _, target in found)
        assert all(source != "" for source, _ in found)

    @plain
    @given(deepfashion_names, deepfashion_names)
    def test_special_separators_cut_deepfashion_names_in_one_way(
        self, source: str, target: str
    ) -> None:
        for separator in ("___", "_2_", "_to_"):
            at_rule = next(rule for rule in RULES if rule.separator == separator)
            assert list(at_rule.candidates(f"{source}{separator}{target}")) == [(source, target)]

    def test_a_source_may_begin_with_the_separator(self) -> None:
        assert ("_a", "b") in readings("A_B", "_a_b")


class TestItems:
    @pytest.mark.parametrize(
        ("name", "item"),
        [
            (BACK, "fashionWOMENBlouses_Shirtsid0000337203"),
            (
                "fashionMENTees_Tanksid0000658502_7additional",
                "fashionMENTees_Tanksid0000658502",
            ),
            ("fashionWOMENDressesid0000370504_4full", "fashionWOMENDressesid0000370504"),
            ("fashionWOMENTees_Tanksid0000508545_1_front", "fashionWOMENTees_Tanksid0000508545"),
            ("test/fashionMENPantsid0000000101_6flat", "fashionMENPantsid0000000101"),
            ("img/MEN/Pants/id_00000001/01_6_flat", "fashionMENPantsid0000000101"),
            ("MEN-Pants-id_00000001-01_6_flat", "fashionMENPantsid0000000101"),
            ("fasionMENTeesTanksid0000658502_1front", "fashionMENTees_Tanksid0000658502"),
            (CAMERA_2, "0188"),
            ("0005_c2_f0046985", "0005"),
            ("image/00055_00", "00055"),
            ("dresses/images/020714_0", "020714"),
        ],
    )
    def test_names_of_the_fields_data_sets_tell_their_item(self, name: str, item: str) -> None:
        assert item_of(name) == item

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "0000_c2s2_149727_03",
            "07853",
            "generated_1",
            "fashionWOMENDressesid00003705_4full",
            "fashion",
        ],
    )
    def test_other_names_have_none(self, name: str) -> None:
        assert item_of(name) is None

    @plain
    @given(deepfashion_names, views)
    def test_views_of_one_garment_share_their_item(self, name: str, view: str) -> None:
        other = f"{name.rpartition('_')[0]}_{view}"
        assert item_of(name) is not None
        assert item_of(other) == item_of(name)

    @plain
    @given(deepfashion_names, deepfashion_names)
    def test_different_garments_have_different_items(self, one: str, other: str) -> None:
        same = one.rpartition("_")[0] == other.rpartition("_")[0]
        assert (item_of(one) == item_of(other)) is same

    def test_every_published_test_pair_shares_its_item(self, fixtures: Path) -> None:
        lines = (fixtures / "deepfashion_lists" / "fashion-pairs-test.csv").read_text().split()
        pairs = [line.replace(".jpg", "").split(",") for line in lines[1:]]
        assert len(pairs) == 8570
        assert all(
            item_of(source) and item_of(source) == item_of(target) for source, target in pairs
        )
