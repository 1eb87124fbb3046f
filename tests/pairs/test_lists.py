"""Lists of pairs in the field's forms, and a shop's: what is read, and what is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fhpt_eval.errors import InputError, PairingError
from fhpt_eval.pairs.lists import Row, read_list, read_pairs
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders, Matching
from tests.support.pairs import truth_of

FRONT, SIDE = "fashionWOMENDressesid0000000101_1front", "fashionWOMENDressesid0000000101_2side"
TREE_FRONT, TREE_SIDE = (
    "img/WOMEN/Dresses/id_00000001/01_1_front.jpg",
    "img/WOMEN/Dresses/id_00000001/01_2_side.jpg",
)

Write = Callable[[str], Path]
Match = Callable[..., Matching]


@pytest.fixture
def listed(tmp_path: Path) -> Write:
    """Return a function that writes a list."""

    def write(text: str) -> Path:
        path = tmp_path / "pairs.txt"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def match(tmp_path: Path, listed: Write) -> Match:
    """Return a function that makes files of these names, and matches them by a list."""

    def matched(
        generated: Sequence[str], truth: Sequence[str], text: str, rule: str = "auto"
    ) -> Matching:
        for root, names in (("generated", generated), ("truth", truth)):
            for name in names:
                path = tmp_path / root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        folders = Folders(tmp_path / "generated", tmp_path / "truth")
        return match_pairs(folders, rule=rule, pairs=listed(text))

    return matched


def pairs(matching: Matching) -> list[tuple[str, str, str]]:
    return [(p.key, p.generated.path.name, truth_of(p).name) for p in matching.pairs]


def reasons(matching: Matching) -> list[str]:
    return [f"{problem.kind} {problem.name}: {problem.reason}" for problem in matching.problems]


class TestForms:
    """The field's own lists are read as they are."""

    def test_a_list_without_a_header_has_the_target_first(self, listed: Write) -> None:
        rows, form = read_list(listed(f"{TREE_SIDE},{TREE_FRONT}\n"))
        assert form == "target,source"
        assert [(row.source, row.target) for row in rows] == [(TREE_FRONT[:-4], TREE_SIDE[:-4])]

    def test_a_line_with_several_sources_is_as_many_rows_of_which_one_is_needed(
        self, listed: Write
    ) -> None:
        rows = read_pairs(listed("b.png,a.png,c.png\nd.png,a.png\n"))
        assert [(r.line, r.source, r.target, r.is_choice) for r in rows] == [
            (1, "a", "b", True), (1, "c", "b", True), (2, "a", "d", False),
        ]  # fmt: skip

    @pytest.mark.parametrize("blank", [" ", "\t", "   "])
    def test_a_list_of_try_on_has_a_person_and_a_garment(self, listed: Write, blank: str) -> None:
        rows, form = read_list(listed(f"00055_00.jpg{blank}01967_00.jpg\n\n"))
        assert form == "person garment"
        assert rows == [Row(1, None, "00055_00", None, "01967_00", garment="01967_00")]

    def test_a_third_column_of_dresscode_is_passed_over(self, listed: Write) -> None:
        (row,) = read_pairs(listed("020714_0.jpg\t020715_1.jpg\t2\n"))
        assert (row.target, row.garment) == ("020714_0", "020715_1")

    def test_pcdms_json_is_read(self, listed: Write) -> None:
        text = json.dumps([{"source_image": "a.jpg", "target_image": "b.png", "pose": [1, 2]}])
        rows, form = read_list(listed(text))
        assert (form, rows) == ("JSON", [Row(1, "a", "b", None, None)])

    @pytest.mark.parametrize(
        "header", ["from,to", "source,target", "From,To", "source,ground_truth"]
    )
    def test_columns_have_the_names_that_lists_give_them(self, listed: Write, header: str) -> None:
        (row,) = read_pairs(listed(f"{header}\na.jpg,b.jpg\n"))
        assert (row.source, row.target) == ("a", "b")

    @pytest.mark.parametrize("junk", [",", ",,", " , ", ""])
    def test_lines_of_nothing_but_commas_are_passed_over(self, listed: Write, junk: str) -> None:
        (row,) = read_pairs(
            listed(f"{junk}\ngenerated,ground_truth\n{junk}\na.png,b.png\n{junk}\n")
        )
        assert (row.generated, row.target, row.line) == ("a", "b", 4)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("b.png,a.png\nc.png,\n", "line 2: a name is missing"),
            ("a_0.jpg b_0.jpg\nc_0.jpg\n", "line 2: 'c_0.jpg' is not two image names"),
            (f"{FRONT}.jpg {SIDE}.jpg\n", r"line 1: which of .* is the source\? Put from,to"),
            ('[{"source_image": "a.jpg"}]', "the columns are source_image"),
            ('[{"source_image": "a.jpg", "target_image": 3}]', "line 1: a name is missing"),
            ('[{"source_image": ', "is no JSON"),
            ('{"pairs": []}', "should be a list like"),
            ("[]", "the columns are missing"),
            ("a,b\n", "without a header has image names with endings"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_line(self, listed: Write, text: str, says: str) -> None:
        with pytest.raises(InputError, match=says):
            read_pairs(listed(text))

    @pytest.mark.parametrize("text", ["[" * 100_000, '"', "\x00,\x00", "[1, 2]", "null"])
    def test_a_hostile_file_is_refused(self, listed: Write, text: str) -> None:
        with pytest.raises(InputError):
            read_pairs(listed(text))


class TestDirection:
    """Without a header the files tell which column is the target."""

    @pytest.mark.parametrize("text", ["b.png,a.png\nd.png,a.png\n", "a.png,b.png\na.png,d.png\n"])
    def test_the_names_of_results_tell(self, match: Match, text: str) -> None:
        matching = match(["a_2_b.png", "a_2_d.png"], ["a.png", "b.png", "d.png"], text)
        assert [key for key, *_ in pairs(matching)] == ["a___b", "a___d"]
        assert matching.problems == ()

    def test_how_a_list_was_read_is_said(self, match: Match) -> None:
        text = f"{TREE_FRONT},{TREE_SIDE}\n"
        matching = match([f"{FRONT}_2_{SIDE}.png"], [f"{SIDE}.jpg"], text)
        assert "pairs.txt is read as source,target" in matching.describe()

    def test_where_the_files_do_not_tell_it_is_asked(self, match: Match) -> None:
        generated = ["a_2_b.png", "d_2_c.png"]
        with pytest.raises(PairingError, match=r"pairs\.txt has no header.*from,to"):
            match(generated, ["a.png", "b.png", "c.png", "d.png"], "b.png,a.png\nd.png,c.png\n")

    def test_of_several_sources_the_result_names_its_own(self, match: Match) -> None:
        matching = match(["c_2_b.png"], ["b.png"], "b.png,a.png,c.png\n")
        assert pairs(matching) == [("c___b", "c_2_b.png", "b.png")]
        assert (matching.problems, matching.expected) == ((), 1)

    def test_a_result_named_by_its_target_alone_leaves_the_source_open(self, match: Match) -> None:
        matching = match(["b.png"], ["b.png"], "b.png,a.png,c.png\n")
        assert [pair.source_name for pair in matching.pairs] == [None]
        assert matching.problems == ()

    @pytest.mark.parametrize(
        "name", ["p_g.png", "p_2_g.png", "p___g.png", "p.png", "p.jpg_g.jpg.png"]
    )
    def test_a_list_of_try_on_compares_with_the_person(self, match: Match, name: str) -> None:
        matching = match([name], ["p.jpg", "g.jpg"], "p.jpg g.jpg\n")
        assert pairs(matching) == [("g___p", name, "p.jpg")]
        assert [(pair.source_name, pair.item) for pair in matching.pairs] == [(None, "g")]


class TestShop:
    """Several images for one product, without sources."""

    TEXT = "generated,ground_truth,item\n" + "".join(
        f"job-{n}.png,IMG_{n // 3}.jpg,dress-{n // 3}\n" for n in range(6)
    )
    JOBS = tuple(f"job-{n}.png" for n in range(6))

    def test_a_row_is_known_by_its_generated_image(self, match: Match) -> None:
        matching = match(self.JOBS, ["IMG_0.jpg", "IMG_1.jpg"], self.TEXT)
        assert [key for key, *_ in pairs(matching)] == [f"job-{n}" for n in range(6)]
        assert {pair.item for pair in matching.pairs} == {"dress-0", "dress-1"}
        assert (matching.problems, matching.expected) == ((), 6)

    def test_a_row_that_stands_twice_is_listed_and_its_file_is_not_unexpected(
        self, match: Match
    ) -> None:
        matching = match(
            self.JOBS, ["IMG_0.jpg", "IMG_1.jpg"], f"{self.TEXT}job-5.png,IMG_1.jpg,\n"
        )
        assert reasons(matching) == ["duplicate job-5: stands in lines 7 and 8 of pairs.txt"]

    def test_a_listed_file_without_ground_truth_is_not_unexpected(self, match: Match) -> None:
        matching = match(self.JOBS, ["IMG_0.jpg"], self.TEXT)
        assert {problem.kind for problem in matching.problems} == {"missing"}
        assert len(matching.problems) == 3

    @pytest.mark.parametrize(
        "cell",
        ["results/job-0.png", "results\\job-0.png", ".\\job-0.png", "JOB-0.PNG", " job-0.png "],
    )
    def test_folders_another_case_and_windows_paths_do_no_harm(
        self, match: Match, cell: str
    ) -> None:
        matching = match(
            ["job-0.png"], ["IMG_0.jpg"], f"generated,ground_truth\n{cell},img_0.JPG\n"
        )
        assert pairs(matching) == [("IMG_0", "job-0.png", "IMG_0.jpg")]
        assert matching.problems == ()
        assert "names of pairs.txt are spelled otherwise" in matching.describe()

    def test_two_names_never_become_one_file(self, match: Match) -> None:
        text = "generated,ground_truth\nseed_0/a.png,b.png\nseed_1/a.png,c.png\n"
        matching = match(["a.png"], ["b.png", "c.png"], text)
        assert matching.pairs == ()
        assert [problem.kind for problem in matching.problems] == ["missing", "missing"]
        assert "a.png would be meant by several lines" in matching.problems[0].reason

    def test_a_result_in_another_folder_is_not_taken_for_a_row(self, match: Match) -> None:
        text = "from,to\nseed_0/a.png,seed_0/b.png\n"
        matching = match(["seed_1/a_2_b.png"], ["seed_0/b.png", "seed_1/b.png"], text)
        assert matching.pairs == ()
        assert {problem.kind for problem in matching.problems} == {"missing", "extra"}

    def test_one_result_is_not_taken_for_two_rows(self, match: Match) -> None:
        matching = match(["a_b_c.png"], ["c.png", "b_c.png"], "from,to\na,b_c\na_b,c\n")
        assert matching.pairs == ()
        assert "a_b_c.png can be read as lines 2 and 3" in matching.problems[0].reason

    @pytest.mark.parametrize(
        ("generated", "truth", "reason"),
        [
            ("job_0.png", "IMG_0.jpg", "no generated image job-0 in --pred; wanted by pairs.txt, "
             "line 2. Did you mean 'job_0'?"),
            ("job-0.png", "IMG-0.jpg", "no ground truth IMG_0 in --gt; wanted by pairs.txt, "
             "line 2. Did you mean 'IMG-0'?"),
            ("job-0.png", "zz.jpg", "no ground truth IMG_0 in --gt; wanted by pairs.txt, line 2"),
        ],
    )  # fmt: skip
    def test_the_reason_names_the_file_looked_for_and_the_near_miss(
        self, match: Match, generated: str, truth: str, reason: str
    ) -> None:
        matching = match([generated], [truth], "generated,ground_truth\njob-0.png,IMG_0.jpg\n")
        assert matching.problems[0].reason == reason

    def test_a_pair_of_two_names_that_is_missing_says_how_it_was_looked_for(
        self, match: Match
    ) -> None:
        matching = match(["a_2_bb.png"], ["b.png"], "from,to\na.png,b.png\n")
        assert matching.problems[0].reason == (
            "no generated image a___b (nor A_2_B, A_to_B, A_B of these); wanted by pairs.txt, "
            "line 2. Did you mean 'a_2_bb'?"
        )


class TestSpellings:
    """Lists, results and folders may spell one image differently."""

    @pytest.mark.parametrize(
        "truth",
        [f"{SIDE}.jpg", TREE_SIDE, TREE_SIDE[4:], "WOMEN-Dresses-id_00000001-01_2_side.png"],
    )
    @pytest.mark.parametrize(
        "text",
        [
            f"from,to\n{FRONT}.jpg,{SIDE}.jpg\n",
            f"{TREE_SIDE},{TREE_FRONT}\n",
            json.dumps([{"source_image": TREE_FRONT, "target_image": f"{SIDE}.png"}]),
        ],
        ids=["PATN", "NTED", "PCDMs"],
    )
    def test_any_list_fits_any_folder(self, match: Match, truth: str, text: str) -> None:
        matching = match([f"{FRONT}_2_{SIDE}_vis.png"], [truth], text)
        assert [pair.key for pair in matching.pairs] == [f"{FRONT}___{SIDE}"]
        assert matching.problems == ()
