"""A killed run goes on from its finished chunks, and ends with the same bytes."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.photographs import PairFolders

PAIRS = 300
#: Half of the chunks that so many pairs make.
HALF = 7
#: Each costs the start of a process; so many fall before, in and after the middle.
KILLS = 5


def command(folders: PairFolders, out: Path) -> list[str]:
    return [
        sys.executable, "-m", "fhpt_eval", "run", "--pred", str(folders.generated), "--gt",
        str(folders.ground_truth), "--name", "ours", "--out", str(out),
        "--metrics", "ssim,psnr,l1,brisque",
    ]  # fmt: skip


def untimed(out: Path) -> tuple[dict[str, Any], bytes]:
    table = json.loads((out / "result.json").read_text())
    del table["timing"]
    return table, (out / "pairs.csv").read_bytes()


#: Files of a finished chunk: the digests of its pixels, and what each of four metrics yielded.
FILES = 5


def partials(out: Path) -> int:
    """Count the chunks that are finished: those that have all of their files."""
    names = [path.name.partition("-")[0] for path in out.glob("partials/*/*.partial")]
    return sum(count == FILES for count in Counter(names).values())


def test_a_run_killed_at_random_moments_ends_with_the_bytes_of_an_uninterrupted_one(
    make_pairs: Callable[..., PairFolders], tmp_path: Path
) -> None:
    """Kills fall at random between the start and the end of the work that the run is doing."""
    folders = make_pairs(PAIRS, height=64, width=44)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(folders, whole), check=True, capture_output=True)
    chunks = partials(whole)
    assert chunks > 10
    moments = random.Random(5)
    states = []
    for _ in range(KILLS):
        if partials(killed) == chunks:  # all the work is done: begin again
            shutil.rmtree(killed)
        wanted = moments.randint(partials(killed) + 1, chunks)
        kill_after(command(folders, killed), killed, wanted)
        states.append(partials(killed))
    assert len(set(states)) > 2, f"the kills fell at too few different moments: {states}"
    finished = subprocess.run(
        [*command(folders, killed), "--json"], check=True, capture_output=True, text=True
    )
    assert json.loads(finished.stdout)["timing"]["chunks_reused"] == states[-1]
    assert untimed(killed) == untimed(whole)


def kill_after(arguments: list[str], out: Path, wanted: int) -> None:
    """Start a run, and kill it some milliseconds after it has so many finished chunks."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while partials(out) < wanted and process.poll() is None:
        time.sleep(0.001)
    time.sleep(random.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.mark.usefixtures("_hears_ctrl_c")
@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_ends_with_130_and_keeps_what_is_finished(
    make_pairs: Callable[..., PairFolders], tmp_path: Path
) -> None:
    folders = make_pairs(PAIRS, height=64, width=44)
    out = tmp_path / "out"
    code, err = interrupted(command(folders, out), out)
    assert code == 130, err
    assert "the same command goes on" in err
    assert "Traceback" not in err
    kept = partials(out)
    again = subprocess.run(
        [*command(folders, out), "--json"], check=True, capture_output=True, text=True
    )
    assert json.loads(again.stdout)["timing"]["chunks_reused"] == kept


def interrupted(arguments: list[str], out: Path, attempts: int = 5) -> tuple[int, str]:
    """Start a run, send it SIGINT after two chunks, and return its exit status and what it said.

    On a busy machine it may have gone on by then. It is halted first, so that what is seen is what
    the signal meets; with half of the work behind it the run is begun again, from nothing.
    """
    for _ in range(attempts):
        process = subprocess.Popen(
            arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        while partials(out) < 2 and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        late = partials(out) > HALF
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=60)
        if not late:
            return process.returncode, err
        shutil.rmtree(out)
    raise AssertionError(f"the run was half over before each of {attempts} signals")
