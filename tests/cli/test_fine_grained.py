"""One command reports joints, faces and retrieval next to the others, and says what each lacks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support.command import Finished, fhpt_eval
from tests.support.photographs import crops, spoilt
from tests.support.random_openpose import write_openpose

Pixels = NDArray[np.uint8]
ITEMS = [f"fashionWOMENDressesid0000{item:04d}01" for item in range(6)]


@dataclass(frozen=True)
class Transfers:
    """Pairs with names in DeepFashion's style: the front view of an item from its side view."""

    generated: Path
    test: Path
    sources: Path

    def run(self, out: Path, *arguments: str | Path) -> Finished:
        """Score them."""
        return fhpt_eval(
            "run", "--pred", self.generated, "--gt", self.test, "--out", out, *arguments
        )


@pytest.fixture
def transfers(tmp_path: Path, photographs: dict[str, Pixels]) -> Transfers:
    made = Transfers(tmp_path / "generated", tmp_path / "test", tmp_path / "sources")
    for folder in (made.generated, made.test, made.sources):
        folder.mkdir()
    for number, (item, image) in enumerate(zip(ITEMS, crops(photographs, 6, 128, 88), strict=True)):
        Image.fromarray(image).save(made.test / f"{item}_1front.png")
        Image.fromarray(image[:, ::-1]).save(made.sources / f"{item}_2side.png")
        name = f"{item}_2side_2_{item}_1front_vis.png"
        Image.fromarray(spoilt(image, number)).save(made.generated / name)
    return made


def scores(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "result.json").read_text())["scores"]
    return found


def test_with_source_images_all_three_stand_next_to_the_others(
    transfers: Transfers, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    finished = transfers.run(out, "--source", transfers.sources)
    assert finished.status == 3
    found = scores(out)
    assert found["ssim"]["value"] is not None
    assert found["retrieval.recall@1"]["value"] == 1.0  # a mirrored view of the item is there
    assert found["face_identity.rate"]["value"] is not None or found["face_identity.rate"]["reason"]
    assert "fhpt-eval weights pull openpose-coco18" in found["joints.pckh"]["reason"]
    assert "Unavailable: joints: needs the weights openpose-coco18" in finished.err
    columns = (out / "pairs.csv").read_text().splitlines()[0].split(",")
    assert {"ssim", "retrieval.recall@10", "face_identity.distance"} <= set(columns)


def test_without_source_images_retrieval_says_so_and_the_run_goes_on(
    transfers: Transfers, tmp_path: Path
) -> None:
    finished = transfers.run(tmp_path / "out")
    assert finished.status == 3
    found = scores(tmp_path / "out")
    assert found["retrieval.map"]["reason"] == (
        "needs source images, and 6 of 6 pairs have none (--source, or --gallery)"
    )
    assert found["psnr"]["value"] is not None


def test_names_without_items_are_told(transfers: Transfers, tmp_path: Path) -> None:
    for number, item in enumerate(ITEMS):
        (transfers.test / f"{item}_1front.png").rename(transfers.test / f"t{number}.png")
        (transfers.sources / f"{item}_2side.png").rename(transfers.sources / f"s{number}.png")
        name = f"{item}_2side_2_{item}_1front_vis.png"
        (transfers.generated / name).rename(transfers.generated / f"s{number}_2_t{number}_vis.png")
    finished = transfers.run(tmp_path / "out", "--source", transfers.sources)
    assert finished.status == 3
    reason = scores(tmp_path / "out")["retrieval.recall@5"]["reason"]
    assert reason.startswith("needs item ids, and 6 of 6 pairs have none")


def test_a_gallery_takes_the_place_of_the_source_images(
    transfers: Transfers, tmp_path: Path
) -> None:
    finished = transfers.run(
        tmp_path / "out", "--metrics", "retrieval", "--gallery", transfers.sources
    )
    assert finished.status == 3  # in so small a gallery the first ten are all of it
    found = scores(tmp_path / "out")
    assert found["retrieval.recall@1"]["value"] == 1.0
    size = int(found["retrieval.gallery"]["value"])
    told = f"the gallery has {size} images, so k = 10 is always met"
    assert found["retrieval.recall@10"]["reason"] == told
    table = json.loads((tmp_path / "out" / "result.json").read_text())
    assert table["protocol"]["id"] == "fhpt+gallery"


def test_joints_are_computed_where_there_are_weights(transfers: Transfers, tmp_path: Path) -> None:
    weights = write_openpose(tmp_path / "random.pth")
    protocol = tmp_path / "own.toml"
    protocol.write_text(
        f'id = "own"\n[metrics.l1]\n[metrics.joints]\nnetwork_weights = "{weights}"\n'
    )
    for folder in (transfers.test, transfers.generated):
        for file in list(folder.iterdir())[1:]:  # the network takes a second an image
            file.unlink()
    keep = next(transfers.generated.iterdir()).name.partition("_2_")[2].removesuffix("_vis.png")
    next(transfers.test.iterdir()).rename(transfers.test / f"{keep}.png")
    finished = transfers.run(tmp_path / "out", "--protocol", protocol)
    found = scores(tmp_path / "out")
    assert finished.status == (3 if any(one["value"] is None for one in found.values()) else 0)
    # Random weights see somebody, or nobody.
    assert found["joints.in_target"]["n"] == found["joints.in_target"]["coverage"] == 1
    for one in found.values():
        assert (one["value"] is None) != (one["reason"] is None)
    assert found["l1"]["value"] is not None


def test_key_points_that_lack_a_target_are_refused_before_any_work(
    transfers: Transfers, tmp_path: Path
) -> None:
    csv = tmp_path / "points.csv"
    joints = "[" + ", ".join(["5"] * 18) + "]"
    csv.write_text(f"name:keypoints_y:keypoints_x\n{ITEMS[0]}_1front.png: {joints}: {joints}\n")
    finished = transfers.run(tmp_path / "out", "--metrics", "joints", "--keypoints", csv)
    assert finished.status == 2
    assert "lacks 5 of 6 images" in finished.err
    assert not (tmp_path / "out" / "result.json").exists()
