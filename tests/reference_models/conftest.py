"""Drawn people that tests of the reference model read, and none of them changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhpt_eval.reference_models.drn.data.pairs import PairSet
from tests.support.drn import draw_folder, training_pairs


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of four people."""
    return draw_folder(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture(scope="session")
def data(folder: Path) -> PairSet:
    """Its training pairs."""
    return training_pairs(folder)
