"""The step ``mask``: whose pose, which level, and nothing without key points."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fhpt_eval
from fhpt_eval.errors import ArgumentError, InputError, UnavailableError
from fhpt_eval.images.preparation import Names, prepare
from fhpt_eval.keypoints import Keypoints, annotation_csv
from fhpt_eval.keypoints.mask import Mask
from fhpt_eval.keypoints.pose_mask import pose_mask
from fhpt_eval.protocol import parse_protocol
from tests.support.photographs import PairFolders

Maker = Callable[..., PairFolders]
Pixels = NDArray[np.uint8]

WHITE = np.full((64, 44, 3), 200, np.uint8)
NAMES = Names("target", "source")


def points(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform((4, 4), (40, 60), size=(18, 2)).round()


@pytest.fixture
def csv(tmp_path: Path) -> str:
    """Annotated poses of a target, a source, and of the pairs that ``make_pairs`` writes."""
    names = ["target", "source", *(f"person{n:04d}" for n in range(20))]
    keypoints = Keypoints({name: points(at) for at, name in enumerate(names)})
    file = tmp_path / "points.csv"
    file.write_text(annotation_csv(keypoints))
    return str(file)


def test_what_is_far_from_the_pose_is_blank_and_the_rest_is_kept(csv: str) -> None:
    masked = Mask(keypoints=csv).apply_to(WHITE, NAMES)
    mask = pose_mask(points(0), 64, 44)
    assert (masked[mask] == 200).all()
    assert (masked[~mask] == 0).all()
    assert masked.dtype == np.uint8
    assert (WHITE == 200).all()


def test_the_sources_pose_is_another_mask(csv: str) -> None:
    masked = Mask(keypoints=csv, pose="source").apply_to(WHITE, NAMES)
    assert ((masked[..., 0] > 0) == pose_mask(points(1), 64, 44)).all()


def test_a_level_between_two_whole_ones_leaves_floats(csv: str) -> None:
    masked = Mask(keypoints=csv, fill=127.5).apply_to(WHITE, NAMES)
    assert masked.dtype == np.float32
    assert set(np.unique(masked)) == {127.5, 200.0}


def test_the_form_is_that_of_the_mask(csv: str) -> None:
    masked = Mask(keypoints=csv, form="intrinsic-flow").apply_to(WHITE, NAMES)
    assert ((masked[..., 0] > 0) == pose_mask(points(0), 64, 44, "intrinsic-flow")).all()


def test_no_library_has_a_say_in_it(csv: str) -> None:
    assert Mask(keypoints=csv).software() == {}


def test_it_goes_by_the_order_of_steps_and_by_sides(csv: str) -> None:
    step = Mask(keypoints=csv, of=("generated",))
    assert (prepare(WHITE, [step], "ground_truth", NAMES) == WHITE).all()
    assert (prepare(WHITE, [step], "generated", NAMES) != WHITE).any()


def test_without_key_points_or_names_there_is_no_mask(csv: str) -> None:
    assert Mask().lacks() == "needs the targets' key points (--keypoints)"
    with pytest.raises(ArgumentError, match="needs the targets' key points"):
        Mask().apply_to(WHITE, NAMES)
    with pytest.raises(ArgumentError, match="names of the pair"):
        Mask(keypoints=csv).apply(WHITE)


def test_its_content_counts_and_not_where_it_lies(csv: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_text(Path(csv).read_text())
    assert Mask(keypoints=csv).canonical() == Mask(keypoints=str(copy)).canonical()
    copy.write_text(annotation_csv(Keypoints({"target": points(9)})))
    assert Mask(keypoints=csv).canonical() != Mask(keypoints=str(copy)).canonical()


TEXT = """
id = "masked"
[metrics.psnr]
[metrics.psnr_masked]
metric = "psnr"
prepare = [{ step = "mask" }]
"""


def run(folders: PairFolders, **options: Any) -> Any:
    protocol = parse_protocol(TEXT, "masked.toml")
    return fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=protocol, name="ours", **options
    )


def test_a_run_scores_masked_images_with_the_key_points_that_it_is_given(
    make_pairs: Maker, csv: str
) -> None:
    result = run(make_pairs(8), keypoints=csv)
    assert result.protocol.id == "masked+keypoints"
    plain, masked = (result.pairs[name] for name in ("psnr", "psnr_masked"))
    assert (masked > plain).all()  # what is blank on both sides has no error


def test_a_run_without_key_points_says_so_and_goes_on(make_pairs: Maker) -> None:
    result = run(make_pairs(3))
    assert result.scores["psnr"].value is not None
    assert result.scores["psnr_masked"].reason == "needs the targets' key points (--keypoints)"
    with pytest.raises(UnavailableError, match="--keypoints"):
        run(make_pairs(3, root="again"), metrics="psnr_masked")


def test_targets_that_are_not_annotated_are_refused_before_any_work(
    make_pairs: Maker, tmp_path: Path
) -> None:
    file = tmp_path / "few.csv"
    file.write_text(annotation_csv(Keypoints({"person0000": points(0)})))
    with pytest.raises(InputError, match="lacks 2 of 3 images"):
        run(make_pairs(3), keypoints=file, out=tmp_path / "out")
    assert not (tmp_path / "out" / "result.json").exists()


def test_features_of_equal_images_with_other_poses_are_not_mixed_up(
    make_pairs: Maker, csv: str, tmp_path: Path
) -> None:
    """All generated images are the same file, and only the masks tell them apart."""
    from fhpt_eval.protocol import Entry, Protocol
    from tests.support.patches import PatchFID

    folders = make_pairs(6)
    first = (folders.generated / "person0000.png").read_bytes()
    for file in folders.generated.iterdir():
        file.write_bytes(first)
    entry = Entry("fid", PatchFID(), (Mask(keypoints=csv, of=("generated",)),))
    protocol = Protocol("toy", "", "", (), (entry,))
    values = [
        fhpt_eval.evaluate(
            folders.generated, folders.ground_truth, protocol=protocol, name="ours",
            out=tmp_path / name, cache=tmp_path / "cache",
        ).scores["fid"].value
        for name in ("one", "two")
    ]  # fmt: skip
    assert values[0] == values[1]
    table = json.loads((tmp_path / "one" / "result.json").read_text())
    unmasked = fhpt_eval.evaluate(
        folders.generated, folders.ground_truth,
        protocol=Protocol("toy", "", "", (), (Entry("fid", PatchFID(), ()),)), name="ours",
    )  # fmt: skip
    assert table["scores"]["fid"]["value"] != unmasked.scores["fid"].value


def test_key_points_that_change_give_other_masks_in_the_same_process(csv: str) -> None:
    before = Mask(keypoints=csv).apply_to(WHITE, NAMES)
    Path(csv).write_text(annotation_csv(Keypoints({"target": points(9)})))
    after = Mask(keypoints=csv).apply_to(WHITE, NAMES)
    assert ((after[..., 0] > 0) == pose_mask(points(9), 64, 44)).all()
    assert (before != after).any()


def test_poses_are_checked_in_the_images_as_they_are_at_the_step(
    make_pairs: Maker, csv: str
) -> None:
    """A crop after the mask cuts joints off, which is no fault."""
    text = TEXT.replace(
        '{ step = "mask" }', '{ step = "mask" }, { step = "crop", right = 20, bottom = 20 }'
    )
    folders = make_pairs(3)
    result = fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=parse_protocol(text, "m.toml"),
        keypoints=csv, name="ours",
    )  # fmt: skip
    assert result.scores["psnr_masked"].n == 3


def test_images_that_belong_to_no_pair_cannot_be_masked(make_pairs: Maker, csv: str) -> None:
    from fhpt_eval.protocol import Entry, Protocol
    from tests.support.patches import PatchFID

    folders = make_pairs(4)
    metric = PatchFID(reference=str(folders.ground_truth))
    protocol = Protocol("toy", "", "", (), (Entry("fid", metric, (Mask(keypoints=csv),)),))
    with pytest.raises(InputError, match="'mask' needs the names of a pair"):
        fhpt_eval.evaluate(folders.generated, folders.ground_truth, protocol=protocol)
