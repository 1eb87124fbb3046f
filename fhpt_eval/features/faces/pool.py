"""Worker processes: started when they are needed, kept for the next image, ended with this one.

A worker is a Python process of its own on a pipe, not a ``multiprocessing.Process``: it runs
nothing of the program that called, so that notebooks and scripts without a ``__main__`` guard work
as they are, and a crash in dlib ends the worker only. There are never more of them than threads
that look for faces at a time. A worker takes 0.4 s to start and 75 MB, ends itself after a minute
without work, and whenever this process is gone.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import MetricError
from fhpt_eval.features.faces import models

#: Seconds without work after which a worker ends itself.
_IDLE = 60
#: What a worker runs, without this package, so that it does not wait for torch.
_SCRIPT = Path(__file__).with_name("find.py")
#: Threads of linear algebra libraries, which would only take memory.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class _EndedError(Exception):
    """The worker is gone; the text says how."""


class Worker:
    """One process, for one image at a time."""

    def __init__(self, predictor: Path, network: Path, idle: int = _IDLE) -> None:
        self._connection, theirs = Pipe()
        handle = theirs.fileno()
        imports = os.pathsep.join(filter(None, sys.path))  # no others, with -P
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", _SCRIPT, str(handle), predictor, network, str(idle)],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a library prints is no part of what a command prints
                pass_fds=[handle],
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": imports},
                start_new_session=True,  # Ctrl-C is for this process, which then ends its workers
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def find(self, image: NDArray[np.uint8], upsample: int) -> NDArray[np.void]:
        """Return the row of one ``(H, W, 3)`` image, as an array of one.

        Raises:
            MetricError: dlib raised an error.
            _EndedError: the process ended before it had answered.
        """
        try:
            self._connection.send((np.ascontiguousarray(image), upsample))
            answer: NDArray[np.void] | str = self._connection.recv()
        except (OSError, EOFError) as error:  # a pipe without another end
            self._process.kill()
            reason = f"{error or 'no answer'}; exit status {self._process.wait()}"
            raise _EndedError(reason) from error
        if isinstance(answer, str):
            raise MetricError(f"dlib failed to look for a face: {answer}")
        return answer

    def end(self) -> None:
        """End the process at once; it has nothing to tidy up."""
        self._process.kill()
        self._process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the pipe, whereupon the process ends itself."""
        self._connection.close()


class Pool:
    """Workers that wait for an image; threads borrow one each."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()

    def find(self, image: NDArray[np.uint8], upsample: int) -> NDArray[np.void]:
        """Return the row of one ``(H, W, 3)`` image, as an array of one.

        A worker that was ended from outside, or had just ended itself, is replaced once.

        Raises:
            MetricError: dlib failed, or its process ended twice on this image.
            WeightsError: a model is not there, or another file.
        """
        for _ in range(2):
            worker = self._take()
            try:
                row = worker.find(image, upsample)
            except BaseException as error:  # what it would answer next belongs to another image
                with self._lock:
                    self._all.discard(worker)
                worker.end()
                if not isinstance(error, _EndedError):
                    raise
                reason = str(error)
            else:
                with self._lock:
                    self._idle.append(worker)
                return row
        height, width, _ = image.shape
        raise MetricError(
            f"The process that looks for faces ended twice on an image of {width} x {height} "
            f"pixels ({reason}). Status -9 mostly means too little memory: use fewer workers. "
            'Otherwise dlib may not fit this machine: python -c "import dlib" tells.'
        )

    def end(self) -> None:
        """End all workers."""
        with self._lock:
            for worker in self._all:
                worker.end()
            self._all.clear()
            self._idle.clear()

    def abandon(self) -> None:
        """Leave the workers to the process from which this one was forked."""
        for worker in self._all:
            worker.hang_up()

    @property
    def workers(self) -> int:
        """How many processes run."""
        with self._lock:
            return sum(worker.alive for worker in self._all)

    def _take(self) -> Worker:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
                self._all.discard(worker)
                worker.end()
        files = models.path_of(models.PREDICTOR), models.path_of(models.NETWORK)
        try:
            worker = Worker(*files)
        except OSError as error:
            raise MetricError(
                f"No process could be started to look for faces in ({sys.executable}: {error})."
            ) from error
        with self._lock:
            self._all.add(worker)
        return worker


_pool = Pool()
_abandoned: list[Pool] = []


def find(image: NDArray[np.uint8], upsample: int) -> NDArray[np.void]:
    """Return the row of one ``(H, W, 3)`` image; see :meth:`Pool.find`."""
    return _pool.find(image, upsample)


def _start_anew() -> None:
    """In a forked process: workers answer to one process only."""
    global _pool
    _pool.abandon()
    _abandoned.append(_pool)  # its processes are not this one's to wait for
    _pool = Pool()


atexit.register(lambda: _pool.end())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
