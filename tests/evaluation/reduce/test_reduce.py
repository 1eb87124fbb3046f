"""What a chunk's partials become: rows of pairs in order, digests of what was scored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fhpt_eval
from fhpt_eval.protocol import Entry, Protocol
from tests.support.photographs import PairFolders
from tests.support.toy_features import ColourGap
from tests.support.toy_sources import SourceGap

Maker = Callable[..., PairFolders]


def run(folders: PairFolders, *metrics: Any, **options: Any) -> Any:
    protocol = Protocol("toy", "", "", (), tuple(Entry(m.name, m, ()) for m in metrics))
    return fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=protocol, name="ours", **options
    )


def digest_by_hand(folder: Path) -> str:
    """The SHA-256 over keys and the SHA-256 of sizes and RGB bytes, in the order of keys."""
    total = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        image = Image.open(file).convert("RGB")
        pixels = f"{image.width}x{image.height}\n".encode() + np.asarray(image).tobytes()
        total.update(f"{file.stem}\0{hashlib.sha256(pixels).hexdigest()}\n".encode())
    return total.hexdigest()


def test_the_digests_of_a_result_are_those_of_keys_and_pixels(make_pairs: Maker) -> None:
    folders = make_pairs(40)
    result = run(folders, ColourGap())
    assert result.test_set.digest == digest_by_hand(folders.ground_truth)
    assert result.provenance.generated_digest == digest_by_hand(folders.generated)


def test_the_scores_of_a_metric_are_kept_whatever_others_are_asked_for(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(40)
    first = run(folders, ColourGap(), out=tmp_path / "out")
    for file in (tmp_path / "out" / "partials").rglob("*.partial"):
        if file.stat().st_size > 4000:  # rows and pixels of chunks; scores alone are left
            file.unlink()
    again = run(folders, ColourGap(), out=tmp_path / "out")
    assert again.scores == first.scores
    assert again.timing.chunks_reused == again.timing.chunks


def test_scores_of_other_pairs_are_not_taken_for_these(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(6)
    before = run(folders, ColourGap(), out=tmp_path / "out")
    (folders.generated / "person0003.png").unlink()
    (folders.ground_truth / "person0003.png").unlink()
    after = run(folders, ColourGap(), out=tmp_path / "out")
    assert after.scores["colour_gap"].n == 5
    assert before.scores["colour_gap"].value != after.scores["colour_gap"].value


@pytest.mark.parametrize("cached", [False, True])
def test_rows_of_sources_are_those_of_the_targets_where_images_are_the_same(
    transfers: dict[str, Path], tmp_path: Path, cached: bool
) -> None:
    folders = PairFolders(transfers["generated"], transfers["test"])
    options: dict[str, Any] = {"cache": tmp_path / "cache"} if cached else {}
    with_sources = run(folders, SourceGap(), source=transfers["sources"], **options)
    plain = run(folders, SourceGap(), source=transfers["sources"], out=tmp_path / "out")
    assert with_sources.scores == plain.scores
