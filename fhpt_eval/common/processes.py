"""What the processes of torch.distributed know together; one process alone is a group of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Optional, TypeVar

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

#: Processes of torch.distributed; ``None`` are all of them.
Group = Optional["ProcessGroup"]
Part = TypeVar("Part")
Outcome = TypeVar("Outcome")


def rank_in(group: Group) -> int:
    """Return this process's number in a group, from 0; 0 outside of torch.distributed."""
    import torch.distributed as dist

    return dist.get_rank(group) if _is_running() else 0


def gathered(part: Part, group: Group) -> list[Part]:
    """Return every process's part, in their order, to the first one; nothing to the others.

    Every process of the group must call it.
    """
    import torch.distributed as dist

    if not _is_running():
        return [part]
    count, rank = dist.get_world_size(group), dist.get_rank(group)
    parts: list[Any] | None = [None] * count if rank == 0 else None
    dist.gather_object(part, parts, dst=_first(group), group=group)
    return parts or []


def on_first(
    group: Group, parts: Sequence[Part], function: Callable[[Sequence[Part]], Outcome]
) -> Outcome:
    """Return to every process what the first one makes of the parts, or raise what it raises.

    Every process of the group must call it: so none waits for one that has failed.
    """
    import torch.distributed as dist

    if not _is_running():
        return function(parts)
    outcome: list[Any] = [None, None]
    if dist.get_rank(group) == 0:
        try:
            outcome[0] = function(parts)
        except Exception as error:  # noqa: BLE001 - all of them are to know
            outcome[1] = error
    dist.broadcast_object_list(outcome, src=_first(group), group=group)
    if outcome[1] is not None:
        raise outcome[1]
    result: Outcome = outcome[0]
    return result


def _is_running() -> bool:
    import torch.distributed as dist

    return dist.is_available() and dist.is_initialized()


def _first(group: Group) -> int:
    """Return the number among all processes of a group's first one."""
    import torch.distributed as dist

    return 0 if group is None else dist.get_global_rank(group, 0)
