"""Pairs: which images belong together, and what is said of those that do not fit."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhpt_eval.errors import InputError, PairingError
from fhpt_eval.images.files import ImageRef
from fhpt_eval.pairs.groups import groups_of
from fhpt_eval.pairs.lists import read_pairs
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders, Matching, Pair
from fhpt_eval.pairs.shapes import Cut

#: Real names of DeepFashion: three views of one garment, and one of another.
FRONT, SIDE, BACK, OTHER = (
    "fashionWOMENDressesid0000369502_1front",
    "fashionWOMENDressesid0000369502_2side",
    "fashionWOMENDressesid0000369502_3back",
    "fashionMENTees_Tanksid0000658502_7additional",
)
DRESS = "fashionWOMENDressesid0000369502"
#: Real names of Market-1501: two cameras' views of one person.
CAMERA_2, CAMERA_4 = "0188_c2s2_149727_03", "0188_c4s6_008910_07"

STRIPS = Cut.of(3)


@pytest.fixture
def folders(tmp_path: Path) -> Callable[..., Folders]:
    """Return a function that makes folders of files of these names (matching opens none)."""

    def make(
        generated: Sequence[str], truth: Sequence[str], source: Sequence[str] | None = None
    ) -> Folders:
        roots = {"generated": generated, "truth": truth, "source": source or ()}
        for root, names in roots.items():
            (tmp_path / root).mkdir()
            for name in names:
                path = tmp_path / root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return Folders(
            tmp_path / "generated",
            tmp_path / "truth",
            None if source is None else tmp_path / "source",
        )

    return make


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a CSV."""

    def write(text: str) -> Path:
        path = tmp_path / "pairs.csv"
        path.write_text(text)
        return path

    return write


def names(matching: Matching) -> list[tuple[str, str, str]]:
    """Return (key, generated file, ground truth file) of every pair."""
    return [
        (p.key, p.generated.path.name, p.ground_truth.path.name if p.ground_truth else "")
        for p in matching.pairs
    ]


def problems(matching: Matching) -> set[tuple[str, str]]:
    """Return (kind, name) of every problem; each is listed once."""
    found = [(problem.kind, problem.name) for problem in matching.problems]
    assert len(found) == len(set(found))
    return set(found)


def reason(matching: Matching, name: str) -> str:
    """Return what is said of a name."""
    return next(problem.reason for problem in matching.problems if problem.name == name)


Make = Callable[..., Folders]
WriteCsv = Callable[[str], Path]


class TestRules:
    def test_equal_names_are_matched_whatever_their_ending(self, folders: Make) -> None:
        matching = match_pairs(folders(["00001.png", "00002.png"], ["00001.jpg", "00002.jpg"]))
        assert names(matching) == [
            ("00001", "00001.png", "00001.jpg"),
            ("00002", "00002.png", "00002.jpg"),
        ]
        assert matching.rule == "same-stem"
        assert matching.problems == ()

    @pytest.mark.parametrize(
        ("name", "rule"),
        [
            (f"{FRONT}.jpg___{SIDE}.jpg_vis.jpg", "A___B"),
            (f"{FRONT}___{SIDE}.png", "A___B"),
            (f"{FRONT}_2_{SIDE}_vis.jpg", "A_2_B"),
            (f"{FRONT}_2_{SIDE}_vis.png", "A_2_B"),
            (f"{FRONT}_to_{SIDE}.png", "A_to_B"),
            (f"{FRONT}_{SIDE}_vis.jpg", "A_B"),
            (f"{FRONT}_{SIDE}.jpg", "A_B"),
            (f"{FRONT}.jpg_{SIDE}.jpg.png", "A_B"),
        ],
    )
    def test_the_fields_names_are_recognised_and_share_one_key(
        self, folders: Make, name: str, rule: str
    ) -> None:
        matching = match_pairs(folders([name], [f"{FRONT}.jpg", f"{SIDE}.jpg"]))
        assert names(matching) == [(f"{FRONT}___{SIDE}", name, f"{SIDE}.jpg")]
        assert matching.rule == rule

    def test_source_target_and_item_are_told_by_the_name(self, folders: Make) -> None:
        matching = match_pairs(
            folders([f"{FRONT}_2_{SIDE}_vis.png"], [f"{SIDE}.jpg"], [f"{FRONT}.jpg"])
        )
        pair = matching.pairs[0]
        assert (pair.source_name, pair.target_name, pair.item) == (FRONT, SIDE, DRESS)
        assert pair.source is not None
        assert pair.source.path.name == f"{FRONT}.jpg"

    def test_a_source_that_is_not_in_the_source_folder_is_left_open(self, folders: Make) -> None:
        matching = match_pairs(
            folders([f"{FRONT}_2_{SIDE}_vis.png"], [f"{SIDE}.jpg"], [f"{BACK}.jpg"])
        )
        assert matching.pairs[0].source is None
        assert matching.pairs[0].source_name == FRONT

    def test_images_of_a_subfolder_are_matched_by_their_path(self, folders: Make) -> None:
        matching = match_pairs(folders(["a/1.png", "b/1.png"], ["a/1.jpg", "b/1.jpg"]))
        assert [pair.key for pair in matching.pairs] == ["a/1", "b/1"]
        assert [p.ground_truth and p.ground_truth.path.parent.name for p in matching.pairs] == [
            "a",
            "b",
        ]

    def test_a_folder_of_the_results_own_does_not_hinder(self, folders: Make) -> None:
        matching = match_pairs(folders([f"epoch_9/{FRONT}_2_{SIDE}_vis.png"], [f"{SIDE}.jpg"]))
        assert [pair.key for pair in matching.pairs] == [f"{FRONT}___{SIDE}"]

    def test_pairs_come_sorted_by_key(self, folders: Make) -> None:
        sources, target = [BACK, OTHER, FRONT], SIDE
        matching = match_pairs(folders([f"{s}_2_{target}.png" for s in sources], [f"{target}.jpg"]))
        keys = [pair.key for pair in matching.pairs]
        assert keys == sorted(keys)
        assert len(keys) == 3

    def test_two_methods_that_spell_names_differently_have_the_same_keys(
        self, tmp_path: Path, folders: Make
    ) -> None:
        patn = folders(
            [f"{FRONT}.jpg___{SIDE}.jpg_vis.jpg", f"{FRONT}.jpg___{BACK}.jpg_vis.jpg"],
            [f"{SIDE}.jpg", f"{BACK}.jpg"],
        )
        other = tmp_path / "other"
        other.mkdir()
        for name in (f"{FRONT}_to_{SIDE}.png", f"{FRONT}_to_{BACK}.png"):
            (other / name).touch()
        ours = match_pairs(patn)
        theirs = match_pairs(Folders(other, patn.ground_truth))
        assert [p.key for p in ours.pairs] == [p.key for p in theirs.pairs]
        assert ours.rule != theirs.rule


class TestAuto:
    def test_the_rule_that_matches_most_files_is_taken(self, folders: Make) -> None:
        matching = match_pairs(folders(["a_2_b.png", "c_2_b.png", "b.png"], ["b.png", "a.png"]))
        assert matching.rule == "A_2_B"
        assert problems(matching) == {("extra", "b.png")}

    def test_one_stray_file_does_not_turn_all_others_over_to_the_vaguest_rule(
        self, folders: Make
    ) -> None:
        stray = "mean_b.png"
        matching = match_pairs(folders(["a_2_b.png", "c_2_b.png", stray], ["b.png"]))
        assert [pair.key for pair in matching.pairs] == ["a___b", "c___b"]
        assert problems(matching) == {("extra", stray)}

    def test_the_counts_tell_how_many_files_each_rule_matched(self, folders: Make) -> None:
        matching = match_pairs(folders(["x_2_y.png", "z_2_y.png", "y.png"], ["y.png"]))
        assert dict(matching.counts) == {
            "same-stem": 1,
            "A___B": 0,
            "A_2_B": 2,
            "A_to_B": 0,
            "A_B": 0,
            "PERSON_GARMENT": 0,
        }

    def test_the_description_names_the_rule_and_the_others_that_would_match(
        self, folders: Make
    ) -> None:
        matching = match_pairs(folders(["x_2_y.png", "z_2_y.png", "y.png"], ["y.png"]))
        assert matching.describe() == (
            "2 pairs matched by A_2_B (other rules: same-stem: 1): x_2_y.png is compared with y.png"
        )

    def test_a_tie_is_settled_by_the_more_special_rule(self, folders: Make) -> None:
        assert match_pairs(folders(["x_2_y.png"], ["y.png"])).rule == "A_2_B"

    def test_the_rule_can_be_chosen(self, folders: Make) -> None:
        made = folders(["x_2_y.png", "z_2_y.png", "y.png"], ["y.png"])
        matching = match_pairs(made, rule="same-stem")
        assert names(matching) == [("y", "y.png", "y.png")]
        assert problems(matching) == {("extra", "x_2_y.png"), ("extra", "z_2_y.png")}
        assert dict(matching.counts) == {"same-stem": 1}

    def test_a_chosen_rule_that_matches_nothing_is_an_error(self, folders: Make) -> None:
        with pytest.raises(PairingError, match=r"Tried: A_to_B \("):
            match_pairs(folders(["x_2_y.png"], ["y.png"]), rule="A_to_B")

    def test_an_unknown_rule_is_refused_by_name(self, folders: Make) -> None:
        with pytest.raises(InputError, match=r"A_2_X.*A_2_B"):
            match_pairs(folders(["x_2_y.png"], ["y.png"]), rule="A_2_X")


class TestAmbiguousNames:
    def test_market_names_are_read_by_the_ground_truth(self, folders: Make) -> None:
        matching = match_pairs(folders([f"{CAMERA_2}_{CAMERA_4}.jpg"], [f"{CAMERA_4}.jpg"]))
        assert names(matching)[0][0] == f"{CAMERA_2}___{CAMERA_4}"

    def test_two_readings_are_settled_by_the_source_folder(self, folders: Make) -> None:
        made = folders(["a_b_c.png"], ["c.png", "b_c.png"], ["a.png"])
        assert names(match_pairs(made)) == [("a___b_c", "a_b_c.png", "b_c.png")]

    def test_the_ground_truth_does_not_settle_them(self, folders: Make) -> None:
        made = folders(["a_b_c.png"], ["c.png", "b_c.png", "a_b.png"])
        with pytest.raises(PairingError, match=r"a_b_c\.png may be meant for a_b or b_c or c"):
            match_pairs(made)

    def test_what_nothing_settles_is_listed_and_not_guessed(self, folders: Make) -> None:
        made = folders(["a_b_c.png", "x_c.png"], ["c.png", "b_c.png"])
        matching = match_pairs(made)
        assert names(matching) == [("x___c", "x_c.png", "c.png")]
        assert problems(matching) == {("extra", "a_b_c.png")}
        assert reason(matching, "a_b_c.png") == "can be read as any of b_c, c; give --pairs"

    def test_a_csv_settles_them(self, folders: Make, csv_file: WriteCsv) -> None:
        made = folders(["a_b_c.png"], ["c.png", "b_c.png"])
        matching = match_pairs(made, pairs=csv_file("from,to\na,b_c\n"))
        assert names(matching) == [("a___b_c", "a_b_c.png", "b_c.png")]


class TestProblems:
    def test_a_ground_truth_without_generated_image_is_missing(self, folders: Make) -> None:
        matching = match_pairs(folders(["1.png"], ["1.png", "2.jpg"]))
        assert problems(matching) == {("missing", "2")}
        assert reason(matching, "2") == "no generated image; ground truth 2.jpg wants it"
        assert len(matching.pairs) == 1

    def test_a_generated_image_without_ground_truth_is_extra(self, folders: Make) -> None:
        matching = match_pairs(folders(["1.png", "2.png"], ["1.png"]))
        assert problems(matching) == {("extra", "2.png")}
        assert reason(matching, "2.png") == "there is no ground truth 2"

    def test_a_name_that_does_not_follow_the_rule_is_extra(self, folders: Make) -> None:
        matching = match_pairs(folders(["a_2_b.png", "mean.png"], ["b.png"]))
        assert problems(matching) == {("extra", "mean.png")}
        assert "is not named as A_2_B (A_2_B_vis.jpg" in reason(matching, "mean.png")

    def test_ground_truths_that_no_pair_asks_for_are_normal(self, folders: Make) -> None:
        matching = match_pairs(folders(["a_2_b.png"], ["a.png", "b.png", "c.png"]))
        assert len(matching.pairs) == 1
        assert matching.problems == ()

    @pytest.mark.parametrize("side", ["generated", "truth"])
    def test_two_files_of_one_name_are_listed_once_and_not_chosen_from(
        self, folders: Make, side: str
    ) -> None:
        twice, once = ["1.png", "1.jpg", "2.png"], ["1.png", "2.png"]
        made = folders(twice, once) if side == "generated" else folders(once, twice)
        matching = match_pairs(made)
        assert [pair.key for pair in matching.pairs] == ["2"]
        assert problems(matching) == {("duplicate", "1")}
        assert "1.jpg and 1.png in" in reason(matching, "1")
        assert "remove all but one" in reason(matching, "1")

    def test_two_spellings_of_one_pair_are_listed_and_neither_is_taken(self, folders: Make) -> None:
        made = folders(["a_2_b.png", "a_2_b_vis.png", "c_2_b.png"], ["b.png"])
        matching = match_pairs(made)
        assert [pair.key for pair in matching.pairs] == ["c___b"]
        assert problems(matching) == {("duplicate", "a___b")}
        assert (
            reason(matching, "a___b")
            == "a_2_b.png and a_2_b_vis.png are the same pair; keep one of them"
        )

    def test_folders_with_nothing_in_common_are_an_error_with_samples_of_both(
        self, folders: Make
    ) -> None:
        with pytest.raises(PairingError) as error:
            match_pairs(folders(["out1.png", "out2.png"], ["truth1.png", "truth2.png"]))
        message = str(error.value)
        for text in ("out1.png, out2.png", "truth1.png, truth2.png", "A_2_B", "--pairs CSV"):
            assert text in message

    def test_a_missing_folder_is_named_by_its_option(self, tmp_path: Path, folders: Make) -> None:
        made = folders(["a.png"], ["a.png"])
        for option, wrong in (
            ("--pred", Folders(tmp_path / "none", made.ground_truth)),
            ("--gt", Folders(made.generated, tmp_path / "none")),
            ("--source", Folders(made.generated, made.ground_truth, tmp_path / "none")),
        ):
            with pytest.raises(InputError, match=option):
                match_pairs(wrong)

    @settings(deadline=None, derandomize=True, max_examples=30)
    @given(st.randoms(use_true_random=False))
    def test_the_order_in_which_files_were_written_does_not_matter(
        self, tmp_path_factory: pytest.TempPathFactory, order: random.Random
    ) -> None:
        generated = ["a_2_b.png", "c_2_b.png", "b_2_a_vis.png", "a_2_d.png", "x.png", "b_2_a.png"]
        truth = ["a.png", "b.png", "c.png", "c.jpg"]
        found = []
        for shuffle in (lambda _: None, order.shuffle):
            shuffle(generated)
            shuffle(truth)
            root = tmp_path_factory.mktemp("order")
            for folder, files in (("generated", generated), ("truth", truth)):
                (root / folder).mkdir()
                for file in files:
                    (root / folder / file).touch()
            matching = match_pairs(Folders(root / "generated", root / "truth"))
            said = [(p.kind, p.name, p.reason.replace(str(root), "")) for p in matching.problems]
            found.append((names(matching), said, matching.rule, dict(matching.counts)))
        assert found[0] == found[1]


class TestExpected:
    """How many pairs there would be if everything fitted."""

    def test_it_counts_what_is_missing_and_not_what_is_extra(self, folders: Make) -> None:
        matching = match_pairs(folders(["1.png", "2.png", "9.png"], ["1.png", "2.png", "3.png"]))
        assert (len(matching.pairs), matching.expected) == (2, 3)

    def test_it_counts_pairs_that_two_files_claim(self, folders: Make) -> None:
        matching = match_pairs(folders(["1.png", "1.jpg", "2.png"], ["1.png", "2.png"]))
        assert (len(matching.pairs), matching.expected) == (1, 2)

    def test_with_a_csv_it_is_the_number_of_its_pairs(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        made = folders(["a_2_b.png", "x_2_b.png"], ["b.png"])
        path = csv_file("from,to\na,b\nc,b\nc,b\nc,d\n")
        assert match_pairs(made, pairs=path).expected == 3

    def test_with_strips_it_is_their_number(self, folders: Make) -> None:
        root = folders(["1.png", "2.png", "2.jpg"], []).generated
        assert match_pairs(Folders(root, root, cut=STRIPS)).expected == 2

    @pytest.mark.parametrize("side", ["truth", "source"])
    def test_it_does_not_count_files_that_no_pair_asks_for(self, folders: Make, side: str) -> None:
        twice = ["c.png", "c.jpg"]
        made = (
            folders(["a_2_b.png"], ["b.png", *twice])
            if side == "truth"
            else folders(["a_2_b.png"], ["b.png"], ["a.png", *twice])
        )
        assert match_pairs(made).expected == 1


class TestPairsCsv:
    def test_the_fields_own_columns_are_read(self, csv_file: WriteCsv) -> None:
        (row,) = read_pairs(csv_file(f"from,to\n{FRONT}.jpg,{SIDE}.jpg\n"))
        assert (row.source, row.target, row.generated, row.item) == (FRONT, SIDE, None, None)
        assert (row.key, row.line) == (f"{FRONT}___{SIDE}", 2)

    def test_generated_and_ground_truth_are_read(self, csv_file: WriteCsv) -> None:
        (row,) = read_pairs(csv_file("generated,ground_truth\nout/7.png,b.jpg\n"))
        assert (row.source, row.target, row.generated) == (None, "b", "out/7")
        assert row.key == "b"

    def test_a_source_may_stand_beside_them(self, csv_file: WriteCsv) -> None:
        (row,) = read_pairs(csv_file("source,generated,ground_truth\na.jpg,7.png,b.jpg\n"))
        assert (row.source, row.target, row.generated) == ("a", "b", "7")
        assert row.key == "a___b"

    @pytest.mark.parametrize(
        "text",
        [
            "\ufefffrom,to\na.jpg,b.jpg\n",
            ",from,to\n0,a.jpg,b.jpg\n",
            "to,from\nb.jpg,a.jpg\n",
            "from,to,weather\na.jpg,b.jpg,fine\n",
            " from , to \n a.jpg , b.jpg \n",
            '"from","to"\r\n"a.jpg","b.jpg"\r\n',
            "from,to\n\na.jpg,b.jpg\n\n",
            "from,to\n./a.jpg,./b.jpg",
        ],
        ids=["BOM", "index", "order", "more", "blanks", "quotes", "empty lines", "dot"],
    )
    def test_variants_of_the_same_list_are_read_alike(self, csv_file: WriteCsv, text: str) -> None:
        (row,) = read_pairs(csv_file(text))
        assert (row.source, row.target) == ("a", "b")

    def test_only_endings_of_images_are_taken_off_a_name(self, csv_file: WriteCsv) -> None:
        (row,) = read_pairs(csv_file("from,to\nv1.2/a.x,b.JPEG\n"))
        assert (row.source, row.target) == ("v1.2/a.x", "b")

    def test_items_are_read(self, csv_file: WriteCsv) -> None:
        rows = read_pairs(csv_file("from,to,item\na,b,shirt 7\nc,d,\n"))
        assert [row.item for row in rows] == ["shirt 7", None]

    def test_unknown_columns_are_refused_and_the_known_ones_named(self, csv_file: WriteCsv) -> None:
        with pytest.raises(InputError) as error:
            read_pairs(csv_file("image,target\na,b\n"))
        message = str(error.value)
        assert "line 1: the columns are image, target" in message
        assert "expected from,to (source and target names) or generated,ground_truth" in message

    @pytest.mark.parametrize("line", ["a.jpg,", ",b.jpg", "a.jpg", " ,b.jpg"])
    def test_a_missing_name_is_refused_with_its_line(self, csv_file: WriteCsv, line: str) -> None:
        with pytest.raises(InputError, match=r"pairs\.csv, line 3: a name is missing"):
            read_pairs(csv_file(f"from,to\na.jpg,b.jpg\n{line}\n"))

    def test_a_file_that_is_not_utf_8_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "pairs.csv"
        path.write_bytes("from,to\nfür,b\n".encode("latin-1"))
        with pytest.raises(InputError, match=r"pairs\.csv, line 2: is not UTF-8 text"):
            read_pairs(path)

    def test_an_empty_file_is_refused(self, csv_file: WriteCsv) -> None:
        with pytest.raises(InputError, match="the columns are missing"):
            read_pairs(csv_file(""))

    def test_a_header_alone_is_refused(self, csv_file: WriteCsv) -> None:
        with pytest.raises(InputError, match="holds no pairs, only a header"):
            read_pairs(csv_file("from,to\n"))

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"none\.csv cannot be read \(No such file"):
            read_pairs(tmp_path / "none.csv")

    def test_an_endless_cell_is_refused_with_its_line(self, csv_file: WriteCsv) -> None:
        with pytest.raises(InputError, match="field larger than field limit"):
            read_pairs(csv_file(f"from,to\na,{'b' * 200_000}\n"))

    def test_an_endless_cell_in_the_header_is_refused(self, csv_file: WriteCsv) -> None:
        with pytest.raises(InputError, match="field larger than field limit"):
            read_pairs(csv_file(f"from,to,{'b' * 200_000}\na,b,c\n"))

    def test_the_published_list_is_read(self, fixtures: Path) -> None:
        rows = read_pairs(fixtures / "deepfashion_lists" / "fashion-pairs-test.csv")
        assert len(rows) == len({row.key for row in rows}) == 8570
        assert len({row.target for row in rows}) == 3144


class TestMatchingByCsv:
    def test_the_csv_says_exactly_what_is_expected(self, folders: Make, csv_file: WriteCsv) -> None:
        made = folders(["a_2_b.png", "c_2_b.png"], ["a.png", "b.png", "c.png"])
        path = csv_file("from,to\na.jpg,b.jpg\nb.jpg,a.jpg\nb.jpg,z.jpg\n")
        matching = match_pairs(made, pairs=path)
        assert names(matching) == [("a___b", "a_2_b.png", "b.png")]
        assert problems(matching) == {
            ("missing", "b___a"),
            ("missing", "b___z"),
            ("extra", "c_2_b.png"),
        }
        assert "line 3" in reason(matching, "b___a")
        assert reason(matching, "b___z").startswith("no ground truth z in --gt; wanted by")
        assert reason(matching, "c_2_b.png") == "is not expected by pairs.csv"

    def test_the_rule_is_named_after_the_csv(self, folders: Make, csv_file: WriteCsv) -> None:
        made = folders(["a_2_b.png"], ["b.png"])
        matching = match_pairs(made, pairs=csv_file("from,to\na,b\n"))
        assert matching.rule == "the pairs of pairs.csv"
        assert matching.describe() == (
            "1 pair matched by the pairs of pairs.csv: a_2_b.png is compared with b.png"
        )

    def test_any_spelling_of_a_pair_is_found(self, folders: Make, csv_file: WriteCsv) -> None:
        made = folders(
            ["a.jpg___b.jpg_vis.png", "b_to_c.png", "c_a.png"], ["a.png", "b.png", "c.png"]
        )
        matching = match_pairs(made, pairs=csv_file("from,to\na,b\nb,c\nc,a\n"))
        assert [pair.key for pair in matching.pairs] == ["a___b", "b___c", "c___a"]
        assert matching.problems == ()

    def test_the_spelling_can_be_fixed(self, folders: Make, csv_file: WriteCsv) -> None:
        made = folders(["a_2_b.png", "a_to_b.png"], ["b.png"])
        path = csv_file("from,to\na,b\n")
        matching = match_pairs(made, pairs=path, rule="A_to_B")
        assert names(matching) == [("a___b", "a_to_b.png", "b.png")]
        assert problems(matching) == {("extra", "a_2_b.png")}

    def test_a_target_that_stands_once_may_lend_its_name_to_the_file(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        made = folders(["b.png", "c.png"], ["b.png", "c.png"])
        matching = match_pairs(made, pairs=csv_file("from,to\na,b\na,c\n"))
        assert [pair.key for pair in matching.pairs] == ["a___b", "a___c"]

    def test_a_target_that_stands_twice_does_not_tell_which_pair_is_meant(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        made = folders(["b.png"], ["b.png"])
        matching = match_pairs(made, pairs=csv_file("from,to\na,b\nc,b\n"))
        assert matching.pairs == ()
        assert problems(matching) == {
            ("missing", "a___b"),
            ("missing", "c___b"),
            ("extra", "b.png"),
        }

    def test_files_of_any_name_are_matched_by_their_own_column(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        made = folders(["generated_1.jpg", "generated_2.jpg"], ["b.png", "c.png"], ["a.png"])
        path = csv_file(
            "source,generated,ground_truth\na.png,generated_1.jpg,c.png\na.png,generated_2.jpg,b.png\n"
        )
        matching = match_pairs(made, pairs=path)
        assert names(matching) == [
            ("a___b", "generated_2.jpg", "b.png"),
            ("a___c", "generated_1.jpg", "c.png"),
        ]
        assert all(pair.source is not None for pair in matching.pairs)

    def test_keys_are_those_of_a_method_that_needs_no_csv(
        self, folders: Make, tmp_path: Path, csv_file: WriteCsv
    ) -> None:
        made = folders(["generated_1.jpg"], [f"{SIDE}.jpg"])
        path = csv_file(f"source,generated,ground_truth\n{FRONT}.jpg,generated_1.jpg,{SIDE}.jpg\n")
        other = tmp_path / "other"
        other.mkdir()
        (other / f"{FRONT}_2_{SIDE}_vis.png").touch()
        with_csv = match_pairs(made, pairs=path)
        without = match_pairs(Folders(other, made.ground_truth))
        assert [p.key for p in with_csv.pairs] == [p.key for p in without.pairs]

    def test_a_line_that_stands_twice_is_listed(self, folders: Make, csv_file: WriteCsv) -> None:
        made = folders(["a_2_b.png"], ["b.png"])
        matching = match_pairs(made, pairs=csv_file("from,to\na,b\na.jpg,b.jpg\n"))
        assert problems(matching) == {("duplicate", "a___b")}
        assert "stands in lines 2 and 3" in reason(matching, "a___b")

    def test_a_missing_pair_that_stands_twice_is_listed_once_as_missing(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        made = folders(["a_2_b.png"], ["b.png"])
        matching = match_pairs(made, pairs=csv_file("from,to\na,b\nc,b\nc,b\n"))
        assert problems(matching) == {("missing", "c___b"), ("duplicate", "c___b")}

    def test_items_of_the_csv_come_before_those_of_the_names(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        made = folders(
            [f"{FRONT}_2_{SIDE}.png", f"{FRONT}_2_{BACK}.png"], [f"{SIDE}.png", f"{BACK}.png"]
        )
        path = csv_file(f"from,to,item\n{FRONT},{SIDE},red dress\n{FRONT},{BACK},\n")
        items = {p.target_name: p.item for p in match_pairs(made, pairs=path).pairs}
        assert items == {SIDE: "red dress", BACK: DRESS}

    @pytest.mark.parametrize("side", ["generated", "truth"])
    def test_two_files_of_one_name_are_not_called_missing_as_well(
        self, folders: Make, csv_file: WriteCsv, side: str
    ) -> None:
        twice, once = ["b.png", "b.jpg"], ["b.png"]
        made = folders(twice, once) if side == "generated" else folders(once, twice)
        path = csv_file("generated,ground_truth\nb.png,b.png\n")
        kinds = {kind for kind, _ in problems(match_pairs(made, pairs=path))}
        assert "missing" not in kinds
        assert "duplicate" in kinds

    def test_the_image_of_a_ground_truth_that_is_there_twice_is_not_called_unexpected(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        made = folders(["a_2_b.png"], ["b.png", "b.jpg"])
        matching = match_pairs(made, pairs=csv_file("from,to\na,b\n"))
        assert problems(matching) == {("duplicate", "b")}


class TestStrips:
    def test_of_one_folder_each_strip_is_a_pair_of_its_own_file(self, folders: Make) -> None:
        root = folders([f"{FRONT}.jpg___{SIDE}.jpg_vis.jpg"], []).generated
        matching = match_pairs(Folders(root, root, cut=STRIPS))
        (pair,) = matching.pairs
        assert pair.generated == pair.ground_truth
        assert pair.key == f"{FRONT}___{SIDE}"
        assert matching.rule == "strips of 3"

    def test_strips_of_another_method_give_the_keys_that_those_of_one_folder_have(
        self, folders: Make
    ) -> None:
        names = [f"{FRONT}.jpg___{SIDE}.jpg_vis.jpg", f"{BACK}.jpg___{SIDE}.jpg_vis.jpg"]
        made = folders(names, names)
        ours, theirs = (
            match_pairs(Folders(made.generated, truth, cut=STRIPS)).pairs
            for truth in (made.generated, made.ground_truth)
        )
        assert [pair.key for pair in theirs] == [pair.key for pair in ours]
        assert theirs[0].source_name == FRONT
        assert theirs[0].ground_truth is not None
        assert made.ground_truth is not None
        assert theirs[0].ground_truth.path.parent == made.ground_truth

    def test_a_strips_name_tells_source_target_and_item(self, folders: Make) -> None:
        root = folders([f"{FRONT}.jpg___{SIDE}.jpg_vis.jpg"], []).generated
        pair = match_pairs(Folders(root, root, cut=STRIPS)).pairs[0]
        assert (pair.source_name, pair.target_name, pair.item) == (FRONT, SIDE, DRESS)

    def test_the_name_of_a_pose_gan_strip_tells_them_too(self, folders: Make) -> None:
        root = folders([f"{FRONT}.jpg_{SIDE}.jpg.png"], []).generated
        pair = match_pairs(Folders(root, root, cut=STRIPS)).pairs[0]
        assert (pair.source_name, pair.target_name, pair.item) == (FRONT, SIDE, DRESS)

    def test_numbered_strips_are_pairs_of_their_own(self, folders: Make) -> None:
        root = folders(["generated_1.jpg", "generated_2.jpg"], []).generated
        pairs = match_pairs(Folders(root, root, cut=STRIPS)).pairs
        assert [(p.key, p.source_name) for p in pairs] == [
            ("generated_1", None),
            ("generated_2", None),
        ]

    def test_the_same_folder_is_seen_through_another_spelling_of_its_path(
        self, folders: Make, tmp_path: Path
    ) -> None:
        root = folders(["a.jpg"], []).generated
        link = tmp_path / "link"
        link.symlink_to(root)
        assert Folders(root, link, cut=STRIPS).is_strip_only
        assert Folders(root, root / ".." / root.name, cut=STRIPS).is_strip_only

    def test_strips_whose_own_ground_truth_is_not_known_are_refused(self, folders: Make) -> None:
        root = folders(["a.jpg"], []).generated
        with pytest.raises(InputError, match=r"known for 3, 5, 10 or 11 panels, not .*--gt-panel"):
            match_pairs(Folders(root, root, cut=Cut.of(8)))
        assert match_pairs(Folders(root, root, cut=Cut.of(8, gt_panel=2))).pairs

    def test_the_ground_truths_own_panel_is_no_result(self, folders: Make) -> None:
        root = folders(["a.jpg"], []).generated
        with pytest.raises(InputError, match="--panel 2 is the ground truth's own panel"):
            match_pairs(Folders(root, root, cut=Cut.of(3, panel=2)))

    def test_what_strips_leave_nothing_to_say_to_is_refused(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        root = folders([f"{FRONT}___{SIDE}.jpg"], []).generated
        strips = Folders(root, root, cut=STRIPS)
        with pytest.raises(InputError, match="Leave them out"):
            match_pairs(strips, pairs=csv_file(f"from,to\n{FRONT},{SIDE}\n"))
        with pytest.raises(InputError, match="Leave them out"):
            match_pairs(strips, rule="A___B")
        with pytest.raises(InputError, match="Leave them out"):
            match_pairs(Folders(root, root, source=root, cut=STRIPS))

    def test_strips_that_spell_a_pair_differently_share_its_key(self, tmp_path: Path) -> None:
        keys = set()
        for name in (f"{FRONT}.jpg___{SIDE}.jpg_vis.jpg", f"{FRONT}.jpg_{SIDE}.jpg.png"):
            root = tmp_path / name
            root.mkdir()
            (root / name).touch()
            keys |= {pair.key for pair in match_pairs(Folders(root, root, cut=STRIPS)).pairs}
        assert keys == {f"{FRONT}___{SIDE}"}

    def test_two_strips_of_one_pair_are_listed(self, folders: Make) -> None:
        root = folders([f"{FRONT}_2_{SIDE}.jpg", f"{FRONT}___{SIDE}.jpg"], []).generated
        matching = match_pairs(Folders(root, root, cut=STRIPS))
        assert problems(matching) == {("duplicate", f"{FRONT}___{SIDE}")}
        assert "are the same pair; keep one of them" in reason(matching, f"{FRONT}___{SIDE}")

    def test_of_two_strips_of_one_pair_neither_is_taken(self, folders: Make) -> None:
        root = folders([f"{FRONT}_2_{SIDE}.jpg", f"{FRONT}___{SIDE}.jpg"], []).generated
        assert match_pairs(Folders(root, root, cut=STRIPS)).pairs == ()

    def test_a_strip_in_a_subfolder_tells_its_names_too(self, folders: Make) -> None:
        root = folders([f"epoch_9/{FRONT}___{SIDE}.jpg"], []).generated
        pair = match_pairs(Folders(root, root, cut=STRIPS)).pairs[0]
        assert pair.source_name is not None
        assert pair.source_name.endswith(FRONT)

    def test_real_strips_are_matched(self, fixtures: Path) -> None:
        root = fixtures / "result_strips" / "vunet"
        matching = match_pairs(Folders(root, root, cut=STRIPS))
        assert len(matching.pairs) == 24
        assert matching.problems == ()
        assert all(pair.item for pair in matching.pairs)


class TestWithoutGroundTruth:
    def test_each_generated_image_is_a_pair_of_its_own(self, folders: Make) -> None:
        made = folders(["gen-1.png", "gen-2.png"], [])
        matching = match_pairs(Folders(made.generated, None))
        assert [pair.key for pair in matching.pairs] == ["gen-1", "gen-2"]
        assert all(pair.ground_truth is None for pair in matching.pairs)
        assert (matching.problems, matching.expected) == ((), 2)
        assert matching.describe() == "2 generated images, without ground truth (no --gt)"

    @pytest.mark.parametrize(
        "name",
        [f"{FRONT}_2_{SIDE}_vis.png", f"{FRONT}_{SIDE}.png", f"{FRONT}.jpg___{SIDE}.jpg_vis.jpg"],
    )
    def test_the_source_that_the_name_tells_is_taken(self, folders: Make, name: str) -> None:
        made = folders([name], [], [f"{FRONT}.jpg", f"{BACK}.jpg"])
        matching = match_pairs(Folders(made.generated, None, made.source))
        (pair,) = matching.pairs
        assert pair.source is not None
        assert pair.source.path.name == f"{FRONT}.jpg"
        assert (pair.key, pair.item) == (f"{FRONT}___{SIDE}", DRESS)
        assert matching.describe().endswith("; of 1 the source is known")

    def test_a_csv_says_which_source_and_which_item(
        self, folders: Make, csv_file: WriteCsv
    ) -> None:
        made = folders(["out_0.png", "out_1.png"], [], ["a.png"])
        path = csv_file("generated,ground_truth,source,item\nout_0.png,b.png,a.png,shirt\n")
        matching = match_pairs(Folders(made.generated, None, made.source), pairs=path)
        (pair,) = matching.pairs
        assert pair.source is not None
        assert (pair.key, pair.ground_truth, pair.item) == ("a___b", None, "shirt")
        assert problems(matching) == {("extra", "out_1.png")}


class TestAccounting:
    def test_what_a_folder_holds_besides_images_is_counted_by_side(
        self, folders: Make, tmp_path: Path
    ) -> None:
        made = folders(["a.png", "log.txt"], ["a.png", ".hidden.png", "x.npz"])
        assert match_pairs(made).passed_over == {
            "generated": {".txt": 1},
            "ground_truth": {"hidden": 1, ".npz": 1},
        }

    @pytest.mark.parametrize("side", ["generated", "ground_truth", "source"])
    def test_a_folder_that_cannot_be_reached_is_unreadable_on_every_side(
        self, folders: Make, side: str
    ) -> None:
        made = folders(["a_2_b.png"], ["b.png"], ["a.png"])
        part = getattr(made, side) / "part2"
        part.symlink_to("moved")
        matching = match_pairs(made)
        assert problems(matching) == {("unreadable", str(part))}
        assert len(matching.pairs) == 1

    def test_a_dead_link_is_the_pair_that_its_name_says(self, folders: Make) -> None:
        made = folders(["a.png"], ["a.png", "b.png"])
        (made.generated / "b.png").symlink_to("moved.png")
        matching = match_pairs(made)
        assert (len(matching.pairs), matching.expected) == (2, 2)
        assert problems(matching) == {("unreadable", str(made.generated / "b.png"))}


def pair(target: str, source: str | None = None, item: str | None = None, key: str = "") -> Pair:
    """Return a pair of which only names matter."""
    nowhere = ImageRef(Path("nowhere"))
    return Pair(key or f"{source}___{target}", nowhere, nowhere, None, source, target, item)


def slow_groups(pairs: Sequence[Pair]) -> list[int]:
    """Join groups that share a name or an item until nothing changes."""
    shared = []
    for one in pairs:
        images = {("image", name) for name in (one.target_name or one.key, one.source_name) if name}
        shared.append(images | ({("item", one.item)} if one.item else set()))
    groups = list(range(len(pairs)))
    changed = True
    while changed:
        changed = False
        for i in range(len(pairs)):
            for j in range(i):
                if groups[i] != groups[j] and shared[i] & shared[j]:
                    groups = [groups[j] if group == groups[i] else group for group in groups]
                    changed = True
    numbers: dict[int, int] = {}
    return [numbers.setdefault(group, len(numbers)) for group in groups]


small_names = st.sampled_from("abcdefgh")
some_pairs = st.lists(
    st.builds(
        pair,
        small_names,
        st.none() | small_names,
        st.none() | st.sampled_from("abc"),
    ),
    max_size=14,
)


class TestGroups:
    def test_no_pairs_have_no_groups(self) -> None:
        assert groups_of([]) == []

    def test_pairs_that_share_nothing_are_groups_of_their_own(self) -> None:
        assert groups_of([pair("b", "a"), pair("d", "c"), pair("e")]) == [0, 1, 2]

    def test_a_shared_source_joins(self) -> None:
        assert groups_of([pair("b", "a"), pair("c", "a"), pair("d", "x")]) == [0, 0, 1]

    def test_a_shared_target_joins(self) -> None:
        assert groups_of([pair("b", "a"), pair("b", "c")]) == [0, 0]

    def test_a_source_that_is_another_pairs_target_joins(self) -> None:
        assert groups_of([pair("b", "a"), pair("a", "c")]) == [0, 0]

    def test_a_shared_item_joins(self) -> None:
        assert groups_of([pair("b", "a", "shirt"), pair("d", "c", "shirt")]) == [0, 0]

    def test_an_item_and_an_image_of_one_name_do_not_join(self) -> None:
        assert groups_of([pair("b", "a", "x"), pair("x", "y")]) == [0, 1]

    def test_sharing_is_passed_on(self) -> None:
        chain = [pair("b", "a"), pair("d", "c"), pair("c", "b")]
        assert groups_of(chain) == [0, 0, 0]

    def test_pairs_without_names_are_told_apart_by_their_keys(self) -> None:
        assert groups_of([pair("", key="1"), pair("", key="2"), pair("", key="1")]) == [0, 1, 0]

    def test_groups_are_numbered_by_first_appearance(self) -> None:
        assert groups_of([pair("z"), pair("a"), pair("z"), pair("m")]) == [0, 1, 0, 2]

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(some_pairs)
    def test_groups_are_the_connected_components_of_sharing(self, pairs: list[Pair]) -> None:
        assert groups_of(pairs) == slow_groups(pairs)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(some_pairs, st.randoms(use_true_random=False))
    def test_the_order_of_pairs_does_not_change_who_is_together(
        self, pairs: list[Pair], order: random.Random
    ) -> None:
        places = list(range(len(pairs)))
        order.shuffle(places)
        before = groups_of(pairs)
        after = groups_of([pairs[place] for place in places])
        together = {(i, j) for i in places for j in places if before[i] == before[j]}
        again = {
            (places[i], places[j])
            for i in range(len(places))
            for j in range(len(places))
            if after[i] == after[j]
        }
        assert again == together

    def test_a_long_chain_is_one_group(self) -> None:
        chain = [pair(str(n), str(n + 1)) for n in range(20_000)]
        assert set(groups_of(chain)) == {0}
