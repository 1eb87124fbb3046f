"""Data folders: what is recognised, and what is said of what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError
from fhpt_eval.keypoints import annotation_csv
from fhpt_eval.pairs.lists import read_pairs
from fhpt_eval.reference_models.drn.data.batches import Batches, Cached, Decoded, open_pixels
from fhpt_eval.reference_models.drn.data.pairs import read_data
from tests.support import field_names as field
from tests.support.drn import CPU, draw_folder, training_pairs


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """A copy of the drawn folder that a test may spoil."""
    return Path(shutil.copytree(drawn, tmp_path / "data"))


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def points(seed: int, width: float = 20.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).uniform(2, width, (18, 2))


def write_folder(
    root: Path, prefix: str, images: dict[str, str], pairs: list[tuple[str, str]]
) -> Path:
    """Lay out images of 64 x 32 (file by name in the lists) with lists of one prefix."""
    for file in images.values():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(len(file)).integers(0, 256, (64, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / file)
    known = {name: points(number) for number, name in enumerate(images)}
    (root / f"{prefix}-annotation-train.csv").write_text(annotation_csv(known))
    rows = "".join(f"{source},{target}\n" for source, target in pairs)
    (root / f"{prefix}-pairs-train.csv").write_text(f"from,to\n{rows}")
    return root


def test_mannequin_is_read_with_all_pairs_of_its_list(drawn: Path) -> None:
    data = training_pairs(drawn)
    assert len(data) == 36
    assert len(data.people) == 12
    assert data.lists.pairs.name == "fasion-resize-pairs-train.csv"
    assert data.notes == ()
    assert {person.size for person in data.people} == {(48, 32)}
    first = (drawn / "fasion-resize-pairs-train.csv").read_text().splitlines()[1].split(",")
    assert [f"{data.people[n].name}.jpg" for n in data.pairs[0]] == first


@pytest.mark.parametrize(
    ("prefix", "place"),
    [
        ("fasion-resize", "train/"),
        ("fasion", "images/"),
        ("fashion", "img/"),
        ("market", "train/"),
        ("market", ""),
        ("fasion-resize", "test/"),
    ],
)
def test_the_fields_layouts_are_recognised(prefix: str, place: str, tmp_path: Path) -> None:
    names = ("0001_c1s1_000151_01.jpg", "0001_c2s1_000301_01.jpg")
    files = {name: place + name.replace(".jpg", ".png") for name in names}
    root = write_folder(tmp_path / "data", prefix, files, [names])
    data = read_data(root, "train")
    assert [person.name for person in data.people] == [name[:-4] for name in names]


def test_names_with_folders_are_found_below_the_folder(tmp_path: Path) -> None:
    names = ("WOMEN/Denim/id_01/01_1_front.jpg", "WOMEN/Denim/id_01/01_2_side.jpg")
    root = write_folder(tmp_path / "data", "fashion", {n: f"img/{n}" for n in names}, [names])
    assert read_data(root, "train").people[0].name == names[0][:-4]


@pytest.mark.parametrize("spelling", [field.flat, field.posegan, field.multimodal, field.tree])
def test_lists_may_spell_deepfashions_names_otherwise_than_the_files(
    spelling: field.Spelling, tmp_path: Path
) -> None:
    listed = (f"{spelling(0)}.jpg", f"{spelling(1)}.jpg")
    files = {name: f"img/{field.tree(n)}.png" for n, name in enumerate(listed)}
    root = write_folder(tmp_path / "data", "fashion", files, [listed])
    (root / "fashion-annotation-train.csv").write_text(
        annotation_csv({field.flat(n): points(n) for n in range(2)})
    )
    files_read = [person.file for person in read_data(root, "train").people]
    assert {file.ref.path for file in files_read if file} == {
        root / "img" / f"{field.tree(n)}.png" for n in range(2)
    }


def test_the_splits_own_folder_comes_first(tmp_path: Path) -> None:
    names = ("a.png", "b.png")
    root = write_folder(tmp_path / "data", "fashion", {n: f"train/{n}" for n in names}, [names])
    (root / "test").mkdir()
    Image.new("RGB", (32, 64)).save(root / "test" / "a.png")
    file = read_data(root, "train").people[0].file
    assert file is not None
    assert file.ref.path == root / "train" / "a.png"


def test_key_points_may_be_openposes_json(drawn: Path, tmp_path: Path) -> None:
    data = training_pairs(drawn)
    for person in data.people:
        flat = [[0.0, 0.0, 0.0] if np.isnan(x) else [x, y, 1.0] for x, y in person.points]
        text = json.dumps({"people": [{"pose_keypoints_2d": [x for joint in flat for x in joint]}]})
        (tmp_path / f"{person.name}_keypoints.json").write_text(text)
    again = read_data(drawn, "train", keypoints=tmp_path)
    assert again.digest == data.digest


def test_missing_lists_are_named_with_what_is_there(drawn: Path) -> None:
    with pytest.raises(InputError, match=r"no pairs of the split 'val'.*There are: fasion-resize-"):
        read_data(drawn, "val")


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data: there is no folder"):
        read_data(tmp_path / "nowhere", "train")


def test_a_split_is_no_pattern_and_no_path(drawn: Path) -> None:
    with pytest.raises(InputError, match="--split"):
        read_data(drawn, "../train")


def test_missing_files_stop_it_and_all_are_listed(folder: Path) -> None:
    gone = sorted((folder / "train").iterdir())[:2]
    for path in gone:
        path.unlink()
    with pytest.raises(InputError) as caught:
        training_pairs(folder)
    text = str(caught.value)
    assert "10 of 36 pairs lack something" in text
    for path in gone:
        assert f"{path.stem}: there is no such image" in text
    assert "line" in text
    assert "--allow-missing" in text


def test_allow_missing_leaves_those_pairs_out_and_says_so(folder: Path) -> None:
    gone = min((folder / "train").iterdir())
    gone.unlink()
    data = read_data(folder, "train", allow_missing=True)
    assert len(data) == 30
    assert gone.stem not in {person.name for person in data.people}
    assert "6 pairs are left out" in data.notes[0]
    assert gone.stem in data.left_out[0]


def test_when_nothing_is_left_even_allow_missing_stops(folder: Path) -> None:
    shutil.rmtree(folder / "train")
    with pytest.raises(InputError, match="No pair is left"):
        read_data(folder, "train", allow_missing=True)


def test_a_truncated_image_is_named_with_its_reason(folder: Path) -> None:
    path = min((folder / "train").iterdir())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=rf"{path.stem}: its file is truncated"):
        training_pairs(folder)


def test_two_files_of_one_name_are_no_choice(folder: Path) -> None:
    path = min((folder / "train").iterdir())
    Image.new("RGB", (32, 48)).save(path.with_suffix(".png"))
    with pytest.raises(InputError, match="is there twice"):
        training_pairs(folder)


def test_a_target_that_cannot_be_read_is_told_even_where_targets_need_no_image(
    folder: Path,
) -> None:
    target = read_pairs(folder / "fasion-resize-pairs-train.csv")[0].target
    path = next(path for path in (folder / "train").iterdir() if path.stem == target)
    refused = path.with_suffix(".gif")
    path.rename(refused)
    with pytest.raises(InputError, match=r"is \.gif, which is not read"):
        read_data(folder, "train", targets=False)
    refused.rename(path)
    Image.new("RGB", (32, 48)).save(path.with_suffix(".bmp"))
    with pytest.raises(InputError, match="is there twice"):
        read_data(folder, "train", targets=False)


def test_an_image_without_key_points_is_named(folder: Path) -> None:
    path = folder / "fasion-resize-annotation-train.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]))
    name = lines[1].partition(".jpg")[0]
    with pytest.raises(InputError, match=f"{name}: has no key points in"):
        training_pairs(folder)


def blank(folder: Path, name: str) -> None:
    """Make all joints of an image missing."""
    path = folder / "fasion-resize-annotation-train.csv"
    nothing = str([-1] * 18)
    path.write_text(
        "".join(
            f"{line.partition(':')[0]}: {nothing}: {nothing}\n" if line.startswith(name) else line
            for line in path.read_text().splitlines(keepends=True)
        )
    )


def test_a_person_without_joints_can_be_a_source_and_no_target(folder: Path) -> None:
    name = min((folder / "train").iterdir()).stem
    blank(folder, name)
    with pytest.raises(InputError, match=rf"3 of 36 pairs lack something:\n  {name}: has no joint"):
        training_pairs(folder)
    data = read_data(folder, "train", allow_missing=True)
    names = [[data.people[n].name for n in pair] for pair in data.pairs]
    assert name in {source for source, _ in names}
    assert name not in {target for _, target in names}


def test_a_bad_row_is_named_by_its_line(folder: Path) -> None:
    path = folder / "fasion-resize-pairs-train.csv"
    path.write_text(path.read_text() + "only_one_name.jpg\n")
    with pytest.raises(InputError, match="line 38: a name is missing"):
        training_pairs(folder)


def test_a_list_without_sources_is_refused(folder: Path) -> None:
    path = folder / "pairs.csv"
    path.write_text("generated,ground_truth\na,b\n")
    with pytest.raises(InputError, match="line 2: has no source"):
        read_data(folder, "train", pairs=path)


def test_a_pair_that_stands_twice_counts_once(folder: Path) -> None:
    path = folder / "fasion-resize-pairs-train.csv"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[1]]))
    data = training_pairs(folder)
    assert len(data) == 36
    assert "1 rows repeat a pair" in data.notes[0]


def test_key_points_of_a_wider_frame_are_refused(folder: Path) -> None:
    path = folder / "fasion-resize-annotation-train.csv"
    moved = {
        person.name: person.points + np.array([40.0, 0.0])
        for person in training_pairs(folder).people
    }
    path.write_text(annotation_csv(moved))
    with pytest.raises(InputError, match=r"images have joints outside of the image.*--keypoints"):
        training_pairs(folder)


def test_a_few_joints_outside_of_their_image_count_as_missing(folder: Path) -> None:
    path = folder / "fasion-resize-annotation-train.csv"
    people = training_pairs(folder).people
    moved = {person.name: person.points.copy() for person in people}
    joint = int(np.flatnonzero(~np.isnan(people[0].points[:, 0]))[0])
    moved[people[0].name][joint] = (-7, 5)
    path.write_text(annotation_csv(moved))
    data = training_pairs(folder)
    assert np.isnan(data.people[0].points[joint]).all()
    assert "1 images have joints outside" in data.notes[0]


def test_a_target_whose_joints_all_lie_outside_of_it_has_no_pose(folder: Path) -> None:
    path = folder / "fasion-resize-annotation-train.csv"
    people = training_pairs(folder).people
    moved = {person.name: person.points.copy() for person in people}
    moved[people[0].name] += 1000
    path.write_text(annotation_csv(moved))
    with pytest.raises(InputError, match=rf"{people[0].name}: has no joint in the image"):
        training_pairs(folder)


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg"])
def test_names_that_lead_out_of_the_folder_are_refused_with_their_line(
    name: str, folder: Path
) -> None:
    (folder / "mine.csv").write_text(f"from,to\na.jpg,{name}\n")
    with pytest.raises(InputError, match=r"mine\.csv, line 2: '.*' leads out of the folder"):
        read_data(folder, "train", pairs=folder / "mine.csv", targets=False)


@pytest.mark.parametrize("limit", [None, 0])
def test_images_that_only_decoding_finds_damaged_are_listed_together(
    limit: int | None, folder: Path, pool: ThreadPoolExecutor
) -> None:
    """Whether memory holds all images or not."""
    paths = sorted((folder / "train").iterdir())[:2]
    for path in paths:
        broken = bytearray(path.read_bytes())
        start = broken.index(b"\xff\xc4") + 5  # the Huffman table's counts
        broken[start : start + 16] = b"\xff" * 16
        path.write_bytes(broken)
    data = training_pairs(folder)
    with pytest.raises(InputError) as caught:
        open_pixels(data.people, 24, 18, device=CPU, pool=pool, progress=Progress(), limit=limit)
    assert "2 images cannot be decoded" in str(caught.value)
    assert all(str(path) in str(caught.value) for path in paths)


def test_a_target_without_an_image_is_as_large_as_its_source(folder: Path) -> None:
    path = min((folder / "train").iterdir())
    row = f"{sorted((folder / 'train').iterdir())[1].name},{path.name}"
    path.unlink()
    (folder / "one.csv").write_text(f"from,to\n{row}\n")
    data = read_data(folder, "train", pairs=folder / "one.csv", targets=False)
    target = data.people[data.pairs[0, 1]]
    assert target.file is None
    assert target.size == (48, 32)


def test_the_digest_is_of_contents_and_not_of_places(drawn: Path, folder: Path) -> None:
    before = training_pairs(drawn).digest
    (folder / "train").rename(folder / "images")
    assert training_pairs(folder).digest == before


@pytest.mark.parametrize("change", ["image", "joint", "pair"])
def test_the_digest_changes_with_every_part(change: str, drawn: Path, folder: Path) -> None:
    if change == "image":
        path = min((folder / "train").iterdir())
        with Image.open(path) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    elif change == "joint":
        path = folder / "fasion-resize-annotation-train.csv"
        path.write_text(path.read_text().replace("11", "12"))
    else:
        path = folder / "fasion-resize-pairs-train.csv"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert training_pairs(folder).digest != training_pairs(drawn).digest


def test_cached_and_decoded_pixels_are_the_same(drawn: Path, pool: ThreadPoolExecutor) -> None:
    people = training_pairs(drawn).people
    kinds = [
        open_pixels(people, 24, 18, device=CPU, pool=pool, progress=Progress(), limit=limit)
        for limit in (None, 0)
    ]
    assert [type(kind) for kind in kinds] == [Cached, Decoded]
    places = np.array([3, 0, 3, 11])
    one, other = (kind(places) for kind in kinds)
    assert one.shape == (4, 3, 24, 18)
    assert one.equal(other)


def test_a_batch_is_in_the_frame_of_the_working_size(drawn: Path, pool: ThreadPoolExecutor) -> None:
    data = training_pairs(drawn)
    batch = Batches(data, Decoded(data.people, 96, 128, pool), 96, 128)(np.array([0, 5]))
    assert batch.source.shape == (2, 3, 96, 128)
    source = data.people[data.pairs[5, 0]]
    # 48 x 32 became 96 x 128; a pixel's centre lies half a pixel behind its edge.
    wanted = torch.from_numpy((source.points + 0.5) * [4, 2] - 0.5).float()
    torch.testing.assert_close(batch.source_points[1], wanted, equal_nan=True)


def test_a_file_that_changes_after_it_was_checked_is_told(
    folder: Path, pool: ThreadPoolExecutor
) -> None:
    data = training_pairs(folder)
    file = data.people[0].file
    assert file is not None
    Image.new("RGB", (32, 48)).save(file.ref.path)
    with pytest.raises(InputError, match="changed while"):
        Decoded(data.people, 32, 24, pool)(np.array([0]))
