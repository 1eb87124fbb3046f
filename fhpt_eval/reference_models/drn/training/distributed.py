"""Several processes that train one model, a part of each batch each.

``torchrun`` starts them and says in the environment which is which. Gradients are averaged, so
that equal parts give what one process with the whole batch would give (the texture loss, a ratio of
means, nearly).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn

from fhpt_eval.errors import FhptEvalError, InputError

#: What torchrun says of a process: the fields of :class:`World`, in their order.
_PLACE = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class World:
    """How many processes there are, and which one this is; process 0 is the one that writes.

    Those that are local are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def part(self, total: int) -> slice:
        """Return this process's part of ``total`` pairs.

        Raises:
            InputError: they cannot be divided evenly.
        """
        if total % self.size:
            raise InputError(
                f"training.batch_size is {total}, of all processes together, and {self.size} "
                f"processes cannot divide it evenly. Set it to a multiple of {self.size}."
            )
        each = total // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Return the module, such that gradients of it are averaged over all processes.

        Parameters that want no gradient at this moment stay out of it.
        """
        if self.size == 1:
            return module
        devices = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes; all of them must ask for it."""
        if self.size == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.size

    def largest(self, value: int, device: torch.device) -> int:
        """Return the largest of a small number in each process; all of them must ask for it."""
        if self.size == 1:
            return value
        values = torch.tensor([value], device=device)
        distributed.all_reduce(values, op=distributed.ReduceOp.MAX)
        return int(values.item())

    def of_leader(self, value: _Value | FhptEvalError | None) -> _Value:
        """Return what process 0 gives, in every process; an error is raised in all of them."""
        if self.size > 1:
            box = [value]
            distributed.broadcast_object_list(box, src=0)
            value = box[0]
        if isinstance(value, FhptEvalError):
            raise value
        return value  # type: ignore[return-value]


@contextmanager
def joined(device: str) -> Iterator[tuple[World, torch.device]]:
    """Join the other processes, if ``torchrun`` started this one; leave them at the end.

    Yields the world and this process's device: of several GPUs each process takes its own.

    Raises:
        InputError: the environment's numbers cannot be used, or the processes do not meet.
    """
    if "WORLD_SIZE" not in os.environ:
        if device == "cuda":  # without a number, which not every function takes
            device = f"cuda:{torch.cuda.current_device()}"
        yield World(), torch.device(device)
        return
    try:
        world = World(*(int(os.environ[key]) for key in _PLACE))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{', '.join(_PLACE)} must be numbers in the environment ({error}); "
            "start the processes with torchrun."
        ) from error
    place = torch.device(device)
    if place.type == "cuda":
        if world.local_rank >= torch.cuda.device_count():
            raise InputError(
                f"There are {torch.cuda.device_count()} GPUs here for at least "
                f"{world.local_rank + 1} processes; start as many as there are GPUs."
            )
        place = torch.device("cuda", world.local_rank)
        torch.cuda.set_device(place)
    if world.size == 1:
        yield world, place
        return
    try:
        distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise InputError(
            f"The {world.size} processes cannot find each other ({error}); start them with "
            "torchrun."
        ) from error
    try:
        yield world, place
    finally:
        distributed.destroy_process_group()
