"""What keeps a run from starting is listed by kind, and in a file where the list is long."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from fhpt_eval.errors import PairingError
from fhpt_eval.evaluation.survey.problems import SHOWN, refuse, unusable
from fhpt_eval.pairs.pair import Problem


def missing(count: int) -> list[Problem]:
    return [Problem("missing", f"p{n:03d}", "no generated image") for n in range(count)]


def test_problems_are_counted_and_listed_by_kind() -> None:
    problems = [Problem("size", "b.png", "is 3 x 3"), *missing(2)]
    with pytest.raises(PairingError) as refused:
        refuse(problems, None)
    text = str(refused.value)
    assert text.index("2 missing:") < text.index("p000: no generated image")
    assert text.index("p001") < text.index("1 of unequal sizes:") < text.index("b.png: is 3 x 3")
    assert "--allow-missing" in text


def test_a_long_list_is_cut_and_the_whole_of_it_written(tmp_path: Path) -> None:
    with pytest.raises(PairingError, match=r"\.\.\. and 5 more") as refused:
        refuse(missing(SHOWN + 5), tmp_path)
    assert "problems.csv" in str(refused.value)
    with (tmp_path / "partials" / "problems.csv").open() as file:
        assert len(list(csv.DictReader(file))) == SHOWN + 5


def test_images_of_a_set_that_cannot_be_used_are_named_and_counted() -> None:
    text = unusable("The reference folder real", missing(SHOWN + 1))
    assert f"{SHOWN + 1} images cannot be used" in text
    assert "and 1 more" in text
