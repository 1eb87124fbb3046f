"""Preparation: each step against Pillow, NumPy or torch called by hand."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from torch.nn.functional import interpolate

from fhpt_eval.errors import ImageError, InputError
from fhpt_eval.images import resize
from fhpt_eval.images.preparation import (
    Color,
    Crop,
    Pad,
    Resize,
    Side,
    Step,
    prepare,
    prepared_size,
    software_of,
)
from fhpt_eval.images.resize import Kernel
from tests.support.photographs import Pixels

SIDES: tuple[Side, ...] = ("generated", "ground_truth", "source")
PILLOW: dict[Kernel, Image.Resampling] = {
    "pil.nearest": Image.Resampling.NEAREST,
    "pil.box": Image.Resampling.BOX,
    "pil.bilinear": Image.Resampling.BILINEAR,
    "pil.hamming": Image.Resampling.HAMMING,
    "pil.bicubic": Image.Resampling.BICUBIC,
    "pil.lanczos": Image.Resampling.LANCZOS,
}
TORCH: dict[Kernel, tuple[str, bool]] = {
    "torch.bilinear": ("bilinear", False),
    "torch.bicubic": ("bicubic", False),
    "torch.bilinear-antialias": ("bilinear", True),
    "torch.bicubic-antialias": ("bicubic", True),
}
KERNELS: tuple[Kernel, ...] = (*PILLOW, *TORCH)
#: OpenCV's names for its kernels.
OPENCV: dict[Kernel, str] = {
    "cv2.nearest": "INTER_NEAREST",
    "cv2.bilinear": "INTER_LINEAR",
    "cv2.bicubic": "INTER_CUBIC",
    "cv2.area": "INTER_AREA",
    "cv2.lanczos": "INTER_LANCZOS4",
}
#: (width, height): smaller, larger, and one of each.
TARGETS = [(88, 61), (301, 257), (97, 233), (1, 1)]


@pytest.fixture(scope="module")
def photograph(photographs: dict[str, Pixels]) -> Pixels:
    """A crop of a real photograph, 177 wide and 131 high, with black and white in it."""
    pixels = photographs["chelsea"][40:171, 90:267].copy()
    pixels[5:20, 5:20], pixels[5:20, 20:35] = 0, 255  # where bicubic kernels overshoot
    return pixels


class TestCrop:
    def test_columns_and_rows_are_cut_out(self, photograph: Pixels) -> None:
        cropped = Crop(left=3, top=7, right=120, bottom=100).apply(photograph)
        np.testing.assert_array_equal(cropped, photograph[7:100, 3:120])

    def test_the_fields_crop_keeps_the_middle_176_columns(
        self, photographs: dict[str, Pixels]
    ) -> None:
        square = photographs["astronaut"][:256, :256]
        cropped = Crop(left=40, right=216, bottom=256).apply(square)
        np.testing.assert_array_equal(cropped, square[:, 40:-40])

    def test_an_image_of_that_size_is_left_as_it_is(self, photograph: Pixels) -> None:
        np.testing.assert_array_equal(Crop(right=177, bottom=131).apply(photograph), photograph)

    @pytest.mark.parametrize(("right", "bottom"), [(178, 131), (177, 132)])
    def test_a_crop_outside_the_image_is_refused(self, right: int, bottom: int) -> None:
        with pytest.raises(ImageError) as error:
            Crop(right=right, bottom=bottom).size(177, 131)
        assert str(error.value) == (
            f"is 177 x 131; the protocol crops columns 0 to {right} and rows 0 to {bottom}"
        )

    @pytest.mark.parametrize(("left", "top"), [(10, 0), (12, 0), (0, 10)])
    def test_a_crop_of_nothing_is_refused_when_it_is_made(self, left: int, top: int) -> None:
        with pytest.raises(
            ValidationError, match="left must be less than right, and top less than bottom"
        ):
            Crop(left=left, top=top, right=10, bottom=10)

    @pytest.mark.parametrize(("width", "expected"), [(177, 100), (176, 176), (178, 178)])
    def test_it_may_concern_images_of_one_width_alone(
        self, photograph: Pixels, width: int, expected: int
    ) -> None:
        step = Crop(left=40, right=140, bottom=131, when_width=177)
        image = np.pad(photograph, ((0, 0), (0, 1), (0, 0)))[:, :width]
        assert step.apply(image).shape == (131, expected, 3)
        assert step.size(width, 131) == (expected, 131)

    def test_a_width_that_is_not_concerned_is_never_too_small(self) -> None:
        assert Crop(left=40, right=216, bottom=256, when_width=256).size(64, 128) == (64, 128)


class TestPad:
    def test_the_image_stands_in_the_middle_of_white(self, photograph: Pixels) -> None:
        padded = Pad(width=257, height=151).apply(photograph)
        expected = np.full((151, 257, 3), 255, np.uint8)
        expected[10:141, 40:217] = photograph
        np.testing.assert_array_equal(padded, expected)

    def test_it_is_what_numpy_pads(self, photograph: Pixels) -> None:
        padded = Pad(width=187, height=137, color=(0, 0, 0)).apply(photograph)
        np.testing.assert_array_equal(padded, np.pad(photograph, ((3, 3), (5, 5), (0, 0))))

    def test_an_odd_pixel_goes_to_the_right_and_the_bottom(self, photograph: Pixels) -> None:
        padded = Pad(width=180, height=132).apply(photograph)
        np.testing.assert_array_equal(padded[:131, 1:178], photograph)
        assert (padded[:, :1] == 255).all()
        assert (padded[:, 178:] == 255).all()
        assert (padded[131:] == 255).all()

    def test_the_colour_is_red_green_blue(self, photograph: Pixels) -> None:
        padded = Pad(width=179, height=133, color=(1, 20, 255)).apply(photograph)
        assert padded[0, 0].tolist() == padded[-1, -1].tolist() == [1, 20, 255]
        np.testing.assert_array_equal(padded[1:-1, 1:-1], photograph)

    def test_an_image_of_that_size_is_left_as_it_is(self, photograph: Pixels) -> None:
        np.testing.assert_array_equal(Pad(width=177, height=131).apply(photograph), photograph)

    @pytest.mark.parametrize(("width", "height"), [(176, 131), (177, 130)])
    def test_a_larger_image_is_refused(self, width: int, height: int) -> None:
        with pytest.raises(ImageError, match=rf"is 177 x 131, larger than the {width} x {height}"):
            Pad(width=width, height=height).size(177, 131)

    def test_a_crop_undoes_a_pad(self, photograph: Pixels) -> None:
        padded = Pad(width=200, height=141).apply(photograph)
        cropped = Crop(left=11, top=5, right=188, bottom=136).apply(padded)
        np.testing.assert_array_equal(cropped, photograph)

    @pytest.mark.parametrize("color", [(0, 0), (0, 0, 256), (-1, 0, 0), ("0", 0, 0), (0.5, 0, 0)])
    def test_what_is_no_colour_is_refused(self, color: tuple[object, ...]) -> None:
        with pytest.raises(ValidationError):
            Pad.model_validate({"width": 9, "height": 9, "color": color})


class TestResize:
    @pytest.mark.parametrize(("width", "height"), TARGETS)
    @pytest.mark.parametrize("kernel", PILLOW)
    def test_pillows_kernels_are_pillows(
        self, photograph: Pixels, kernel: Kernel, width: int, height: int
    ) -> None:
        resized = Resize(width=width, height=height, kernel=kernel).apply(photograph)
        expected = Image.fromarray(photograph).resize((width, height), PILLOW[kernel])
        np.testing.assert_array_equal(resized, np.asarray(expected))

    @pytest.mark.parametrize(("width", "height"), TARGETS)
    @pytest.mark.parametrize("kernel", TORCH)
    def test_torchs_kernels_are_torchs_rounded_and_clipped(
        self, photograph: Pixels, kernel: Kernel, width: int, height: int
    ) -> None:
        resized = Resize(width=width, height=height, kernel=kernel).apply(photograph)
        mode, antialias = TORCH[kernel]
        levels = interpolate(
            torch.tensor(photograph, dtype=torch.float32).permute(2, 0, 1).unsqueeze(0),
            size=(height, width),
            mode=mode,
            align_corners=False,
            antialias=antialias,
        )
        expected = np.clip(np.rint(levels[0].permute(1, 2, 0).numpy()), 0, 255)
        np.testing.assert_array_equal(resized, expected)

    def test_bicubic_overshoot_is_clipped_rather_than_wrapped(self, photograph: Pixels) -> None:
        resized = Resize(width=354, height=262, kernel="torch.bicubic").apply(photograph)
        assert resized[20:30, 20:30].max() == 0  # within black
        assert resized[20:30, 50:60].min() == 255  # within white

    def test_every_kernel_gives_other_pixels(self, photograph: Pixels) -> None:
        pixels = {
            kernel: Resize(width=88, height=61, kernel=kernel).apply(photograph)
            for kernel in KERNELS
        }
        for one, other in itertools.combinations(KERNELS, 2):
            assert not np.array_equal(pixels[one], pixels[other]), (one, other)

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_an_image_of_that_size_is_left_alone(self, photograph: Pixels, kernel: Kernel) -> None:
        resized = Resize(width=177, height=131, kernel=kernel).apply(photograph)
        np.testing.assert_array_equal(resized, photograph)

    @pytest.mark.parametrize("kernel", KERNELS)
    def test_a_flat_colour_stays_what_it_is(self, kernel: Kernel) -> None:
        flat = np.full((31, 17, 3), (7, 130, 255), np.uint8)
        resized = Resize(width=40, height=23, kernel=kernel).apply(flat)
        assert (resized == (7, 130, 255)).all()

    def test_a_read_only_image_can_be_resized(self, photograph: Pixels) -> None:
        frozen = photograph.copy()
        frozen.flags.writeable = False
        for kernel in KERNELS:
            assert Resize(width=20, height=10, kernel=kernel).apply(frozen).shape == (10, 20, 3)

    @pytest.mark.parametrize("kernel", PILLOW)
    def test_pillow_resizes_floats_channel_by_channel(
        self, photograph: Pixels, kernel: Kernel
    ) -> None:
        resized = Resize(width=88, height=61, kernel=kernel, result="float").apply(photograph)
        planes = [
            Image.fromarray(photograph[..., channel].astype(np.float32)).resize(
                (88, 61), PILLOW[kernel]
            )
            for channel in range(3)
        ]
        expected = np.stack([np.asarray(plane) for plane in planes], axis=2)
        np.testing.assert_array_equal(resized, expected)

    @pytest.mark.parametrize("kernel", TORCH)
    def test_torch_resizes_floats_between_0_and_1(self, photograph: Pixels, kernel: Kernel) -> None:
        mode, antialias = TORCH[kernel]
        x = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None].contiguous() / 255
        x = interpolate(x, (61, 88), mode=mode, align_corners=False, antialias=antialias) * 255
        for result, levels in (("float", x), ("truncated", x.clamp(0, 255).byte())):
            step = Resize.model_validate(
                {"width": 88, "height": 61, "kernel": kernel, "result": result}
            )
            expected = levels[0].permute(1, 2, 0).numpy()
            np.testing.assert_array_equal(step.apply(photograph), expected)

    def test_the_results_are_the_same_numbers_rounded_cut_and_as_they_are(
        self, photograph: Pixels
    ) -> None:
        floats, cut, rounded = (
            Resize.model_validate(
                {"width": 354, "height": 262, "kernel": "torch.bicubic", "result": result}
            ).apply(photograph)
            for result in ("float", "truncated", "uint8")
        )
        assert floats.dtype == np.float32
        assert floats.min() < -1
        assert floats.max() > 256
        assert cut.dtype == rounded.dtype == np.uint8
        np.testing.assert_array_equal(cut, np.floor(floats.clip(0, 255)))
        np.testing.assert_allclose(rounded, floats.clip(0, 255), atol=0.5 + 1e-4)

    def test_an_image_of_that_size_becomes_floats_where_asked(self, photograph: Pixels) -> None:
        step = Resize(width=177, height=131, kernel="pil.bicubic", result="float")
        assert step.apply(photograph).dtype == np.float32
        np.testing.assert_array_equal(step.apply(photograph), photograph)

    def test_steps_after_it_keep_floats_until_one_rounds(self, photograph: Pixels) -> None:
        floats: list[Step] = [
            Resize(width=120, height=90, kernel="torch.bicubic", result="float"),
            Crop(left=1, right=101, bottom=80),
            Pad(width=110, height=84),
            Color(space="grey"),
        ]
        kept = prepare(photograph, floats, "generated")
        assert kept.dtype == np.float32
        assert (kept[:2] == pytest.approx(255, abs=1e-4)) is True
        assert not np.array_equal(kept, kept.round())
        rounding = Resize(width=110, height=84, kernel="pil.bilinear")
        eight_bits = prepare(photograph, [*floats, rounding], "generated")
        np.testing.assert_array_equal(eight_bits, kept.round().clip(0, 255))
        assert eight_bits.dtype == np.uint8

    @pytest.mark.parametrize("extent", [0, -1, 8193, 10.0, "10"])
    def test_what_is_no_extent_is_refused(self, extent: object) -> None:
        with pytest.raises(ValidationError):
            Resize.model_validate({"width": extent, "height": 10, "kernel": "pil.bicubic"})


class TestOpenCV:
    @pytest.mark.parametrize(("width", "height"), TARGETS)
    @pytest.mark.parametrize("kernel", OPENCV)
    def test_its_kernels_are_its_own(
        self, photograph: Pixels, kernel: Kernel, width: int, height: int
    ) -> None:
        cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (fhpt-eval[opencv])")
        number = getattr(cv2, OPENCV[kernel])
        resized = Resize(width=width, height=height, kernel=kernel).apply(photograph)
        expected = cv2.resize(photograph, (width, height), interpolation=number)
        np.testing.assert_array_equal(resized, expected)
        step = Resize(width=width, height=height, kernel=kernel, result="float")
        expected = cv2.resize(photograph.astype(np.float32), (width, height), interpolation=number)
        np.testing.assert_array_equal(step.apply(photograph), expected)

    def test_its_kernels_differ_from_each_other_and_from_pillows(self, photograph: Pixels) -> None:
        pytest.importorskip("cv2", reason="OpenCV is not installed (fhpt-eval[opencv])")
        pixels = {
            kernel: Resize(width=88, height=61, kernel=kernel).apply(photograph)
            for kernel in (*PILLOW, *OPENCV)
        }
        for one, other in itertools.combinations(pixels, 2):
            assert not np.array_equal(pixels[one], pixels[other]), (one, other)

    def test_without_it_a_plan_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "cv2", None)
        resize.opencv_version.cache_clear()
        step = Resize(width=9, height=9, kernel="cv2.area")
        with pytest.raises(InputError, match=r"pip install 'fhpt-eval\[opencv\]'") as error:
            prepared_size((20, 20), [step], "generated")
        assert not isinstance(error.value, ImageError), "it is no fault of an image"
        assert prepared_size((20, 20), [Crop(right=9, bottom=9)], "generated") == (9, 9)

    def test_its_version_is_told_where_it_is_used(self) -> None:
        cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed (fhpt-eval[opencv])")
        resize.opencv_version.cache_clear()
        step = Resize(width=9, height=9, kernel="cv2.area")
        assert software_of([Crop(right=9, bottom=9), step]) == {"opencv": cv2.__version__}
        assert software_of([Resize(width=9, height=9, kernel="pil.box")]) == {}


class TestColor:
    def test_grey_is_pillows_grey_in_all_three_channels(
        self, photographs: dict[str, Pixels]
    ) -> None:
        for pixels in photographs.values():
            grey = np.asarray(Image.fromarray(pixels).convert("L"))
            expected = np.repeat(grey[..., None], 3, axis=2)
            np.testing.assert_array_equal(Color(space="grey").apply(pixels), expected)

    def test_grey_is_pillows_grey_for_all_colours(self) -> None:
        green, blue = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
        for red in range(0, 256, 5):  # 0 and 255 among them
            colours = np.stack((np.full_like(green, red), green, blue), axis=-1).astype(np.uint8)
            grey = np.asarray(Image.fromarray(colours).convert("L"))
            np.testing.assert_array_equal(Color(space="grey").apply(colours)[..., 1], grey)

    def test_grey_stays_grey(self, photograph: Pixels) -> None:
        once = Color(space="grey").apply(photograph)
        np.testing.assert_array_equal(Color(space="grey").apply(once), once)


extents = st.integers(1, 40)
sides = st.lists(st.sampled_from(SIDES), min_size=1, unique=True).map(tuple)
crops = st.builds(
    lambda left, top, width, height, of: Crop(
        left=left, top=top, right=left + width, bottom=top + height, of=of
    ),
    st.integers(0, 8),
    st.integers(0, 8),
    extents,
    extents,
    sides,
)
pads = st.builds(Pad, width=extents, height=extents, of=sides)
resizes = st.builds(
    Resize, width=extents, height=extents, kernel=st.sampled_from(KERNELS), of=sides
)
colors = st.builds(Color, space=st.just("grey"), of=sides)
some_steps = st.lists(st.one_of(crops, pads, resizes, colors), max_size=4)


class TestSteps:
    def test_steps_are_applied_in_order(self, photograph: Pixels) -> None:
        crop, pad = Crop(right=100, bottom=100), Pad(width=110, height=120)
        np.testing.assert_array_equal(
            prepare(photograph, [crop, pad], "generated"), pad.apply(photograph[:100, :100])
        )

    def test_without_steps_the_image_is_as_it_is(self, photograph: Pixels) -> None:
        np.testing.assert_array_equal(prepare(photograph, [], "generated"), photograph)

    @pytest.mark.parametrize("side", SIDES)
    def test_a_step_concerns_every_side_unless_told(self, photograph: Pixels, side: Side) -> None:
        step = Resize(width=9, height=8, kernel="pil.bilinear")
        assert prepare(photograph, [step], side).shape == (8, 9, 3)
        assert prepared_size((177, 131), [step], side) == (9, 8)

    @pytest.mark.parametrize("side", SIDES)
    def test_a_step_leaves_the_sides_alone_that_it_does_not_name(
        self, photograph: Pixels, side: Side
    ) -> None:
        others = tuple(other for other in SIDES if other != side)
        step = Resize(width=9, height=8, kernel="pil.bilinear", of=others)
        np.testing.assert_array_equal(prepare(photograph, [step], side), photograph)
        assert prepared_size((177, 131), [step], side) == (177, 131)
        assert prepared_size((177, 131), [step], others[0]) == (9, 8)

    @pytest.mark.parametrize("of", [(), ("target",), "generated"])
    def test_what_is_no_list_of_sides_is_refused(self, of: object) -> None:
        with pytest.raises(ValidationError):
            Color.model_validate({"space": "grey", "of": of})

    def test_the_given_image_is_not_changed(self, photograph: Pixels) -> None:
        before = photograph.copy()
        steps: list[Step] = [
            Color(space="grey"),
            Crop(right=90, bottom=90),
            Pad(width=199, height=199),
            Resize(width=20, height=20, kernel="torch.bicubic"),
        ]
        for step in steps:
            prepare(photograph, [step], "generated")
        np.testing.assert_array_equal(photograph, before)

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(some_steps, extents, extents, st.sampled_from(SIDES))
    def test_the_size_said_beforehand_is_the_size_that_comes_out(
        self, steps: list[Step], width: int, height: int, side: Side
    ) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        try:
            size = prepared_size((width, height), steps, side)
        except ImageError:
            return  # such an image is refused before it is decoded
        prepared = prepare(pixels, steps, side)
        assert prepared.shape == (size[1], size[0], 3)
        assert prepared.dtype == np.uint8

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(some_steps, extents, extents, st.sampled_from(SIDES))
    def test_only_a_crop_or_a_pad_refuses_an_image(
        self, steps: list[Step], width: int, height: int, side: Side
    ) -> None:
        always = [step for step in steps if isinstance(step, Resize | Color)]
        assert all(extent > 0 for extent in prepared_size((width, height), always, side))
