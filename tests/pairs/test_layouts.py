"""Folders as data sets of the field are laid out: matched without flags, and said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fhpt_eval.pairs.layouts import layout_of
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders, Matching
from tests.support import field_names as field
from tests.support.pairs import truth_of

Match = Callable[[Sequence[str], Sequence[str]], Matching]


@pytest.fixture
def match(tmp_path: Path) -> Match:
    """Return a function that makes files of these names and matches them."""

    def matched(generated: Sequence[str], truth: Sequence[str]) -> Matching:
        for root, names in (("generated", generated), ("truth", truth)):
            for name in names:
                path = tmp_path / root / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return match_pairs(Folders(tmp_path / "generated", tmp_path / "truth"))

    return matched


@pytest.mark.parametrize(
    ("spelling", "said"),
    [
        (field.tree, "DeepFashion's in-shop tree: MEN/Blouses_Shirts/id_00000003/02_1_front is "
         "fashionMENBlouses_Shirtsid0000000302_1front"),
        (field.below("img", field.tree), "DeepFashion's in-shop tree"),
        (field.multimodal, "DeepFashion-MultiModal's names"),
        (field.posegan, "another spelling of DeepFashion's names"),
    ],
)  # fmt: skip
def test_results_of_flat_names_meet_deepfashion_in_any_layout(
    match: Match, spelling: field.Spelling, said: str
) -> None:
    results = [f"{field.flat(n)}_2_{field.flat(n + 1)}_vis" for n in (3, 4)]
    matching = match(results, [spelling(n) for n in range(3, 7)])
    assert [p.key for p in matching.pairs] == [
        f"{field.flat(n)}___{field.flat(n + 1)}" for n in (3, 4)
    ]
    assert matching.problems == ()
    assert f"--gt: {said}" in matching.describe()


def test_equal_names_may_be_spelled_differently_too(match: Match) -> None:
    matching = match([field.flat(n) for n in range(4)], [field.tree(n) for n in range(4)])
    assert [p.key for p in matching.pairs] == sorted(field.flat(n) for n in range(4))
    assert matching.problems == ()


def test_the_folders_of_market_are_looked_into(match: Match) -> None:
    truth = [f"bounding_box_test/{field.market(n)}" for n in range(6)]
    matching = match([f"{field.market(0)}_{field.market(3)}"], truth)
    assert [truth_of(p).stem for p in matching.pairs] == [field.market(3)]
    assert "--gt: Market-1501's folders" in matching.describe()


@pytest.mark.parametrize(
    ("people", "beside"),
    [
        (field.below("test/image", field.viton), field.below("test/cloth", field.viton)),
        (field.below("image", field.viton), field.below("agnostic-v3.2", field.viton)),
        (field.below("dresses/images", field.dresscode),
         lambda n: f"dresses/images/{field.dresscode(n)[:-1]}1"),
        (field.below("dresses/images", field.dresscode),
         lambda n: f"dresses/label_maps/{field.dresscode(n)[:-1]}4"),
    ],
)  # fmt: skip
def test_what_lies_beside_the_people_of_a_try_on_set_is_set_aside(
    match: Match, people: field.Spelling, beside: field.Spelling
) -> None:
    names = [people(n).rpartition("/")[2] for n in range(3)]
    matching = match(names, [each(n) for n in range(3) for each in (people, beside)])
    assert [truth_of(p).parent.name for p in matching.pairs] == [people(0).split("/")[-2]] * 3
    assert matching.problems == ()
    assert matching.expected == 3
    assert "3 images of it show no person: set aside" in matching.describe()


def test_a_copy_of_the_ground_truth_in_another_folder_is_not_chosen(match: Match) -> None:
    name = field.flat(1)
    matching = match([f"{field.flat(0)}_2_{name}", f"{field.flat(0)}_2_{field.flat(2)}"],
                     [f"train/{name}", f"test/{name}", field.flat(2)])  # fmt: skip
    assert [p.target_name for p in matching.pairs] == [field.flat(2)]
    (problem,) = matching.problems
    assert problem.kind == "duplicate"
    assert problem.reason == (
        f"test/{name}.png and train/{name}.png in --gt are one image by their names; give one of "
        "the folders"
    )


def test_an_image_of_a_part_of_the_photograph_is_not_taken_for_it(match: Match) -> None:
    matching = match([f"{field.flat(0)}_2_{field.flat(n)}" for n in (1, 2)],
                     [f"faces/{field.flat(1)}", field.flat(2)])  # fmt: skip
    assert [p.target_name for p in matching.pairs] == [field.flat(2)]
    (problem,) = matching.problems
    assert f"Did you mean 'faces/{field.flat(1)}'?" in problem.reason


def test_two_methods_have_the_same_keys_whatever_the_layout_of_the_ground_truth(
    match: Match, tmp_path: Path
) -> None:
    first = match([f"{field.flat(0)}_2_{field.flat(1)}"], [field.tree(1)])
    for root, name in (("g", f"{field.posegan(0)}.jpg___{field.posegan(1)}.jpg_vis"),
                       ("t", field.flat(1))):  # fmt: skip
        (tmp_path / root).mkdir()
        (tmp_path / root / f"{name}.png").touch()
    second = match_pairs(Folders(tmp_path / "g", tmp_path / "t"))
    assert [p.key for p in first.pairs] == [p.key for p in second.pairs]


@pytest.mark.parametrize("names", [["a", "b"], ["00001"], ["img_1"], ["000001_0", "000001_1"]])
def test_other_folders_have_no_layout(names: list[str]) -> None:
    layout = layout_of(names)
    assert (layout.titles, layout.aside, layout.describe("--gt")) == ((), frozenset(), [])
