"""Exact arithmetic on a GPU, for features whose figures are compared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_accelerator = threading.Lock()


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Keep a GPU from rounding inputs to 10 bits (TF32) and from kernels that vary by run.

    These settings belong to the process, so that one thread at a time uses the device.
    """
    if device.type != "cuda":
        yield
        return
    with (
        _accelerator,
        torch.backends.cudnn.flags(
            enabled=True,  # the default of this function is False
            benchmark=False,
            deterministic=True,
            allow_tf32=False,
        ),
    ):
        yield
