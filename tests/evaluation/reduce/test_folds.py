"""Folds of whole groups; of incomplete batches the end of the sorted keys falls off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fhpt_eval
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ProtocolError
from fhpt_eval.evaluation.reduce.folds import FOLDS, Released, Tail, folds_of
from fhpt_eval.evaluation.survey import chunks
from fhpt_eval.evaluation.survey.checks import survey
from fhpt_eval.images.preparation import Resize
from fhpt_eval.metrics import L1, Batch, FeatureRows, SetMetric, State
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders
from fhpt_eval.protocol import Entry, Protocol, parse_protocol
from fhpt_eval.result import Result
from tests.support.patches import PatchFID
from tests.support.photographs import PairFolders
from tests.support.rows import feature_rows
from tests.support.toy_features import ColourGap, colours

Maker = Callable[..., PairFolders]


def entry(batch: int) -> Entry:
    return Entry("gap", ColourGap(), (), batch)


def rows(keys: list[str], targets: list[str] | None = None) -> FeatureRows:
    values = np.array([[float(key)] for key in keys])
    side: Mapping[str, Mapping[str, Any]] = {"colour": {"colour": values}}
    return feature_rows(keys, side, side, targets=targets)


def released(tail: Tail, chunks: list[FeatureRows]) -> list[Released]:
    found = [one for at, chunk in enumerate(chunks) for one in tail.add(at, chunk)]
    return [*found, *tail.finish()]


numbers = st.lists(st.integers(0, 10**6), unique=True, max_size=60)


@given(numbers, st.integers(2, 20), st.integers(1, 9))
@settings(max_examples=200, deadline=None)
def test_what_passes_is_the_beginning_of_the_sorted_keys(
    drawn: list[int], batch: int, chunk: int
) -> None:
    keys = [f"{number:07d}" for number in drawn]
    cut = [keys[at : at + chunk] for at in range(0, len(keys), chunk)]
    passed = released(Tail(entry(batch)), [rows(some) for some in cut])
    count = len(keys) - len(keys) % batch if len(keys) >= batch else len(keys)
    assert sorted(key for _, one in passed for key in one.keys) == sorted(keys)[:count]
    for group, one in passed:
        assert set(one.keys) <= set(cut[group]), "rows stay in the group that they came in"
        for side in (one.generated, one.ground_truth):
            assert side["colour"]["colour"][:, 0].tolist() == [float(key) for key in one.keys]


@given(numbers.filter(bool), st.integers(2, 20))
@settings(max_examples=50, deadline=None)
def test_no_more_rows_wait_than_a_batch_has(drawn: list[int], batch: int) -> None:
    tail = Tail(entry(batch))
    for at, number in enumerate(drawn):
        list(tail.add(at, rows([f"{number:07d}"])))
        assert len(tail._held) < batch


def test_an_image_counts_as_long_as_one_of_its_pairs_does() -> None:
    """Keys 1 to 5 in batches of 4: 5 falls off, and its image is that of 1."""
    came = rows(["5", "3", "1", "2", "4"], ["a", "b", "a", "b", "c"])
    passed = released(Tail(entry(4)), [came])
    distinct = {key: bool(one.distinct[at]) for _, one in passed for at, key in enumerate(one.keys)}
    assert distinct == {"1": True, "2": True, "3": False, "4": True}


def run(folders: PairFolders, *entries: Entry, **options: Any) -> Result:
    protocol = Protocol("toy", "", "", (), entries)
    return fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=protocol, name="ours", **options
    )


def test_a_mean_leaves_the_last_pairs_out_and_says_so(make_pairs: Maker) -> None:
    result = run(make_pairs(11), Entry("l1", L1(), (), 4), Entry("all", L1(), ()))
    score, whole = result.scores["l1"], result.scores["all"]
    np.testing.assert_array_equal(result.pairs["l1"], result.pairs["all"])
    assert score.value == pytest.approx(result.pairs["all"][:8].mean(), abs=1e-15)
    assert (score.n, score.coverage) == (8, 8 / 11)
    assert score.note is not None
    assert score.note.startswith(
        "the last 3 of 11 pairs in the order of keys do not count (drop_incomplete = 4)"
    )
    assert (whole.n, whole.coverage) == (11, 1)


def test_a_single_incomplete_batch_counts(make_pairs: Maker) -> None:
    score = run(make_pairs(5), Entry("l1", L1(), (), 8)).scores["l1"]
    assert (score.n, score.coverage) == (5, 1)
    assert "do not count" not in (score.note or "")


def test_a_set_leaves_the_same_pairs_out(
    make_pairs: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_PAIRS", 3)
    folders = make_pairs(11)
    score = run(folders, entry(4)).scores["gap"]
    ours, theirs = (colours(f)[:8].mean(axis=0) for f in (folders.generated, folders.ground_truth))
    assert score.value == pytest.approx(np.abs(ours - theirs).mean(), abs=1e-12)
    assert (score.n, score.coverage) == (8, 8 / 11)
    assert score.note is not None
    assert "rests on 8 real images" in score.note
    assert "the last 3 of 11 pairs" in score.note


@pytest.mark.parametrize(
    ("pairs", "references", "counted", "counted_references"),
    [(11, 3, 9, 3), (2, 3, 2, 3), (3, 9, 3, 8), (11, 4, 8, 4)],
)
def test_a_batch_that_few_reference_images_shrink_is_that_of_the_pairs_too(
    pairs: int, references: int, counted: int, counted_references: int
) -> None:
    """As in the scripts, which take the reference images first; few pairs shrink theirs alone."""
    of_four = entry(4)
    assert of_four.counted(pairs, references) == counted
    assert of_four.counted(references) == counted_references


def test_a_distance_from_three_reference_images_takes_pairs_in_batches_of_three(
    make_pairs: Maker,
) -> None:
    folders, few = make_pairs(11), make_pairs(3, root="few").ground_truth
    metric = PatchFID(reference=str(few))
    score = run(folders, Entry("fid", metric, (), 4)).scores["fid"]
    assert (score.n, score.coverage) == (9, 9 / 11)
    assert "(drop_incomplete = 4, shrunk to the 3 reference images)" in (score.note or "")
    for folder in (folders.generated, folders.ground_truth):
        for file in sorted(folder.iterdir())[9:]:
            file.unlink()
    assert run(folders, Entry("fid", metric, ())).scores["fid"].value == score.value


def test_neither_workers_nor_resuming_move_a_bit(
    make_pairs: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "CHUNK_PAIRS", 3)
    folders = make_pairs(14)
    one = run(folders, entry(4), workers=1)
    two = run(folders, entry(4), workers=2, out=tmp_path / "out")
    again = run(folders, entry(4), workers=2, out=tmp_path / "out")
    assert one.scores == two.scores == again.scores


def test_what_is_computed_of_each_pair_serves_both(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(5)
    run(folders, Entry("l1", L1(), ()), out=tmp_path / "out")
    again = run(folders, Entry("l1", L1(), (), 4), out=tmp_path / "out")
    assert again.timing.chunks_reused == again.timing.chunks


class Brightest(SetMetric):
    """The largest level of a set of images."""

    name = "brightest"
    title = "Brightest"
    direction = "lower"

    def empty(self) -> State:
        return {"level": np.zeros(())}

    def update(self, state: State, batch: Batch) -> State:
        return self.merge(state, {"level": batch.generated.max().cpu().numpy()})

    def merge(self, first: State, second: State) -> State:
        return {"level": np.maximum(first["level"], second["level"])}

    def compute(self, state: State) -> dict[str, float]:
        return {"": float(state["level"])}


def test_a_metric_that_adds_images_up_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhpt_eval.protocol.protocol.load_metric", lambda _: Brightest)
    with pytest.raises(ProtocolError, match="so that none can be left out afterwards"):
        parse_protocol('id = "mine"\n[metrics.brightest]\ndrop_incomplete = 4', "mine.toml")


def test_sizes_may_differ_where_no_two_images_are_compared(make_pairs: Maker) -> None:
    folders = make_pairs(3)
    matching = match_pairs(Folders(folders.generated, folders.ground_truth))
    step = Resize(width=9, height=9, kernel="pil.box", of=("ground_truth",))
    pairs, problems = survey(matching, {(): "", (step,): ""}, 1, Progress(), alone=[(step,)])
    assert (len(pairs), problems) == (3, [])
    pairs, problems = survey(matching, {(step,): ""}, 1, Progress())
    assert (pairs, len(problems)) == ([], 3)


def test_sizes_that_differ_from_the_start_are_refused_all_the_same(make_pairs: Maker) -> None:
    one, other = make_pairs(3), make_pairs(3, width=40, root="other")
    matching = match_pairs(Folders(one.generated, other.ground_truth))
    pairs, problems = survey(matching, {(): ""}, 1, Progress(), alone=[()])
    assert (pairs, len(problems)) == ([], 3)


def test_features_alone_compare_no_pixels() -> None:
    assert Entry("l1", L1(), ()).compares_pixels
    assert not entry(0).compares_pixels


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_folds_hold_whole_groups_and_about_as_many_pairs_each(groups: list[int]) -> None:
    folds = folds_of(groups)
    assert len(set(zip(groups, folds, strict=True))) == len(set(groups))
    sizes = np.bincount(folds)
    assert len(sizes) == min(FOLDS, len(set(groups)))
    assert sizes.min() > 0
    assert sizes.max() - sizes.min() <= max(map(groups.count, groups))


class Counted(SetMetric):
    """A metric on images whose state counts pairs, for folds of a set whose chunks are states."""

    name: ClassVar[str] = "counted"
    title: ClassVar[str] = "Pairs"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"

    def empty(self) -> State:
        return {"count": np.array(0.0)}

    def update(self, state: State, batch: Batch) -> State:
        return {"count": np.asarray(state["count"] + len(batch.keys))}

    def merge(self, first: State, second: State) -> State:
        return {"count": np.asarray(first["count"] + second["count"])}

    def compute(self, state: State) -> dict[str, float]:
        return {"": float(state["count"])}


@pytest.mark.parametrize(("items", "has_interval"), [(1, False), (300, True)])
def test_chunks_that_share_an_item_are_one_fold(
    make_pairs: Maker, tmp_path: Path, items: int, has_interval: bool
) -> None:
    """A metric on images has a state for each chunk, which cannot be parted again."""
    folders = make_pairs(300, height=8, width=8)
    lines = ["generated,ground_truth,item"]
    lines += [f"person{n:04d},person{n:04d},garment{n % items}" for n in range(300)]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    toy = Protocol("toy", "", "", (), (Entry("counted", Counted(), ()),))
    result = fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=toy, pairs=tmp_path / "pairs.csv"
    )
    assert (result.scores["counted"].interval is not None) == has_interval
