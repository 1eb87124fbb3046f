"""Several methods in one call: all are checked before any is computed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fhpt_eval.evaluation.compute import chunk
from fhpt_eval.images.files import CheckedImage, decode
from fhpt_eval.result import Result
from tests.support.command import Finished, fhpt_eval
from tests.support.photographs import PairFolders

Maker = Callable[..., PairFolders]
Spoil = Callable[[PairFolders], object]


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Record every image that is decoded: that is work."""
    seen: list[Path] = []

    def recording(image: CheckedImage) -> NDArray[np.uint8]:
        seen.append(image.ref.path)
        return decode(image)

    monkeypatch.setattr(chunk, "decode", recording)
    return seen


def run(methods: list[PairFolders], out: Path, *more: str | Path) -> Finished:
    preds = [word for each in methods for word in ("--pred", each.generated)]
    names = [word for n, _ in enumerate(methods) for word in ("--name", f"m{n}")]
    return fhpt_eval(
        "run", *preds, *names, "--gt", methods[0].ground_truth, "--metrics", "ssim,psnr",
        "--out", out, *more,
    )  # fmt: skip


def first(folders: PairFolders) -> Path:
    return folders.generated / "person0000.png"


SPOILT: dict[str, Spoil] = {
    "missing": lambda folders: first(folders).unlink(),
    "unreadable": lambda folders: first(folders).write_bytes(b"gone"),
    "of unequal sizes": lambda folders: Image.new("RGB", (20, 64)).save(first(folders)),
    "unexpected": lambda folders: Image.new("RGB", (44, 64)).save(
        folders.generated / "stranger.png"
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_what_is_wrong_with_the_last_method_stops_the_first_before_any_work(
    make_pairs: Maker, tmp_path: Path, decoded: list[Path], fault: str
) -> None:
    methods = [make_pairs(3), make_pairs(3, root="second")]
    SPOILT[fault](methods[1])
    finished = run(methods, tmp_path / "out")
    assert finished.status == 2
    assert f"1 {fault}" in finished.err
    assert not decoded
    assert not list((tmp_path / "out").rglob("result.json"))


def test_what_is_wrong_with_any_method_is_listed_at_once(make_pairs: Maker, tmp_path: Path) -> None:
    methods = [make_pairs(3), make_pairs(3, root="second"), make_pairs(3, root="third")]
    SPOILT["missing"](methods[0])
    SPOILT["unreadable"](methods[2])
    finished = run(methods, tmp_path / "out")
    assert "2 of 3 methods cannot be scored, and nothing was computed of any.\nm0: " in finished.err
    assert "1 missing:\n  person0000" in finished.err
    assert "\nm2: 1 unreadable:\n" in finished.err


def test_what_is_wrong_with_all_methods_alike_is_said_once(
    make_pairs: Maker, tmp_path: Path
) -> None:
    methods = [make_pairs(2), make_pairs(2, root="second")]
    finished = run(methods, tmp_path / "out", "--metrics", "ssim,retrieval")
    assert finished.status == 2
    assert "\nm0, m1: Cannot be computed: retrieval needs source images" in finished.err


def test_folders_that_hold_results_of_other_images_are_all_named(
    make_pairs: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for root in ("one", "two"):
        truth = make_pairs(2, root=root).ground_truth
        for name in ("ours", "theirs"):
            shutil.copytree(truth.with_name("generated"), truth.with_name(name))
        preds = [x for name in ("ours", "theirs") for x in ("--pred", truth.with_name(name))]
        finished = fhpt_eval("run", *preds, "--gt", truth, "--metrics", "psnr")
    assert finished.status == 2
    for name in ("ours", "theirs"):
        assert f"fhpt-eval-runs/fhpt/{name} holds the result of other folders:" in finished.err
        assert (tmp_path / "fhpt-eval-runs" / "fhpt" / name / "result.json").is_file()


def test_methods_are_shown_and_written_as_they_are_finished(
    make_pairs: Maker, tmp_path: Path
) -> None:
    methods = [make_pairs(2), make_pairs(2, root="second")]
    finished = run(methods, tmp_path / "out")
    assert finished.status == 0
    assert finished.out.index("m0 under protocol") < finished.out.index("m1 under protocol")
    for name in ("m0", "m1"):
        assert Result.load(tmp_path / "out" / name).method == name
