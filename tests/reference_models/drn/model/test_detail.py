"""The style encoder and the two detail replenishing modules."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fhpt_eval.reference_models.drn.model.drn import (
    AdaptiveInstanceNorm,
    DetailPath,
    FaceModule,
    GlobalModule,
    Model,
    StyleEncoder,
)
from fhpt_eval.reference_models.drn.model.extensions import (
    CoarseFilter,
    PlainInstanceNorm,
    Summary,
    Waves,
)
from tests.support import drn_models as tiny


def style_encoder(
    channels: int, halvings: int, grid: tuple[int, int], length: int, summary: Summary | None = None
) -> StyleEncoder:
    sizes = tiny.settings(
        appearance_channels=channels, appearance_downsamplings=halvings, style_grid=grid,
        style_dimension=length,
    )  # fmt: skip
    return StyleEncoder(sizes, summary)


@pytest.mark.parametrize(("height", "width"), [(32, 24), (31, 17), (5, 4)])
def test_a_style_code_is_a_vector_whatever_the_images_size(height: int, width: int) -> None:
    encoder = style_encoder(4, 3, (4, 2), 8)
    assert encoder(torch.rand(2, 3, height, width)).shape == (2, 8)


def test_a_style_code_tells_colours_apart() -> None:
    """A normalised encoder could not: without texture all colours would look alike to it."""
    encoder = style_encoder(4, 2, (1, 1), 8)
    red, blue = torch.full((2, 1, 3, 16, 16), -1.0)
    red[:, 0], blue[:, 2] = 1.0, 1.0
    assert (encoder(red) - encoder(blue)).abs().max() > 1e-2


def test_a_new_style_encoder_tells_people_apart() -> None:
    """Codes that are all alike teach a detail path nothing for a long time."""
    people = tiny.drawn_pairs(6, 64, 44, 16)[0].source
    for seed in range(3):
        torch.manual_seed(seed)
        codes = style_encoder(8, 3, (4, 2), 32)(people)
        assert codes.std(0).mean() > 0.1 * codes.square().mean().sqrt()
        assert 0.2 < codes.square().mean().sqrt() < 5


def test_a_style_code_tells_above_from_below_by_its_grid() -> None:
    image = torch.full((1, 3, 64, 32), -1.0)
    image[:, 0, :32], image[:, 2, 32:] = 1.0, 1.0  # a red shirt and blue trousers
    swapped = image.roll(32, dims=2)
    torch.manual_seed(0)
    rows = style_encoder(4, 2, (2, 1), 8)
    mixed = style_encoder(4, 2, (1, 1), 8)
    apart = (rows(image) - rows(swapped)).abs().max()
    alike = (mixed(image) - mixed(swapped)).abs().max()
    assert apart > 3 * alike


def test_a_style_code_comes_from_three_fully_connected_layers() -> None:
    layers = [one for one in style_encoder(4, 2, (2, 1), 8).modules() if isinstance(one, nn.Linear)]
    assert [one.out_features for one in layers] == [8, 8, 8]
    assert layers[0].in_features == 16 * 2 * 1


def test_a_summary_is_added_to_the_style_code_by_a_map_that_is_zero_at_first() -> None:
    image = torch.rand(2, 3, 32, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1
    torch.manual_seed(0)
    summary = Summary("random")
    encoder = style_encoder(4, 2, (2, 1), 8, summary)
    torch.manual_seed(0)
    plain = style_encoder(4, 2, (2, 1), 8)
    assert encoder(image).equal(plain(image))
    assert encoder.told is not None
    torch.nn.init.normal_(encoder.told.weight)
    added = summary(image) @ encoder.told.weight.T
    torch.testing.assert_close(encoder(image), plain(image) + added)
    encoder(image).sum().backward()
    assert encoder.told.weight.grad is not None
    assert encoder.told.weight.grad.any()


def test_only_the_global_module_hears_of_a_summary() -> None:
    model = Model(tiny.configuration(style_summary=True))
    told = [name for name in model.state_dict() if "told" in name or "summary" in name]
    assert told == ["global_module.style_encoder.told.weight"]


def test_every_layer_of_a_detail_path_but_the_last_is_adaptive() -> None:
    path = DetailPath(16, tiny.settings())
    convolutions = [m for m in path.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    adaptive = [m for m in path.modules() if isinstance(m, AdaptiveInstanceNorm)]
    assert len(adaptive) == len(convolutions) - 1
    assert not any(isinstance(m, PlainInstanceNorm) for m in path.modules())


def test_the_global_module_turns_features_and_source_into_a_residual_map() -> None:
    module = GlobalModule(16, tiny.settings())
    features, source = torch.randn(2, 16, 8, 6), torch.rand(2, 3, 32, 24) * 2 - 1
    coarse = torch.zeros(2, 3, 32, 24)
    residual = module(features, source, coarse)
    assert residual.shape == (2, 3, 32, 24)
    assert not torch.allclose(module(features, source.flip(1), coarse), residual, atol=1e-6)
    assert not torch.allclose(module(features.flip(3), source, coarse), residual, atol=1e-6)
    assert module(features, source, coarse + 0.5).equal(residual)


def test_a_coarse_filter_starts_at_zero_and_gives_zero_of_even_areas() -> None:
    layer = CoarseFilter(5)
    image = torch.rand(2, 3, 12, 10) * 2 - 1
    assert not layer(image).any()
    nn.init.normal_(layer.weight)
    assert layer(image).abs().min() > 0
    assert layer(torch.full((1, 3, 12, 10), 0.9)).abs().max() < 1e-5  # to the border


def test_a_coarse_filter_can_take_a_lattice_away() -> None:
    layer = CoarseFilter(5)
    notch = torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0]) / 4  # passes no wave of 4 pixels
    with torch.no_grad():
        for channel in range(3):
            layer.weight[channel, channel] = notch[:, None] * notch
            layer.weight[channel, channel, 2, 2] -= 1
    lattice = torch.cos(torch.arange(40.0) * (torch.pi / 2)).expand(1, 3, 40, 40)
    mended = lattice + layer(lattice)
    assert mended[..., 2:-2].abs().max() < 1e-5


def test_the_residual_map_holds_the_filtered_coarse_image() -> None:
    module = GlobalModule(16, tiny.settings(coarse_filter=3))
    assert module.coarse_filter is not None
    nn.init.normal_(module.coarse_filter.weight)
    features, source = torch.randn(2, 16, 8, 6), torch.rand(2, 3, 32, 24) * 2 - 1
    coarse = torch.rand(2, 3, 32, 24) * 2 - 1
    added = module(features, source, coarse) - module(features, source, torch.zeros_like(coarse))
    torch.testing.assert_close(added, module.coarse_filter(coarse), atol=1e-5, rtol=1e-5)


def test_waves_have_the_lengths_and_directions_that_are_documented() -> None:
    x = torch.randn(2, 3, 40, 30)
    found = Waves(3)(x, None)
    assert found.shape == (2, 3 + 8 * 3, 40, 30)
    assert found[:, :3].equal(x)
    waves = found[0, 3:].reshape(2, 3, 4, 40, 30)  # sine and cosine, length, direction
    torch.testing.assert_close(waves.square().sum(0), torch.ones(3, 4, 40, 30))
    down, across = torch.arange(40.0)[:, None], torch.arange(30.0)[None]
    for number, length in enumerate((3.0, 4.5, 6.75)):
        for direction, places in enumerate(
            (down + 0 * across, across + 0 * down, (across + down) / 2**0.5,
             (across - down) / 2**0.5)
        ):  # fmt: skip
            wanted = torch.sin(2 * torch.pi * places / length)
            torch.testing.assert_close(waves[0, number, direction], wanted, atol=1e-4, rtol=0)


def test_only_the_global_module_is_given_waves() -> None:
    settings = tiny.settings(waves=2)
    assert any(isinstance(one, Waves) for one in GlobalModule(16, settings).modules())
    assert not any(isinstance(one, Waves) for one in FaceModule(settings).modules())


def test_a_residual_map_has_no_bounds() -> None:
    module = GlobalModule(16, tiny.settings())
    assert module.path.colours.bias is not None
    nn.init.constant_(module.path.colours.bias, 3.0)
    empty = torch.zeros(1, 3, 32, 24)
    assert module(torch.randn(1, 16, 8, 6), empty, empty).max() > 2


def test_without_a_style_code_the_residual_is_of_the_features_alone() -> None:
    module = GlobalModule(16, tiny.settings(style_code=False))
    features, source = torch.randn(2, 16, 8, 6), torch.rand(2, 3, 32, 24)
    assert torch.equal(module(features, source, source), module(features, -source, source))
    assert not any(isinstance(m, AdaptiveInstanceNorm) for m in module.modules())
    assert module.style_encoder is None


@pytest.mark.parametrize("style_code", [True, False])
def test_the_face_module_looks_at_pose_and_source_face(style_code: bool) -> None:
    module = FaceModule(tiny.settings(style_code=style_code))
    x = tiny.inputs()
    face = module(x.target_face_pose, x.source_face)
    assert face.shape == (2, 3, tiny.FACE, tiny.FACE)
    assert face.abs().max() <= 1
    other = module(x.target_face_pose, x.source_face.flip(1))
    assert not torch.allclose(other, face, atol=1e-6)
    other = module(x.target_face_pose.flip(3), x.source_face)
    assert not torch.allclose(other, face, atol=1e-6)
