"""FID, KID, IS and LPIPS in the engine: one pass, and the same bits whatever happens on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

import fhpt_eval
from fhpt_eval.evaluation.survey import chunks
from fhpt_eval.features.inception import Inception
from fhpt_eval.protocol import Protocol, parse_protocol
from tests.support.photographs import PairFolders, spoilt
from tests.support.random_inception import write_inception_2015
from tests.support.random_trunks import seeded_state

Maker = Callable[..., PairFolders]

COUNT = 12


@pytest.fixture(scope="module")
def protocol(tmp_path_factory: pytest.TempPathFactory) -> Protocol:
    import torch

    folder = tmp_path_factory.mktemp("weights")
    inception = write_inception_2015(folder / "2015.pth")
    torch.save(seeded_state("squeeze"), folder / "squeeze.pth")
    return parse_protocol(
        f"""
        id = "deep"
        [metrics.fid]
        network_weights = "{inception}"
        [metrics.kid]
        network_weights = "{inception}"
        subsets = 5
        subset_size = 10
        [metrics.is]
        network_weights = "{inception}"
        [metrics.lpips]
        network = "squeeze"
        network_weights = "{folder / "squeeze.pth"}"
        """,
        "deep.toml",
    )


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make several chunks of few images: the network is slow."""
    monkeypatch.setattr(chunks, "CHUNK_PAIRS", 4)


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of images of each forward pass of the network, as they happen."""
    seen: list[int] = []
    compute = Inception.compute

    def counting(self: Inception, images: Tensor) -> dict[str, Tensor]:
        seen.append(len(images))
        return compute(self, images)

    monkeypatch.setattr(Inception, "compute", counting)
    return seen


def run(folders: PairFolders, protocol: Protocol, **options: Any) -> Any:
    return fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=protocol, **{"name": "ours", **options}
    )


def untimed(out: Path) -> Any:
    table = json.loads((out / "result.json").read_text())
    del table["timing"]
    return table, (out / "pairs.csv").read_bytes()


def change_one(folders: PairFolders) -> None:
    file = folders.generated / "person0007.png"
    Image.fromarray(spoilt(np.asarray(Image.open(file)), 77)).save(file)


def test_fid_is_and_kid_pass_each_image_once_through_the_network(
    make_pairs: Maker, protocol: Protocol, forwards: list[int], tmp_path: Path
) -> None:
    folders = make_pairs(COUNT)
    options = {"metrics": "fid,is,kid", "cache": tmp_path / "cache"}
    result = run(folders, protocol, **options)
    assert sum(forwards) == 2 * COUNT
    for name in ("fid", "is.mean", "is.std", "kid.mean", "kid.std"):
        assert result.scores[name].value is not None
    forwards.clear()
    for path in folders.generated.iterdir():
        Image.fromarray(spoilt(np.asarray(Image.open(path)), 99)).save(path)
    run(folders, protocol, name="theirs", **options)
    assert sum(forwards) == COUNT, "a second method passes nothing of the ground truth"


def test_neither_workers_nor_resuming_nor_a_late_change_move_a_bit(
    make_pairs: Maker, protocol: Protocol, forwards: list[int], tmp_path: Path
) -> None:
    folders = make_pairs(COUNT)
    run(folders, protocol, workers=1, out=tmp_path / "one")
    run(folders, protocol, workers=3, out=tmp_path / "three", cache=tmp_path / "cache")
    assert untimed(tmp_path / "one") == untimed(tmp_path / "three")

    kept = sorted((tmp_path / "three" / "partials").rglob("*.partial"))
    for file in kept[::2]:
        file.unlink()
    kept[1].write_bytes(kept[1].read_bytes()[:-1])  # as a crash of the machine may leave it
    run(folders, protocol, workers=2, out=tmp_path / "three", cache=tmp_path / "cache")
    assert untimed(tmp_path / "one") == untimed(tmp_path / "three")

    change_one(folders)
    forwards.clear()
    run(folders, protocol, out=tmp_path / "one", cache=tmp_path / "cache")
    assert 0 < sum(forwards) < COUNT, "only the chunk of the changed image is computed"
    run(folders, protocol, workers=1, out=tmp_path / "fresh")
    assert untimed(tmp_path / "one") == untimed(tmp_path / "fresh")
