"""One case: a process forked from a warm one, and the limits that it must keep."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutate import mutate
from tests.fuzz.seeds import KINDS, RUN, write_seeds

#: What a case may take: seconds, bytes of memory, and characters that it prints.
SECONDS, MEMORY, PRINTED = 30.0, 1.5 * 2**30, 100_000
#: What steers a terminal.
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Ended:
    """How a command ended: status (negative: by that signal), memory, time, and what it printed."""

    status: int
    memory: int
    seconds: float
    printed: str

    @property
    def fault(self) -> str:
        """Which limit it did not keep, or nothing."""
        faults = {
            f"status {self.status}": self.status not in (0, 2, 3),
            "a traceback": "Traceback" in self.printed,
            f"{self.memory / 2**30:.1f} GB": self.memory > MEMORY,
            f"{self.seconds:.0f} s": self.seconds > SECONDS,
            "control characters": CONTROL.search(self.printed) is not None,
            f"{len(self.printed):,} characters": len(self.printed) > PRINTED,
            "not a word": self.status == 2 and not self.printed.strip(),
        }
        return ", ".join(fault for fault, present in faults.items() if present)


def run_forked(folder: Path, command: tuple[str, ...]) -> Ended:
    """Run a command in a folder, in a child of this process."""
    log = folder / ".printed"
    start = time.monotonic()
    child = os.fork()
    if not child:
        _become(folder, log, command)
    while time.monotonic() - start < SECONDS + 1:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.005)
    else:
        os.kill(child, signal.SIGKILL)
        _, status, used = os.wait4(child, 0)
    printed = log.read_text("utf-8", errors="replace")
    seconds = time.monotonic() - start
    return Ended(os.waitstatus_to_exitcode(status), used.ru_maxrss * 1024, seconds, printed)


def _become(folder: Path, log: Path, command: tuple[str, ...]) -> None:
    """Be the command, from here to the end of the process."""
    from fhpt_eval.cli.main import main

    status = 70
    try:
        os.chdir(folder)
        out = os.open(log, os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ["FHPT_CACHE"] = str(folder / "cache")
        main([*command])
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 1
    finally:
        os._exit(status)


def prepare(root: Path) -> None:
    """Write the sound files, and the result of a sound run."""
    write_seeds(root)
    done = run_forked(root, (*RUN[:-1], "done"))
    if done.status:
        raise RuntimeError(done.printed)


def case(seeds: Path, folder: Path, number: int) -> tuple[str, Ended]:
    """Spoil one file in a copy of the sound ones, and run the command that reads it."""
    kind = KINDS[number % len(KINDS)]
    shutil.copytree(seeds, folder)
    try:
        path = folder / kind.file
        path = next(path.rglob("*.partial")) if path.is_dir() else path
        way = mutate(path, number)
        return f"{kind.name}: {way}", run_forked(folder, kind.command)
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
