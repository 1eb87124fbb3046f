"""One thread for every sum.

The number of threads changes the order in which numbers are added, so whatever yields a number runs
with one: parallelism is over chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch, and the linear algebra below NumPy, use one thread each; restore them after."""
    before = torch.get_num_threads()
    with threadpool_limits(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
