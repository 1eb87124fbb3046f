"""What goes to an executor and comes back can be sent elsewhere."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

import fhpt_eval
from fhpt_eval.evaluation.compute.chunk import UnreadableError
from fhpt_eval.evaluation.executors.local import LocalExecutor
from fhpt_eval.metrics import SSIM
from fhpt_eval.pairs.pair import Problem
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Result
from tests.support.photographs import PairFolders
from tests.support.toy_features import ColourGap

Maker = Callable[..., PairFolders]

PROTOCOL = Protocol("p", "", "", (), (Entry("ssim", SSIM(), ()), Entry("gap", ColourGap(), ())))


class Pickled(LocalExecutor):
    """Sends everything through bytes, as an executor on other machines would."""

    def run(
        self, function: Callable[[Any], Any], jobs: Sequence[Any]
    ) -> Generator[tuple[Any, Any]]:
        for job, outcome in super().run(pickle.loads(pickle.dumps(function)), jobs):  # noqa: S301
            yield pickle.loads(pickle.dumps((job, outcome)))  # noqa: S301 - our own bytes


def _in_another_process(function: bytes, job: bytes) -> bytes:
    torch.set_num_threads(1)
    return pickle.dumps(pickle.loads(function)(pickle.loads(job)))  # noqa: S301 - our own bytes


class Elsewhere:
    """Runs each job in another process, which shares nothing with this one but the files."""

    workers = 1

    def run(
        self, function: Callable[[Any], Any], jobs: Sequence[Any]
    ) -> Generator[tuple[Any, Any]]:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            for job in jobs:
                args = pickle.dumps(function), pickle.dumps(job)
                outcome = pool.submit(_in_another_process, *args).result()
                yield job, pickle.loads(outcome)  # noqa: S301 - our own bytes


def run(folders: PairFolders, **options: Any) -> Result:
    return fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=PROTOCOL, name="ours", **options
    )


def test_jobs_units_and_outcomes_pickle_and_give_the_same_bits(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(40)
    plain = run(folders)
    for options in ({}, {"out": tmp_path / "out"}, {"cache": tmp_path / "cache"}):
        sent = run(folders, executor=Pickled(1), **options)
        assert sent.scores == plain.scores
        assert sent.pairs.equals(plain.pairs)


def test_another_process_needs_no_shared_folder_since_outcomes_carry_their_partials(
    make_pairs: Maker,
) -> None:
    folders = make_pairs(6)
    assert run(folders, executor=Elsewhere()).scores == run(folders).scores


def test_an_outcome_carries_what_no_disk_has(make_pairs: Maker, tmp_path: Path) -> None:
    seen: list[Any] = []

    class Watching(LocalExecutor):
        def run(
            self, function: Callable[[Any], Any], jobs: Sequence[Any]
        ) -> Generator[tuple[Any, Any]]:
            for job, outcome in super().run(function, jobs):
                seen.append(outcome)
                yield job, outcome

    folders = make_pairs(3)
    run(folders, executor=Watching(1))
    assert len(seen[0].partials) == 4  # pixels, ssim, colours of both sides
    run(folders, executor=Watching(1), out=tmp_path / "out")
    assert seen[1].computed
    assert seen[1].partials == ()


def test_what_could_not_be_decoded_pickles_with_its_reasons() -> None:
    error = UnreadableError([Problem("unreadable", "a.png", "is cut off")])
    assert pickle.loads(pickle.dumps(error)).problems == error.problems  # noqa: S301
