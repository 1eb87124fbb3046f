"""The local executor runs every job once, hands errors back, and leaves torch as it was."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from fhpt_eval.evaluation.executors.local import LocalExecutor


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_job_is_run_once(workers: int) -> None:
    outcomes = dict(LocalExecutor(workers).run(lambda job: job * job, range(20)))
    assert outcomes == {job: job * job for job in range(20)}


def test_an_error_is_handed_back_and_the_other_jobs_go_on() -> None:
    def invert(job: int) -> float:
        return 1 / job

    outcomes = dict(LocalExecutor(2).run(invert, [0, 1, 2]))
    assert isinstance(outcomes[0], ZeroDivisionError)
    assert (outcomes[1], outcomes[2]) == (1.0, 0.5)


def test_closing_the_iterator_stops_after_the_jobs_that_have_begun() -> None:
    begun: list[int] = []

    def begin(job: int) -> None:
        begun.append(job)
        time.sleep(0.01)

    running = LocalExecutor(1).run(begin, range(1000))
    next(running)
    running.close()
    assert len(begun) < 10


def test_each_job_sees_one_intra_op_thread_and_the_caller_keeps_its_own() -> None:
    before = torch.get_num_threads()
    threads = dict(LocalExecutor(2).run(lambda _: torch.get_num_threads(), range(4)))
    assert set(threads.values()) == {1}
    assert torch.get_num_threads() == before


def test_workers_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=10)
    outcomes = dict(LocalExecutor(2).run(lambda _: meeting.wait(), range(2)))
    assert set(outcomes.values()) == {0, 1}
