"""Run chunks on this machine, in threads.

Decoding, hashing and tensor operations let go of Python's lock, so threads keep all cores busy,
need no start-up, and work in notebooks and scripts without a ``__main__`` guard.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

import torch

from fhpt_eval.common.machine import available_cores, one_thread

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


class LocalExecutor:
    """Runs jobs in ``workers`` threads, each with one intra-op thread.

    One thread per chunk fixes the order of every sum, so that the number of workers cannot move a
    bit of the result.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or available_cores()

    def run(
        self, function: Callable[[Job], Outcome], jobs: Sequence[Job]
    ) -> Generator[tuple[Job, Outcome | Exception]]:
        """See :meth:`fhpt_eval.evaluation.executors.Executor.run`.

        Few jobs are handed out ahead, so closing the generator stops the run after the jobs that
        have begun.
        """
        waiting = iter(jobs)
        with one_thread():
            # torch keeps the number for each thread of its own.
            pool = ThreadPoolExecutor(
                self.workers, initializer=torch.set_num_threads, initargs=(1,)
            )
            running: dict[Future[Outcome], Job] = {}
            try:
                while True:
                    for job in islice(waiting, 2 * self.workers - len(running)):
                        running[pool.submit(function, job)] = job
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        job = running.pop(future)
                        error = future.exception()
                        if error is not None and not isinstance(error, Exception):
                            raise error
                        yield job, future.result() if error is None else error
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
