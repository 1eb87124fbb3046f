"""From weights to a network: entries checked, each network loaded once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import torch
from torch import Tensor, nn

from fhpt_eval.errors import WeightsError
from fhpt_eval.weights.store import digest_of

Shape = tuple[int, ...]
Source = TypeVar("Source", str, Path)
Further = TypeVarTuple("Further")
Loaded = TypeVar("Loaded")
Module = TypeVar("Module", bound=nn.Module)

#: Entries of a kind that an error lists before it only counts.
_LISTED = 5


def check_entries(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Shape],
    label: str,
    network: str,
    unused: Callable[[str], bool] = lambda _: False,
    twice: Sequence[str] = (),
) -> None:
    """Refuse a state dict that is not of a network, saying all that is wrong with it.

    Args:
        state: the entries that are there.
        expected: shapes of the entries that the network needs, all of them floats.
        label: the name or file of the weights.
        network: what the weights should be of, in a sentence.
        unused: whether an entry that is not expected may be there all the same.
        twice: entries that stand for the same, which the caller found.

    Raises:
        WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
    """
    kinds = (
        ("missing: ", [name for name in expected if name not in state], ", "),
        ("unknown: ", [name for name in state if name not in expected and not unused(name)], ", "),
        ("twice: ", twice, ", "),
        ("", list(_faults(state, expected)), "; "),
    )
    problems = [kind + _first(entries, between) for kind, entries, between in kinds if entries]
    if problems:
        raise WeightsError(f"weights '{label}' are not of {network}; {'; '.join(problems)}")


def _faults(state: Mapping[str, Tensor], expected: Mapping[str, Shape]) -> Iterable[str]:
    for name, shape in expected.items():
        value = state.get(name)
        if value is None:
            continue
        if tuple(value.shape) != shape:
            yield f"{name} is {tuple(value.shape)}, not {shape}"
        elif not value.is_floating_point():
            yield f"{name} is {value.dtype}, not floats"
        elif value.layout != torch.strided or value.is_meta:
            yield f"{name} is no plain tensor"
        elif not value.isfinite().all():
            yield f"{name} holds values that are no finite numbers"


def _first(entries: Sequence[str], between: str) -> str:
    more = len(entries) - _LISTED
    return between.join(entries[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def shapes_of(network: nn.Module) -> dict[str, Shape]:
    """Return the shape of every entry of a network's state dict."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def module_of(
    make: Callable[[], Module],
    state: Mapping[str, Tensor],
    label: str,
    network: str,
    unused: Callable[[str], bool] = lambda _: False,
    ignored: Callable[[str], bool] = lambda _: False,
) -> Module:
    """Make a module of a state dict: float32 on the CPU, for evaluation, without gradients.

    ``make`` gives the module, with any figures, and ``state`` is of any floating type. An entry of
    the module that is ``ignored`` is not looked for in it. All else is as for
    :func:`check_entries`, its error too.
    """
    with torch.device("meta"):  # no memory, and no random numbers drawn for nothing
        module = make()
    expected = {name: shape for name, shape in shapes_of(module).items() if not ignored(name)}
    check_entries(state, expected, label, network, unused)
    kept = {name: state[name].detach().to(torch.float32) for name in expected}
    module.load_state_dict(kept, strict=False, assign=True)
    return module.eval().requires_grad_(False)


def loaded_once(
    kept: int,
) -> Callable[[Callable[[Source, *Further], Loaded]], Callable[[Source, *Further], Loaded]]:
    """Make a function load each source once per process, however many threads ask for it.

    The function's first argument is a registered name or a file; a file that has changed is
    another. What it returns is shared, and must not be changed. The last ``kept`` results that were
    used stay in memory.
    """

    def decorate(
        load: Callable[[Source, *Further], Loaded],
    ) -> Callable[[Source, *Further], Loaded]:
        lock = threading.Lock()  # lru_cache alone would let two threads load the same file

        @lru_cache(maxsize=kept)
        def cached(digest: str, source: Source, *further: *Further) -> Loaded:  # noqa: ARG001 - a key
            return load(source, *further)

        @wraps(load)
        def once(source: Source, /, *further: *Further) -> Loaded:
            with lock:
                return cached(digest_of(source), source, *further)

        return once

    return decorate
