"""Executors are chosen by name among the installed ones, or given as they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fhpt_eval.errors import InputError
from fhpt_eval.evaluation.executors import executor_names, open_executor
from fhpt_eval.evaluation.executors.local import LocalExecutor
from tests.support.command import fhpt_eval as command
from tests.support.photographs import PairFolders


def test_local_is_installed_and_takes_a_number_of_workers() -> None:
    assert "local" in executor_names()
    assert open_executor("local", 3).workers == 3


def test_an_executor_is_taken_as_it_is() -> None:
    mine: Any = LocalExecutor(1)
    assert open_executor(mine, 7) is mine


def test_one_that_is_not_installed_is_named_with_its_near_miss(
    make_pairs: Callable[..., PairFolders],
) -> None:
    with pytest.raises(InputError, match=r"no executor 'lokal'\. Did you mean 'local'"):
        open_executor("lokal", None)
    folders = make_pairs(2)
    finished = command(
        "run", "--pred", folders.generated, "--gt", folders.ground_truth, "--executor", "lokal"
    )
    assert finished.status == 2
    assert "Did you mean 'local'" in finished.err
