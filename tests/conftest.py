"""What the tests share: real photographs, folders of pairs, and the command line.

Photographs come with scikit-image. Reference values from elsewhere lie in a fixtures folder that
is no part of the project: tests that use it say so when it is absent.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from tests.support.photographs import PairFolders, Pixels, crops, spoilt

pytest_plugins = ("tests.support.plugins",)

# Several test processes share the cores; more threads in each would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests' features out of the user's cache, and the user's weights out of the tests."""
    monkeypatch.setenv("FHPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path / "no weights"))


@pytest.fixture
def _hears_ctrl_c() -> Iterator[None]:
    """Let a test and its processes hear SIGINT, which a shell makes the background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """The folder of reference images and values, or a skip that says where it was looked for."""
    here = Path(__file__).resolve().parents[2] / "shared" / "fixtures"
    folder = Path(os.environ.get("FHPT_FIXTURES", here))
    if not folder.is_dir():
        pytest.skip("no reference fixtures here (set FHPT_FIXTURES to their folder)")
    return folder


@pytest.fixture(scope="session")
def photographs() -> dict[str, Pixels]:
    """Colour photographs by name, ``(H, W, 3)`` uint8."""
    names = ("astronaut", "chelsea", "coffee", "rocket")
    return {name: np.asarray(getattr(skimage.data, name)()) for name in names}


@pytest.fixture
def make_pairs(tmp_path: Path, photographs: dict[str, Pixels]) -> Callable[..., PairFolders]:
    """Return a function that writes folders of ``count`` pairs of real photographs."""

    def make(count: int = 6, height: int = 64, width: int = 44, root: str = "data") -> PairFolders:
        folders = PairFolders(tmp_path / root / "generated", tmp_path / root / "ground_truth")
        folders.generated.mkdir(parents=True)
        folders.ground_truth.mkdir(parents=True)
        for number, image in enumerate(crops(photographs, count, height, width)):
            name = f"person{number:04d}.png"
            Image.fromarray(image).save(folders.ground_truth / name)
            Image.fromarray(spoilt(image, number)).save(folders.generated / name)
        return folders

    return make
