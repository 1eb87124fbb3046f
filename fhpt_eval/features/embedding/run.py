"""Running a network over images such that a row depends on its own image alone.

May import: errors, features.exact, torch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from fhpt_eval.errors import WeightsError
from fhpt_eval.features.exact import exact


def run_in_batches(run: Callable[[Tensor], Tensor], levels: Tensor, size: int) -> Tensor:
    """Return the rows that ``run`` gives for batches of exactly ``size`` images.

    The last image is repeated where there are fewer: another shape may be added up in another
    order.
    """
    found = []
    with torch.no_grad(), exact(levels.device):
        for batch in torch.split(levels, size):
            count = len(batch)
            if count < size:
                batch = torch.cat([batch, batch[-1:].expand(size - count, -1, -1, -1)])
            found.append(run(batch)[:count])
    return torch.cat(found)


def vectors(output: object, count: int, label: str) -> Tensor:
    """Return what a network gave for ``count`` images as ``(count, D)`` float32.

    Raises:
        WeightsError: that is not what it gave; ``label`` names the network.
    """
    if not isinstance(output, Tensor):
        raise WeightsError(
            f"{label} gives a {type(output).__name__}; an embedder gives one tensor (N, D)."
        )
    if output.ndim != 2 or len(output) != count or not output.shape[1]:
        raise WeightsError(
            f"{label} gives {tuple(output.shape)} for {count} image; an embedder gives (N, D): "
            "pool feature maps and flatten them inside the network."
        )
    if not output.is_floating_point():
        raise WeightsError(f"{label} gives {output.dtype}; an embedder gives floats.")
    if not output.isfinite().all():
        raise WeightsError(f"{label} gives values that are no finite numbers.")
    return output.float()
