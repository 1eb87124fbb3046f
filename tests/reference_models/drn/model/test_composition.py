"""I_t = (1 - M_F) (I_c + R_t) + M_F face, and where the face's pixels lie."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import Tensor

from fhpt_eval.reference_models.drn.model.drn import (
    compose,
    crop_faces,
    face_masks,
    has_box,
    place_faces,
)

NOWHERE = (math.nan,) * 4


def box(*edges: float) -> Tensor:
    return torch.tensor([edges])


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ((1.0, 2.0, 3.0, 4.0), True),
        ((-5.0, -5.0, 500.0, 500.0), True),
        (NOWHERE, False),
        ((1.0, math.nan, 3.0, 4.0), False),
        ((1.0, 2.0, math.inf, 4.0), False),
        ((3.0, 2.0, 3.0, 4.0), False),
        ((1.0, 4.0, 3.0, 2.0), False),
    ],
)
def test_a_box_is_finite_and_has_an_area(edges: tuple[float, ...], expected: bool) -> None:
    assert bool(has_box(box(*edges))) is expected


@pytest.mark.parametrize("edges", [(5.25, 3.5, 14.0, 18.75), (-4.0, 10.0, 6.5, 40.0)])
@pytest.mark.parametrize("sigma", [0.8, 2.5])
def test_the_mask_is_the_blurred_indicator(edges: tuple[float, ...], sigma: float) -> None:
    """Against SciPy's filter on a grid sixteen times as fine, which is off by its own steps."""
    height, width, fine, margin = 24, 20, 16, 20
    x = (np.arange((width + 2 * margin) * fine) + 0.5) / fine - margin
    y = (np.arange((height + 2 * margin) * fine) + 0.5) / fine - margin
    left, top, right, bottom = edges
    inside = ((y > top) & (y < bottom))[:, None] & ((x > left) & (x < right))[None, :]
    blurred = gaussian_filter(inside.astype(np.float64), sigma * fine, truncate=6)
    middles = slice(margin * fine + fine // 2, -margin * fine, fine)
    before = slice(margin * fine + fine // 2 - 1, -margin * fine - 1, fine)
    # A pixel's centre lies between two fine ones.
    expected = (blurred[middles, middles] + blurred[before, before]) / 2
    found = face_masks(box(*edges), height, width, sigma)
    assert found.shape == (1, 1, height, width)
    np.testing.assert_allclose(found[0, 0], expected, atol=2e-3)


@settings(max_examples=30, deadline=None)
@given(st.floats(8, 12), st.floats(8, 12), st.floats(4, 10), st.floats(4, 10), st.floats(0.3, 1.5))
def test_the_mask_covers_the_boxes_area_and_stays_within_bounds(
    left: float, top: float, across: float, down: float, sigma: float
) -> None:
    mask = face_masks(box(left, top, left + across, top + down), 32, 32, sigma)
    assert mask.min() >= 0
    assert mask.max() <= 1
    # Sums over pixels are integrals but for what the sampling of narrow edges adds.
    assert mask.sum().item() == pytest.approx(across * down, rel=0.02 if sigma > 0.5 else 0.15)


def test_half_of_the_mask_is_at_an_edge() -> None:
    mask = face_masks(box(10.5, -50.0, 60.0, 80.0), 32, 32, 2.0)
    torch.testing.assert_close(mask[0, 0, 16, 10], torch.tensor(0.5))  # centre of pixel 10: 10.5


def test_without_a_box_there_is_no_mask_and_no_face() -> None:
    boxes = torch.tensor([NOWHERE, (4.0, 4.0, 12.0, 12.0), (9.0, 4.0, 3.0, 12.0)])
    masks, faces = (
        face_masks(boxes, 16, 16, 1.0),
        place_faces(torch.ones(3, 3, 8, 8), boxes, 16, 16),
    )
    assert (masks[[0, 2]] == 0).all()
    assert (faces[[0, 2]] == 0).all()
    assert masks[1].max() > 0.9
    assert (crop_faces(torch.ones(3, 3, 16, 16), boxes, 8)[[0, 2]] == 0).all()


def test_a_face_of_the_boxes_size_is_placed_pixel_by_pixel() -> None:
    face = torch.rand(1, 3, 6, 6)
    placed = place_faces(face, box(4.0, 2.0, 10.0, 8.0), 12, 16)
    torch.testing.assert_close(placed[:, :, 2:8, 4:10], face, atol=1e-6, rtol=0)


def test_around_its_box_a_face_goes_on_with_its_border() -> None:
    face = torch.rand(1, 3, 6, 6)
    placed = place_faces(face, box(4.0, 2.0, 10.0, 8.0), 12, 16)
    expected = face[:, :, :, :1].expand(-1, -1, -1, 4)
    torch.testing.assert_close(placed[:, :, 2:8, :4], expected, atol=1e-6, rtol=0)


@settings(max_examples=20, deadline=None)
@given(st.floats(-3, 8), st.floats(0, 9), st.floats(5, 30), st.floats(5, 30), st.integers(4, 24))
def test_pixels_of_a_face_divide_its_box_evenly(
    left: float, top: float, across: float, down: float, size: int
) -> None:
    """A ramp that says of each place of the box where it is, read at each pixel's centre."""
    steps = (torch.arange(size) + 0.5) / size
    face = torch.stack([steps.expand(size, size), steps[:, None].expand(size, size)])[None]
    placed = place_faces(face, box(left, top, left + across, top + down), 20, 24)
    x = ((torch.arange(24) + 0.5 - left) / across).clamp(steps[0], steps[-1])
    y = ((torch.arange(20) + 0.5 - top) / down).clamp(steps[0], steps[-1])
    torch.testing.assert_close(placed[0, 0], x.expand(20, 24), atol=1e-5, rtol=0)
    torch.testing.assert_close(placed[0, 1], y[:, None].expand(20, 24), atol=1e-5, rtol=0)


def test_cropping_undoes_placing() -> None:
    steps = torch.linspace(-1, 1, 16)
    face = torch.stack([torch.sin(2 * steps).expand(16, 16), (steps**2)[:, None].expand(16, 16)])
    boxes = box(5.3, 2.8, 45.9, 44.1)
    placed = place_faces(face[None], boxes, 64, 48)
    cropped = crop_faces(placed, boxes, 16)
    # Bilinear twice: a sixteenth of a half-wave rounds its curve off by this much.
    torch.testing.assert_close(cropped[0, :, 1:-1, 1:-1], face[:, 1:-1, 1:-1], atol=0.02, rtol=0)


def test_a_crop_of_whole_pixels_is_a_slice() -> None:
    image = torch.rand(1, 3, 20, 24)
    torch.testing.assert_close(
        crop_faces(image, box(4.0, 6.0, 12.0, 14.0), 8), image[:, :, 6:14, 4:12], atol=1e-5, rtol=0
    )


def images(number: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    coarse, residual = torch.randn(2, number, 3, 20, 24, generator=generator)
    face = torch.randn(number, 3, 8, 8, generator=generator)
    boxes = torch.tensor([[6.2, 3.1, 15.4, 13.9], NOWHERE])[:number]
    return coarse, residual, face, boxes


def test_the_composition_is_its_formula_exactly() -> None:
    coarse, residual, face, boxes = images()
    mask, final = compose(coarse, residual, face, boxes, 1.5)
    placed = place_faces(face, boxes, 20, 24)
    assert torch.equal(mask, face_masks(boxes, 20, 24, 1.5))
    assert torch.equal(final, (1 - mask) * (coarse + residual) + mask * placed)
    assert mask[0].max() > 0.9


def test_where_the_target_shows_no_face_the_final_image_is_coarse_plus_residual() -> None:
    coarse, residual, face, boxes = images()
    _, final = compose(coarse, residual, face, boxes, 1.5)
    assert torch.equal(final[1], coarse[1] + residual[1])


def test_what_an_ablation_leaves_out_is_nothing() -> None:
    coarse, residual, face, boxes = images()
    mask, final = compose(coarse, None, None, boxes, 1.5)
    assert final is coarse
    assert (mask == 0).all()
    assert mask.shape == (2, 1, 20, 24)
    assert torch.equal(compose(coarse, residual, None, boxes, 1.5)[1], coarse + residual)
    without = compose(coarse, None, face, boxes, 1.5)[1]
    assert torch.equal(without, compose(coarse, torch.zeros_like(coarse), face, boxes, 1.5)[1])


def test_gradients_reach_all_three_images_and_are_finite_without_a_box() -> None:
    coarse, residual, face, boxes = images()
    for one in (coarse, residual, face):
        one.requires_grad_()
    compose(coarse, residual, face, boxes, 1.5)[1].square().sum().backward()
    for one in (coarse, residual, face):
        assert one.grad is not None
        assert one.grad.isfinite().all()
    assert face.grad is not None
    assert (face.grad[0] != 0).any()
    assert (face.grad[1] == 0).all()
