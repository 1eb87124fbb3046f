"""A disk that is full at each write in turn: told as such, nothing lost, no wrong number."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import Finished, fhpt_eval
from tests.support.photographs import PairFolders


class Disk:
    """Counts the files that are written; the ``full_at``-th one finds no room."""

    def __init__(self, full_at: int = 0) -> None:
        self.full_at = full_at
        self.writes = 0

    def replace(self, real: Callable[..., Path]) -> Callable[..., Path]:
        """Return what renames a finished file, or finds the disk full."""

        def rename(path: Path, target: Path) -> Path:
            self.writes += 1
            if self.writes == self.full_at:
                raise OSError(errno.ENOSPC, "No space left on device", str(path))
            return real(path, target)

        return rename


@contextmanager
def on(disk: Disk) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", disk.replace(Path.replace))
        yield


def run(folders: PairFolders, out: Path) -> Finished:
    return fhpt_eval(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--out", out,
        "--metrics", "psnr,l1", "--workers", "1",
    )  # fmt: skip


def without_timing(out: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((out / "result.json").read_text())
    return {name: value for name, value in values.items() if name != "timing"}


def test_a_disk_that_is_full_at_any_write_loses_nothing(
    make_pairs: Callable[..., PairFolders], tmp_path: Path
) -> None:
    folders = make_pairs(3)
    disk = Disk()
    with on(disk):
        assert run(folders, tmp_path / "sound").status == 0
    sound = without_timing(tmp_path / "sound")
    assert disk.writes >= 5  # partials, two tables, the result, the note of its origin
    for number in range(1, disk.writes + 1):
        out = tmp_path / f"full{number}"
        with on(Disk(number)):
            refused = run(folders, out)
        assert refused.status == 2, (number, refused.err)
        assert "The disk is full: " in refused.err
        assert "Traceback" not in refused.err
        assert not list(out.rglob("*.tmp"))
        assert run(folders, out).status == 0
        assert without_timing(out) == sound
