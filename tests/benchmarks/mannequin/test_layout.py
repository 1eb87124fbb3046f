"""The set as files: DeepFashion's layout, and the same bytes whoever writes them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from fhpt_eval.benchmarks.mannequin import LABELS, SEEN, Settings, write_benchmark
from fhpt_eval.benchmarks.mannequin.layout import Written
from fhpt_eval.cli.benchmark import benchmark
from fhpt_eval.errors import ArgumentError
from fhpt_eval.images.listing import find_images
from fhpt_eval.keypoints import read_annotation_csv
from fhpt_eval.pairs.lists import read_pairs
from fhpt_eval.pairs.naming import item_of

#: The digest of 6 identities of seed 1 at 128 x 64. It changes with VERSION, and only with it.
PINNED = "99b7ec774b13d53f35424079dc81d732a6af022aca386fb31965a1066b75f08f"
SMALL = Settings(identities=6, seed=1, height=128, width=64)

Set = tuple[Path, Written]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Set:
    out = tmp_path_factory.mktemp("mannequin") / "set"
    return out, write_benchmark(out, SMALL)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_digest_is_the_pinned_one(made: Set) -> None:
    assert made[1].digest == PINNED


def test_two_workers_write_the_same_bytes(made: Set, tmp_path: Path) -> None:
    again = write_benchmark(tmp_path / "set", SMALL, workers=2)
    assert again == made[1]
    assert contents(tmp_path / "set") == contents(made[0])


def test_another_seed_gives_another_set(made: Set, tmp_path: Path) -> None:
    assert (
        write_benchmark(
            tmp_path / "set", Settings(identities=2, seed=2, height=128, width=64)
        ).digest
        != made[1].digest
    )


def test_a_reader_of_the_fields_lists_loads_it(made: Set) -> None:
    """Written from protocols.md, section 4, alone; nothing of the package is used."""
    out, _ = made
    pattern = re.compile(r"fashion(MEN|WOMEN)[A-Za-z_]+id\d{8}\d{2}_\d"
                         r"(front|side|back|additional|full|flat)\.jpg")  # fmt: skip
    for split in ("train", "test"):
        points = {}
        lines = (out / f"fasion-resize-annotation-{split}.csv").read_text().splitlines()
        assert lines[0] == "name:keypoints_y:keypoints_x"
        for line in lines[1:]:
            name, y, x = line.split(":")
            points[name] = np.array([json.loads(y), json.loads(x)])
            assert points[name].shape == (2, 18)
        with (out / f"fasion-resize-pairs-{split}.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows
        for row in rows:
            assert row["from"] != row["to"]
            for name in (row["from"], row["to"]):
                assert pattern.fullmatch(name)
                image = np.asarray(Image.open(out / split / name))
                assert image.shape == (128, 64, 3)
                assert (points[name] < [[128], [64]]).all()
                assert (points[name] >= -1).all()


def test_our_own_readers_load_it(made: Set) -> None:
    out, written = made
    for split in ("train", "test"):
        images = find_images(out / split, "images")
        rows = read_pairs(out / f"fasion-resize-pairs-{split}.csv")
        points = read_annotation_csv(out / f"fasion-resize-annotation-{split}.csv")
        assert len(images) == len(points) == written.images[split]
        assert len(rows) == written.pairs[split]
        assert set(images) == set(points)
        for row in rows:
            assert row.source is not None
            assert item_of(row.source) == item_of(row.target) is not None


def test_train_and_test_share_no_item(made: Set) -> None:
    items = [
        {
            item_of(name.removesuffix(".jpg"))
            for name in (made[0] / f"{split}.lst").read_text().split()
        }
        for split in ("train", "test")
    ]
    assert items[0]
    assert items[1]
    assert not items[0] & items[1]


def test_the_sidecar_agrees_with_the_lists(made: Set) -> None:
    out, written = made
    about = json.loads((out / "mannequin" / "about.json").read_text())
    assert about["digest"] == written.digest
    assert about["labels"] == list(LABELS)
    for split in ("train", "test"):
        points = read_annotation_csv(out / f"fasion-resize-annotation-{split}.csv")
        lines = (out / "mannequin" / f"truth-{split}.jsonl").read_text().splitlines()
        assert len(lines) == written.images[split]
        for line in lines:
            truth = json.loads(line)
            stem = truth["name"].removesuffix(".jpg")
            assert truth["item"] == item_of(stem)
            parsing = np.asarray(Image.open(out / "mannequin" / f"parsing-{split}" / f"{stem}.png"))
            assert parsing.shape == (128, 64)
            assert parsing.dtype == np.uint8
            for (x, y, seen), listed in zip(truth["keypoints"], points[stem], strict=True):
                assert np.isnan(listed[0]) == (seen != SEEN)
                if seen == SEEN:
                    assert abs(listed[0] - x) <= 0.5
                    assert abs(listed[1] - y) <= 0.5


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match="not empty"):
        write_benchmark(tmp_path, Settings(identities=2, seed=0))


def test_a_set_that_is_there_is_not_drawn_again(made: Set) -> None:
    before = {path: path.stat().st_mtime_ns for path in made[0].rglob("*")}
    assert write_benchmark(made[0], SMALL) == made[1]
    assert {path: path.stat().st_mtime_ns for path in made[0].rglob("*")} == before


def test_an_interrupted_set_is_completed_to_the_same_bytes(made: Set, tmp_path: Path) -> None:
    out = tmp_path / "set"
    write_benchmark(out, SMALL)
    about = out / "mannequin" / "about.json"
    facts = json.loads(about.read_text())
    for unfinished in ("digest", "joints", "visibility", "labels", "images", "pairs"):
        del facts[unfinished]
    about.write_text(json.dumps(facts))
    next((out / "train").iterdir()).unlink()
    assert write_benchmark(out, SMALL) == made[1]
    assert contents(out) == contents(made[0])


def test_a_set_that_lacks_a_file_is_completed(made: Set, tmp_path: Path) -> None:
    out = tmp_path / "set"
    write_benchmark(out, SMALL)
    for lost in ("test.lst", "mannequin/truth-train.jsonl"):
        (out / lost).unlink()
    next((out / "mannequin" / "parsing-test").iterdir()).unlink()
    assert write_benchmark(out, SMALL) == made[1]
    assert contents(out) == contents(made[0])


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "[]", '{"digest": 3}'])
def test_a_file_that_says_nothing_of_the_set_is_somebody_elses(text: str, tmp_path: Path) -> None:
    (tmp_path / "mannequin").mkdir()
    (tmp_path / "mannequin" / "about.json").write_text(text)
    with pytest.raises(ArgumentError, match="does not hold this set"):
        write_benchmark(tmp_path, Settings(identities=2, seed=0))


def test_another_set_is_not_mixed_into_a_folder(made: Set) -> None:
    with pytest.raises(ArgumentError, match="does not hold this set"):
        write_benchmark(made[0], Settings(identities=7, seed=1, height=128, width=64))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("identities", 1),
        ("seed", -1),
        ("height", 8),
        ("width", 5000),
    ],
)
def test_settings_out_of_bounds_are_refused(name: str, value: int) -> None:
    with pytest.raises(ArgumentError, match=f"Settings.{name}: Input should be"):
        Settings(**{"identities": 2, "seed": 0, name: value})


def test_the_command_prints_the_digest_and_writes_a_sheet(tmp_path: Path) -> None:
    options = ["--identities", "2", "--seed", "1", "--size", "64x48", "--workers", "1"]
    sheet = tmp_path / "sheet.png"
    out = tmp_path / "set"
    done = CliRunner().invoke(
        benchmark, ["mannequin", "--out", str(out), *options, "--sheet", str(sheet)]
    )
    assert done.exit_code == 0, done.output
    assert json.loads((out / "mannequin" / "about.json").read_text())["digest"] in done.output
    with Image.open(sheet) as image:
        assert image.size == (2 * 48, 4 * 64)


@pytest.mark.parametrize(
    "options", [[], ["--out", "x", "--size", "256"], ["--out", "x", "--size", "axb"]]
)
def test_usage_that_makes_no_sense_is_refused(options: list[str]) -> None:
    assert CliRunner().invoke(benchmark, ["mannequin", *options]).exit_code == 2
