"""Logs: a CSV that survives a kill, sample grids, TensorBoard where it is."""

from __future__ import annotations

import builtins
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fhpt_eval.common.progress import Progress
from fhpt_eval.common.training import Row
from fhpt_eval.reference_models.drn.training.logs import COLUMNS, Log, png_bytes
from fhpt_eval.reference_models.drn.training.plan import Plan
from fhpt_eval.reference_models.drn.training.samples import LIMBS, draw_skeleton, grid_of
from fhpt_eval.reference_models.drn.training.train import train
from tests.support.drn import (
    CPU,
    configuration,
    draw_folder,
    training_pairs,
)
from tests.support.progress import Kept


@pytest.fixture
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave as if TensorBoard were not installed."""
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if "tensorboard" in name:
            raise ImportError(f"No module named {name!r}")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)


def opened(folder: Path, step: int = 0, progress: Progress | None = None) -> Log:
    return Log(folder, step, configuration().training, progress or Progress())


def row(step: int, **losses: float) -> Row:
    return Row(step, 20, losses, images_per_second=12.5, seconds=3.0, left=60.0)


def test_an_older_log_without_a_loss_keeps_its_rows(tmp_path: Path, no_tensorboard: None) -> None:
    old = [name for name in COLUMNS if name != "texture"]
    cells = {"step": "50", "stage": "fine", "style": "0.25", "seconds": "3"}
    line = ",".join(cells.get(name, "") for name in old)
    (tmp_path / "log.csv").write_text(f"{','.join(old)}\n{line}\n60,fi")
    opened(tmp_path, 50).close()
    header, kept = (tmp_path / "log.csv").read_text().splitlines()
    found = dict(zip(header.split(","), kept.split(","), strict=True))
    assert tuple(found) == COLUMNS
    assert {name: value for name, value in found.items() if value} == cells


def test_a_row_has_a_cell_for_every_loss_and_empty_ones_where_a_stage_has_none(
    tmp_path: Path, no_tensorboard: None
) -> None:
    log = opened(tmp_path, 0)
    log.write(row(50, total=1.5, l1_coarse=0.25))
    header, line = (tmp_path / "log.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), line.split(","), strict=True))
    assert tuple(cells) == COLUMNS
    assert cells["l1_coarse"] == "0.25"
    assert cells["style"] == ""


def test_rows_behind_the_checkpoint_and_a_row_cut_off_by_a_kill_are_dropped(
    tmp_path: Path, no_tensorboard: None
) -> None:
    log = opened(tmp_path, 0)
    for step in (5, 10, 15):
        log.write(row(step, total=1.0))
    path = tmp_path / "log.csv"
    path.write_text(path.read_text() + "20,coa")
    opened(tmp_path, 10).write(row(12, total=2.0))
    assert [line.partition(",")[0] for line in path.read_text().splitlines()] == [
        "step", "5", "10", "12",
    ]  # fmt: skip


def test_without_tensorboard_it_is_said_where_the_log_is(
    tmp_path: Path, no_tensorboard: None
) -> None:
    progress = Kept()
    opened(tmp_path, 0, progress).close()
    assert progress.said == [
        "TensorBoard is not installed (extra 'drn'): losses go to log.csv, samples to samples/."
    ]
    assert not (tmp_path / "tensorboard").exists()


def test_with_tensorboard_losses_and_samples_are_there(tmp_path: Path) -> None:
    name = "tensorboard.backend.event_processing.event_accumulator"
    reader = pytest.importorskip(name, reason="TensorBoard is not installed")
    log = opened(tmp_path, 0)
    log.write(row(5, total=1.5))
    log.image(np.zeros((8, 8, 3), np.uint8), tmp_path / "samples" / "one.png", 5)
    log.close()
    events = reader.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("total")] == [(5, 1.5)]
    assert [e.step for e in events.Images("samples")] == [5]


def test_a_png_has_its_pixels_and_its_texts() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(png_bytes(pixels, text={"key": "value"}))) as image:
        assert image.info["key"] == "value"
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_limb_is_drawn_along_its_bone_and_nowhere_else() -> None:
    points = np.full((18, 2), np.nan)
    points[[2, 3]] = [[10, 20], [30, 20]]  # right upper arm
    drawing = draw_skeleton(points, 80, 60)
    assert drawing.shape == (80, 60, 3)
    rows, columns = np.nonzero(drawing.any(axis=2))
    assert (rows.min(), rows.max()) == (19, 21)
    assert (columns.min(), columns.max()) == (9, 31)
    assert len(np.unique(drawing[20, 12:28].reshape(-1, 3), axis=0)) == 1


def test_limbs_have_colours_of_their_own() -> None:
    colours = set()
    for start, end in LIMBS:
        points = np.full((18, 2), np.nan)
        points[[start, end]] = [[10, 10], [10, 30]]
        colours.add(tuple(draw_skeleton(points, 40, 20)[20, 10].tolist()))
    assert len(colours) == len(LIMBS)


def test_a_limb_without_one_end_or_without_length_breaks_nothing() -> None:
    points = np.full((18, 2), np.nan)
    points[1] = [5, 5]
    assert not draw_skeleton(points, 10, 10).any()
    points[2] = [5, 5]
    assert draw_skeleton(points, 10, 10)[5, 5].any()


def test_a_grid_has_a_column_per_kind_and_a_row_per_pair() -> None:
    columns = [np.full((2, 4, 3, 3), value, np.uint8) for value in (10, 20, 30)]
    columns[1][1] = 77
    grid = grid_of(columns)
    assert grid.shape == (2 * 4 + 2, 3 * 3 + 2 * 2, 3)
    assert grid[0, 0, 0] == 10
    assert grid[6, 5, 0] == 77
    assert (grid[4:6] == 255).all()


def test_training_draws_source_pose_coarse_final_and_truth(tmp_path: Path) -> None:
    data = training_pairs(draw_folder(tmp_path / "data", identities=2))
    train(Plan(configuration(), tmp_path / "out", 4, sample_every=2), data, CPU)
    folder = tmp_path / "out" / "samples"
    assert [path.name for path in sorted(folder.iterdir())] == [
        "step-00000002.png", "step-00000004.png",
    ]  # fmt: skip
    with Image.open(folder / "step-00000004.png") as opened:
        grid = np.asarray(opened)
    assert grid.shape == (6 * 34 - 2, 5 * 26 - 2, 3)
    first = data.people[data.pairs[0, 0]].file
    assert first is not None
    with Image.open(first.ref.path) as opened:
        wanted = np.asarray(opened.resize((24, 32), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(grid[:32, :24], wanted)
    assert (grid[:32, 26:50].max(axis=2) == 0).mean() > 0.5  # limbs on black
