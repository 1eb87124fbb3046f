"""Features: computed once per image, whoever asks and for whatever method."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

import fhpt_eval
from fhpt_eval.features.base import Feature
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Result
from fhpt_eval.testing import check_metric
from tests.support.photographs import PairFolders, spoilt
from tests.support.toy_features import ColourGap, MeanColour, colours

Maker = Callable[..., PairFolders]


def protocol(*entries: Entry) -> Protocol:
    return Protocol("toy", "", "", (), entries)


GAP = Entry("gap", ColourGap(), ())
TWICE = Entry("gap_again", ColourGap(), ())


@pytest.fixture(autouse=True)
def _count_from_zero() -> None:
    MeanColour.seen.clear()


def run(folders: PairFolders, *entries: Entry, **options: Any) -> Result:
    return fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=protocol(*entries or (GAP,)),
        **{"name": "ours", **options},
    )  # fmt: skip


def untimed(out: Path) -> dict[str, Any]:
    table: dict[str, Any] = json.loads((out / "result.json").read_text())
    del table["timing"]
    return table


def test_a_metric_over_features_has_the_value_of_brute_force(make_pairs: Maker) -> None:
    folders = make_pairs(50)
    score = run(folders).scores["gap"]
    gap = colours(folders.generated).mean(axis=0) - colours(folders.ground_truth).mean(axis=0)
    assert score.value == pytest.approx(np.abs(gap).mean(), rel=1e-12)
    assert (score.n, score.coverage) == (50, 1.0)


def test_each_image_is_seen_once_however_many_metrics_ask(make_pairs: Maker) -> None:
    result = run(make_pairs(50), GAP, TWICE)
    assert sum(MeanColour.seen) == 100
    assert result.scores["gap"].value == result.scores["gap_again"].value


def test_a_ground_truth_of_several_pairs_is_seen_and_counted_once(make_pairs: Maker) -> None:
    folders = make_pairs(20)
    for path in list(folders.generated.iterdir()):  # two results for every target
        image = np.asarray(Image.open(path))
        for source in "ab":
            name = f"{source}___{path.stem}.png"
            Image.fromarray(spoilt(image, ord(source))).save(folders.generated / name)
        path.unlink()
    result = run(folders)
    assert sum(MeanColour.seen) == 40 + 20
    note = result.scores["gap"].note
    assert note is not None
    assert "rests on 20 real images" in note


def test_a_second_method_computes_nothing_of_the_ground_truth(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(50)
    run(folders, cache=tmp_path / "cache", out=tmp_path / "one")
    assert sum(MeanColour.seen) == 100
    for path in folders.generated.iterdir():
        Image.fromarray(spoilt(np.asarray(Image.open(path)), 7)).save(path)
    MeanColour.seen.clear()
    run(folders, cache=tmp_path / "cache", out=tmp_path / "two", name="theirs")
    assert sum(MeanColour.seen) == 50
    run(folders, out=tmp_path / "fresh", name="theirs")
    assert untimed(tmp_path / "two") == untimed(tmp_path / "fresh")


def test_a_further_metric_on_features_that_are_there_computes_nothing(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(40)
    run(folders, out=tmp_path / "out")
    MeanColour.seen.clear()
    result = run(folders, GAP, TWICE, out=tmp_path / "out")
    assert MeanColour.seen == []
    assert result.timing.chunks_reused == result.timing.chunks


def test_other_parameters_of_a_feature_are_another_feature(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(10)
    double = Entry("double", ColourGap(scale=2.0), ())
    result = run(folders, GAP, double, out=tmp_path / "out")
    one, two = (result.scores[name].value for name in ("gap", "double"))
    assert one is not None
    assert two == pytest.approx(2 * one)
    assert sum(MeanColour.seen) == 40


def test_the_number_of_workers_moves_no_bit(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(120)
    for workers in (1, 2, 4):
        run(folders, out=tmp_path / str(workers), workers=workers)
    assert untimed(tmp_path / "1") == untimed(tmp_path / "2") == untimed(tmp_path / "4")


def test_the_interval_leaves_out_whole_items(make_pairs: Maker, tmp_path: Path) -> None:
    """Of ten items each is a fold, however its pairs are spread over chunks."""
    folders = make_pairs(60, height=8, width=8)
    lines = ["generated,ground_truth,item"]
    lines += [f"person{n:04d},person{n:04d},garment{n % 10}" for n in range(60)]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    score = run(folders, pairs=tmp_path / "pairs.csv").scores["gap"]
    assert score.value is not None
    assert score.interval is not None
    gaps = colours(folders.generated) - colours(folders.ground_truth)
    kept = [np.arange(60) % 10 != item for item in range(10)]
    values = np.array([np.abs(gaps[rows].mean(axis=0)).mean() for rows in kept])
    half = 2.2621571627982 * np.sqrt(9 / 10 * ((values - values.mean()) ** 2).sum())
    ends = max(0.0, score.value - half), score.value + half
    assert score.interval == pytest.approx(ends, rel=1e-9)
    assert "independent" not in (score.note or "")


def test_without_items_a_score_says_that_pairs_are_taken_as_independent(make_pairs: Maker) -> None:
    note = run(make_pairs(30, height=8, width=8)).scores["gap"].note
    assert note is not None
    assert note.endswith(
        "no items are known, so pairs that share no image or clip are taken as independent"
    )


def test_too_few_groups_give_no_interval_and_a_note(make_pairs: Maker) -> None:
    score = run(make_pairs(4)).scores["gap"]
    assert score.interval is None
    assert score.note is not None
    assert "no interval" in score.note


class NeedsWeights(MeanColour):
    """A feature whose weights are not here."""

    name: ClassVar[str] = "needs_weights"

    def lacks(self) -> str:
        return "needs the weights x (fhpt-eval weights pull x)"


class NeedsWeightsGap(ColourGap):
    """A metric on that feature."""

    name: ClassVar[str] = "needs_weights_gap"

    def features(self) -> Mapping[str, Feature]:
        return {"colour": NeedsWeights()}


def test_a_feature_that_lacks_its_weights_makes_its_metrics_unavailable(make_pairs: Maker) -> None:
    result = run(make_pairs(3), GAP, Entry("other", NeedsWeightsGap(), ()))
    assert result.scores["gap"].value is not None
    assert result.scores["other"].reason == "needs the weights x (fhpt-eval weights pull x)"


def test_a_metric_over_features_conforms() -> None:
    check_metric(ColourGap)


def test_a_metric_over_features_works_alone_on_tensors() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (
        torch.randint(0, 256, (5, 3, 9, 7), dtype=torch.uint8, generator=generator)
        for _ in range(2)
    )
    expected = (x.double() - y.double()).mean(dim=(0, 2, 3)).abs().mean().item()
    assert ColourGap()(x, y)[""] == pytest.approx(expected)
