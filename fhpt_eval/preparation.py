"""What is done to an image before a metric sees it: crop, pad, resize, colour, in a stated order.

May import: errors, words, numpy, Pillow, pydantic; torch inside the functions that need its resize.
Every step works on ``(H, W, 3)`` uint8 RGB and gives the same; every step can also say, from a
size alone, what size it will give, so that a plan can refuse pairs before anything is decoded.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fhpt_eval.errors import ImageError
from fhpt_eval.words import Known, Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

Side = Literal["generated", "ground_truth", "source"]
Kernel = Literal[
    "pil.nearest",
    "pil.box",
    "pil.bilinear",
    "pil.hamming",
    "pil.bicubic",
    "pil.lanczos",
    "torch.bilinear",
    "torch.bicubic",
    "torch.bilinear-antialias",
    "torch.bicubic-antialias",
]
_PIL = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
Level = Annotated[int, Field(ge=0, le=255)]
Extent = Annotated[int, Field(ge=1, le=8192)]

#: ITU-R BT.601 luma weights times 2**16, and half a unit to round: Pillow's and libjpeg's integers.
_LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)
_HALF = np.uint32(1 << 15)


class Step(BaseModel):
    """One step of the preparation; ``of`` limits it to some sides of a pair.

    ``words`` holds, under "", what the step does as a sentence without its subject, and what the
    values in it are called; ``known`` how far the step is known to move numbers. See
    :mod:`fhpt_eval.words`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    words: ClassVar[Words] = {}
    known: ClassVar[tuple[Known, ...]] = ()

    of: tuple[Side, ...] = Field(
        default=("generated", "ground_truth", "source"), min_length=1, strict=False
    )

    @field_validator("of")
    @classmethod
    def _sorted(cls, sides: tuple[Side, ...]) -> tuple[Side, ...]:
        return tuple(sorted(set(sides)))  # one set of sides, one digest

    @abstractmethod
    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) that the step gives for an image of this size.

        Raises:
            ImageError: the step cannot be applied to such an image.
        """

    @abstractmethod
    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Apply the step to ``(H, W, 3)`` uint8 pixels."""


class Crop(Step):
    """Keep columns ``[left, right)`` and rows ``[top, bottom)``, in pixels."""

    words: ClassVar[Words] = {
        "": "keeps columns {left} to {right} and rows {top} to {bottom}",
        "when_width": {"null": "", "": "of images {when_width} wide alone"},
    }

    step: Literal["crop"] = "crop"
    left: int = Field(default=0, ge=0)
    top: int = Field(default=0, ge=0)
    right: Extent
    bottom: Extent

    @model_validator(mode="after")
    def _is_proper(self) -> Self:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError("left must be less than right, and top less than bottom")
        return self

    def size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`Step.size`."""
        if self.right > width or self.bottom > height:
            raise ImageError(
                f"is {width} x {height}; the protocol crops columns {self.left} to {self.right} "
                f"and rows {self.top} to {self.bottom}"
            )
        return self.right - self.left, self.bottom - self.top

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See :meth:`Step.apply`."""
        return pixels[self.top : self.bottom, self.left : self.right]


class Pad(Step):
    """Put the image in the middle of a larger one of a given colour (white unless told).

    An odd pixel too many goes to the right and the bottom.
    """

    words: ClassVar[Words] = {
        "": "pads to {width} x {height} with {color}",
        "color": {
            "[255, 255, 255]": "white",
            "[0, 0, 0]": "black",
            "": "the RGB colour ({color})",
        },
    }
    known: ClassVar[tuple[Known, ...]] = (
        Known(
            {"width": (256,), "height": (256,), "color": ([255, 255, 255],)},
            "white padding of 176 columns to 256 moved SSIM by +0.107 to +0.115 and PSNR by "
            "+1.63 dB on DeepFashion",
        ),
    )

    step: Literal["pad"] = "pad"
    width: Extent
    height: Extent
    color: tuple[Level, Level, Level] = Field(default=(255, 255, 255), strict=False)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`Step.size`."""
        if width > self.width or height > self.height:
            raise ImageError(
                f"is {width} x {height}, larger than the {self.width} x {self.height} "
                "that the protocol pads to"
            )
        return self.width, self.height

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See :meth:`Step.apply`."""
        height, width = pixels.shape[:2]
        top, left = (self.height - height) // 2, (self.width - width) // 2
        padded = np.empty((self.height, self.width, 3), np.uint8)
        padded[:] = np.array(self.color, np.uint8)
        padded[top : top + height, left : left + width] = pixels
        return padded


class Resize(Step):
    """Resize to a fixed size with a named kernel; an image of that size is left alone.

    ``pil.*`` are Pillow's (antialiased when shrinking); ``torch.*`` are
    ``torch.nn.functional.interpolate`` with ``align_corners=False`` on float32, rounded half to
    even and clipped to 0..255, antialiased only where the name says so.
    """

    words: ClassVar[Words] = {
        "": "resizes to {width} x {height} with {kernel}",
        "kernel": {
            "torch.bilinear": "torch's bilinear kernel (not antialiased)",
            "torch.bicubic": "torch's bicubic kernel (not antialiased)",
            "torch.bilinear-antialias": "torch's antialiased bilinear kernel",
            "torch.bicubic-antialias": "torch's antialiased bicubic kernel",
            **{f"pil.{name}": f"Pillow's {name} kernel" for name in _PIL},
            **{f"cv2.{name}": f"OpenCV's {name} kernel" for name in (*_PIL, "area")},
            "": "the kernel {kernel}",
        },
        "result": {
            "uint8": "",
            "truncated": "fractions cut off",
            "float": "left in floating point",
        },
    }

    step: Literal["resize"] = "resize"
    width: Extent
    height: Extent
    kernel: Kernel

    def size(self, width: int, height: int) -> tuple[int, int]:  # noqa: ARG002 - any size will do
        """See :meth:`Step.size`."""
        return self.width, self.height

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See :meth:`Step.apply`."""
        if pixels.shape[:2] == (self.height, self.width):
            return pixels
        library, _, name = self.kernel.partition(".")
        resize = _resize_pil if library == "pil" else _resize_torch
        return resize(pixels, self.width, self.height, name)


class Color(Step):
    """Change the colours: ``grey`` is BT.601 luma, rounded, in all three channels."""

    words: ClassVar[Words] = {
        "": "turns {space}",
        "space": {"grey": "grey (BT.601 luma)"},
    }

    step: Literal["color"] = "color"
    space: Literal["grey"]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`Step.size`."""
        return width, height

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """See :meth:`Step.apply`."""
        luma = ((pixels @ _LUMA + _HALF) >> np.uint32(16)).astype(np.uint8)
        return np.repeat(luma[..., None], 3, axis=2)


def prepare(pixels: NDArray[np.uint8], steps: Sequence[Step], side: Side) -> NDArray[np.uint8]:
    """Apply the steps that concern this side, in order, to ``(H, W, 3)`` uint8 pixels."""
    for step in steps:
        if side in step.of:
            pixels = step.apply(pixels)
    return pixels


def prepared_size(size: tuple[int, int], steps: Sequence[Step], side: Side) -> tuple[int, int]:
    """Return the (width, height) that :func:`prepare` gives for an image of this size.

    Raises:
        ImageError: a step cannot be applied to such an image.
    """
    for step in steps:
        if side in step.of:
            size = step.size(*size)
    return size


def _resize_pil(pixels: NDArray[np.uint8], width: int, height: int, name: str) -> NDArray[np.uint8]:
    kernel = Image.Resampling[name.upper()]
    return np.asarray(Image.fromarray(pixels).resize((width, height), kernel))


def _resize_torch(
    pixels: NDArray[np.uint8], width: int, height: int, name: str
) -> NDArray[np.uint8]:
    import torch
    from torch.nn.functional import interpolate

    mode, _, antialias = name.partition("-")
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float()
    resized = interpolate(
        image, (height, width), mode=mode, align_corners=False, antialias=bool(antialias)
    )
    levels = resized[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    return np.ascontiguousarray(levels.numpy())
