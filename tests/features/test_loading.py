"""Networks are made of weights that fit them, and each of them once."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fhpt_eval.errors import WeightsError
from fhpt_eval.features.loading import check_entries, loaded_once

EXPECTED = {"weight": (2, 3), "bias": (2,)}


def state(**changes: Tensor) -> dict[str, Tensor]:
    return {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), **changes}


def test_entries_that_fit_are_accepted() -> None:
    extra = {"fc.weight": torch.zeros(1)}
    check_entries(state(), EXPECTED, "own", "a line")
    check_entries(state() | extra, EXPECTED, "own", "a line", lambda name: name == "fc.weight")


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (torch.zeros(3), r"bias is \(3,\), not \(2,\)"),
        (torch.zeros(2, dtype=torch.int64), "bias is torch.int64, not floats"),
        (torch.zeros(2).to_sparse(), "bias is no plain tensor"),
        (torch.zeros(2, device="meta"), "bias is no plain tensor"),
        (torch.tensor([0, math.inf]), "bias holds values that are no finite numbers"),
    ],
)
def test_an_entry_that_does_not_fit_is_named(entry: Tensor, fault: str) -> None:
    with pytest.raises(WeightsError, match=f"^weights 'own' are not of a line; {fault}$"):
        check_entries(state(bias=entry), EXPECTED, "own", "a line")


def test_all_that_is_wrong_is_said_at_once() -> None:
    found = {"weight": torch.zeros(1), **{f"x{number}": torch.zeros(1) for number in range(7)}}
    with pytest.raises(WeightsError) as caught:
        check_entries(found, EXPECTED, "own", "a line", twice=["a and b"])
    assert str(caught.value) == (
        "weights 'own' are not of a line; missing: bias; unknown: x0, x1, x2, x3, x4 and 2 more; "
        "twice: a and b; weight is (1,), not (2, 3)"
    )


def test_threads_that_want_the_same_network_load_it_once(tmp_path: Path) -> None:
    path = tmp_path / "own.bin"
    path.write_bytes(b"1")
    calls, together = [], threading.Barrier(4)

    @loaded_once(2)
    def load(source: Path, kind: str) -> object:
        calls.append((source, kind))
        time.sleep(0.05)
        return object()

    def ask(_: int) -> object:
        together.wait()
        return load(path, "a")

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(ask, range(4)))
    assert len(found) == 1
    assert calls == [(path, "a")]


def test_another_kind_and_a_changed_file_are_other_networks(tmp_path: Path) -> None:
    path = tmp_path / "own.bin"
    path.write_bytes(b"1")

    @loaded_once(2)
    def load(source: Path, kind: str) -> bytes:
        return source.read_bytes() + kind.encode()

    assert (load(path, "a"), load(path, "b")) == (b"1a", b"1b")
    path.write_bytes(b"22")
    assert load(path, "a") == b"22a"
