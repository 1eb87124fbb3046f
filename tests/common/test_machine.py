"""Cores and memory are what this process may use, not what the machine has."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path

import pytest
import torch

from fhpt_eval.common import machine


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process")
def test_a_job_that_has_one_core_is_told_one() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert machine.available_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that says what a machine of 8 GiB free does, in a control group."""
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    files = tuple(str(tmp_path / name) for name in ("max", "current", "stat"))
    monkeypatch.setattr(machine, "_GROUPS", (files,))
    (tmp_path / "meminfo").write_text(f"MemTotal: {2**24} kB\nMemAvailable: {2**23} kB\n")
    return tmp_path


def test_free_memory_is_the_machines_where_no_limit_is_set(told: Path) -> None:
    assert machine.free_memory() == 2**33
    for name, text in (("max", "max\n"), ("current", "5\n"), ("stat", "inactive_file 0\n")):
        (told / name).write_text(text)
    assert machine.free_memory() == 2**33


def test_a_containers_limit_counts_without_the_files_that_it_caches(told: Path) -> None:
    (told / "max").write_text(f"{2**30}\n")
    (told / "current").write_text(f"{2**29}\n")
    (told / "stat").write_text(f"anon 7\ninactive_file {2**28}\n")
    assert machine.free_memory() == 2**30 - 2**29 + 2**28


def test_where_nothing_tells_a_quarter_of_all_memory_is_taken(told: Path) -> None:
    (told / "meminfo").write_text("nothing\n")
    assert machine.free_memory() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4


def test_work_is_done_ahead_and_handed_over_in_order() -> None:
    asked: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    with ThreadPoolExecutor(1) as pool:
        results = machine.ahead(pool, lambda number: number * number, numbers(), depth=3)
        assert next(results) == 0
        assert asked == [0, 1, 2, 3]
        assert list(results) == [n * n for n in range(1, 10)]


def precision_now() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    matmul = torch.get_float32_matmul_precision()
    return cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32, matmul


def test_the_users_precision_comes_back_when_the_last_thread_is_done() -> None:
    before = precision_now()
    entered, leave = threading.Event(), threading.Event()

    def stay() -> tuple[object, ...]:
        with machine.full_precision():
            entered.set()
            leave.wait(10)
            return precision_now()

    with ThreadPoolExecutor(1) as pool:
        with machine.full_precision():
            staying = pool.submit(stay)
            entered.wait(10)
            first = precision_now()
        second = precision_now()  # the other thread is still inside
        leave.set()
        assert first == second == staying.result() == (False, True, False, "highest")
    assert precision_now() == before


@pytest.mark.parametrize("owner", ["", "cudnn", "cuda.matmul"])
def test_precision_set_by_torchs_newer_names_is_put_back(owner: str) -> None:
    chosen = reduce(getattr, filter(None, owner.split(".")), torch.backends)
    if not hasattr(chosen, "fp32_precision"):
        pytest.skip("this torch has no such names")
    code = (
        "import torch; from fhpt_eval.common.machine import full_precision as full\n"
        f"owner = torch.backends{owner and '.' + owner}; owner.fp32_precision = 'tf32'\n"
        "with full(): print(torch.backends.cudnn.allow_tf32, owner.fp32_precision == 'tf32')\n"
        "print(owner.fp32_precision)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )  # in a process of its own, since torch warns of mixed names from then on
    assert printed.stdout.split() == ["False", "False", "tf32"]
