"""Images of all pairs, under names that say which pair they are, drawn once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError
from fhpt_eval.images.files import ImageRef, check
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders
from fhpt_eval.reference_models.drn.data.folder import Lists
from fhpt_eval.reference_models.drn.data.pairs import PairSet, Person, read_data
from fhpt_eval.reference_models.drn.generate import MARK, PAIRS, file_names, generate
from fhpt_eval.reference_models.drn.model.drn import Model
from fhpt_eval.reference_models.drn.training.checkpoints import Loaded, Record, tensors_digest
from tests.support.drn import CPU, configuration


@pytest.fixture(scope="module")
def data(folder: Path) -> PairSet:
    return read_data(folder, "test", targets=False)


def model(seed: int = 0) -> Loaded:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Model(configuration()).eval().requires_grad_(False)
    record = Record(
        configuration=configuration(), steps=0, data_digest="d" * 64,
        perceptual={"network": "random"}, seconds=0.0, device="cpu",
    )  # fmt: skip

    return Loaded(network, record, tensors_digest(network.state_dict()))


def named(*pairs: tuple[str, str]) -> PairSet:
    """Return pairs of images that exist by name only."""
    names = sorted({name for pair in pairs for name in pair})
    people = tuple(Person(name, None, (8, 8), np.zeros((18, 2))) for name in names)
    rows = np.array([[names.index(s), names.index(t)] for s, t in pairs])
    return PairSet(people, rows, Lists(Path("pairs.csv"), Path("points.csv")))


def part(data: PairSet, rows: slice) -> PairSet:
    return replace(data, pairs=data.pairs[rows])


class Tells(Progress):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)


def test_every_pair_gets_an_image_of_the_datas_size_that_run_matches(
    folder: Path, data: PairSet, tmp_path: Path
) -> None:
    done = generate(model(), data, tmp_path / "out", device=CPU, batch_size=5)
    assert (done.written, done.skipped) == (12, 0)
    assert done.per_second > 0
    matching = match_pairs(Folders(tmp_path / "out", folder / "test", folder / "test"))
    assert (matching.rule, len(matching.pairs), matching.problems) == ("A___B", 12, ())
    wanted = {(data.people[s].name, data.people[t].name) for s, t in data.pairs}
    assert {(pair.source_name, pair.target_name) for pair in matching.pairs} == wanted
    for pair in matching.pairs:
        assert (check(pair.generated).height, check(pair.generated).width) == (48, 32)


def test_pixels_are_the_models_final_image(data: PairSet, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from fhpt_eval.reference_models.drn.data.batches import Batches, Decoded, resized
    from fhpt_eval.reference_models.drn.data.inputs import to_bytes, to_inputs

    loaded = model()
    generate(loaded, data, tmp_path, device=CPU, batch_size=1)
    with ThreadPoolExecutor(1) as pool:
        batch = Batches(data, Decoded(data.people, 32, 24, pool), 32, 24)(np.array([7]))
    final = loaded.model(to_inputs(batch, 2.0, 16)).final
    wanted = resized(to_bytes(final)[0].permute(1, 2, 0).numpy(), 48, 32)
    with Image.open(tmp_path / file_names(data)[7]) as image:
        np.testing.assert_array_equal(np.asarray(image), wanted)


def test_repeating_it_draws_what_is_missing_and_nothing_else(data: PairSet, tmp_path: Path) -> None:
    generate(model(), data, tmp_path, device=CPU)
    names = file_names(data)
    (tmp_path / names[3]).unlink()
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in names if name != names[3]}
    done = generate(model(), data, tmp_path, device=CPU)
    assert (done.written, done.skipped) == (1, 11)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == before


def test_images_of_another_model_are_not_mixed_in(data: PairSet, tmp_path: Path) -> None:
    generate(model(0), data, tmp_path, device=CPU)
    with pytest.raises(InputError, match="12 images that were made by another model"):
        generate(model(1), data, tmp_path, device=CPU)
    done = generate(model(1), data, tmp_path, device=CPU, overwrite=True)
    assert (done.written, done.skipped) == (12, 0)


def test_images_that_another_model_drew_of_other_pairs_are_not_mixed_in(
    data: PairSet, tmp_path: Path
) -> None:
    """Else a run would score the images of both as one method."""
    first, second = part(data, slice(0, 6)), part(data, slice(6, 12))
    generate(model(0), first, tmp_path, device=CPU)
    with pytest.raises(InputError, match="6 images that were made by another model"):
        generate(model(1), second, tmp_path, device=CPU)
    generate(model(1), second, tmp_path, device=CPU, overwrite=True)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted(file_names(second))


def test_images_of_other_pairs_by_the_same_model_stay(data: PairSet, tmp_path: Path) -> None:
    generate(model(), part(data, slice(0, 6)), tmp_path, device=CPU)
    (tmp_path / "own.png").write_bytes(b"")
    told = Tells()
    done = generate(model(), data, tmp_path, device=CPU, progress=told)
    assert (done.written, done.skipped) == (6, 6)
    assert told.messages == [
        f"{tmp_path} also holds 1 images that are of none of these pairs, such as own.png; "
        "fhpt-eval run scores them too if their names match."
    ]


def test_a_replacement_that_is_cut_off_leaves_no_mixture(data: PairSet, tmp_path: Path) -> None:
    generate(model(0), data, tmp_path, device=CPU)

    class Stops(Progress):
        def advance(self, done: int, note: str = "") -> None:
            if done > 4:
                raise KeyboardInterrupt

    other = model(1)
    with pytest.raises(KeyboardInterrupt):
        generate(other, data, tmp_path, device=CPU, batch_size=2, overwrite=True, progress=Stops())
    left = list(tmp_path.glob("*.png"))
    assert 0 < len(left) < 12
    for path in left:
        with Image.open(path) as image:
            assert image.info[MARK].startswith(other.digest)
    assert json.loads((tmp_path / "about.json").read_text())["weights"] == other.digest


def test_a_damaged_image_is_no_image_of_this_model(data: PairSet, tmp_path: Path) -> None:
    generate(model(), data, tmp_path, device=CPU)
    (tmp_path / file_names(data)[0]).write_bytes(b"damaged")
    with pytest.raises(InputError, match="1 images that were made by another"):
        generate(model(), data, tmp_path, device=CPU)


def test_an_image_says_what_it_was_made_from(data: PairSet, tmp_path: Path) -> None:
    generate(model(), data, tmp_path, device=CPU)
    marks = set()
    for name in file_names(data):
        with Image.open(tmp_path / name) as image:
            marks.add(image.info[MARK])
    assert len(marks) == 12
    about = json.loads((tmp_path / "about.json").read_text())
    assert about["weights"] == model().digest
    assert about["pairs"] == data.digest
    assert about["record"]["perceptual"] == {"network": "random"}


def test_targets_need_no_image(folder: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in (folder / "test").iterdir())
    alone = tmp_path / "data"
    (alone / "test").mkdir(parents=True)
    (alone / "test" / names[0]).write_bytes((folder / "test" / names[0]).read_bytes())
    (alone / "fasion-resize-pairs-test.csv").write_text(f"from,to\n{names[0]},{names[1]}\n")
    points = (folder / "fasion-resize-annotation-test.csv").read_text()
    (alone / "fasion-resize-annotation-test.csv").write_text(points)
    data = read_data(alone, "test", targets=False)
    assert generate(model(), data, tmp_path / "out", device=CPU).written == 1
    file = tmp_path / "out" / file_names(data)[0]
    assert (check(ImageRef(file)).height, check(ImageRef(file)).width) == (48, 32)


def test_names_keep_the_targets_folder_so_that_run_finds_it() -> None:
    assert file_names(named(("x/a", "x/b"), ("y/a", "x/b"), ("a", "b"))) == [
        "x/a___b_vis.png",
        "x/y_a___b_vis.png",
        "a___b_vis.png",
    ]


def test_pairs_across_folders_are_matched_by_the_list_beside_the_images(
    folder: Path, tmp_path: Path
) -> None:
    names = sorted(path.name for path in (folder / "test").iterdir())[:2]
    for name, sub in zip(names, ("y", "x"), strict=True):
        (tmp_path / "data" / "test" / sub).mkdir(parents=True)
        content = (folder / "test" / name).read_bytes()
        (tmp_path / "data" / "test" / sub / name).write_bytes(content)
    points = (folder / "fasion-resize-annotation-test.csv").read_text().splitlines()
    rows = [f"{sub}/{line}" for n, sub in zip(names, ("y", "x"), strict=True)
            for line in points if line.startswith(n)]  # fmt: skip
    (tmp_path / "data" / "fasion-resize-annotation-test.csv").write_text(
        "\n".join([points[0], *rows])
    )
    (tmp_path / "data" / "fasion-resize-pairs-test.csv").write_text(
        f"from,to\ny/{names[0]},x/{names[1]}\n"
    )
    out, truth = tmp_path / "out", tmp_path / "data" / "test"
    generate(model(), read_data(tmp_path / "data", "test"), out, device=CPU)
    matching = match_pairs(Folders(out, truth, truth), pairs=out / PAIRS)
    assert matching.problems == ()
    (pair,) = matching.pairs
    assert pair.source is not None
    assert pair.ground_truth is not None
    assert (pair.source.path, pair.ground_truth.path) == (
        truth / "y" / names[0],
        truth / "x" / names[1],
    )


def test_two_pairs_never_share_a_file() -> None:
    with pytest.raises(InputError, match=r"Two pairs would share the file x/y_a___b_vis\.png"):
        file_names(named(("y/a", "x/b"), ("x/y_a", "x/b")))


def test_a_name_that_no_file_can_have_is_told() -> None:
    with pytest.raises(InputError, match="above 255 bytes"):
        file_names(named(("a" * 130, "b" * 130)))
    assert [len(name) for name in file_names(named(("a" * 120, "b" * 124)))] == [255]


def test_a_file_in_place_of_the_folder_is_told(data: PairSet, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(InputError, match="is a file"):
        generate(model(), data, tmp_path / "out", device=CPU)
