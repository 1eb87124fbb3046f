"""Each loss against its formula, written with loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from fhpt_eval.reference_models.drn.training import losses

#: float32 sums of a few hundred terms of order one.
CLOSE = 1e-5


def maps(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(2, 4, 7, 5), (2, 6, 3, 2)]
    return [torch.rand(*shape, generator=generator) * 3 for shape in shapes]


def grams(values: Tensor) -> NDArray[np.float64]:
    rows, channels, height, width = values.shape
    x = values.double().numpy()
    found = np.zeros((rows, channels, channels))
    for n in range(rows):
        for a in range(channels):
            for b in range(channels):
                found[n, a, b] = (x[n, a] * x[n, b]).sum() / (channels * height * width)
    return found


def test_l1_is_the_mean_absolute_difference() -> None:
    a, b = maps(0)[0], maps(1)[0]
    expected = np.abs(a.double().numpy() - b.double().numpy()).mean()
    assert losses.l1(a, b).item() == pytest.approx(expected, rel=CLOSE)


def test_perceptual_is_the_mean_over_layers_of_l1() -> None:
    """Over layers, not over all values: a layer with few values counts as much."""
    expected = np.mean([
        np.abs(a.double().numpy() - b.double().numpy()).mean()
        for a, b in zip(maps(0), maps(1), strict=True)
    ])  # fmt: skip
    assert losses.perceptual(maps(0), maps(1)).item() == pytest.approx(expected, rel=CLOSE)


def test_gram_is_channel_times_channel_over_chw() -> None:
    for values in maps(0):
        np.testing.assert_allclose(losses.gram(values), grams(values), rtol=CLOSE)


def test_style_is_the_mean_over_layers_of_l1_of_grams() -> None:
    expected = np.mean([
        np.abs(grams(a) - grams(b)).mean() for a, b in zip(maps(0), maps(1), strict=True)
    ])  # fmt: skip
    assert losses.style(maps(0), maps(1)).item() == pytest.approx(expected, rel=CLOSE)


def test_style_does_not_ask_where() -> None:
    shuffled = [values.flip(2, 3) for values in maps(0)]
    assert losses.style(maps(0), shuffled).item() == pytest.approx(0, abs=1e-6)
    assert losses.perceptual(maps(0), shuffled) > 0.1


def test_covariances_are_those_of_channels_within_windows() -> None:
    values = maps(0)[0]  # 7 x 5: windows of 3 begin at rows 1 and 4, and at column 1
    found = losses.covariances(values, 3, down=1, across=1)
    expected = [
        np.cov(values[n, :, row : row + 3, 1:4].double().flatten(1).numpy(), bias=True)
        for n in range(2)
        for row in (1, 4)
    ]
    np.testing.assert_allclose(found, np.stack(expected), rtol=CLOSE, atol=1e-6)


def stripes(phase: int = 0, brightness: float = 0.0) -> list[Tensor]:
    """Return one layer: an upper half with stripes across, a lower one with stripes along."""
    wave = torch.sin((torch.arange(32) + phase) * (2 * np.pi / 4))
    upper, lower = wave[:16, None].expand(16, 32), wave[None].expand(16, 32)
    return [torch.cat([upper, lower])[None, None] + brightness]


@pytest.mark.parametrize("seed", range(4))
def test_texture_asks_where_and_not_for_phase_or_brightness(seed: int) -> None:
    """What a style loss over the whole image gets wrong; by how much, whatever windows are drawn.

    One channel tells nothing of direction, so a slope is put beside it: the difference of rows.
    """

    def distance(one: list[Tensor], other: list[Tensor]) -> float:
        torch.manual_seed(seed)
        both = [[torch.cat([x[..., 1:, :], x.diff(dim=2)], 1) for x in y] for y in (one, other)]
        return losses.texture(*both).item()

    wanted = stripes()
    turned = [wanted[0].flip(2)]  # the same stripes, in the wrong places
    even = [torch.zeros_like(wanted[0])]
    assert distance(stripes(brightness=0.5), wanted) == pytest.approx(0, abs=1e-5)
    assert distance(even, wanted) == pytest.approx(1, rel=0.01)
    assert distance(stripes(phase=1), wanted) < 0.25
    assert distance(turned, wanted) > 0.3


def test_where_windows_begin_follows_from_torchs_seed() -> None:
    one, other = ([torch.rand(1, 2, 20, 20, generator=torch.Generator().manual_seed(seed))]
                  for seed in (1, 2))  # fmt: skip

    def found(seed: int) -> float:
        torch.manual_seed(seed)
        return losses.texture(one, other).item()

    assert found(1) == found(1)
    assert len({found(seed) for seed in range(8)}) > 3


def test_texture_of_layers_smaller_than_a_window_is_that_of_the_whole_layer() -> None:
    small = [torch.rand(1, 2, 3, 5, generator=torch.Generator().manual_seed(1))]
    assert losses.texture(small, small) == 0
    assert losses.texture([torch.zeros(1, 2, 3, 5)], small).item() == pytest.approx(1, rel=CLOSE)


def test_texture_of_an_even_target_is_finite_and_has_a_gradient() -> None:
    drawn = torch.rand(1, 2, 9, 9, generator=torch.Generator().manual_seed(1)).requires_grad_()
    found = losses.texture([drawn], [torch.ones(1, 2, 9, 9)])
    found.backward()
    assert found < 100  # and not the millions of a division by nearly nothing
    assert drawn.grad is not None
    assert drawn.grad.isfinite().all()
    assert drawn.grad.any()


def test_summary_is_one_minus_the_cosine_of_the_angle() -> None:
    one, other = maps(0)[0].flatten(1), maps(1)[0].flatten(1)
    a, b = one.double().numpy(), other.double().numpy()
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert losses.summary(one, other).item() == pytest.approx((1 - cosines).mean(), abs=1e-6)
    assert losses.summary(one, 3 * one).item() == pytest.approx(0, abs=1e-6)
    assert losses.summary(one, -one).item() == pytest.approx(2, abs=1e-6)


def test_adversarial_losses_are_least_squares() -> None:
    real, generated = maps(0)[0], maps(1)[0] - 1
    r, g = real.double().numpy(), generated.double().numpy()
    found = losses.discriminator_loss(real, generated).item()
    assert found == pytest.approx(((r - 1) ** 2).mean() / 2 + (g**2).mean() / 2, rel=CLOSE)
    found = losses.generator_loss(generated).item()
    assert found == pytest.approx(((g - 1) ** 2).mean() / 2, rel=CLOSE)


def test_adversarial_losses_are_zero_where_their_side_has_won() -> None:
    assert losses.discriminator_loss(torch.ones(2, 1, 3, 3), torch.zeros(2, 1, 3, 3)) == 0
    assert losses.generator_loss(torch.ones(2, 1, 3, 3)) == 0


@given(st.integers(0, 50))
def test_a_loss_is_zero_for_equals_and_symmetric(seed: int) -> None:
    a, b = maps(seed), maps(seed + 1)
    for loss in (losses.perceptual, losses.style):
        assert loss(a, a) == 0
        assert loss(a, b).item() == pytest.approx(loss(b, a).item(), rel=CLOSE)


def test_layers_must_match() -> None:
    with pytest.raises(ValueError, match="shorter"):
        losses.perceptual(maps(0), maps(1)[:1])


def test_losses_are_float32_whatever_comes_in() -> None:
    half = [values.bfloat16() for values in maps(0)]
    other = [values.bfloat16() for values in maps(1)]
    with torch.autocast("cpu", torch.bfloat16):
        for found in (losses.l1(half[0], other[0]), losses.perceptual(half, other),
                      losses.style(half, other), losses.gram(half[0]),
                      losses.texture(half, other), losses.covariances(half[0], 3),
                      losses.generator_loss(half[0])):  # fmt: skip
            assert found.dtype == torch.float32
    exact = losses.gram(half[0].float())
    torch.testing.assert_close(losses.gram(half[0]), exact)  # no rounding on the way
