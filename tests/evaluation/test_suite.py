"""A suite gives what a run gives, from tensors, in one process or in several."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import fhpt_eval
from fhpt_eval import Suite
from fhpt_eval.errors import ArgumentError, InputError, UnavailableError
from fhpt_eval.metrics import L1, PairMetric, SetMetric
from fhpt_eval.metrics.base import Batch, State, merge_sums
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Result
from tests.support.drawn_pairs import DrawnPair, batches, drawn_pairs, tensors, write_pairs
from tests.support.patches import Patches, PatchFID, PatchKID
from tests.support.suite_process import PEOPLE
from tests.support.toy_sources import SourceGap


def toy(*metrics: Any) -> Protocol:
    return Protocol("toy", "", "", (), tuple(Entry(m.name, m, ()) for m in metrics))


def fed(suite: Suite, pairs: list[DrawnPair], size: int = 4) -> Suite:
    for batch in batches(pairs, size):
        suite.update(*batch)
    return suite


def same(result: Result, expected: Result) -> None:
    """Hold two results to the same bits, but for the time and what the method is called."""
    assert result.scores == expected.scores
    assert result.pairs.equals(expected.pairs)
    assert result.test_set == expected.test_set
    assert result.protocol == expected.protocol
    for field in (
        "generated_digest",
        "groups",
        "excluded",
        "software",
        "code",
        "weights",
        "device",
    ):
        assert getattr(result.provenance, field) == getattr(expected.provenance, field)
    assert result.provenance.precision == expected.provenance.precision


@pytest.fixture(scope="module")
def people() -> list[DrawnPair]:
    return drawn_pairs(PEOPLE)


@pytest.fixture(scope="module")
def by_run(people: list[DrawnPair], tmp_path_factory: pytest.TempPathFactory) -> Result:
    folders = write_pairs(people[::2], tmp_path_factory.mktemp("people"))
    return fhpt_eval.evaluate(protocol="mannequin", name="ours", **folders)


def test_a_suite_gives_every_score_of_a_run_to_the_bit(
    people: list[DrawnPair], by_run: Result
) -> None:
    shuffled = random.Random(1).sample(people[::2], PEOPLE)
    same(fed(Suite("mannequin", name="ours"), shuffled).compute(), by_run)


def test_two_processes_give_every_score_of_a_run_to_the_bit(by_run: Result, tmp_path: Path) -> None:
    outs = [tmp_path / "0", tmp_path / "1"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.suite_process", str(rank), "2",
             str(tmp_path / "meeting"), "mannequin", str(out)],
            cwd=Path(__file__).parents[2],
        )
        for rank, out in enumerate(outs)
    ]  # fmt: skip
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    for out in outs:
        same(Result.load(out), by_run)
    values = {float((out / "is.txt").read_text()) for out in outs}
    assert len(values) == 1


def test_batches_of_any_size_and_order_give_the_same_bits(people: list[DrawnPair]) -> None:
    metrics = toy(L1(), PatchFID(), PatchKID(subsets=2, subset_size=5), SourceGap())
    first = fed(Suite(metrics), people, 1).compute()
    same(fed(Suite(metrics, workers=2), people[::-1], 7).compute(), first)


class Coverage(SetMetric):
    """How many pairs are covered, and by what mean: a state of images."""

    name: ClassVar[str] = "covered"
    title: ClassVar[str] = "Covered"
    direction: ClassVar[Any] = "lower"

    def empty(self) -> State:
        return {"sum": np.zeros((), np.int64)}

    def update(self, state: State, shown: Batch) -> State:
        return merge_sums(state, {"sum": np.asarray(int(shown.generated.sum()))})

    def merge(self, first: State, second: State) -> State:
        return merge_sums(first, second)

    def compute(self, state: State) -> Mapping[str, float]:
        return {"": float(state["sum"])}


def test_a_state_of_images_is_merged_as_in_a_run(people: list[DrawnPair], tmp_path: Path) -> None:
    folders = write_pairs(people, tmp_path)
    expected = fhpt_eval.evaluate(protocol=toy(Coverage()), **folders)
    same(fed(Suite(toy(Coverage())), people, 3).compute(), expected)


def test_floats_are_rounded_to_the_levels_of_a_saved_image(people: list[DrawnPair]) -> None:
    exact, floats = Suite(toy(L1())), Suite(toy(L1()))
    for generated, truth, keys, _ in batches(people, 4):
        exact.update(generated, truth, keys)
        floats.update(generated.double() / 255, truth.half() / 255, keys)
    same(floats.compute(), exact.compute())


def test_autocast_and_the_users_precision_do_not_reach_a_network(people: list[DrawnPair]) -> None:
    plain = fed(Suite("mannequin", metrics="lpips[mannequin]"), people[:2]).compute()
    with torch.autocast("cpu", torch.bfloat16):
        within = fed(Suite("mannequin", metrics="lpips[mannequin]"), people[:2]).compute()
    same(within, plain)


def test_a_pair_that_comes_again_counts_once(people: list[DrawnPair]) -> None:
    suite = fed(fed(Suite(toy(L1())), people), people[:3])
    assert suite.compute().test_set.pairs == len(people)


def test_a_key_that_comes_again_with_another_image_is_refused_and_adds_nothing(
    people: list[DrawnPair],
) -> None:
    suite = fed(Suite(toy(L1())), people[:4])
    before = suite.compute()
    generated, truth, keys, _ = next(batches(people[3:6], 3))
    with pytest.raises(ArgumentError, match=r"came before with other images; call reset\(\)"):
        suite.update(255 - generated, truth, keys)
    same(suite.compute(), before)


def test_a_target_has_one_ground_truth(people: list[DrawnPair]) -> None:
    suite = fed(Suite(toy(L1())), people[:2])
    generated, truth, keys, _ = next(batches(people[:1], 1))
    with pytest.raises(ArgumentError, match="another image than that of an earlier pair"):
        suite.update(generated, truth.roll(1, 3), [keys[0].partition("___")[2]])


def test_a_new_epoch_computes_features_of_real_images_no_more(people: list[DrawnPair]) -> None:
    suite = fed(Suite(toy(PatchFID())), people)
    first = suite.compute()
    suite.reset()
    with pytest.raises(InputError, match=r"No pair was added: call update\("):
        suite.compute()
    Patches.seen.clear()
    same(fed(suite, people).compute(), first)
    assert sum(Patches.seen) == len(people)


def test_a_metric_whose_needs_are_not_met_is_unavailable_with_the_reason(
    people: list[DrawnPair],
) -> None:
    suite = Suite(toy(L1(), SourceGap()))
    for generated, truth, keys, _ in batches(people, 4):
        suite.update(generated, truth, keys)
    result = suite.compute()
    assert result.scores["l1"].value is not None
    assert "needs source images" in (result.scores["source_gap.source"].reason or "")


def test_a_named_metric_whose_weights_are_missing_is_refused_before_any_batch() -> None:
    with pytest.raises(UnavailableError, match="needs the weights"):
        Suite("fhpt", metrics="fid")


def test_images_that_equal_their_ground_truth_are_no_result(people: list[DrawnPair]) -> None:
    suite = Suite(toy(L1()))
    for _, truth, keys, _ in batches(people, 4):
        suite.update(truth, truth, keys)
    with pytest.raises(InputError, match="Every generated image equals its ground truth"):
        suite.compute()


def test_names_may_be_given_where_keys_do_not_tell_them(people: list[DrawnPair]) -> None:
    plain, named = Suite(toy(L1())), Suite(toy(L1()))
    for number, (generated, truth, keys, _) in enumerate(batches(people, 1)):
        plain.update(generated, truth, keys)
        source, _, target = keys[0].partition("___")
        named.update(generated, truth, [f"{number}"], names=[(source, target)])
    assert named.compute().scores == plain.compute().scores
    assert list(named.compute().files["item"]) == list(plain.compute().files["item"])


IMAGES = tensors([np.zeros((8, 8, 3), np.uint8)] * 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((IMAGES, IMAGES, ["a"]), "'keys' must hold one for each of 2"),
        ((IMAGES, IMAGES, "ab"), "'keys' must hold one for each of 2"),
        ((IMAGES, IMAGES, ["a", 2]), "'keys' must be the names"),
        ((IMAGES, IMAGES, ["a", ""]), "'keys' must be the names"),
        ((IMAGES, IMAGES[:1], ["a", "b"]), "'ground_truth' must hold one for each of 2"),
        ((IMAGES, IMAGES.float() - 1, ["a", "b"]), r"'ground_truth' must lie in \[0, 1\]"),
        ((IMAGES[0], IMAGES, ["a", "b"]), r"'generated' must have shape \(N, 3, H, W\)"),
        ((IMAGES, IMAGES[:, :, :7], ["a", "b"]), "'generated': the image of a is 8 x 8"),
        ((IMAGES, IMAGES, ["a", "b"], None, ["x"]), "'items' must hold one for each of 2"),
    ],
)
def test_what_is_wrong_with_a_batch_is_said_by_argument(arguments: Any, message: str) -> None:
    suite = Suite(toy(L1()))
    with pytest.raises(ArgumentError, match=message):
        suite.update(*arguments)


def test_an_argument_of_folders_is_refused() -> None:
    with pytest.raises(ArgumentError, match="has no use for 'panels'"):
        Suite(toy(L1()), panels=3)


class State32(PairMetric):
    """Notes torch's settings of precision, as LPIPS sees them."""

    name: ClassVar[str] = "state32"
    title: ClassVar[str] = "State"
    direction: ClassVar[Any] = "lower"
    seen: ClassVar[list[tuple[Any, ...]]] = []

    def measure(self, generated: torch.Tensor, ground_truth: torch.Tensor) -> torch.Tensor:
        _ = ground_truth
        self.seen.append(settings())
        return torch.zeros(len(generated), dtype=torch.float64)


def settings() -> tuple[Any, ...]:
    cudnn, matmul = torch.backends.cudnn, torch.get_float32_matmul_precision()
    return cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul


def test_all_threads_of_a_run_see_one_precision_and_the_user_has_theirs_again(
    people: list[DrawnPair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    folders, before = write_pairs(people, tmp_path), settings()
    State32.seen.clear()
    lpips = next(e for e in fhpt_eval.load_protocol("mannequin").entries if "lpips" in e.name)
    metrics = [lpips, *(Entry(m.name, m, ()) for m in (State32(), PatchFID()))]
    protocol = Protocol("toy", "", "", (), tuple(metrics))
    result = fhpt_eval.evaluate(protocol=protocol, workers=4, **folders)
    State32()(*(tensors([image]) for image in (people[0].generated, people[0].ground_truth)))
    assert set(State32.seen) == {(False, True, False, "highest")}
    assert settings() == before
    assert "without TF32, by deterministic kernels" in result.provenance.precision
