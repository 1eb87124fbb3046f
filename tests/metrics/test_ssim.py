"""SSIM agrees with scikit-image, in every variant, on real photographs of awkward sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from fhpt_eval.errors import ProtocolError
from fhpt_eval.metrics import SSIM
from fhpt_eval.metrics.tensors import to_grey
from tests.support.photographs import Pixels, calibration, crops, spoilt, tensor

#: Float64 sums in another order; the requirement is 1e-6.
TOLERANCE = 1e-10
#: Odd, non-square, the field's own, and barely larger than the window.
SIZES = [(256, 176), (97, 71), (63, 128), (11, 12), (12, 11), (11, 11)]

#: scikit-image's arguments for each variant; window and covariance as its documentation maps them.
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
VARIANTS: list[tuple[SSIM, dict[str, Any]]] = [
    (SSIM(), WANG),
    (SSIM(data_range="generated"), WANG),
    (SSIM(window="uniform"), {}),
    (SSIM(window="uniform", size=9, sample_covariance=False),
     {"win_size": 9, "use_sample_covariance": False}),
    (SSIM(size=9, sigma=1.2), {**WANG, "sigma": 1.2}),
    (SSIM(sample_covariance=True), {**WANG, "use_sample_covariance": True}),
]  # fmt: skip


def reference(x: Pixels, y: Pixels, metric: SSIM, arguments: dict[str, Any]) -> float:
    """Score one pair with scikit-image."""
    data_range = 255 if metric.data_range == "full" else int(x.max()) - int(x.min())
    return float(structural_similarity(x, y, channel_axis=2, data_range=data_range, **arguments))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("metric", "arguments"), VARIANTS)
def test_ssim_equals_scikit_image(
    photographs: dict[str, Pixels], metric: SSIM, arguments: dict[str, Any], size: tuple[int, int]
) -> None:
    truth = crops(photographs, 4, *size)
    generated = [spoilt(image, seed) for seed, image in enumerate(truth)]
    expected = [reference(x, y, metric, arguments) for x, y in zip(generated, truth, strict=True)]
    values = metric(tensor(generated), tensor(truth))
    np.testing.assert_allclose(values.numpy(), expected, rtol=0, atol=TOLERANCE)


def test_a_uniform_window_of_51_on_float_images_equals_scikit_image(
    photographs: dict[str, Pixels],
) -> None:
    truth = crops(photographs, 4, 256, 176)
    generated = [spoilt(image, seed) for seed, image in enumerate(truth)]
    expected = [
        structural_similarity(x / 255, y / 255, channel_axis=2, win_size=51, data_range=1)
        for x, y in zip(generated, truth, strict=True)
    ]
    metric = SSIM(window="uniform", size=51)
    floats = metric(tensor(generated).double() / 255, tensor(truth).double() / 255)
    np.testing.assert_allclose(floats, expected, rtol=0, atol=TOLERANCE)
    # Single precision costs digits in the input, not in the filter.
    single = metric(tensor(generated).float() / 255, tensor(truth).float() / 255)
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", ["rgb", "grey"])
def test_images_in_minus_1_to_1_equal_scikit_image_with_a_range_of_2(
    photographs: dict[str, Pixels], channels: Any
) -> None:
    truth = crops(photographs, 4, 97, 71)
    generated = [spoilt(image, seed) for seed, image in enumerate(truth)]
    pairs = zip(generated, truth, strict=True)
    if channels == "grey":
        pairs = zip(*(to_grey(tensor(one)).numpy() for one in (generated, truth)), strict=True)
    axis = 2 if channels == "rgb" else None
    expected = [
        structural_similarity(x / 127.5 - 1, y / 127.5 - 1, channel_axis=axis, data_range=2)
        for x, y in pairs
    ]
    metric = SSIM(window="uniform", scale="-1..1", channels=channels)
    values = metric(tensor(generated), tensor(truth))
    np.testing.assert_allclose(values, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("data_range", ["full", "generated"])
def test_grey_ssim_equals_scikit_image_on_the_grey_images(
    photographs: dict[str, Pixels], data_range: Any
) -> None:
    truth = crops(photographs, 4, 97, 71)
    generated = [spoilt(image, seed) for seed, image in enumerate(truth)]
    grey = [to_grey(tensor(images)).numpy() for images in (generated, truth)]
    spans = [255 if data_range == "full" else float(x.max() - x.min()) for x in grey[0]]
    expected = [
        structural_similarity(x, y, data_range=span, **WANG)
        for x, y, span in zip(*grey, spans, strict=True)
    ]
    values = SSIM(channels="grey", data_range=data_range)(tensor(generated), tensor(truth))
    np.testing.assert_allclose(values, expected, rtol=0, atol=TOLERANCE)


def test_13_taps_with_a_border_of_5_mirror_the_image_as_old_scikit_image_did(
    photographs: dict[str, Pixels],
) -> None:
    """Up to 0.15 its gaussian was cut at 4 sigma, and the mean left out 5 pixels, not 6."""
    from scipy.ndimage import gaussian_filter

    (x,), (y,) = (crops(photographs, 1, 61, 47), crops(photographs, 2, 61, 47)[1:])

    def blur(image: Any) -> Any:
        return gaussian_filter(image, 1.5, truncate=4.0, mode="reflect")

    maps = []
    for channel in range(3):
        a, b = x[..., channel].astype(float), y[..., channel].astype(float)
        ma, mb = blur(a), blur(b)
        va, vb, vab = blur(a * a) - ma * ma, blur(b * b) - mb * mb, blur(a * b) - ma * mb
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        full = (2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
        maps.append(full[5:-5, 5:-5].mean())
    value = SSIM(size=13, border=5)(tensor([x]), tensor([y]))
    np.testing.assert_allclose(value, [np.mean(maps)], rtol=0, atol=TOLERANCE)


def test_ssim_equals_its_formula_written_with_loops(photographs: dict[str, Pixels]) -> None:
    (x,), (y,) = (crops(photographs, 1, 15, 14), crops(photographs, 2, 15, 14)[1:])
    at = np.arange(-5, 6)
    window = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = 2.55**2, 7.65**2
    values = []
    for channel in range(3):
        for row in range(5, 10):
            for column in range(5, 9):
                part = (slice(row - 5, row + 6), slice(column - 5, column + 6), channel)
                a, b = x[part].astype(float), y[part].astype(float)
                ma, mb = (window * a).sum(), (window * b).sum()
                va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
                vab = (window * (a - ma) * (b - mb)).sum()
                values.append(
                    (2 * ma * mb + c1) * (2 * vab + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
                )
    np.testing.assert_allclose(SSIM()(tensor([x]), tensor([y])), [np.mean(values)], atol=1e-10)


def test_flat_bright_regions_keep_their_digits() -> None:
    """Where most of DeepFashion's pixels lie, float32 would lose the variance."""
    truth = torch.full((1, 3, 64, 48), 255, dtype=torch.uint8)
    generated = truth.clone()
    generated[:, :, ::2] = 254
    x, y = (t[0].permute(1, 2, 0).numpy() for t in (generated, truth))
    expected = structural_similarity(x, y, channel_axis=2, data_range=255, **WANG)
    np.testing.assert_allclose(SSIM()(generated, truth), [expected], rtol=0, atol=TOLERANCE)


def test_the_batch_size_moves_nothing_but_rounding(photographs: dict[str, Pixels]) -> None:
    truth = tensor(crops(photographs, 7, 33, 29))
    generated = truth.flip(0)
    whole = SSIM()(generated, truth)
    single = [SSIM()(generated[n : n + 1], truth[n : n + 1]) for n in range(7)]
    torch.testing.assert_close(whole, torch.cat(single), rtol=0, atol=1e-14)


def test_an_image_smaller_than_the_window_is_undefined(photographs: dict[str, Pixels]) -> None:
    images = tensor(crops(photographs, 2, 10, 40))
    values = SSIM()(images, images)
    assert values.isnan().all()


def test_a_flat_generated_image_has_no_data_range_of_its_own() -> None:
    flat = torch.full((1, 3, 20, 20), 7, dtype=torch.uint8)
    values = SSIM(data_range="generated")(flat, flat)
    assert values.isnan().all()


@pytest.mark.parametrize(
    "other",
    [
        {"window": "uniform"}, {"size": 9}, {"sigma": 1.2}, {"border": 2}, {"channels": "grey"},
        {"data_range": "generated"}, {"sample_covariance": True}, {"scale": "-1..1"},
    ],
)  # fmt: skip
def test_every_parameter_moves_the_value(
    photographs: dict[str, Pixels], other: dict[str, Any]
) -> None:
    x, y = crops(photographs, 2, 40, 40)
    x = (x * 0.8).astype(np.uint8)
    base, changed = SSIM()(tensor([x]), tensor([y])), SSIM(**other)(tensor([x]), tensor([y]))
    assert base != changed


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"windw": "uniform"}, "Did you mean 'window'?"),
        ({"window": "gausian"}, "Did you mean 'gaussian'?"),
        ({"size": 10}, "size must be odd"),
        ({"border": 6}, "border must be at most half the window, 5"),
        ({"sigma": "1.5"}, "ssim.sigma"),
    ],
)
def test_a_wrong_parameter_is_explained(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ProtocolError, match=message.replace("?", r"\?")):
        SSIM(**parameters)


@pytest.mark.parametrize("image", ["I03", "I04", "I06"])
def test_grey_ssim_equals_the_authors_matlab_values(fixtures: Path, image: str) -> None:
    pair, expected, tolerance = calibration(fixtures, "ssim_matlab_gray", image)
    assert SSIM(channels="grey")(*pair).item() == pytest.approx(expected, abs=tolerance)


IN_BANDS: list[dict[str, Any]] = [
    {},
    {"channels": "grey"},
    {"window": "uniform"},
    {"border": 0},
    {"size": 31, "border": 3, "data_range": "generated"},
    {"scale": "-1..1", "window": "uniform", "border": 0},
]


@pytest.mark.parametrize("floating", [False, True])
@pytest.mark.parametrize("parameters", IN_BANDS, ids=str)
@pytest.mark.parametrize("height", [200, 203])
def test_a_large_image_is_filtered_in_bands_with_the_same_bits(
    parameters: dict[str, Any], floating: bool, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = torch.Generator().manual_seed(0)
    truth = torch.randint(0, 256, (1, 3, height, 150), dtype=torch.uint8, generator=random)
    noise = torch.randint(-20, 20, truth.shape, generator=random)
    generated = (truth.int() + noise).clamp(0, 255).to(torch.uint8)
    pair = [image / 255 if floating else image for image in (generated, truth)]
    values = []
    for pixels in (2**30, 2**12):
        monkeypatch.setattr("fhpt_eval.metrics.ssim._PIXELS_BAND", pixels)
        values.append(SSIM(**parameters)(*pair))
    assert torch.equal(*values)


def test_bands_cover_every_row_and_lie_alike_in_the_windows_of_the_filter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fhpt_eval.metrics.ssim._PIXELS_BAND", 2**10)
    metric = SSIM()
    for height in range(11, 400, 7):
        starts, rows = metric._bands(torch.zeros(1, height, 40))
        covered = {row for start in starts for row in range(start, start + rows - 10)}
        assert covered == set(range(height - 10))
        assert all(start % 8 == 0 for start in starts)
