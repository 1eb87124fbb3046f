"""Each metric sees what it is meant to see: its score worsens as that grows."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.mannequin_reactions import SPOILERS, score, write_ground_truth, write_spoilt
from fhpt_eval.result import Result

#: A garment is to be found among those of all people, and the Inception score is of a set: both
#: need more of them than metrics of single pairs.
PEOPLE = {"blur": 24, "texture": 24, "noise": 12, "face": 12, "limbs": 12}

Scored = Callable[[str, float, list[str]], Result]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    """Scores the pictures spoilt in some way to some degree; they are drawn once."""
    folder = tmp_path_factory.mktemp("reactions")

    def one(name: str, degree: float, metrics: list[str]) -> Result:
        people = PEOPLE[name]
        truth, spoilt = folder / f"truth-{people}", folder / name / f"{degree:g}"
        if not truth.is_dir():
            write_ground_truth(truth, people)
        if not spoilt.is_dir():
            write_spoilt(spoilt, people, SPOILERS[name], degree)
        return score(folder, spoilt, truth, metrics)

    return one


def value(result: Result, name: str) -> float:
    """Return a score as a number that is lower for worse images."""
    found = result.scores[name]
    assert found.value is not None
    return found.value if found.direction == "higher" else -found.value


@pytest.mark.parametrize("name", SPOILERS)
def test_scores_worsen_as_what_they_are_meant_to_see_grows(scored: Scored, name: str) -> None:
    meant = SPOILERS[name].meant
    metrics = list(dict.fromkeys(score.partition(".")[0] for score in meant))
    results = [scored(name, degree, metrics) for degree in SPOILERS[name].degrees]
    for one in meant:
        values = [value(result, one) for result in results]
        assert values == sorted(values, reverse=True), (one, values)
        assert len(set(values)) == len(values), (one, values)


def test_a_wrong_texture_moves_retrieval_and_hardly_ssim(scored: Scored) -> None:
    metrics = ["ssim", "retrieval[mannequin]"]
    before, after = (scored("texture", degree, metrics) for degree in (0, 1))
    lost = {name: value(before, name) - value(after, name) for name in before.scores}
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
    result = scored("limbs", 0, [name.partition(".")[0]])
    assert result.scores[name].value == pytest.approx(best, abs=1e-6)
