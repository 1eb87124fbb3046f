"""Images on disk: check them without decoding, decode them to RGB.

What is accepted, and why the rest is refused by name, is in docs/images.md; the constants below are
its source.
"""

from __future__ import annotations

import hashlib
import io
import struct
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from fhpt_eval.common.files import read_within
from fhpt_eval.errors import ImageError
from fhpt_eval.images.listing import REFUSED_SUFFIXES, unreachable

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Formats that are decoded, by Pillow's names.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
#: Largest image, in pixels (8,192 x 8,192): a bound on what an untrusted file may cost.
MAX_PIXELS = 2**26
#: Largest file, in bytes.
MAX_BYTES = 2**28

_EXIF_ORIENTATION = 0x0112
# Of its values 1 is upright, and readers take as upright what the standard does not define, as 0.
_ROTATIONS = range(2, 9)
# Pillow warns of what is refused by name here; filters of warnings are shared by all threads.
_QUIET = threading.Lock()
# What Pillow raises on damaged data, depending on the format and the place of the damage.
_DECODING_ERRORS = (OSError, SyntaxError, ValueError, IndexError, struct.error)


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the equal panels of a strip, or of a grid of rows.

    ``index`` counts from 1 at the top left, row by row.
    """

    index: int
    columns: int
    rows: int = 1

    def __str__(self) -> str:
        """Return its place: ``3/5``, of a grid ``3/2x4``."""
        grid = f"{self.rows}x{self.columns}" if self.rows > 1 else str(self.columns)
        return f"{self.index}/{grid}"

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return the columns ``[left, right)`` and rows ``[top, bottom)`` of a whole image's size.

        Returns:
            left, top, right, bottom.

        Raises:
            ImageError: the panels do not divide it evenly.
        """
        parts, option = ("columns", "--grid") if self.rows > 1 else ("panels", "--panels")
        if width % self.columns:
            raise ImageError(
                f"is {width} pixels wide, which {self.columns} {parts} do not divide evenly; "
                f"check {option}"
            )
        if height % self.rows:
            raise ImageError(
                f"is {height} pixels high, which {self.rows} rows do not divide evenly; "
                f"check {option}"
            )
        row, column = divmod(self.index - 1, self.columns)
        wide, high = width // self.columns, height // self.rows
        return column * wide, row * high, (column + 1) * wide, (row + 1) * high


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image on disk, and the panel to take where the file is a strip."""

    path: Path
    panel: Panel | None = None


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """An image that passed :func:`check`: where it is, what its bytes are, how large it is.

    ``digest`` is the SHA-256 of the file's bytes; ``width`` and ``height`` are those of the panel.
    """

    ref: ImageRef
    digest: str
    width: int
    height: int

    @property
    def identity(self) -> str:
        """What makes the pixels: the file's digest, and the panel where there is one."""
        panel = self.ref.panel
        return self.digest if panel is None else f"{self.digest}#{panel}"

    def cut(self, panel: Panel | None) -> CheckedImage:
        """Return a panel of this whole image; the image itself for none.

        Raises:
            ImageError: the panels do not divide it evenly.
        """
        if panel is None:
            return self
        left, top, right, bottom = panel.box(self.width, self.height)
        ref = ImageRef(self.ref.path, panel)
        return CheckedImage(ref, self.digest, right - left, bottom - top)


def check(ref: ImageRef) -> CheckedImage:
    """Check one image without decoding its pixels.

    Reads the file once: digest, header, and whether the file is complete (checksums of PNG, end
    marker of JPEG, length of WebP and BMP).

    Raises:
        ImageError: the image cannot be used; the message is the reason.
    """
    if ref.path.suffix.lower() in REFUSED_SUFFIXES:
        raise ImageError(
            f"{ref.path.suffix} images are not read, since readers disagree on them; "
            "save it as 8-bit RGB PNG"
        )
    data = _read(ref.path)
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _open(data) as image:
            _check_header(image, data)
            width, height = image.size
            alpha = _has_alpha(image)
            if image.format == "PNG":
                _verify_png(image)
    _check_complete(data)
    if alpha:
        _check_opaque(data)
    whole = CheckedImage(ImageRef(ref.path), hashlib.sha256(data).hexdigest(), width, height)
    return whole.cut(ref.panel)


def decode(image: CheckedImage) -> NDArray[np.uint8]:
    """Decode to ``(H, W, 3)`` uint8 RGB, the panel only where there is one.

    Grey and palette images become RGB; an (opaque) alpha channel is dropped. Stored colour
    profiles are not applied, as in all published scripts.

    Raises:
        ImageError: the pixels cannot be decoded, or the file is not the one that was checked.
    """
    data = _read(image.ref.path)
    if hashlib.sha256(data).hexdigest() != image.digest:
        raise ImageError("the file changed while the run was going on; repeat the command")
    with _open(data) as opened:
        pixels = _pixels(opened)[..., :3]
    height, width = pixels.shape[:2]
    left, top, right, bottom = (image.ref.panel or Panel(1, 1)).box(width, height)
    return np.ascontiguousarray(pixels[top:bottom, left:right])


def encode(pixels: NDArray[np.uint8], kind: str, **options: Any) -> bytes:
    """Return ``(H, W)`` or ``(H, W, 3)`` uint8 as a file of a format, with Pillow's options."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _read(path: Path) -> bytes:
    """Read a file of bounded size."""
    try:
        data = read_within(path, MAX_BYTES)
    except OSError as error:
        hint = "; check its size and permissions"
        raise ImageError(unreachable(path, error, hint)) from error
    if not data:
        raise ImageError("is empty (0 bytes); write it again")
    return data


def _open(data: bytes) -> Image.Image:
    """Open by content, not by ending; only the formats that we accept are tried."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        names = ", ".join(FORMATS)
        raise ImageError(
            f"is not an image in any of {names}, whatever its name says; write it as PNG"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large("more than 178 million")) from error
    except _DECODING_ERRORS as error:
        raise ImageError(f"has a damaged header ({error}); write it again") from error


def _too_large(pixels: str) -> str:
    return f"has {pixels} pixels, more than {MAX_PIXELS:,}; it was not decoded, make it smaller"


def _check_header(image: Image.Image, data: bytes) -> None:
    """Refuse what would need a guess: each refusal says how to settle it."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(_too_large(f"{width:,} x {height:,} = {width * height:,}"))
    if getattr(image, "n_frames", 1) > 1:
        raise ImageError(
            "is animated or holds several pictures; save the one that you mean as a still image"
        )
    if image.mode == "CMYK":
        raise ImageError(
            "is CMYK; its conversion depends on the reader, so save it as RGB yourself"
        )
    if _bits(image, data) > 8:
        raise ImageError(
            "has 16 bits a channel; its conversion depends on the reader, so save it as 8-bit RGB"
        )
    if image.mode not in {"1", "L", "P", "RGB", "RGBA", "LA", "PA"}:
        raise ImageError(f"has colour mode {image.mode}; save it as 8-bit RGB")
    if _is_rotated(image):
        raise ImageError(
            "carries an EXIF rotation, which some readers apply and others do not; "
            "rotate the pixels and save it without"
        )


def _is_rotated(image: Image.Image) -> bool:
    """Whether the header asks for a rotation; a PNG's is looked up only where it is at hand."""
    if image.format == "PNG" and "exif" not in image.info:
        return False  # Pillow would decode the pixels to look behind them
    try:
        return image.getexif().get(_EXIF_ORIENTATION) in _ROTATIONS
    except _DECODING_ERRORS as error:
        raise ImageError("has damaged EXIF data; save it without") from error


def _bits(image: Image.Image, data: bytes) -> int:
    """Return the bits per channel: Pillow shows 16-bit colour PNG as plain RGB."""
    if image.format == "PNG":
        return data[24]  # IHDR is the first chunk, and the depth its ninth byte
    return 16 if image.mode.startswith("I") or image.mode == "F" else 8


def _verify_png(image: Image.Image) -> None:
    """Compare the checksum of every chunk, up to the end chunk."""
    try:
        image.verify()
    except _DECODING_ERRORS as error:
        raise ImageError(f"is truncated or damaged ({error}); write it again") from error


def _check_complete(data: bytes) -> None:
    """Say whether a JPEG, WebP or BMP file ends where its structure says."""
    if data[:2] == b"\xff\xd8":
        # An embedded preview has an end marker of its own, so look behind the start of the scan.
        complete = data.rfind(b"\xff\xd9") > _start_of_scan(data)
    elif data[:4] == b"RIFF":
        complete = len(data) >= int.from_bytes(data[4:8], "little") + 8
    elif data[:2] == b"BM":
        complete = len(data) >= int.from_bytes(data[2:6], "little")
    else:
        complete = True
    if not complete:
        raise ImageError("is truncated: its end is missing; write it again")


def _start_of_scan(data: bytes) -> int:
    """Return the offset of a JPEG's first scan, or the file's length if there is none."""
    marker = 2  # the offset of a segment's marker
    while marker + 4 <= len(data) and data[marker] == 0xFF:
        if data[marker + 1] == 0xDA:
            return marker
        if data[marker + 1] == 0xFF:  # fill byte
            marker += 1
            continue
        marker += 2 + int.from_bytes(data[marker + 2 : marker + 4], "big")
    return len(data)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in {"RGBA", "LA", "PA"} or "transparency" in image.info


def _check_opaque(data: bytes) -> None:
    """Refuse transparency that hides something; such files are rare, so they are decoded here."""
    with _open(data) as image:
        if _pixels(image)[..., 3].min() < 255:
            raise ImageError(
                "is transparent in places; what shines through depends on the reader, "
                "so flatten it onto the background that you mean"
            )


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Decode an opened image to RGB, or to RGBA where it has an alpha channel."""
    try:
        return np.asarray(image.convert("RGBA" if _has_alpha(image) else "RGB"))
    except _DECODING_ERRORS as error:
        raise ImageError(f"cannot be decoded ({error}); write it again") from error
