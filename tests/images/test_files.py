"""Images on disk: what is found, what is accepted, and what each refusal says."""

from __future__ import annotations

import hashlib
import io
import resource
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fhpt_eval.errors import ImageError
from fhpt_eval.images.files import MAX_BYTES, CheckedImage, ImageRef, Panel, check, decode
from tests.support.photographs import Pixels

ORIENTATION = 0x0112
UPRIGHT, ROTATED, UNDEFINED = 1, (2, 6, 8), (0, 9)  # what an EXIF orientation says
GREY, RGB, PALETTE = 0, 2, 3  # colour types of PNG


@pytest.fixture(scope="module")
def photograph(photographs: dict[str, Pixels]) -> Pixels:
    """A small crop of a real photograph, with odd sides."""
    return np.ascontiguousarray(photographs["astronaut"][60:101, 190:223])


def encoded(pixels: Pixels | Image.Image, kind: str, **options: object) -> bytes:
    """Return the bytes of an image file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return one chunk of a PNG file with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int, height: int, depth: int, color: int, lines: bytes, *before_pixels: bytes
) -> bytes:
    """Write a PNG by hand; ``lines`` are its rows, each with a filter byte in front."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *before_pixels,
            chunk(b"IDAT", zlib.compress(lines)),
            chunk(b"IEND", b""),
        )
    )


def stored(folder: Path, data: bytes, name: str = "image.png") -> ImageRef:
    """Write bytes to a file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ImageRef(path)


def reason(folder: Path, data: bytes, name: str = "image.png") -> str:
    """Return why a file of these bytes is refused by the check."""
    with pytest.raises(ImageError) as refusal:
        check(stored(folder, data, name))
    return str(refusal.value)


def with_exif(pixels: Pixels, kind: str, orientation: int) -> bytes:
    """Return an image file whose EXIF data tell an orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(pixels, kind, exif=exif.tobytes())


def with_thumbnail(pixels: Pixels, **options: object) -> bytes:
    """Return a JPEG file whose EXIF segment holds a complete small JPEG, as cameras write."""
    small = encoded(pixels[:8, :8], "JPEG")
    # A first directory without entries, and a second one that tells where the thumbnail lies.
    entries = struct.pack("<HHII", 0x0201, 4, 1, 44) + struct.pack(
        "<HHII", 0x0202, 4, 1, len(small)
    )
    exif = b"II*\0" + struct.pack("<IHI", 8, 0, 14) + struct.pack("<H", 2) + entries + bytes(4)
    assert len(exif) == 44
    return encoded(pixels, "JPEG", exif=b"Exif\0\0" + exif + small, **options)


class TestAccepted:
    @pytest.mark.parametrize("kind", ["PNG", "BMP"])
    def test_lossless_files_give_their_exact_pixels(
        self, tmp_path: Path, photograph: Pixels, kind: str
    ) -> None:
        checked = check(stored(tmp_path, encoded(photograph, kind)))
        np.testing.assert_array_equal(decode(checked), photograph)

    def test_a_lossless_webp_gives_its_exact_pixels(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        checked = check(stored(tmp_path, encoded(photograph, "WEBP", lossless=True)))
        np.testing.assert_array_equal(decode(checked), photograph)

    @pytest.mark.parametrize("progressive", [False, True])
    def test_a_jpeg_gives_what_libjpeg_decodes(
        self, tmp_path: Path, photograph: Pixels, progressive: bool
    ) -> None:
        data = encoded(photograph, "JPEG", progressive=progressive)
        expected = np.asarray(Image.open(io.BytesIO(data)))
        np.testing.assert_array_equal(decode(check(stored(tmp_path, data))), expected)

    def test_a_checked_image_tells_digest_and_size(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        data = encoded(photograph, "PNG")
        ref = stored(tmp_path, data)
        digest = hashlib.sha256(data).hexdigest()
        assert check(ref) == CheckedImage(ref, digest, width=33, height=41)

    def test_pixels_are_contiguous_rgb_bytes(self, tmp_path: Path, photograph: Pixels) -> None:
        pixels = decode(check(stored(tmp_path, encoded(photograph, "JPEG"))))
        assert pixels.dtype == np.uint8
        assert pixels.shape == (41, 33, 3)
        assert pixels.flags.c_contiguous

    def test_the_ending_does_not_matter_but_the_content(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        data = encoded(photograph, "JPEG")
        right = decode(check(stored(tmp_path, data, "right.jpg")))
        wrong = decode(check(stored(tmp_path, data, "wrong.png")))
        np.testing.assert_array_equal(wrong, right)

    def test_a_single_pixel_is_an_image(self, tmp_path: Path) -> None:
        pixel = np.array([[[1, 2, 3]]], np.uint8)
        assert decode(check(stored(tmp_path, encoded(pixel, "PNG")))).tolist() == [[[1, 2, 3]]]

    def test_bytes_behind_the_end_of_a_jpeg_do_no_harm(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        data = encoded(photograph, "JPEG")
        plain = decode(check(stored(tmp_path, data, "plain.jpg")))
        longer = decode(check(stored(tmp_path, data + b"left over", "longer.jpg")))
        np.testing.assert_array_equal(longer, plain)

    def test_a_jpeg_with_an_embedded_thumbnail_is_read(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        plain = decode(check(stored(tmp_path, encoded(photograph, "JPEG"), "plain.jpg")))
        ref = stored(tmp_path, with_thumbnail(photograph), "camera.jpg")
        np.testing.assert_array_equal(decode(check(ref)), plain)

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    @pytest.mark.parametrize("orientation", [UPRIGHT, *UNDEFINED])
    def test_exif_data_without_a_rotation_do_no_harm(
        self, tmp_path: Path, photograph: Pixels, kind: str, orientation: int
    ) -> None:
        checked = check(stored(tmp_path, with_exif(photograph, kind, orientation)))
        assert (checked.width, checked.height) == (33, 41)


class TestColours:
    def test_grey_is_repeated_in_all_three_channels(self, tmp_path: Path) -> None:
        grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
        pixels = decode(check(stored(tmp_path, encoded(grey, "PNG"))))
        np.testing.assert_array_equal(pixels, np.repeat(grey[..., None], 3, axis=2))

    def test_one_bit_is_black_and_white(self, tmp_path: Path) -> None:
        bits = Image.fromarray(np.array([[0, 255, 255], [255, 0, 0]], np.uint8)).convert("1")
        pixels = decode(check(stored(tmp_path, encoded(bits, "PNG"))))
        assert pixels[..., 0].tolist() == [[0, 255, 255], [255, 0, 0]]
        assert (pixels == pixels[..., :1]).all()

    @pytest.mark.parametrize(("depth", "top"), [(2, 3), (4, 15)])
    def test_grey_of_few_bits_spans_the_whole_range(
        self, tmp_path: Path, depth: int, top: int
    ) -> None:
        per_byte = 8 // depth
        levels = np.arange(top + 1, dtype=np.uint8)
        packed = bytearray(len(levels) // per_byte)
        for at, level in enumerate(levels.tolist()):
            packed[at // per_byte] |= level << (8 - depth * (at % per_byte + 1))
        data = png(top + 1, 1, depth, GREY, b"\0" + bytes(packed))
        pixels = decode(check(stored(tmp_path, data)))
        assert pixels[0, :, 0].tolist() == [level * 255 // top for level in range(top + 1)]

    @pytest.mark.parametrize("kind", ["PNG", "BMP"])
    def test_a_palette_is_looked_up(self, tmp_path: Path, kind: str) -> None:
        image = Image.new("P", (3, 1))
        image.putpalette([10, 20, 30, 200, 100, 0, 7, 8, 9])
        image.putdata([2, 0, 1])
        pixels = decode(check(stored(tmp_path, encoded(image, kind))))
        assert pixels.tolist() == [[[7, 8, 9], [10, 20, 30], [200, 100, 0]]]

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_an_opaque_alpha_channel_is_dropped(
        self, tmp_path: Path, photograph: Pixels, kind: str
    ) -> None:
        options = {"lossless": True} if kind == "WEBP" else {}
        image = Image.fromarray(photograph).convert("RGBA")
        checked = check(stored(tmp_path, encoded(image, kind, **options)))
        np.testing.assert_array_equal(decode(checked), photograph)

    def test_an_opaque_palette_with_an_alpha_table_is_accepted(self, tmp_path: Path) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 200, 100, 0])
        image.putdata([0, 1])
        checked = check(stored(tmp_path, encoded(image, "PNG", transparency=b"\xff\xff")))
        assert decode(checked).tolist() == [[[10, 20, 30], [200, 100, 0]]]

    def test_a_transparent_colour_that_does_not_occur_is_accepted(self, tmp_path: Path) -> None:
        pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
        data = encoded(pixels, "PNG", transparency=(9, 9, 9))
        np.testing.assert_array_equal(decode(check(stored(tmp_path, data))), pixels)

    @pytest.mark.parametrize("alpha", [0, 254])
    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_one_transparent_pixel_is_refused(
        self, tmp_path: Path, photograph: Pixels, kind: str, alpha: int
    ) -> None:
        image = Image.fromarray(photograph).convert("RGBA")
        image.putpixel((20, 30), (0, 0, 0, alpha))
        message = reason(tmp_path, encoded(image, kind))
        assert "transparent in places" in message
        assert "flatten it onto the background" in message

    def test_transparent_grey_is_refused(self, tmp_path: Path) -> None:
        image = Image.new("LA", (4, 4), (100, 128))
        assert "transparent in places" in reason(tmp_path, encoded(image, "PNG"))

    def test_a_transparent_palette_entry_is_refused(self, tmp_path: Path) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 200, 100, 0])
        image.putdata([0, 1])
        assert "transparent" in reason(tmp_path, encoded(image, "PNG", transparency=b"\xff\x00"))

    def test_a_transparent_colour_that_occurs_is_refused(self, tmp_path: Path) -> None:
        pixels = np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8)
        data = encoded(pixels, "PNG", transparency=(9, 9, 9))
        assert "transparent" in reason(tmp_path, data)

    def test_cmyk_is_refused(self, tmp_path: Path, photograph: Pixels) -> None:
        data = encoded(Image.fromarray(photograph).convert("CMYK"), "JPEG")
        message = reason(tmp_path, data, "image.jpg")
        assert "is CMYK" in message
        assert "save it as RGB" in message

    def test_16_bit_grey_is_refused(self, tmp_path: Path) -> None:
        grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
        message = reason(tmp_path, encoded(Image.fromarray(grey), "PNG"))
        assert "16 bits a channel" in message
        assert "save it as 8-bit RGB" in message

    def test_16_bit_colour_is_refused_although_pillow_shows_8_bits(self, tmp_path: Path) -> None:
        data = png(2, 1, 16, RGB, b"\0" + bytes(range(12)))
        assert Image.open(io.BytesIO(data)).mode == "RGB"
        assert "16 bits a channel" in reason(tmp_path, data)


class TestRefusedFiles:
    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        assert reason(tmp_path, b"") == "is empty (0 bytes); write it again"

    def test_a_text_file_named_png_is_refused(self, tmp_path: Path) -> None:
        message = reason(tmp_path, b"this is no image\n" * 10)
        assert "is not an image in any of PNG, JPEG, WEBP, BMP" in message

    @pytest.mark.parametrize("ending", [".gif", ".tif", ".TIFF", ".ppm"])
    def test_an_image_of_a_refused_ending_is_refused_by_name(
        self, tmp_path: Path, photograph: Pixels, ending: str
    ) -> None:
        message = reason(tmp_path, encoded(photograph, "PNG"), f"image{ending}")
        assert f"{ending} images are not read" in message
        assert "save it as 8-bit RGB PNG" in message

    @pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "JPEG2000"])
    def test_a_refused_format_is_not_read_under_another_name(
        self, tmp_path: Path, photograph: Pixels, kind: str
    ) -> None:
        assert "is not an image in any of" in reason(tmp_path, encoded(photograph, kind))

    @pytest.mark.parametrize("kind", ["PNG", "WEBP"])
    def test_an_animated_image_is_refused(
        self, tmp_path: Path, photograph: Pixels, kind: str
    ) -> None:
        frames = [Image.fromarray(photograph), Image.fromarray(255 - photograph)]
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        message = reason(tmp_path, data)
        assert "is animated" in message
        assert "save the one that you mean" in message

    def test_a_jpeg_of_several_pictures_is_refused(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        image = Image.fromarray(photograph)
        data = encoded(image, "MPO", save_all=True, append_images=[image])
        assert "save the one that you mean" in reason(tmp_path, data, "image.jpg")

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    @pytest.mark.parametrize("orientation", ROTATED)
    def test_an_exif_rotation_is_refused(
        self, tmp_path: Path, photograph: Pixels, kind: str, orientation: int
    ) -> None:
        message = reason(tmp_path, with_exif(photograph, kind, orientation))
        assert "carries an EXIF rotation" in message
        assert "rotate the pixels and save it without" in message

    def test_a_missing_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"cannot be read \(No such file or directory\)"):
            check(ImageRef(tmp_path / "gone.png"))

    def test_a_file_above_the_limit_is_refused_without_being_read(self, tmp_path: Path) -> None:
        path = tmp_path / "image.png"
        with path.open("wb") as file:
            file.truncate(MAX_BYTES + 1)  # takes no room on the disk
        with pytest.raises(
            ImageError, match=r"cannot be read \(it is larger than 268,435,456 bytes\)"
        ):
            check(ImageRef(path))

    def test_a_huge_header_is_refused_at_once_and_without_memory(self, tmp_path: Path) -> None:
        ref = stored(tmp_path, png(30_000, 30_000, 8, RGB, bytes(10)))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        with pytest.raises(ImageError, match=r"more than 67,108,864; it was not decoded"):
            check(ref)
        assert time.perf_counter() - start < 1
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 50_000  # kilobytes; the pixels would take 2.7 gigabytes

    def test_the_size_of_an_image_above_the_limit_is_told(self, tmp_path: Path) -> None:
        message = reason(tmp_path, png(8193, 8192, 8, GREY, bytes(10)))
        assert "has 8,193 x 8,192 = 67,117,056 pixels, more than 67,108,864" in message

    def test_an_image_between_our_limit_and_pillows_gives_no_warning(self, tmp_path: Path) -> None:
        assert "more than" in reason(tmp_path, png(10_000, 10_000, 8, GREY, bytes(10)))

    def test_the_largest_size_passes_the_check(self, tmp_path: Path) -> None:
        ref = stored(tmp_path, png(8192, 8192, 8, GREY, bytes(10)))
        assert check(ref).width == 8192

    @pytest.mark.parametrize("side", [0, 8200, 30_000])
    def test_what_is_no_image_or_too_large_says_what_to_do(self, tmp_path: Path, side: int) -> None:
        data = png(side, side, 8, GREY, bytes(10)) if side else b"no image"
        message = reason(tmp_path, data)
        assert any(
            verb in message for verb in ("save it", "write it", "remove it", "make it smaller")
        )


class TestDamage:
    """A file that is cut or altered is refused, wherever the damage lies."""

    @staticmethod
    def cuts(data: bytes) -> list[int]:
        """Return a hundred places spread over a file, its very ends among them."""
        return sorted({*np.linspace(1, len(data) - 1, 100).astype(int).tolist(), len(data) - 2})

    def assert_no_cut_passes(self, folder: Path, data: bytes, shortest: int = 0) -> None:
        check(stored(folder, data))  # whole, it passes
        for at in self.cuts(data):
            if at >= shortest:
                message = reason(folder, data[:at])
                assert "write it again" in message or "is not an image" in message

    @pytest.mark.parametrize("progressive", [False, True])
    def test_a_truncated_jpeg_is_refused_wherever_it_is_cut(
        self, tmp_path: Path, photograph: Pixels, progressive: bool
    ) -> None:
        self.assert_no_cut_passes(tmp_path, encoded(photograph, "JPEG", progressive=progressive))

    @pytest.mark.parametrize("progressive", [False, True])
    def test_the_end_of_a_thumbnail_is_not_taken_for_the_end_of_a_jpeg(
        self, tmp_path: Path, photograph: Pixels, progressive: bool
    ) -> None:
        data = with_thumbnail(photograph, progressive=progressive)
        assert data.count(b"\xff\xd9") == 2
        self.assert_no_cut_passes(tmp_path, data)

    def test_a_jpeg_cut_within_its_pixels_is_said_to_be_truncated(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        data = encoded(photograph, "JPEG")
        message = reason(tmp_path, data[: len(data) * 3 // 4])
        assert message == "is truncated: its end is missing; write it again"

    def test_a_truncated_png_is_refused_wherever_it_is_cut(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        data = encoded(photograph, "PNG")
        whole = data[:-4]  # the checksum of the empty end chunk says nothing
        self.assert_no_cut_passes(tmp_path, whole)

    @pytest.mark.parametrize("kind", ["WEBP", "BMP"])
    def test_a_truncated_webp_or_bmp_is_refused_wherever_it_is_cut(
        self, tmp_path: Path, photograph: Pixels, kind: str
    ) -> None:
        self.assert_no_cut_passes(tmp_path, encoded(photograph, kind))

    def test_a_flipped_bit_in_any_chunk_of_a_png_is_refused(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        data = encoded(photograph, "PNG")
        end_chunk = len(data) - 12
        for at in range(8, end_chunk, 37):
            flipped = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
            assert "write it again" in reason(tmp_path, flipped)

    def test_too_few_pixels_behind_right_checksums_are_refused_when_decoded(
        self, tmp_path: Path
    ) -> None:
        checked = check(stored(tmp_path, png(16, 16, 8, RGB, bytes(100))))
        with pytest.raises(ImageError, match=r"cannot be decoded .*; write it again"):
            decode(checked)

    @pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
    def test_damaged_exif_data_give_no_traceback_and_no_warning(
        self, tmp_path: Path, photograph: Pixels, kind: str
    ) -> None:
        # JPEG's signature is damaged further on: Pillow drops a segment without its magic bytes.
        damaged = {"PNG": b"MM\0\xff", "JPEG": b"MM\0*\0\0\0\xff", "WEBP": b"MM\0\xff"}[kind]
        data = encoded(photograph, kind, exif=b"Exif\0\0" + damaged + bytes(8))
        try:
            check(stored(tmp_path, data))
        except ImageError as error:
            assert "EXIF" in str(error)  # noqa: PT017 - accepting the file would do as well

    def test_a_damaged_index_of_several_pictures_gives_no_warning(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        image = Image.fromarray(photograph)
        data = encoded(image, "MPO", save_all=True, append_images=[image])
        at = data.index(b"MPF\0") + 8
        check(stored(tmp_path, data[:at] + b"\xff\xff" + data[at + 2 :], "image.jpg"))

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(
        kind=st.sampled_from(["PNG", "JPEG", "progressive", "WEBP", "BMP", "palette", "alpha"]),
        changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
        cut=st.floats(0.5, 1),
    )
    def test_altered_files_are_decoded_or_refused_and_nothing_else(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        photograph: Pixels,
        kind: str,
        changes: list[tuple[float, int]],
        cut: float,
    ) -> None:
        image = Image.fromarray(photograph)
        make: dict[str, Callable[[], bytes]] = {
            "progressive": lambda: encoded(image, "JPEG", progressive=True),
            "palette": lambda: encoded(image.quantize(16), "PNG"),
            "alpha": lambda: encoded(image.convert("RGBA"), "PNG"),
        }
        data = bytearray(make.get(kind, lambda: encoded(image, kind))())
        for place, value in changes:
            data[int(place**3 * (len(data) - 1))] = value  # headers break most
        ref = stored(tmp_path_factory.getbasetemp(), bytes(data[: int(len(data) * cut)]))
        try:
            checked = check(ref)
            pixels = decode(checked)
        except ImageError as error:
            assert str(error)  # noqa: PT017 - both outcomes are right
        else:
            assert pixels.shape == (checked.height, checked.width, 3)


class TestChangedFiles:
    def test_a_file_that_changed_since_the_check_is_refused(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        checked = check(stored(tmp_path, encoded(photograph, "PNG")))
        stored(tmp_path, encoded(255 - photograph, "PNG"))
        with pytest.raises(ImageError, match=r"the file changed .*; repeat the command"):
            decode(checked)

    def test_a_file_that_vanished_since_the_check_is_refused(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        checked = check(stored(tmp_path, encoded(photograph, "PNG")))
        checked.ref.path.unlink()
        with pytest.raises(ImageError, match="cannot be read"):
            decode(checked)


class TestPanels:
    @pytest.mark.parametrize("count", [1, 3, 5])
    def test_panels_are_cut_exactly(
        self, tmp_path: Path, photographs: dict[str, Pixels], count: int
    ) -> None:
        strip = np.ascontiguousarray(photographs["coffee"][10:31, : count * 17])
        path = stored(tmp_path, encoded(strip, "PNG")).path
        for index in range(1, count + 1):
            checked = check(ImageRef(path, Panel(index, count)))
            assert (checked.width, checked.height) == (17, 21)
            expected = strip[:, (index - 1) * 17 : index * 17]
            np.testing.assert_array_equal(decode(checked), expected)

    def test_a_grid_is_cut_row_by_row_from_the_top_left(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        grid = np.ascontiguousarray(photograph[:40])
        path = stored(tmp_path, encoded(grid, "PNG")).path
        for index in range(1, 7):
            row, column = divmod(index - 1, 3)
            checked = check(ImageRef(path, Panel(index, columns=3, rows=2)))
            assert (checked.width, checked.height) == (11, 20)
            expected = grid[row * 20 : row * 20 + 20, column * 11 : column * 11 + 11]
            np.testing.assert_array_equal(decode(checked), expected)

    def test_a_height_that_the_rows_do_not_divide_is_refused(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        path = stored(tmp_path, encoded(photograph, "PNG")).path
        with pytest.raises(ImageError, match=r"41 pixels high, which 2 rows .*check --grid"):
            check(ImageRef(path, Panel(1, columns=3, rows=2)))

    def test_a_panel_of_a_checked_image_is_what_checking_the_panel_gives(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        path = stored(tmp_path, encoded(photograph, "PNG")).path
        panel = Panel(2, 3)
        assert check(ImageRef(path)).cut(panel) == check(ImageRef(path, panel))

    def test_panels_side_by_side_are_the_strip(self, tmp_path: Path, photograph: Pixels) -> None:
        path = stored(tmp_path, encoded(photograph, "PNG")).path
        panels = [decode(check(ImageRef(path, Panel(index, 3)))) for index in (1, 2, 3)]
        np.testing.assert_array_equal(np.concatenate(panels, axis=1), photograph)

    def test_a_width_that_does_not_divide_is_refused(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        path = stored(tmp_path, encoded(photograph, "PNG")).path
        with pytest.raises(ImageError, match=r"is 33 pixels wide, which 5 panels .*check --panels"):
            check(ImageRef(path, Panel(1, 5)))

    def test_panels_of_one_file_have_identities_of_their_own(
        self, tmp_path: Path, photograph: Pixels
    ) -> None:
        path = stored(tmp_path, encoded(photograph, "PNG")).path
        whole = check(ImageRef(path))
        first, second = (check(ImageRef(path, Panel(index, 3))) for index in (1, 2))
        assert whole.identity == whole.digest == first.digest
        assert len({whole.identity, first.identity, second.identity}) == 3

    def test_copies_of_a_file_have_one_identity(self, tmp_path: Path, photograph: Pixels) -> None:
        data = encoded(photograph, "PNG")
        here, there = (check(stored(tmp_path, data, name)) for name in ("a.png", "b.png"))
        assert here.identity == there.identity

    def test_real_strips_of_the_field_are_cut_into_squares(self, fixtures: Path) -> None:
        path = next(iter(sorted((fixtures / "result_strips" / "vunet").glob("*.jpg"))))
        checked = check(ImageRef(path, Panel(2, 3)))
        assert decode(checked).shape == (256, 256, 3)
