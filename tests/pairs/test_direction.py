"""Which half of a name is compared: said in every run, and asked where nothing decides it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fhpt_eval.errors import PairingError
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders, Matching
from tests.support import field_names as field
from tests.support.pairs import truth_of

Make = Callable[..., Folders]


@pytest.fixture
def folders(tmp_path: Path) -> Make:
    """Return a function that makes folders of files of these names."""

    def make(generated: Sequence[str], truth: Sequence[str], truth_in: str = "truth") -> Folders:
        for root, names in (("generated", generated), (truth_in, truth)):
            for name in names:
                path = tmp_path / root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return Folders(tmp_path / "generated", tmp_path / truth_in)

    return make


def compared(matching: Matching) -> dict[str, str]:
    return {pair.generated.path.name: truth_of(pair).name for pair in matching.pairs}


PEOPLE = ("00055_00", "01967_00", "00069_00")


@pytest.mark.parametrize(
    "names", [PEOPLE, ("img_1", "img_2", "img_3"), ("020714_0", "020715_0", "020716_0")]
)
def test_two_halves_that_are_both_ground_truth_are_asked_about(
    folders: Make, names: tuple[str, ...]
) -> None:
    first, second, third = names
    made = folders([f"{first}_{second}.png", f"{second}_{third}.png"], [f"{n}.jpg" for n in names])
    with pytest.raises(PairingError) as error:
        match_pairs(made)
    message = str(error.value)
    assert f"Which half of {first}_{second}.png is the image that it should equal?" in message
    assert "--match A_B             SOURCE_TARGET" in message
    assert f"with {second}.jpg\n" in message
    assert "--match PERSON_GARMENT" in message
    assert f"with {first}.jpg\n" in message
    assert max(map(len, message.splitlines())) < 80


@pytest.mark.parametrize(("rule", "half"), [("A_B", 1), ("PERSON_GARMENT", 0)])
def test_the_answer_is_a_rule(folders: Make, rule: str, half: int) -> None:
    made = folders(["00055_00_01967_00.png"], [f"{name}.jpg" for name in PEOPLE])
    matching = match_pairs(made, rule=rule)
    assert compared(matching) == {"00055_00_01967_00.png": f"{PEOPLE[half]}.jpg"}
    assert matching.problems == ()


def test_the_garment_of_try_on_is_the_item_and_no_source(folders: Make) -> None:
    made = folders(["00055_00_01967_00.png", "00069_00_01967_00.png"], [f"{n}.jpg" for n in PEOPLE])
    matching = match_pairs(made, rule="PERSON_GARMENT")
    assert [p.key for p in matching.pairs] == ["01967_00___00055_00", "01967_00___00069_00"]
    assert {(p.source_name, p.item) for p in matching.pairs} == {(None, "01967")}


@pytest.mark.parametrize(
    "name",
    [
        f"{field.flat(1)}_{field.flat(2)}.png",
        f"{field.multimodal(1)}_{field.multimodal(2)}.png",
        f"{field.market(1)}_{field.market(2)}.jpg",
        "img_1_img_2_vis.jpg",
        "img_1.jpg_img_2.jpg.png",
    ],
    ids=["DeepFashion", "MultiModal", "Market-1501", "_vis", "endings"],
)
def test_names_that_only_pose_transfer_has_are_not_asked_about(folders: Make, name: str) -> None:
    truth = [
        f"{spelling(n)}.png" for spelling in (field.flat, field.market, field.words) for n in (1, 2)
    ]
    (pair,) = match_pairs(folders([name], truth)).pairs
    assert truth_of(pair).stem in (field.flat(2), field.market(2), "img_2")


def test_the_garments_of_dresscode_are_no_ground_truth(folders: Make) -> None:
    truth = [f"020{n}_{part}.jpg" for n in (714, 715) for part in (0, 1)]
    made = folders(["020714_0_020715_1.png"], truth, "dresses/images")
    assert compared(match_pairs(made)) == {"020714_0_020715_1.png": "020714_0.jpg"}


def test_a_person_in_the_garment_of_the_own_photograph_is_not_asked_about(folders: Make) -> None:
    made = folders(["00055_00_00055_00.png"], ["00055_00.jpg", "01967_00.jpg"])
    assert compared(match_pairs(made)) == {"00055_00_00055_00.png": "00055_00.jpg"}


def test_a_try_on_name_is_asked_about_even_if_one_half_alone_is_there(folders: Make) -> None:
    for half in PEOPLE[:2]:
        with pytest.raises(PairingError, match="Which half"):
            match_pairs(folders(["00055_00_01967_00.png"], [f"{half}.jpg"], half))


def test_other_names_of_which_the_second_half_is_there_are_not(folders: Make) -> None:
    made = folders(["img_1_img_2.png"], ["img_2.jpg"])
    assert compared(match_pairs(made)) == {"img_1_img_2.png": "img_2.jpg"}


def test_and_never_are_they_compared_with_the_first_half_unasked(folders: Make) -> None:
    with pytest.raises(PairingError, match=r"img_1_img_2\.png may be meant for img_1"):
        match_pairs(folders(["img_1_img_2.png"], ["img_1.jpg"]))


def test_every_matching_says_of_one_pair_what_is_compared_with_what(folders: Make) -> None:
    matching = match_pairs(folders(["x/a_2_b_vis.png", "x/b_2_a.png"], ["a.jpg", "b.jpg"]))
    assert matching.example == "x/a_2_b_vis.png is compared with b.jpg"
    assert matching.example in matching.describe()
