"""What is done to an image before a metric sees it: crop, pad, resize, colour, in a stated order.

Every step works on ``(H, W, 3)`` RGB levels and gives the same: uint8, or float32 after a resize
that does not round. Every step can also say, from a size alone, what size it will give, so that a
plan can refuse pairs before anything is decoded.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from PIL import Image
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from fhpt_eval.errors import ImageError, InputError

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
    "cv2.nearest",
    "cv2.bilinear",
    "cv2.bicubic",
    "cv2.area",
    "cv2.lanczos",
]
#: What a resize leaves: rounded levels, levels cut to whole numbers, or float32 as computed.
ResizeResult = Literal["uint8", "truncated", "float"]
_PIL = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
Level = Annotated[int, Field(ge=0, le=255)]
Extent = Annotated[int, Field(ge=1, le=8192)]

#: ITU-R BT.601 luma weights times 2**16, and half a unit to round: Pillow's and libjpeg's integers.
_LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)
_HALF = np.uint32(1 << 15)
#: OpenCV's numbers of its kernels: cv2.INTER_NEAREST, _LINEAR, _CUBIC, _AREA and _LANCZOS4.
_CV2 = {"nearest": 0, "bilinear": 1, "bicubic": 2, "area": 3, "lanczos": 4}


class Names(NamedTuple):
    """Names of a pair's ground-truth and source image, without endings; "" where unknown."""

    target: str = ""
    source: str = ""


class Step(BaseModel):
    """One step of the preparation; ``of`` limits it to some sides of a pair."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    of: tuple[Side, ...] = Field(
        default=("generated", "ground_truth", "source"), min_length=1, strict=False
    )

    @field_validator("of")
    @classmethod
    def _sorted(cls, sides: tuple[Side, ...]) -> tuple[Side, ...]:
        return tuple(sorted(set(sides)))  # one set of sides, one digest

    #: Whether what it does depends on the pair's names, and not on pixels alone.
    by_name: ClassVar[bool] = False

    @abstractmethod
    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) that the step gives for an image of this size.

        Raises:
            ImageError: the step cannot be applied to such an image.
        """

    @abstractmethod
    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Apply the step to ``(H, W, 3)`` levels, uint8 or float32."""

    def apply_to(self, pixels: NDArray[Any], names: Names) -> NDArray[Any]:  # noqa: ARG002
        """Apply the step to an image of a pair of these names, which most steps do not mind."""
        return self.apply(pixels)

    def canonical(self) -> dict[str, Any]:
        """Return all that fixes what the step does, as JSON values."""
        return self.model_dump(mode="json")

    def lacks(self) -> str:
        """Say what the run lacks for the step and what would cure it, or nothing."""
        return ""

    def check(self, names: Sequence[Names], sizes: NDArray[np.int64]) -> None:
        """Refuse pairs that the step cannot be applied to; asked before any work.

        Args:
            names: of N pairs.
            sizes: ``(N, 2)``, height and width of their images once prepared.

        Raises:
            InputError: says what does not go together.
        """

    def software(self) -> dict[str, str]:
        """Return the versions of libraries that the step rests on and not every run does."""
        return {}


class Crop(Step):
    """Keep columns ``[left, right)`` and rows ``[top, bottom)``, in pixels.

    With ``when_width`` only images of exactly that width are cropped, and others are left alone.
    """

    step: Literal["crop"] = "crop"
    left: int = Field(default=0, ge=0)
    top: int = Field(default=0, ge=0)
    right: Extent
    bottom: Extent
    when_width: Extent | None = None

    @model_validator(mode="after")
    def _is_proper(self) -> Self:
        if self.left >= self.right or self.top >= self.bottom:
            raise ValueError("left must be less than right, and top less than bottom")
        return self

    def size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`Step.size`."""
        if self._spares(width):
            return width, height
        if self.right > width or self.bottom > height:
            raise ImageError(
                f"is {width} x {height}; the protocol crops columns {self.left} to {self.right} "
                f"and rows {self.top} to {self.bottom}"
            )
        return self.right - self.left, self.bottom - self.top

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """See :meth:`Step.apply`."""
        if self._spares(pixels.shape[1]):
            return pixels
        return pixels[self.top : self.bottom, self.left : self.right]

    def _spares(self, width: int) -> bool:
        return self.when_width is not None and width != self.when_width


class Pad(Step):
    """Put the image in the middle of a larger one of a given colour (white unless told).

    An odd pixel too many goes to the right and the bottom.
    """

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

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """See :meth:`Step.apply`."""
        height, width = pixels.shape[:2]
        top, left = (self.height - height) // 2, (self.width - width) // 2
        padded = np.empty((self.height, self.width, 3), pixels.dtype)
        padded[:] = np.array(self.color, pixels.dtype)
        padded[top : top + height, left : left + width] = pixels
        return padded


class Resize(Step):
    """Resize to a fixed size with a named kernel; an image of that size keeps its levels.

    ``pil.*`` are Pillow's (antialiased when shrinking); ``torch.*`` are
    ``torch.nn.functional.interpolate`` with ``align_corners=False`` on float32, antialiased only
    where the name says so; ``cv2.*`` are ``cv2.resize`` (never antialiased but for ``area``).

    ``result`` says what is left of the numbers in between:

    - ``"uint8"``: rounded and clipped to 0..255, by the library itself where it takes 8-bit images
      (Pillow, OpenCV), half to even otherwise;
    - ``"truncated"``: computed in float32, clipped to 0..255, the fraction cut off;
    - ``"float"``: float32 as computed, neither rounded nor clipped.

    In the last two, Pillow's and OpenCV's kernels see float32 levels 0..255, and torch's see
    [0, 1], since scripts differ so and a fraction that is cut off shows the last bit.
    """

    step: Literal["resize"] = "resize"
    width: Extent
    height: Extent
    kernel: Kernel
    result: ResizeResult = "uint8"

    def size(self, width: int, height: int) -> tuple[int, int]:  # noqa: ARG002 - any size will do
        """See :meth:`Step.size`.

        Raises:
            InputError: the kernel is OpenCV's, which is not installed.
        """
        if self.kernel.startswith("cv2."):
            _opencv_version()
        return self.width, self.height

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """See :meth:`Step.apply`."""
        library, _, name = self.kernel.partition(".")
        if pixels.shape[:2] == (self.height, self.width):
            return _finish(pixels, self.result)
        if self.result == "uint8" and pixels.dtype == np.uint8:
            return _RESIZE[library](pixels, self.width, self.height, name)
        levels = pixels.astype(np.float32)
        return _finish(_RESIZE_FLOAT[library](levels, self.width, self.height, name), self.result)

    def software(self) -> dict[str, str]:
        """See :meth:`Step.software`."""
        return {"opencv": _opencv_version()} if self.kernel.startswith("cv2.") else {}


class Color(Step):
    """Change the colours: ``grey`` is BT.601 luma in all three channels, rounded if uint8."""

    step: Literal["color"] = "color"
    space: Literal["grey"]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`Step.size`."""
        return width, height

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """See :meth:`Step.apply`."""
        if pixels.dtype != np.uint8:
            luma = pixels @ (_LUMA / 2**16).astype(pixels.dtype)
        else:
            luma = ((pixels @ _LUMA + _HALF) >> np.uint32(16)).astype(np.uint8)
        return np.repeat(luma[..., None], 3, axis=2)


#: Of an image that belongs to no pair.
NAMELESS = Names()


def prepare(
    pixels: NDArray[np.uint8], steps: Sequence[Step], side: Side, names: Names = NAMELESS
) -> NDArray[Any]:
    """Apply the steps that concern this side, in order, to ``(H, W, 3)`` uint8 pixels.

    Returns:
        ``(H, W, 3)`` levels: uint8, or float32 where a resize says so.
    """
    for step in steps:
        if side in step.of:
            pixels = step.apply_to(pixels, names)
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


def software_of(steps: Iterable[Step]) -> dict[str, str]:
    """Return the versions of libraries that some steps rest on and not every run does."""
    return {name: version for step in steps for name, version in step.software().items()}


@lru_cache(maxsize=1)
def _opencv_version() -> str:
    """Return the version of the installed OpenCV.

    Raises:
        InputError: there is none; asked before any image is decoded.
    """
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            "The protocol resizes with OpenCV (a kernel cv2.*), which is not installed: "
            "pip install 'fhpt-eval[opencv]'."
        ) from error
    return str(cv2.__version__)


def _finish(levels: NDArray[Any], result: ResizeResult) -> NDArray[Any]:
    """Round, cut or keep levels, uint8 or float32."""
    if result == "float":
        return levels.astype(np.float32)
    if levels.dtype == np.uint8:
        return levels
    whole = levels.round() if result == "uint8" else levels
    return whole.clip(0, 255).astype(np.uint8)


def _resize_pil(pixels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    kernel = Image.Resampling[name.upper()]
    return np.asarray(Image.fromarray(pixels).resize((width, height), kernel))


def _resize_pil_float(levels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    """Resize ``(H, W, 3)`` float32: Pillow takes floats one channel at a time."""
    planes = (np.ascontiguousarray(levels[..., channel]) for channel in range(3))
    return np.stack([_resize_pil(plane, width, height, name) for plane in planes], axis=2)


def _resize_cv2(pixels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    """Resize ``(H, W, 3)`` uint8 or float32; OpenCV has an arithmetic for each."""
    import cv2

    resized = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=_CV2[name])
    return np.asarray(resized)


def _interpolate(levels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    """Resize ``(H, W, 3)`` float32 of any range with torch."""
    import torch
    from torch.nn.functional import interpolate

    mode, _, antialias = name.partition("-")
    # Channel by channel in memory, as scripts have it: the order of sums depends on it.
    image = torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)))[None]
    resized = interpolate(
        image, (height, width), mode=mode, align_corners=False, antialias=bool(antialias)
    )
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


def _resize_torch(pixels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    return _finish(_interpolate(pixels.astype(np.float32), width, height, name), "uint8")


def _resize_torch_float(levels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    return _interpolate(levels / np.float32(255), width, height, name) * np.float32(255)


_RESIZE = {"pil": _resize_pil, "torch": _resize_torch, "cv2": _resize_cv2}
_RESIZE_FLOAT = {"pil": _resize_pil_float, "torch": _resize_torch_float, "cv2": _resize_cv2}
