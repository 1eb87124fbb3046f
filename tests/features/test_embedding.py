"""Networks that give rows alone: what they find again, what they refuse, how they are loaded."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from fhpt_eval.errors import WeightsError
from fhpt_eval.features import weighted
from fhpt_eval.features.embedding.classical import Classical, embed
from fhpt_eval.features.embedding.networks import ResNet50, Timm, build_resnet50
from fhpt_eval.features.embedding.normalised import NormalisedInput
from fhpt_eval.features.networks import load_network
from fhpt_eval.metrics.gallery.nearest import search
from tests.support.photographs import Pixels, crops, tensor
from tests.support.random_resnet50 import resnet50_state

CPU = torch.device("cpu")
KINDS = ("recoloured", "cropped", "mirrored")


@pytest.fixture(scope="module")
def images(photographs: dict[str, Pixels]) -> Tensor:
    return tensor(crops(photographs, 5, 97, 131))


@pytest.fixture(scope="module")
def resnet50_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(resnet50_state(), path)
    return path


# --- classical: is the right image found? ---


def recoloured(image: Pixels, generator: np.random.Generator) -> Pixels:
    """Another gamma, another gain of each channel, another brightness: of the whole image."""
    levels = (image / 255) ** generator.uniform(0.7, 1.4)
    levels = levels * generator.uniform(0.8, 1.2, 3) + generator.uniform(-0.08, 0.08)
    found: Pixels = (levels.clip(0, 1) * 255).round().astype(np.uint8)
    return found


def cropped(image: Pixels, generator: np.random.Generator) -> Pixels:
    """80 to 90 % of each side, from anywhere."""
    height, width = image.shape[:2]
    share = generator.uniform(0.8, 0.9)
    rows, columns = round(height * share), round(width * share)
    top, left = generator.integers(0, height - rows + 1), generator.integers(0, width - columns + 1)
    return image[top : top + rows, left : left + columns]


def mirrored(image: Pixels, generator: np.random.Generator) -> Pixels:
    return image[:, ::-1]


def found_again(gallery: list[Pixels], seed: int) -> dict[str, list[bool]]:
    """Change each image in one of three ways; say for which it is nearest in the gallery."""
    generator = np.random.default_rng(seed)
    change = dict(zip(KINDS, (recoloured, cropped, mirrored), strict=True))
    kinds = [KINDS[number % 3] for number in range(len(gallery))]
    queries = [change[kind](one, generator) for kind, one in zip(kinds, gallery, strict=True)]
    changed, own = (np.stack([embed(one) for one in side]) for side in (queries, gallery))
    indices, _ = search(changed, own, 1)
    found: dict[str, list[bool]] = {kind: [] for kind in KINDS}
    for row, kind in enumerate(kinds):
        found[kind].append(bool(indices[row, 0] == row))
    return found


def check_found(found: Mapping[str, list[bool]]) -> None:
    rates = ", ".join(f"{kind} {sum(hits)} of {len(hits)}" for kind, hits in found.items())
    hits = [hit for some in found.values() for hit in some]
    assert len(hits) == 100
    assert sum(hits) >= 90, rates
    assert min(np.mean(some) for some in found.values()) >= 0.8, rates


def test_90_of_100_changed_crops_of_photographs_are_found_first(
    photographs: dict[str, Pixels],
) -> None:
    """Of 200 crops the half on which no figure of the embedder was chosen."""
    made = crops(photographs, 200, 128, 88)
    check_found(found_again([one for n, one in enumerate(made) if n // 4 % 2], seed=0))


def panels(fixtures: Path, number: int) -> list[Pixels]:
    """Return the source (0) or target (1) panels of all strips, without their padding."""
    found = []
    for path in sorted((fixtures / "result_strips").glob("*/*")):
        strip = np.asarray(Image.open(path).convert("RGB"))
        found.append(strip[:, 256 * number + 40 : 256 * number + 216])
    return found


def test_90_of_100_changed_fashion_photographs_are_found_first(
    fixtures: Path, photographs: dict[str, Pixels]
) -> None:
    """The half of the photographs that was not used for choosing, filled up with crops."""
    fashion = panels(fixtures, 0) + panels(fixtures, 1)
    chosen = [one for n, one in enumerate(fashion) if n // 4 % 2]
    distinct = list({one.tobytes(): one for one in chosen}.values())
    made = crops(photographs, 200, 256, 176)
    distinct += [one for n, one in enumerate(made) if n // 4 % 2][: 100 - len(distinct)]
    check_found(found_again(distinct, seed=1))


def test_another_view_of_a_garment_is_found_among_72(fixtures: Path) -> None:
    """Real photographs of the same garments in other poses; again the half that was not used."""
    views = [np.stack([embed(one) for one in panels(fixtures, number)]) for number in (1, 0)]
    rows = [n for n in range(72) if n // 4 % 2]
    indices, _ = search(views[0][rows], views[1], 5)
    first, fifth = (np.mean([row in some[:k] for row, some in zip(rows, indices, strict=True)])
                    for k in (1, 5))  # fmt: skip
    assert first >= 0.75
    assert fifth >= 0.9


# --- classical: what it is ---


def test_a_classical_vector_has_length_1(images: Tensor) -> None:
    rows = Classical().compute(images)["embedding"]
    assert rows.shape == (5, 1572)
    assert rows.dtype == torch.float32
    assert torch.allclose(rows.norm(dim=1), torch.ones(5))


def test_a_mirrored_image_has_nearly_the_same_vector(photographs: dict[str, Pixels]) -> None:
    image = photographs["astronaut"][:128, :88]  # is not resized
    # Not the same: whether neighbours in flat areas are equal is a matter of rounding.
    assert embed(image) @ embed(image[:, ::-1]) > 1 - 1e-5


def test_a_channels_gain_moves_nothing_but_rounding() -> None:
    """White balance and ranks: halved levels of a channel are the same image in other light."""
    image = np.random.default_rng(0).integers(0, 128, (128, 88, 3), dtype=np.uint8) * 2
    darker = image // np.array([1, 2, 1], np.uint8)
    other = np.random.default_rng(1).integers(0, 128, (128, 88, 3), dtype=np.uint8) * 2
    assert embed(image) @ embed(darker) > 0.9999 > embed(image) @ embed(other)


def test_a_garments_colour_and_its_texture_both_count() -> None:
    red, blue, striped = (np.full((128, 88, 3), 255, np.uint8) for _ in range(3))
    red[30:100, 20:70] = (200, 30, 30)
    blue[30:100, 20:70] = (30, 30, 200)
    striped[30:100:4, 20:70] = (200, 30, 30)
    own, other, texture = (embed(one) for one in (red, blue, striped))
    assert max(own @ other, own @ texture) < 0.96


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((1, 1, 3), 7, np.uint8),
        np.full((3, 700, 3), 0, np.uint8),
        np.full((300, 2, 3), 255, np.uint8),
    ],
)
def test_tiny_narrow_and_blank_images_have_a_vector(pixels: Pixels) -> None:
    vector = embed(pixels)
    assert vector.shape == (1572,)
    assert np.isfinite(vector).all()
    assert vector @ vector == pytest.approx(1)


# --- ResNet-50 ---

#: The first values that torchvision 0.29.2 (torch 2.15.0, CPU) gave with resnet50_state(), seed 0,
#: for the astronaut's upper left 256 x 176 pixels at 224 x 224; the vector's length is 312.
FROZEN = [3.9491770, 0.0, 11.4549475, 0.1468049, 10.5449057, 0.6212376]


def test_resnet50_gives_what_torchvision_gave(
    photographs: dict[str, Pixels], resnet50_file: Path
) -> None:
    image = tensor([np.ascontiguousarray(photographs["astronaut"][:256, :176])])
    rows = ResNet50(weights=str(resnet50_file)).compute(image)["embedding"]
    assert rows.shape == (1, 2048)
    # Both sides add in float32, each in its own order: vectors agree to 3e-7 of their length.
    torch.testing.assert_close(rows[0, :6], torch.tensor(FROZEN), atol=5e-4, rtol=0)


def test_resnet50_asks_for_its_registered_weights(
    monkeypatch: pytest.MonkeyPatch, resnet50_file: Path
) -> None:
    monkeypatch.setattr(weighted, "available", lambda source: f"needs {source}")
    assert ResNet50().lacks() == "needs resnet50-imagenet"
    assert ResNet50(weights=str(resnet50_file)).lacks() == f"needs {resnet50_file}"


def test_an_address_has_the_digest_of_weights_and_not_their_place(
    resnet50_file: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.pth"
    other.hardlink_to(resnet50_file)
    one, moved = ResNet50(weights=str(resnet50_file)), ResNet50(weights=str(other))
    assert one.canonical() == moved.canonical()
    assert str(tmp_path) not in str(moved.canonical())
    sized = ResNet50(weights=str(other), input_size=(256, 128))
    assert sized.canonical() != moved.canonical()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv1.weight": None}, "missing: conv1.weight"),
        ({"layer2.0.downsample.0.weight": torch.zeros(512, 256, 3, 3)}, "not .512, 256, 1, 1."),
        ({"layer5.0.conv1.weight": torch.zeros(1)}, "unknown: layer5.0.conv1.weight"),
        ({"bn1.bias": torch.full((64,), torch.nan)}, "bn1.bias holds values"),
        ({"bn1.bias": torch.zeros(64, dtype=torch.int64)}, "bn1.bias is torch.int64, not floats"),
    ],
)
def test_weights_of_another_network_are_refused(
    change: dict[str, Tensor | None], message: str
) -> None:
    state = {**resnet50_state(), **change}
    kept = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(WeightsError, match=f".some.pth. are not of .* resnet50; .*{message}"):
        build_resnet50(kept, CPU, "some.pth")


def test_many_faults_are_counted() -> None:
    with pytest.raises(WeightsError, match=r"missing: conv1.weight, .*and 260 more"):
        build_resnet50({}, CPU, "some.pth")


def test_loading_shows_a_fault_before_any_work(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="are not of torchvision's resnet50"):
        ResNet50(weights=str(tmp_path / "other.pth")).load(CPU)


# --- what networks are fed ---


def test_an_image_of_the_right_size_is_only_normalised() -> None:
    levels = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    taken = NormalisedInput(
        input_size=(5, 7), input_mean=(0.1, 0.2, 0.3), input_std=(0.5, 1.0, 2.0)
    )
    expected = (levels / 255 - torch.tensor([0.1, 0.2, 0.3])[:, None, None]) / torch.tensor(
        [0.5, 1.0, 2.0]
    )[:, None, None]
    assert torch.equal(taken.normalised(levels), expected)


def test_another_image_is_resized_as_a_whole_with_antialiasing() -> None:
    """A fine checkerboard becomes grey, and a bright edge does not pass white."""
    board = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = 255
    taken = NormalisedInput(
        input_size=(16, 8), input_mean=(0.0, 0.0, 0.0), input_std=(1.0, 1.0, 1.0)
    )
    grey = taken.normalised(board)
    assert grey.shape == (1, 3, 16, 8)
    assert (grey[..., 2:-2, 2:-2] - 0.5).abs().max() < 0.02
    board[..., :32] = 255
    board[..., 32:] = 0
    edge = taken.normalised(board)
    assert edge.min() == 0
    assert edge.max() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"input_size": (0, 4)},
        {"input_size": (4096, 4)},
        {"input_std": (0.0, 1.0, 1.0)},
        {"crop": 3},
    ],
)
def test_an_input_that_makes_no_sense_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ResNet50(**fields)


# --- files of the user's ---


class Pooled(nn.Module):
    """Means of a 2 x 2 grid: what an embedder should give, (N, 12)."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


class Maps(nn.Module):
    """Feature maps, which nobody pooled."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2)


class Two(nn.Module):
    """Two outputs."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.flatten(1)


class Whole(nn.Module):
    """Whole numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).long()


class Undefined(nn.Module):
    """Values that are no numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) / 0.0 * 0.0


class Fails(nn.Module):
    """Wants another size."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(1, 3, 5, 5).flatten(1)


def torchscript(module: nn.Module, path: Path) -> str:
    """Write a module as TorchScript, which PyTorch would rather not have written any more."""
    jit: Any = torch.jit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jit.script(module).save(str(path))
    return str(path)


def test_a_torchscript_file_gives_what_the_network_gives(images: Tensor, tmp_path: Path) -> None:
    path = torchscript(Pooled(), tmp_path / "network.pt")
    taken = NormalisedInput(input_size=(64, 32))
    rows = load_network(path, {"input_size": (64, 32)}).compute(images)["embedding"]
    assert torch.equal(rows, torch.cat([Pooled()(taken.normalised(one[None])) for one in images]))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Maps(), r"gives \(1, 3, 2, 2\) for 1 image; rows are \(N, D\)"),
        (Two(), "gives a tuple"),
        (Whole(), "gives torch.int64"),
        (Undefined(), "no finite numbers"),
        (Fails(), r"failed on a \(1, 3, 224, 224\) image"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_a_network_that_gives_no_vectors_is_refused_before_any_work(
    tmp_path: Path, module: nn.Module, message: str
) -> None:
    path = torchscript(module, tmp_path / "network.ts")
    with pytest.raises(WeightsError, match=message):
        load_network(path).load(CPU)


@pytest.mark.parametrize("ending", [".pt", ".onnx"])
def test_a_file_that_holds_no_network_is_refused(tmp_path: Path, ending: str) -> None:
    if ending == ".onnx":
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / f"state{ending}"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="A state dict is no network"):
        load_network(str(path)).load(CPU)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    one = load_network(str(tmp_path / "network.pt"))
    assert "There is no file" in one.lacks()
    with pytest.raises(WeightsError, match="There is no file"):
        one.compute(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_a_file_that_changes_is_loaded_again(images: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "network.pt"
    one = load_network(torchscript(Pooled(), path))
    before = one.compute(images)["embedding"], one.canonical()
    torchscript(nn.Sequential(Pooled(), nn.Linear(12, 4)), path)
    assert one.compute(images)["embedding"].shape == (5, 4)
    assert before[0].shape == (5, 12)
    assert one.canonical() != before[1]


def test_torchscript_runs_nothing_of_pickles(tmp_path: Path) -> None:
    """A pickle with a call in it, in place of TorchScript, is refused and not called."""
    path = tmp_path / "network.pt"
    target = tmp_path / "called"

    class Call:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (target,)

    torch.save(Call(), path)
    with pytest.raises(WeightsError, match="cannot be read as a TorchScript network"):
        load_network(str(path)).load(CPU)
    assert not target.exists()


def onnx_file(path: Path, operations: list[str], shape: list[Any], outputs: int = 1) -> str:
    """Write a chain of operations as ONNX."""
    onnx: Any = pytest.importorskip("onnx", reason="onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    names = ["x", *(f"y{n}" for n in range(len(operations)))]
    nodes = [
        helper.make_node(operation, [names[n]], [names[n + 1]])
        for n, operation in enumerate(operations)
    ]
    made = [helper.make_tensor_value_info(name, kind, None) for name in names[-outputs:]]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, shape)], made)
    versions = [helper.make_opsetid("", 17)]
    path.write_bytes(
        helper.make_model(graph, opset_imports=versions, ir_version=9).SerializeToString()
    )
    return str(path)


@pytest.fixture
def onnxruntime() -> Any:
    return pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def test_an_onnx_file_gives_what_the_network_gives(
    images: Tensor, tmp_path: Path, onnxruntime: Any
) -> None:
    operations = ["GlobalAveragePool", "Flatten"]
    path = onnx_file(tmp_path / "network.onnx", operations, ["batch", 3, 64, 32])
    taken = NormalisedInput(input_size=(64, 32))
    rows = load_network(path, {"input_size": (64, 32)}).compute(images)["embedding"]
    torch.testing.assert_close(rows, taken.normalised(images).mean((2, 3)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("operations", "shape", "outputs", "message"),
    [
        (["GlobalAveragePool"], [1, 3, "h", "w"], 1, r"gives \(1, 3, 1, 1\)"),
        (["GlobalAveragePool", "Flatten"], [1, 3, "h", "w"], 2, "gives y0, y1"),
        (["GlobalAveragePool", "Flatten"], [1, 3, 96, 96], 1, "Set input_size"),
        (["GlobalAveragePool", "Flatten"], [8, 3, "h", "w"], 1, "one image at a time"),
        (["Flatten"], ["n", "d"], 1, r"a network takes \(N, 3, H, W\)"),
    ],
)
def test_an_onnx_file_of_another_shape_is_refused(
    tmp_path: Path,
    onnxruntime: Any,
    operations: list[str],
    shape: list[Any],
    outputs: int,
    message: str,
) -> None:
    path = onnx_file(tmp_path / "network.onnx", operations, shape, outputs)
    with pytest.raises(WeightsError, match=message):
        load_network(path).load(CPU)


@pytest.mark.parametrize("location", ["figures.bin", "../figures.bin", "{folder}/figures.bin"])
def test_an_onnx_file_draws_in_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onnxruntime: Any, location: str
) -> None:
    """Its digest would not cover it, and it might be any file of the machine."""
    onnx: Any = pytest.importorskip("onnx", reason="onnx is not installed")
    inner = tmp_path / "inner"
    inner.mkdir()
    for folder in (tmp_path, inner):
        (folder / "figures.bin").write_bytes(np.ones(3 * 4, np.float32).tobytes())
    monkeypatch.chdir(inner)
    path = Path(onnx_file(inner / "network.onnx", ["Flatten"], [1, 3, 2, 2]))
    model = onnx.load(path)
    figures = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[12, 1])
    figures.data_location = onnx.TensorProto.EXTERNAL
    entry = figures.external_data.add()
    entry.key, entry.value = "location", location.format(folder=inner)
    model.graph.initializer.append(figures)
    model.graph.node.append(onnx.helper.make_node("MatMul", ["y0", "w"], ["z"]))
    model.graph.output[0].name = "z"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=r"[Ee]xternal data"):
        load_network(str(path), {"input_size": (2, 2)}).load(CPU)


def test_onnx_without_its_extra_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhpt_eval.features.embedding.files.find_spec", lambda _: None)
    (tmp_path / "network.onnx").write_bytes(b"any")
    one = load_network(str(tmp_path / "network.onnx"))
    assert one.lacks() == "needs onnxruntime (pip install 'fhpt-eval[onnx]')"


# --- timm ---


@pytest.fixture
def timm() -> Any:
    return pytest.importorskip("timm", reason="timm is not installed")


def timm_file(timm: Any, model: str, path: Path) -> str:
    torch.manual_seed(0)
    torch.save(timm.create_model(model, pretrained=False).state_dict(), path)
    return str(path)


def test_a_model_of_timm_gives_its_features(images: Tensor, tmp_path: Path, timm: Any) -> None:
    path = timm_file(timm, "test_vit", tmp_path / "weights.pth")
    one = load_network("timm:test_vit", {"weights": path})
    assert one.lacks() == ""
    assert one.compute(images)["embedding"].shape == (5, 64)
    assert list(one.digests()) == ["timm:test_vit"]
    assert path not in str(one.canonical())


def test_weights_of_another_model_of_timm_are_refused(tmp_path: Path, timm: Any) -> None:
    path = timm_file(timm, "test_vit", tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match="does not hold the weights of timm:test_resnet"):
        load_network("timm:test_resnet", {"weights": path}).load(CPU)


def test_timm_says_what_is_lacking(monkeypatch: pytest.MonkeyPatch, timm: Any) -> None:
    assert "Did you mean 'resnet50'" in Timm(model="resnet5O").lacks()
    assert "needs a file with its weights" in Timm(model="resnet50.a1_in1k").lacks()
    with pytest.raises(WeightsError, match="timm:resnet50 needs a file with its weights"):
        Timm(model="resnet50").load(CPU)
    monkeypatch.setattr("fhpt_eval.features.embedding.networks.find_spec", lambda _: None)
    assert Timm(model="resnet50").lacks() == "needs timm (pip install 'fhpt-eval[timm]')"
