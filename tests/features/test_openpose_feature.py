"""OpenPose as a feature: frames of pixels, scales, weights, independence of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from fhpt_eval.errors import ArgumentError, WeightsError
from fhpt_eval.features import weighted
from fhpt_eval.features.openpose import (
    BODY_25,
    COCO_18,
    Decoding,
    MannequinPose,
    OpenPose,
    OpenPoseBody25,
    PoseNetwork,
    choose_person,
    estimate,
)
from fhpt_eval.features.openpose.bands import cubic
from fhpt_eval.features.openpose.layout import COCO_18_OF_BODY_25
from fhpt_eval.features.openpose.network import Maps
from fhpt_eval.features.openpose.prepare import network_input, scaled_size
from tests.support.drawn_persons import STANDING, draw
from tests.support.photographs import Pixels, crops, tensor
from tests.support.random_openpose import write_openpose

Floats = NDArray[np.float64]

#: Settings under which random weights find persons in small images, quickly.
QUICK: dict[str, Any] = {
    "height": 64,
    "decoding": Decoding(limb_share=0.5, min_joints=2, min_score=0.0, peak_threshold=0.0),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_openpose(tmp_path_factory.mktemp("weights") / "openpose.pth")


@pytest.fixture(scope="module")
def pose(file: Path) -> OpenPose:
    return OpenPose(weights=str(file), **QUICK)


@pytest.fixture(scope="module")
def images(photographs: dict[str, Pixels]) -> Tensor:
    return tensor(crops(photographs, 4, 90, 61))


# --- what the network sees ---


@pytest.mark.parametrize("size", [(368, 253), (40, 27), (90, 61)])
@pytest.mark.parametrize("divisor", [255, 256])
def test_the_input_is_scaled_rounded_reversed_padded_and_shifted(
    images: Tensor, size: tuple[int, int], divisor: int
) -> None:
    found = network_input(images[:1].float(), size, divisor)[0].double().numpy()
    height, width = size
    assert found.shape == (3, -(-height // 8) * 8, -(-width // 8) * 8)
    rows, columns = cubic(90, height).dense(), cubic(61, width).dense()
    levels = (rows @ images[0].double().numpy() @ columns.T).clip(0, 255)[::-1]
    inner = (found[:, :height, :width] + 0.5) * divisor
    assert np.abs(inner - inner.round()).max() < 1e-4
    assert np.abs(inner - levels).max() <= 0.5 + 1e-3  # rounded to whole levels
    padding = np.concatenate([found[:, height:].ravel(), found[:, :, width:].ravel()])
    np.testing.assert_allclose(padding, 128 / divisor - 0.5, atol=1e-7)


def test_scaling_keeps_the_shape_and_never_vanishes() -> None:
    assert scaled_size(256, 176, 368) == (368, 253)
    assert scaled_size(1000, 1, 368) == (368, 1)
    with pytest.raises(ArgumentError, match=r"'images' of 3000 x 100 pixels are too wide: .*11040"):
        scaled_size(100, 3000, 368)


# --- frames of pixels ---


class DrawnNetwork:
    """Stands in for a network: whatever it sees, it shows given key points of the image.

    Attributes:
        seen: height and width of each input.
    """

    def __init__(self, keypoints: Floats, pose: PoseNetwork, shape: tuple[int, int]) -> None:
        self._keypoints, self._pose, self._shape = keypoints, pose, shape
        self.seen: list[tuple[int, int]] = []

    def __call__(self, images: Tensor) -> Maps:
        count = len(self._pose.scales)
        target = self._pose.height * self._pose.scales[len(self.seen) % count]
        self.seen.append((images.shape[2], images.shape[3]))
        height, width = scaled_size(*self._shape, target)
        assert self.seen[-1] == (-(-height // 8) * 8, -(-width // 8) * 8)
        factor = np.array([width / self._shape[1], height / self._shape[0]])
        moved = (self._keypoints + 0.5) * factor - 0.5
        layout = COCO_18 if self._pose.name == "openpose-coco18" else BODY_25
        cells = images.shape[2] // 8, images.shape[3] // 8
        return Maps(*(torch.from_numpy(part)[None] for part in draw(moved, cells, layout=layout)))


def shown(
    monkeypatch: pytest.MonkeyPatch, keypoints: Floats, shape: tuple[int, int], pose: PoseNetwork
) -> tuple[Floats, Floats, DrawnNetwork]:
    """Return what the feature and ``estimate`` find of key points (P, J, 2) in an image."""
    network = DrawnNetwork(keypoints, pose, shape)
    monkeypatch.setattr(PoseNetwork, "loaded", lambda *_: network)
    images = torch.zeros(1, 3, *shape, dtype=torch.uint8)
    found = pose.compute(images)["keypoints"]
    assert found.dtype == torch.float32
    return found[0].double().numpy(), estimate(images[0], pose), network


@pytest.mark.parametrize("shape", [(256, 176), (368, 200), (517, 311), (150, 140)])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.5, 2.0)])
def test_key_points_are_in_pixels_of_the_image(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], scales: tuple[float, ...]
) -> None:
    keypoints = (STANDING + 8) * shape[0] / 320
    pose = OpenPose(scales=scales)
    chosen, persons, network = shown(monkeypatch, keypoints[None], shape, pose)
    assert len(network.seen) == 2 * len(scales)
    assert persons.shape == (1, 18, 3)
    np.testing.assert_array_equal(chosen, persons[0].astype(np.float32))
    # A Gaussian of 7 px of the input is drawn on a grid of 8; half as large it is blurred more.
    assert np.abs(chosen[:, :2] - keypoints).max() < 0.6 * shape[0] / 368 / min(scales)
    assert 0.75 < chosen[:, 2].min() < chosen[:, 2].max() < 1.05  # averaged, not summed


def test_joints_of_body_25_become_those_of_coco_18(monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints = np.full((1, 25, 2), np.nan)
    keypoints[0, list(COCO_18_OF_BODY_25)] = (STANDING + 8) * 0.8
    keypoints[0, 8] = keypoints[0, [9, 12]].mean(axis=0)
    keypoints[0, 19] = keypoints[0, 14] + [8, 8]
    pose = OpenPoseBody25()
    chosen, persons, _ = shown(monkeypatch, keypoints, (256, 176), pose)
    assert persons.shape == (1, 18, 3)
    assert np.abs(chosen[:, :2] - (STANDING + 8) * 0.8).max() < 0.5


def test_feet_alone_are_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints = np.full((1, 25, 2), np.nan)
    keypoints[0, [11, 22, 23, 24]] = [(60, 200), (90, 220), (120, 215), (40, 215)]
    pose = OpenPoseBody25()
    chosen, persons, _ = shown(monkeypatch, keypoints, (256, 176), pose)
    assert joints(persons) == [{COCO_18.joints.index("right_ankle")}]
    keypoints[0, 11] = np.nan
    pose = OpenPoseBody25(decoding=Decoding(min_joints=2))
    chosen, persons, _ = shown(monkeypatch, keypoints, (256, 176), pose)
    assert persons.shape == (0, 18, 3)
    assert np.isnan(chosen).all()


def joints(persons: Floats) -> list[set[int]]:
    return [set(np.flatnonzero(~np.isnan(person[:, 0])).tolist()) for person in persons]


def test_of_several_persons_the_chosen_one_is_the_image_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keypoints = np.stack([STANDING * 0.5 + [8, 60], STANDING * 0.8 + [80, 8]])
    chosen, persons, _ = shown(monkeypatch, keypoints, (256, 192), OpenPose())
    assert len(persons) == 2
    np.testing.assert_array_equal(chosen, choose_person(persons).astype(np.float32))
    assert np.abs(chosen[:, :2] - keypoints[1]).max() < 0.5


def test_where_nobody_is_found_all_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    keypoints = np.full((1, 18, 2), np.nan)
    chosen, persons, _ = shown(monkeypatch, keypoints, (64, 48), OpenPose())
    assert persons.shape == (0, 18, 3)
    assert chosen.shape == (18, 3)
    assert np.isnan(chosen).all()


def test_summed_fields_weigh_more_than_averaged_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's mean score counts the limbs' scores, which are the fields' height."""
    keypoints = ((STANDING + 8) * 0.8)[None]
    limit = Decoding(min_score=2.5)  # above one for a joint and nearly one for a limb
    scales = (0.75, 1.0, 1.25)
    averaged = OpenPose(scales=scales, decoding=limit)
    assert len(shown(monkeypatch, keypoints, (256, 176), averaged)[1]) == 0
    summed = OpenPose(scales=scales, decoding=limit, paf_fusion="sum")
    assert len(shown(monkeypatch, keypoints, (256, 176), summed)[1]) == 1


# --- a real network, random weights ---


def test_images_are_told_apart(pose: OpenPose, images: Tensor) -> None:
    """Else a wrong computation could hide behind key points that are never found."""
    keypoints = pose.compute(images)["keypoints"]
    assert keypoints.shape == (4, 18, 3)
    assert (~keypoints[..., 0].isnan()).sum(dim=1).min() >= 3
    assert not torch.equal(keypoints[0].nan_to_num(), keypoints[1].nan_to_num())


@pytest.mark.parametrize(
    "change",
    [
        {"height": 72}, {"scales": (1.0, 1.5)}, {"divisor": 255},
        {"decoding": Decoding(limb_share=0.5, min_joints=2, min_score=0.0, peak_threshold=0.3)},
    ],
)  # fmt: skip
def test_every_setting_moves_something(
    file: Path, pose: OpenPose, images: Tensor, change: dict[str, Any]
) -> None:
    changed = OpenPose(weights=str(file), **(QUICK | change))
    found = changed.compute(images[:1])["keypoints"].nan_to_num(-1)
    assert not torch.equal(found, pose.compute(images[:1])["keypoints"].nan_to_num(-1))
    assert changed.canonical() != pose.canonical()


def test_the_other_network_runs(tmp_path: Path, images: Tensor) -> None:
    path = write_openpose(tmp_path / "body25.pth", "openpose-body25")
    pose = OpenPoseBody25(weights=str(path), **QUICK)
    assert pose.compute(images[:1])["keypoints"].shape == (1, 18, 3)
    with pytest.raises(WeightsError, match="are not of the network openpose-coco18"):
        OpenPose(weights=str(path)).compute(images[:1])


def test_weights_that_give_no_numbers_are_refused(
    monkeypatch: pytest.MonkeyPatch, images: Tensor
) -> None:
    broken = Maps(torch.full((1, 19, 8, 8), torch.nan), torch.zeros(1, 38, 8, 8))
    monkeypatch.setattr(PoseNetwork, "loaded", lambda *_: lambda _: broken)
    with pytest.raises(WeightsError, match="'openpose-coco18' gives no finite numbers"):
        OpenPose(height=64).compute(images[:1])


# --- weights and settings ---


def test_digests_and_lacks_ask_for_the_networks_own_weights(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    monkeypatch.setattr(weighted, "available", lambda source: f"needs {source}")
    assert OpenPose().lacks() == "needs openpose-coco18"
    assert OpenPoseBody25().lacks() == "needs openpose-body25"
    assert MannequinPose().lacks() == "needs mannequin-pose"
    assert OpenPose(weights=str(file)).lacks() == f"needs {file}"
    (digest,) = OpenPose().digests().values()
    assert digest.startswith("25a948c1")
    (digest,) = OpenPoseBody25().digests().values()
    assert digest.startswith("36b51781")


def test_an_address_has_the_digest_of_weights_and_not_their_place(
    file: Path, tmp_path: Path, pose: OpenPose
) -> None:
    other = tmp_path / "other.pth"
    other.hardlink_to(file)
    moved = OpenPose(weights=str(other), **QUICK).canonical()
    assert moved == pose.canonical() != OpenPose(**QUICK).canonical()
    assert moved["weights"] == list(pose.digests().values())
    assert str(tmp_path) not in str(moved)
    assert moved["parameters"]["decoding"]["limb_share"] == 0.5


@pytest.mark.parametrize(
    ("kind", "height"), [(OpenPose, 368), (OpenPoseBody25, 368), (MannequinPose, 256)]
)
def test_the_height_is_that_of_the_network_s_training_unless_given(
    kind: type[OpenPose], height: int
) -> None:
    own = kind()
    assert own.height == own.model_dump()["height"] == height
    assert own == kind(height=height)
    assert kind(height=100).height == 100


def test_the_scripts_of_pose_transfer_set_three_things_unless_they_are_given() -> None:
    theirs = OpenPose(estimation="pose-transfer")
    assert (theirs.scales, theirs.paf_fusion, theirs.divisor) == ((0.5, 1.0, 1.5, 2.0), "sum", 255)
    assert OpenPose(estimation="pose-transfer", divisor=256).divisor == 256
    spelt_out = OpenPose(scales=(0.5, 1.0, 1.5, 2.0), paf_fusion="sum", divisor=255)
    assert theirs.canonical() == spelt_out.canonical()


def test_equal_settings_are_one_feature() -> None:
    assert OpenPose() == OpenPose(decoding=Decoding())
    assert len({OpenPose(), OpenPose(decoding=Decoding()), OpenPose(height=184)}) == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"height": 7}, {"height": 2049}, {"scales": ()},
        {"scales": (0.0,)}, {"scales": (4.5,)}, {"scales": (float("nan"),)},
        {"scales": (1.0,) * 17}, {"paf_fusion": "max"}, {"divisor": 128}, {"weights": 3},
        {"threshold": 0.1},
    ],
)  # fmt: skip
def test_unknown_settings_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OpenPose(**fields)


# --- bad input ---


@pytest.mark.parametrize(
    "image", [torch.zeros(1, 3, 8, 8, dtype=torch.uint8), np.zeros((8, 8, 3), np.uint8)]
)
def test_what_is_no_image_is_refused(image: Any) -> None:
    with pytest.raises(ArgumentError, match=r"'image' must be a torch.Tensor \(3, H, W\)"):
        estimate(image)


def test_what_is_no_pose_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'pose' must be a PoseNetwork, not str"):
        estimate(torch.zeros(3, 8, 8), "openpose-coco18")  # type: ignore[arg-type]
