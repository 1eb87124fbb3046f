"""OpenPose's networks: names and shapes, loading, what is connected to what, order of outputs."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, prelu

from fhpt_eval.errors import WeightsError
from fhpt_eval.features.openpose import PoseNetworkName
from fhpt_eval.features.openpose.load import build_network
from fhpt_eval.features.openpose.network import LAYOUTS, Network, shapes
from tests.support.random_openpose import checkpoint_shapes, random_openpose_state

CPU = torch.device("cpu")
NAMES: tuple[PoseNetworkName, ...] = get_args(PoseNetworkName)


def build(state: dict[str, Tensor], name: PoseNetworkName = "openpose-coco18") -> Network:
    return build_network(name, state, CPU, "some.pth")


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> PoseNetworkName:
    chosen: PoseNetworkName = request.param
    return chosen


@pytest.fixture(scope="module")
def state(name: PoseNetworkName) -> dict[str, Tensor]:
    return random_openpose_state(name)


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.rand((1, 3, 40, 24), generator=torch.Generator().manual_seed(1)) - 0.5


# --- names and shapes ---


def test_names_and_shapes_are_those_of_the_public_file(name: PoseNetworkName) -> None:
    assert shapes(name) == checkpoint_shapes(name)


@pytest.mark.parametrize(
    ("name", "tensors", "size"),
    [
        # body_pose_model.pth has 209,267,595 bytes, pose_iter_584000.caffemodel 104,715,850.
        ("openpose-coco18", 184, 209_267_595),
        ("openpose-body25", 327, 104_715_850),
    ],
)
def test_their_bytes_fill_the_public_file(name: PoseNetworkName, tensors: int, size: int) -> None:
    found = checkpoint_shapes(name)
    assert len(found) == tensors
    rest = size - 4 * sum(math.prod(shape) for shape in found.values())
    assert 0 < rest < 300 * tensors  # names and shapes


# --- what it computes ---


def test_outputs_are_heatmaps_then_fields_on_a_grid_of_8_pixels(
    name: PoseNetworkName, state: dict[str, Tensor], image: Tensor
) -> None:
    maps = build(state, name)(image)
    layout = LAYOUTS[name]
    assert maps.heatmaps.shape == (1, layout.heatmaps, 5, 3)
    assert maps.pafs.shape == (1, layout.pafs, 5, 3)
    assert maps.heatmaps.std() > 0.01
    assert maps.pafs.std() > 0.01


def trunk(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The first twelve convolutions, with PReLU behind the last three if there are slopes."""
    for block in (("1_1", "1_2"), ("2_1", "2_2"), ("3_1", "3_2", "3_3", "3_4")):
        for number in block:
            x = convolve(state, f"conv{number}", x).relu()
        x = max_pool2d(x, 2, 2)
    x = convolve(state, "conv4_1", x).relu()
    for number in ("4_2", "4_3_CPM", "4_4_CPM"):
        x = convolve(state, f"conv{number}", x)
        slopes = state.get(f"prelu{number}.weight")
        x = x.relu() if slopes is None else prelu(x, slopes)
    return x


def convolve(
    state: dict[str, Tensor], layer: str, x: Tensor, stride: int = 1, apart: int = 1
) -> Tensor:
    weight, bias = state[f"{layer}.weight"], state[f"{layer}.bias"]
    padding = weight.shape[2] // 2 * apart
    return conv2d(x, weight, bias, padding=padding, stride=stride, dilation=apart)


def coco(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Heatmaps and fields by the prototxt, layer by layer."""
    features = x = trunk(state, x)
    for stage in range(1, 7):
        outputs = []
        for branch in ("L1", "L2"):
            first = [f"conv5_{number}_CPM_{branch}" for number in range(1, 6)]
            later = [f"Mconv{number}_stage{stage}_{branch}" for number in range(1, 8)]
            *layers, last = first if stage == 1 else later
            y = x
            for layer in layers:
                y = convolve(state, layer, y).relu()
            outputs.append(convolve(state, last, y))
        x = torch.cat([*outputs, features], 1)
    return outputs[1], outputs[0]


def body25(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Heatmaps and fields by the prototxt, layer by layer."""
    features = trunk(state, x)

    def stage(label: str, x: Tensor) -> Tensor:
        for number in range(1, 6):
            parts = []
            for part in range(3):
                x = convolve(state, f"Mconv{number}_{label}_{part}", x)
                x = prelu(x, state[f"Mprelu{number}_{label}_{part}.weight"])
                parts.append(x)
            x = torch.cat(parts, 1)
        x = prelu(convolve(state, f"Mconv6_{label}", x), state[f"Mprelu6_{label}.weight"])
        return convolve(state, f"Mconv7_{label}", x)

    fields = stage("stage0_L2", features)
    for number in (1, 2, 3):
        fields = stage(f"stage{number}_L2", torch.cat([features, fields], 1))
    heatmaps = stage("stage0_L1", torch.cat([features, fields], 1))
    heatmaps = stage("stage1_L1", torch.cat([features, heatmaps, fields], 1))
    return heatmaps, fields


def small(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Heatmaps and fields by the table in docs/openpose.md, layer by layer."""
    for layer, stride, apart in (
        ("conv1_1", 2, 1), ("conv2_1", 2, 1), ("conv2_2", 1, 1), ("conv3_1", 2, 1),
        ("conv3_2", 1, 1), ("conv3_3", 1, 2), ("conv3_4", 1, 4),
    ):  # fmt: skip
        x = convolve(state, layer, x, stride, apart).relu()
    first = []
    for branch in ("L1", "L2"):
        y = convolve(state, f"conv4_1_{branch}", x).relu()
        y = convolve(state, f"conv4_2_{branch}", y).relu()
        first.append(convolve(state, f"conv4_3_{branch}", y))
    seen = torch.cat([*first, x], 1)
    second = []
    for branch in ("L1", "L2"):
        y = convolve(state, f"Mconv1_stage2_{branch}", seen).relu()
        for number, apart in ((2, 1), (3, 2), (4, 1), (5, 1)):
            y = convolve(state, f"Mconv{number}_stage2_{branch}", y, 1, apart).relu()
        second.append(convolve(state, f"Mconv6_stage2_{branch}", y))
    return second[1], second[0]


ORACLES = {"openpose-coco18": coco, "openpose-body25": body25, "mannequin-pose": small}


def test_layers_are_connected_as_in_the_public_description(
    name: PoseNetworkName, state: dict[str, Tensor], image: Tensor
) -> None:
    wide = {entry: value.double() for entry, value in state.items()}
    found = build(state, name)(image)
    for values, expected in zip(found, ORACLES[name](wide, image.double()), strict=True):
        scale = expected.abs().max().item()
        # float32 against float64, some 50 layers deep.
        torch.testing.assert_close(values.double(), expected, atol=1e-5 * scale, rtol=0)


def test_heatmaps_may_be_negative(image: Tensor) -> None:
    """No activation follows the last convolutions, unlike in pytorch-openpose."""
    assert build(random_openpose_state())(image).heatmaps.min() < 0


# --- loading ---


def prefixed(name: PoseNetworkName, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names that the layers have in the modules of the PyTorch ports."""

    def module(entry: str) -> str:
        if name == "mannequin-pose":  # no port has it
            return "pose"
        if name == "openpose-coco18":
            stage = entry.partition("stage")[2][:1] or ("1" if "conv5" in entry else "0")
            branch = entry.partition("_L")[2][:1]
            return f"model{stage}_{branch}" if branch else "model0"
        if not entry.startswith("M"):
            return "model0"
        number, stage = entry.partition("_")[0][-1], entry.partition("stage")[2][:4]
        part = "0" if number == "6" else "1" if number == "7" else entry.rpartition(".")[0][-1]
        label = "6_7" if number in "67" else number
        return f"models.Mconv{label}_stage{stage}.{part}"

    return {f"{module(entry)}.{entry}": value for entry, value in state.items()}


def test_a_state_dict_saved_by_a_port_is_read_too(
    name: PoseNetworkName, state: dict[str, Tensor], image: Tensor
) -> None:
    ported = prefixed(name, state)
    examples = {
        "openpose-coco18": {
            "model0.conv1_1.weight", "model0.conv4_4_CPM.bias", "model1_1.conv5_1_CPM_L1.weight",
            "model2_1.Mconv1_stage2_L1.weight", "model6_2.Mconv7_stage6_L2.bias",
        },
        "openpose-body25": {
            "model0.prelu4_2.weight", "models.Mconv1_stage0_L2.0.Mconv1_stage0_L2_0.weight",
            "models.Mconv5_stage1_L1.2.Mprelu5_stage1_L1_2.weight",
            "models.Mconv6_7_stage3_L2.1.Mconv7_stage3_L2.bias",
        },
        "mannequin-pose": {"pose.conv1_1.weight", "pose.Mconv6_stage2_L2.bias"},
    }  # fmt: skip
    assert examples[name] <= ported.keys()
    expected = build(state, name)(image)
    for values, wanted in zip(build(ported, name)(image), expected, strict=True):
        assert torch.equal(values, wanted)


def test_half_precision_weights_are_read(image: Tensor) -> None:
    state = random_openpose_state("openpose-body25")
    half = {entry: value.half() for entry, value in state.items()}
    rounded = {entry: value.half().float() for entry, value in state.items()}
    found = build(half, "openpose-body25")(image)
    assert torch.equal(found.pafs, build(rounded, "openpose-body25")(image).pafs)


def test_missing_unknown_and_misshapen_entries_are_named() -> None:
    state = random_openpose_state()
    del state["Mconv7_stage6_L2.bias"]
    state["conv5_5_CPM_L1.weight"] = torch.zeros(52, 512, 1, 1)
    state["head.fc.weight"] = torch.zeros(1)
    with pytest.raises(WeightsError) as caught:
        build(state)
    message = str(caught.value)
    assert "'some.pth' are not of the network openpose-coco18" in message
    assert "missing: Mconv7_stage6_L2.bias;" in message
    assert "unknown: head.fc.weight;" in message
    assert "conv5_5_CPM_L1.weight is (52, 512, 1, 1), not (38, 512, 1, 1)" in message


def test_an_entry_under_two_names_is_refused() -> None:
    state = random_openpose_state()
    state["model0.conv1_1.bias"] = state["conv1_1.bias"]
    with pytest.raises(WeightsError, match=r"twice: conv1_1\.bias and model0\.conv1_1\.bias"):
        build(state)


def test_many_missing_entries_are_counted() -> None:
    with pytest.raises(WeightsError, match=r"missing: conv1_1\.weight, .* and 179 more$"):
        build({})


def test_the_other_networks_weights_are_refused(name: PoseNetworkName) -> None:
    other = next(one for one in NAMES if one != name)
    with pytest.raises(WeightsError, match=r"missing: .* more; unknown: .* more"):
        build(random_openpose_state(other), name)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(64, dtype=torch.int64), "conv1_1.bias is torch.int64, not floats"),
        (torch.full((64,), torch.nan), "conv1_1.bias holds values that are no finite numbers"),
    ],
)
def test_what_are_no_finite_floats_is_refused(value: Tensor, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build(random_openpose_state() | {"conv1_1.bias": value})
