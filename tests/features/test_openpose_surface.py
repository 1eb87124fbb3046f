"""Enlarging, cropping, resizing and smoothing as banded matrices, and surfaces read where asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from fhpt_eval.features.openpose.bands import Band, compose, cubic, gaussian
from fhpt_eval.features.openpose.surface import (
    TILE,
    Plane,
    axis,
    sample,
    smoothed,
    tiles_above,
)

Floats = NDArray[np.float64]

#: Samples before and after: larger, smaller, equal, one, not a multiple.
RESIZES = [(46, 368), (5, 40), (1, 8), (368, 256), (64, 17), (7, 7), (3, 100), (1, 1)]


def plane(maps: Floats, used: tuple[int, int], pixels: tuple[int, int], sigma: float = 3) -> Plane:
    axes = [
        axis(cells, 8, crop, size, sigma)
        for cells, crop, size in zip(maps.shape[1:], used, pixels, strict=True)
    ]
    return Plane(maps, *axes)


def tiles_of(surface: list[Plane], where: NDArray[np.intp]) -> Floats:
    """Return all tiles at once."""
    runs = [(first, values.copy()) for first, values in smoothed(surface, where)]
    assert [first for first, _ in runs] == list(range(0, len(where), len(runs[0][1])))
    return np.concatenate([values for _, values in runs])


def oracle(maps: Floats, used: tuple[int, int], pixels: tuple[int, int]) -> Floats:
    """Enlarge 8 times, crop, and resize by PyTorch's bicubic interpolation, in float64."""
    x = torch.from_numpy(maps)[None]
    x = torch.nn.functional.interpolate(
        x, (8 * maps.shape[1], 8 * maps.shape[2]), mode="bicubic", align_corners=False
    )
    x = x[..., : used[0], : used[1]]
    if pixels != used:
        x = torch.nn.functional.interpolate(x, pixels, mode="bicubic", align_corners=False)
    return x[0].numpy()


@pytest.mark.parametrize("sizes", RESIZES)
def test_cubic_is_pytorchs_bicubic_interpolation(sizes: tuple[int, int]) -> None:
    samples = np.random.default_rng(0).normal(size=(1, 1, sizes[0], 4))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(samples), (sizes[1], 4), mode="bicubic", align_corners=False
    )
    found = cubic(*sizes).dense() @ samples[0, 0]
    np.testing.assert_allclose(found, expected[0, 0].numpy(), atol=1e-12, rtol=0)


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0, 3.0, 20.0])
@pytest.mark.parametrize("size", [1, 2, 9, 60])
def test_gaussian_is_scipys_filter(size: int, sigma: float) -> None:
    samples = np.random.default_rng(0).normal(size=size)
    expected = gaussian_filter1d(samples, sigma) if sigma else samples
    found = gaussian(size, sigma).dense() @ samples
    np.testing.assert_allclose(found, expected, atol=1e-13, rtol=0)


def test_composing_is_multiplying() -> None:
    outer, inner = gaussian(100, 3), cubic(37, 100)
    product = outer.dense() @ inner.dense()
    np.testing.assert_allclose(compose(outer, inner).dense(), product, atol=1e-14)


def test_cropping_keeps_the_first_rows() -> None:
    np.testing.assert_array_equal(cubic(5, 40).first(33).dense(), cubic(5, 40).dense()[:33])


def test_a_band_is_as_narrow_as_its_kernel() -> None:
    assert cubic(46, 368).weights.shape == (368, 4)
    assert isinstance(gaussian(368, 3), Band)
    assert gaussian(368, 3).weights.shape == (368, 25)


def test_axes_are_made_once() -> None:
    assert axis(46, 8, 368, 368, 3.0) is axis(46, 8, 368, 368, 3.0)


#: Cells of the maps, pixels of the input that are image, pixels of the image.
FRAMES = [
    ((9, 6), (72, 48), (72, 48)),
    ((9, 6), (69, 41), (69, 41)),
    ((9, 6), (67, 44), (256, 176)),
    ((12, 9), (90, 66), (50, 37)),
    ((1, 1), (8, 8), (8, 8)),
    ((2, 1), (9, 3), (5, 20)),
]


@pytest.mark.parametrize(("cells", "used", "pixels"), FRAMES)
def test_pixels_are_those_of_the_enlarged_maps(
    cells: tuple[int, int], used: tuple[int, int], pixels: tuple[int, int]
) -> None:
    maps = np.random.default_rng(1).normal(size=(4, *cells))
    expected = oracle(maps, used, pixels)
    y, x = (index.ravel() for index in np.indices(pixels))
    channel = np.full(len(y), 1)
    found = sample([plane(maps, used, pixels)], channel, y, x, depth=2)
    np.testing.assert_allclose(found.T.reshape(2, *pixels), expected[1:3], atol=1e-12, rtol=0)


@pytest.mark.parametrize(("cells", "used", "pixels"), FRAMES)
def test_tiles_are_those_of_the_smoothed_enlarged_maps(
    cells: tuple[int, int], used: tuple[int, int], pixels: tuple[int, int]
) -> None:
    maps = np.random.default_rng(2).normal(size=(2, *cells))
    expected = np.zeros((2, pixels[0] + 2 + TILE, pixels[1] + 2 + TILE))
    for channel, enlarged in enumerate(oracle(maps, used, pixels)):
        expected[channel, 1 : pixels[0] + 1, 1 : pixels[1] + 1] = gaussian_filter(enlarged, 3)
    rows, columns = (-(-side // TILE) for side in pixels)
    where = np.argwhere(np.ones((2, rows, columns)))
    found = tiles_of([plane(maps, used, pixels)], where)
    for values, (channel, row, column) in zip(found, where, strict=True):
        top, left = row * TILE, column * TILE
        tile = expected[channel, top : top + TILE + 2, left : left + TILE + 2]
        np.testing.assert_allclose(values, tile, atol=1e-12, rtol=0)


def test_planes_of_several_scales_add_up() -> None:
    rng = np.random.default_rng(3)
    one = plane(rng.normal(size=(3, 5, 4)), (40, 30), (64, 48))
    other = plane(rng.normal(size=(3, 10, 8)), (80, 60), (64, 48))
    channel, y, x = np.array([0, 2]), np.array([0, 33]), np.array([47, 5])
    total = sample([one], channel, y, x) + sample([other], channel, y, x)
    np.testing.assert_allclose(sample([one, other], channel, y, x), total, atol=1e-14)
    where = np.array([[2, 7, 5], [0, 3, 0]])
    sums = tiles_of([one], where) + tiles_of([other], where)
    np.testing.assert_allclose(tiles_of([one, other], where), sums, atol=1e-14)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(FRAMES), st.floats(0, 0.5))
def test_no_tile_above_the_threshold_is_left_out(
    seed: int, frame: tuple[tuple[int, int], ...], threshold: float
) -> None:
    cells, used, pixels = frame
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(3, *cells)) * rng.random((3, *cells)) ** 4
    surface = [plane(maps, (used[0], used[1]), (pixels[0], pixels[1]))]
    rows, columns = (-(-side // TILE) for side in pixels)
    where = np.argwhere(np.ones((3, rows, columns)))
    above = (tiles_of(surface, where)[:, 1:-1, 1:-1] > threshold).any(axis=(1, 2))
    kept = {tuple(tile) for tile in tiles_above(surface, 3, threshold).tolist()}
    assert {tuple(tile) for tile in where[above].tolist()} <= kept


def test_where_maps_are_empty_no_tile_is_looked_at() -> None:
    maps = np.zeros((3, 12, 12))
    maps[1, 5, 6] = 1
    surface = [plane(maps, (96, 96), (96, 96))]
    kept = tiles_above(surface, 3, 0.1)
    assert set(kept[:, 0].tolist()) == {1}
    assert np.abs(kept[:, 1:] - [5, 6]).max() <= 2
    assert len(tiles_above(surface, 1, 0.1)) == 0
