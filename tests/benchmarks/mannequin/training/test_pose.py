"""Training the pose network: what it is taught, how pictures are changed, and that it learns."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from fhpt_eval.benchmarks.mannequin.training import pose_augment
from fhpt_eval.benchmarks.mannequin.training.pictures import (
    Pictures,
    PictureSettings,
    load_pictures,
)
from fhpt_eval.benchmarks.mannequin.training.pose import (
    HALF_WIDTH,
    SIGMA,
    PoseSettings,
    PoseTask,
    initial_weights,
    learnt,
    squared_error,
    targets,
    train,
)
from fhpt_eval.benchmarks.mannequin.training.pose_augment import augment, degrade, move, turns
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.openpose import COCO_18, decode
from fhpt_eval.features.openpose.load import build_network
from fhpt_eval.features.openpose.network import shapes
from fhpt_eval.keypoints import JOINTS
from tests.support.drawn_persons import STANDING
from tests.support.photographs import Pixels
from tests.support.progress import Kept

CPU = torch.device("cpu")
NAN = float("nan")
TINY = PoseSettings(steps=4, batch=1, learning_rate=1e-3, warmup=2, seed=3, save_every=2)
#: A standing person in a picture of 256 x 176.
PERSON = torch.from_numpy(STANDING * 0.7 + [40, 20]).float()
ALL_SEEN = torch.full((1, 18), 2, dtype=torch.uint8)


QUIET = Progress()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    folder = tmp_path_factory.mktemp("pictures")
    return load_pictures(folder, PictureSettings(items=2, seed=4, height=64, width=48))


@pytest.fixture
def photograph(photographs: dict[str, Pixels]) -> Tensor:
    """(1, 3, 128, 88) levels."""
    crop = photographs["astronaut"][20:148, 180:268]
    return torch.from_numpy(crop.transpose(2, 0, 1).copy()).float()[None]


# --- what the maps should be ---


def test_targets_equal_the_formulas_written_plainly() -> None:
    """Cao et al. (CVPR 2017): equations 6 and 7 for heatmaps, 8 and 9 for fields."""
    first, second = PERSON.clone(), PERSON + torch.tensor([25.0, -9.0])
    first[4] = NAN
    second[0] = NAN
    second[16] = second[14]  # a limb without length has no field
    found = targets(torch.stack([first, second])[None], (32, 22))
    assert found.heatmaps.shape == (1, 19, 32, 22)
    assert found.pafs.shape == (1, 38, 32, 22)
    people = [person.double().tolist() for person in (first, second)]
    for row in range(0, 32, 3):
        for column in range(0, 22, 2):
            x, y = 8 * column + 3.5, 8 * row + 3.5
            blobs = [max(blob(person[j], x, y) for person in people) for j in range(18)]
            # float32 against float64; squares of distances reach 1e5.
            heatmaps = found.heatmaps[0, :, row, column].tolist()
            assert heatmaps == pytest.approx([*blobs, 1 - max(blobs)], abs=1e-5)
            for limb in COCO_18.limbs:
                ends = [(person[limb.start], person[limb.end]) for person in people]
                there = [unit for a, b in ends if (unit := field(a, b, x, y)) is not None]
                mean = [sum(u[axis] for u in there) / max(len(there), 1) for axis in (0, 1)]
                pair = found.pafs[0, limb.channel : limb.channel + 2, row, column].tolist()
                assert pair == pytest.approx(mean, abs=1e-5)


def blob(joint: list[float], x: float, y: float) -> float:
    if math.isnan(joint[0]):
        return 0.0
    return math.exp(-((x - joint[0]) ** 2 + (y - joint[1]) ** 2) / (2 * SIGMA**2))


def field(a: list[float], b: list[float], x: float, y: float) -> tuple[float, float] | None:
    """Return the limb's unit vector if the cell lies near it."""
    length = math.dist(a, b)
    if not length > 0:
        return None
    u, v = (b[0] - a[0]) / length, (b[1] - a[1]) / length
    along = min(max((x - a[0]) * u + (y - a[1]) * v, 0), length)
    near = math.hypot(x - a[0] - along * u, y - a[1] - along * v) <= HALF_WIDTH
    return (u, v) if near else None


def test_the_decoder_reads_from_targets_where_joints_are() -> None:
    maps = targets(PERSON[None, None], (32, 22))
    (person,) = decode(maps.heatmaps[0].numpy(), maps.pafs[0].numpy())
    # 7 px of sigma on a grid of 8 px, enlarged by cubics.
    np.testing.assert_allclose(person[:, :2], PERSON.numpy(), atol=0.5)


def test_nobody_is_background_alone() -> None:
    maps = targets(torch.full((1, 1, 18, 2), NAN), (4, 3))
    assert (maps.heatmaps[0, :18] == 0).all()
    assert (maps.heatmaps[0, 18] == 1).all()
    assert (maps.pafs == 0).all()


def test_hidden_joints_count_but_for_those_of_the_head() -> None:
    head = torch.tensor([joint in {"nose", "right_eye", "left_eye", "right_ear", "left_ear"}
                         for joint in JOINTS])  # fmt: skip
    states = torch.tensor([0, 1, 2], dtype=torch.uint8)[:, None].expand(3, 18)
    outside, hidden, seen = learnt(states)
    assert not outside.any()
    assert torch.equal(hidden, ~head)
    assert seen.all()


def test_what_is_missed_weighs_more_than_what_is_imagined() -> None:
    wanted = targets(PERSON[None, None], (32, 22))
    nothing = targets(torch.full((1, 1, 18, 2), NAN), (32, 22))
    assert [error.item() for error in squared_error(wanted, wanted)] == [0, 0]
    missed = squared_error(nothing, wanted)
    imagined = squared_error(wanted, nothing)
    # A joint weighs 1 + 4 h where its heatmap is h; a cell of a limb 3; the background 1.
    squares = wanted.heatmaps[0, :18].square()
    background = (wanted.heatmaps[0, 18] - 1).square().mean()
    expected = (squares * (1 + 4 * wanted.heatmaps[0, :18])).sum(0).mean() + background
    torch.testing.assert_close(missed[0], expected)
    torch.testing.assert_close(imagined[0], squares.sum(0).mean() + background)
    torch.testing.assert_close(missed[1], 3 * imagined[1])
    assert missed[0] > 2 * imagined[0]


# --- how pictures are changed ---


def test_a_mirror_swaps_right_and_left(photograph: Tensor) -> None:
    mirror = torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]])
    points = torch.rand((1, 18, 2), generator=seeded()) * 80
    visible = torch.arange(18, dtype=torch.uint8)[None] % 3
    visible[0, JOINTS.index("left_wrist")] = 0
    images, moved, seen = move(photograph, points, visible, mirror, torch.zeros(1, 2))
    torch.testing.assert_close(images, photograph.flip(3), atol=0.01, rtol=0)
    for number, joint in enumerate(JOINTS):
        other = "_".join(
            {"right": "left", "left": "right"}.get(word, word) for word in joint.split("_")
        )
        twin = JOINTS.index(other)
        assert (twin == number) == (joint in {"nose", "neck"})
        x, y = points[0, twin].tolist()
        assert moved[0, number].tolist() == pytest.approx([87 - x, y], abs=1e-4)
        assert seen[0, number] == visible[0, twin]


def test_a_turn_leaves_right_right() -> None:
    angle = math.radians(10)
    turn = torch.tensor([[[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]])
    middle = torch.tensor([87.5, 127.5])
    _, moved, _ = move(
        torch.zeros(1, 3, 256, 176), PERSON[None], ALL_SEEN, turn, torch.tensor([[4.0, -6.0]])
    )
    for joint in range(18):
        x, y = (PERSON[joint] - middle).tolist()
        expected = [
            87.5 + 4 + x * math.cos(angle) - y * math.sin(angle),
            127.5 - 6 + x * math.sin(angle) + y * math.cos(angle),
        ]
        assert moved[0, joint].tolist() == pytest.approx(expected, abs=1e-3)


def test_pixels_go_where_joints_go() -> None:
    """A bright spot drawn on a joint is on that joint, by whatever name, after any change."""
    size = torch.stack(torch.meshgrid(torch.arange(256), torch.arange(176), indexing="ij"), -1)
    point = torch.tensor([70.0, 100.0])
    spot = torch.exp(-(size.flip(-1) - point).square().sum(-1) / 18) * 255
    images = spot.expand(12, 3, 256, 176)
    points = point.expand(12, 18, 2)
    matrix, shift = turns(12, 256, seeded(1))
    assert 3 <= (torch.linalg.det(matrix) < 0).sum() <= 9
    pixels, moved, seen = move(images, points, ALL_SEEN.expand(12, 18), matrix, shift)
    assert (seen == 2).all()
    for image, where in zip(pixels, moved[:, 0], strict=True):
        weight = image[0] / image[0].sum()
        centre = (weight[..., None] * size.flip(-1)).sum((0, 1))
        torch.testing.assert_close(centre, where, atol=0.1, rtol=0)


def test_joints_that_leave_the_picture_are_outside_and_those_outside_stay_so() -> None:
    visible = ALL_SEEN.clone()
    visible[0, 1] = 0
    visible[0, 2] = 1
    still = torch.eye(2)[None]
    images = torch.zeros(1, 3, 256, 176)
    up = torch.tensor([[0.0, -60.0]])
    _, moved, seen = move(images, PERSON[None], visible, still, up)
    torch.testing.assert_close(moved, PERSON[None] - torch.tensor([0.0, 60.0]))
    inside = moved[0, :, 1] > -0.5
    assert 0 < inside.sum() < 18
    assert torch.equal(seen[0] > 0, inside & (visible[0] > 0))
    assert seen[0, 2] == inside[2].int()
    assert seen[0, 1] == 0


def test_what_comes_from_outside_has_the_colour_of_the_upper_edge() -> None:
    colour = torch.tensor([10.0, 200.0, 90.0])
    images = torch.zeros(1, 3, 256, 176) + colour.view(1, 3, 1, 1)
    images[:, :, 50:] = 0
    right = torch.tensor([[30.0, 20.0]])
    pixels, _, _ = move(images, PERSON[None], ALL_SEEN, torch.eye(2)[None], right)
    torch.testing.assert_close(pixels[0, :, 200, 5], colour)
    torch.testing.assert_close(pixels[0, :, 5, 100], colour)
    torch.testing.assert_close(pixels[0, :, 100, 100], torch.zeros(3), atol=1e-3, rtol=0)


def test_the_same_chance_is_the_same_change(photograph: Tensor) -> None:
    images = photograph.expand(6, -1, -1, -1)
    points, visible = PERSON.expand(6, 18, 2) / 2, ALL_SEEN.expand(6, 18)
    before = images.clone()
    one, two, other = (augment(images, points, visible, seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], other[0])
    assert torch.equal(images, before)
    assert one[0].min() >= 0
    assert one[0].max() <= 255
    assert torch.equal(one[0], one[0].round())


def test_damage_leaves_the_picture_what_it_is(photograph: Tensor) -> None:
    """Levels change and places do not: brightness goes with brightness."""
    images = photograph.expand(24, -1, -1, -1)
    damaged = degrade(images, seeded(5))
    for image in damaged:
        pair = torch.stack([image.mean(0).flatten(), photograph[0].mean(0).flatten()])
        assert 0.85 < torch.corrcoef(pair)[0, 1] < 0.99999


def test_blocks_are_those_of_a_jpeg(photograph: Tensor) -> None:
    """The quality of 50 in libjpeg rounds to the standard's own tables, 25 to their doubles."""
    pixels = photograph[0].permute(1, 2, 0).byte().numpy()
    for quality, factor in ((50, 1.0), (25, 2.0)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=0)
        expected = torch.from_numpy(np.asarray(Image.open(file)).copy()).float()
        found = pose_augment._jpeg(photograph, torch.tensor([factor]))[0].permute(1, 2, 0)
        difference = (found.clamp(0, 255) - expected).abs()
        # libjpeg takes brightness and colours as whole levels, which halves the difference where
        # it is done here too: some coefficients round the other way.
        assert difference.mean() < 1.2
        damage = (found - photograph[0].permute(1, 2, 0)).abs().mean()
        assert damage > 5 * difference.mean()


def test_blur_is_a_gaussian() -> None:
    dot = torch.zeros(2, 3, 32, 24)
    dot[:, :, 16, 12] = 100.0
    sigma = torch.tensor([1.0, 2.0])
    y, x = torch.meshgrid(torch.arange(32.0) - 16, torch.arange(24.0) - 12, indexing="ij")
    for image, s in zip(pose_augment._blurred(dot, sigma), sigma, strict=True):
        expected = 100 * torch.exp(-(x**2 + y**2) / (2 * s**2)) / (2 * math.pi * s**2)
        # The formula's integral is 1; a row's sum is 1 here, which differs below 1e-4.
        torch.testing.assert_close(image[0], expected, atol=2e-3, rtol=0)


# --- learning ---


def test_the_start_has_the_network_s_shapes_and_keeps_a_signal_s_size() -> None:
    start = initial_weights(1, CPU)
    assert {name: tuple(value.shape) for name, value in start.items()} == shapes("mannequin-pose")
    assert torch.equal(start["conv1_1.weight"], initial_weights(1, CPU)["conv1_1.weight"])
    assert not torch.equal(start["conv1_1.weight"], initial_weights(2, CPU)["conv1_1.weight"])
    network = build_network("mannequin-pose", start, CPU, "start")
    with torch.no_grad():
        maps = network(torch.randn(1, 3, 64, 48, generator=seeded()))
    assert 0.05 < maps.heatmaps.std() < 20


def test_a_short_training_lowers_the_loss(pictures: Pictures, tmp_path: Path) -> None:
    settings = PoseSettings(steps=40, batch=2, learning_rate=2e-3, warmup=3, precision="float32")
    kept = Kept()
    path = train(pictures, tmp_path, settings, CPU, kept)
    assert path == tmp_path / "mannequin-pose.safetensors"
    assert kept.said[-1].startswith("step 40 of 40: loss ")
    task = PoseTask(pictures, settings, CPU)
    with torch.no_grad():
        before = task.loss(seeded(9), 0)
        for name, value in load_file(path).items():
            task.parameters[name].copy_(value)
        after = task.loss(seeded(9), 0)
    # The average of the parameters looks back on all 40 steps.
    assert after["loss"] < 0.7 * before["loss"]
    assert after["loss"] > after["heatmaps"] + after["fields"]  # both stages count


def test_a_stopped_training_goes_on_to_the_same_bits(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(pictures, tmp_path / "whole", TINY, CPU, QUIET).read_bytes()
    whole = PoseTask.loss

    def stopped(self: PoseTask, generator: torch.Generator, step: int) -> dict[str, Tensor]:
        if step == 3:
            raise KeyboardInterrupt
        return whole(self, generator, step)

    with monkeypatch.context() as patch:
        patch.setattr(PoseTask, "loss", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(pictures, tmp_path / "halves", TINY, CPU, QUIET)
    kept = Kept()
    assert train(pictures, tmp_path / "halves", TINY, CPU, kept).read_bytes() == expected
    assert kept.said[0].startswith("goes on after step 2 of 4")


def test_both_precisions_learn_the_same(pictures: Pictures) -> None:
    losses = [
        PoseTask(pictures, PoseSettings(precision=precision), CPU).loss(seeded(2), 0)["loss"].item()
        for precision in ("float32", "bfloat16")
    ]
    # bfloat16 has 8 bits.
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    assert losses[0] != losses[1]


def test_the_network_sees_what_openpose_shows_it(pictures: Pictures) -> None:
    """Blue, green, red, divided by 256, less 0.5: as ``prepare.network_input`` has it."""
    task = PoseTask(pictures, PoseSettings(precision="float32"), CPU)
    images = torch.from_numpy(pictures.images[:1].copy()).permute(0, 3, 1, 2).float()
    network = build_network("mannequin-pose", task.parameters, CPU, "start")
    with torch.no_grad():
        _, made = task._stages(images)
        expected = network(images.flip(1) / 256 - 0.5)
    assert torch.equal(made.heatmaps, expected.heatmaps)
    assert torch.equal(made.pafs, expected.pafs)


def test_another_batch_does_not_go_on(pictures: Pictures, tmp_path: Path) -> None:
    train(pictures, tmp_path, TINY, CPU, QUIET)
    other = TINY.model_copy(update={"batch": 3})
    with pytest.raises(ArgumentError, match="batch is 1 there and 3 here"):
        train(pictures, tmp_path, other, CPU, QUIET)


def test_pictures_that_do_not_fill_cells_are_refused(tmp_path: Path, pictures: Pictures) -> None:
    class Odd:
        images = pictures.images[:, :60]
        truth = pictures.truth

    with pytest.raises(ArgumentError, match="multiples of 8, not 48 x 60"):
        train(Odd(), tmp_path, TINY, CPU, QUIET)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"), [("batch", 0), ("precision", "half"), ("steps", 0), ("learning_rate", -1.0)]
)
def test_settings_out_of_range_are_refused(field: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=f"PoseSettings.{field}: "):
        PoseSettings(**{field: value})  # type: ignore[arg-type]
