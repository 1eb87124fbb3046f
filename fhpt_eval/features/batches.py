"""Running a network over images such that a row depends on its own image alone, to the bit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from fhpt_eval.common.machine import full_precision

# The batch of one thread at a time, which a device's memory has room for.
_accelerator = threading.Lock()


@contextmanager
def exact(device: torch.device) -> Iterator[None]:
    """Compute in full precision; of an accelerator one thread at a time is served."""
    with full_precision(), nullcontext() if device.type == "cpu" else _accelerator:
        yield


def run_in_batches(
    run: Callable[[Tensor], Mapping[str, Tensor]],
    images: Tensor,
    on_cpu: int,
    on_accelerator: int,
    prepare: Callable[[Tensor], Tensor] = lambda images: images,
) -> dict[str, Tensor]:
    """Return the rows that ``run`` gives, from batches that are always as large.

    The last image is repeated where there are fewer: another shape may be added up in another
    order.

    Args:
        run: from B images, as ``prepare`` gives them, to named arrays of B rows.
        images: ``(N, 3, H, W)``, on the device that shall compute.
        on_cpu: B, where that is a CPU.
        on_accelerator: B elsewhere.
        prepare: what is done to images before, each by itself: that of B copies of a large image
            would be paid for B times.
    """
    size = on_cpu if images.device.type == "cpu" else on_accelerator
    parts = []
    with torch.no_grad(), exact(images.device):
        for batch in torch.split(images, size):
            count = len(batch)
            ready = prepare(batch)
            if count < size:
                ready = torch.cat([ready, ready[-1:].expand(size - count, -1, -1, -1)])
            parts.append({name: rows[:count] for name, rows in run(ready).items()})
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
