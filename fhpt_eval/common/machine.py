"""What of this machine the process may use: cores, threads, memory, devices."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from fhpt_eval.errors import InputError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

#: Where Linux says how much memory there is; of a control group, limit, use, and what of the use
#: could be given back: version 2's files, then version 1's.
_MEMORY = Path("/proc/meminfo")
_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)


def available_cores() -> int:
    """Return the number of cores that this process may use, which a job's may be few of."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory() -> int:
    """Return the bytes of memory that this process may still take.

    The least of what the machine has free, or could make so, and of what a container's limit
    leaves; where nothing tells, a quarter of the machine's memory.
    """
    try:
        facts = _facts(_MEMORY.read_text("ascii"))
        free = facts["MemAvailable:"] * 1024
    except (OSError, KeyError, ValueError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    return min([free, *(_left(*map(Path, files)) for files in _GROUPS if Path(files[0]).is_file())])


def _left(limit: Path, use: Path, stat: Path) -> int:
    """Return what a control group's limit leaves; beyond every machine where it has none."""
    try:
        facts = _facts(stat.read_text("ascii"))
        # Cached files that nobody reads are given back before anything fails.
        used = int(use.read_text("ascii")) - facts.get("inactive_file", 0)
        return max(0, int(limit.read_text("ascii")) - used)
    except (OSError, ValueError):  # "max" is no number
        return 2**63


def _facts(text: str) -> dict[str, int]:
    """Return the number behind the first word of each line."""
    lines = [line.split() for line in text.splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[Item], Outcome], items: Iterable[Item], depth: int
) -> Iterator[Outcome]:
    """Yield ``function(item)`` in order, with up to ``depth`` of them under way in the pool."""
    waiting: deque[Future[Outcome]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch, and the linear algebra below NumPy, use one thread each; restore them after.

    The number of threads changes the order in which numbers are added, so whatever yields a number
    runs with one: parallelism is over chunks.
    """
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(limits=1):
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


_settling = threading.Lock()
# How many are inside of :func:`full_precision`, and what puts the user's settings back.
_inside = 0
_restore: list[Callable[[], None]] = []


@contextmanager
def full_precision() -> Iterator[None]:
    """Let float32 mean float32 (no TF32, no bfloat16), by kernels that do not vary from run to run.

    The settings are the process's. The first who comes makes them and the last who leaves puts the
    user's back, so that all threads between them see one state. A run, a suite and the call of a
    metric are inside as a whole, whatever the device.
    """
    global _inside
    with _settling:
        if not _inside:
            _restore[:] = [_settle()]
        _inside += 1
    try:
        yield
    finally:
        with _settling:
            _inside -= 1
            if not _inside:
                _restore.pop()()


def precision() -> str:
    """Return what numbers are computed in, for the provenance."""
    state = "without TF32, by deterministic kernels" if _inside else "as the process is set"
    return f"float64; networks in float32, {state}"


def _settle() -> Callable[[], None]:
    """Make the settings of :func:`full_precision`; return what puts back those of before.

    Since torch 2.9 each operator has a setting of its own, which inherits those above it. The older
    names are set, since libraries read them and an error is raised where the two contradict.
    """
    import torch

    cudnn = torch.backends.cudnn
    flags = cudnn.benchmark, cudnn.deterministic
    owners = [torch.backends, cudnn, *_named(cudnn, "conv", "rnn"), torch.backends.cuda.matmul]
    mkldnn = getattr(torch.backends, "mkldnn", None)
    owners += [mkldnn, *_named(mkldnn, "conv", "matmul")]
    each = [(owner, owner.fp32_precision) for owner in owners if hasattr(owner, "fp32_precision")]
    older = (
        _unless_mixed(lambda: cudnn.allow_tf32),
        _unless_mixed(torch.get_float32_matmul_precision),
    )
    for owner, _ in each:
        owner.fp32_precision = "none"
    cudnn.benchmark, cudnn.deterministic = False, True
    cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")

    def restore() -> None:
        cudnn.benchmark, cudnn.deterministic = flags
        if older[0] is not None:
            cudnn.allow_tf32 = older[0]
        if older[1] is not None:
            torch.set_float32_matmul_precision(older[1])
        for owner, value in each:
            if owner.fp32_precision != value:
                owner.fp32_precision = value

    return restore


def _named(owner: Any, *names: str) -> list[Any]:
    return [getattr(owner, name) for name in names if hasattr(owner, name)]


def _unless_mixed(read: Callable[[], Outcome]) -> Outcome | None:
    """Return a setting by its older name; nothing where the newer ones contradict it."""
    try:
        return read()
    except RuntimeError:
        return None


def choose_device(device: str) -> str:
    """Return the device to compute on; ``"auto"`` is the first GPU, or the CPU.

    Raises:
        InputError: there is no such device here.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    counted = kind == "cuda" and number.isascii() and number.isdecimal()
    if kind not in ("cpu", "cuda") or (number and not counted):
        raise InputError(f"--device {device}: use auto, cpu, cuda or cuda:N.")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise InputError(
            f"--device {device}: this machine has {torch.cuda.device_count()} CUDA devices."
        )
    return "cpu" if kind == "cpu" else device
