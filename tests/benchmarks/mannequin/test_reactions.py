"""Each metric sees what it is meant to see: its score worsens as that grows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from bench.mannequin_reactions import SPOILERS, score, write_ground_truth, write_spoilt
from fhpt_eval.result import Result

#: A garment is to be found among those of all people, and the Inception score is of a set: both
#: need more of them than metrics of single pairs.
PEOPLE = {"blur": 16, "texture": 16, "noise": 8, "face": 8, "limbs": 8}

#: What is scored of pictures that nothing is wrong with, by the number of people.
PERFECT = {
    8: ["ssim", "lpips[mannequin]", "fid[mannequin]", "joints[mannequin]",
         "face_identity[mannequin]"],
    16: ["ssim", "lpips[mannequin]", "fid[mannequin]", "is[mannequin]", "brisque",
         "retrieval[mannequin]"],
}  # fmt: skip

Scored = Callable[[str, float], Result]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """Scores the pictures spoilt in some way to some degree, once; 0 is the same in all ways."""
    folder = tmp_path_factory.mktemp("reactions")

    @cache
    def truth_of(people: int) -> Path:
        return write_ground_truth(folder / f"truth-{people}", people)

    @cache
    def perfect(people: int) -> Result:
        spoilt = write_spoilt(folder / f"perfect-{people}", people, SPOILERS["blur"], 0)
        return score(folder, spoilt, truth_of(people), PERFECT[people])

    @cache
    def spoilt_by(name: str, degree: float) -> Result:
        people = PEOPLE[name]
        if not degree:
            return perfect(people)
        metrics = dict.fromkeys(part.partition(".")[0] for part in SPOILERS[name].meant)
        spoilt = write_spoilt(folder / name / f"{degree:g}", people, SPOILERS[name], degree)
        return score(folder, spoilt, truth_of(people), list(metrics | {"ssim": None}))

    return spoilt_by


def value(result: Result, name: str) -> float:
    """Return a score as a number that is lower for worse images."""
    score = result.scores[name]
    assert score.value is not None
    return score.value if score.direction == "higher" else -score.value


@pytest.mark.parametrize("name", SPOILERS)
def test_scores_worsen_as_what_they_are_meant_to_see_grows(scored: Scored, name: str) -> None:
    nothing, _, much, most = SPOILERS[name].degrees  # the page in docs/ has the one between, too
    results = [scored(name, degree) for degree in (nothing, much, most)]
    for part in SPOILERS[name].meant:
        values = [value(result, part) for result in results]
        assert values == sorted(values, reverse=True), (part, values)
        assert len(set(values)) == len(values), (part, values)


def test_a_wrong_texture_moves_retrieval_and_hardly_ssim(scored: Scored) -> None:
    before, after = (scored("texture", degree) for degree in (0, 1))
    lost = {name: value(before, name) - value(after, name) for name in after.scores}
    # SSIM loses less than by a blur of 2 pixels, by which every garment is still recognised.
    assert lost["ssim"] < 0.12
    assert lost["retrieval[mannequin].recall@1"] > 0.3
    assert lost["retrieval[mannequin].map"] > 3 * lost["ssim"]


@pytest.mark.parametrize(
    ("name", "best"),
    [
        ("ssim", 1.0), ("lpips[mannequin]", 0.0), ("fid[mannequin]", 0.0),
        ("joints[mannequin].pckh", 1.0), ("joints[mannequin].distance", 0.0),
        ("joints[mannequin].missed", 0.0), ("face_identity[mannequin].rate", 1.0),
        ("face_identity[mannequin].distance", 0.0), ("face_identity[mannequin].lost", 0.0),
    ],
)  # fmt: skip
def test_the_ground_truth_itself_has_the_best_value(scored: Scored, name: str, best: float) -> None:
    assert scored("limbs", 0).scores[name].value == pytest.approx(best, abs=1e-6)
