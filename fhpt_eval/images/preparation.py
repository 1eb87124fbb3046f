"""What is done to an image before a metric sees it: crop, pad, resize, colour, in a stated order.

Every step works on ``(H, W, 3)`` RGB levels and gives the same: uint8, or float32 after a resize
that does not round. Every step can also say, from a size alone, what size it will give, so that a
plan can refuse pairs before anything is decoded.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from fhpt_eval.common.validation import Frozen
from fhpt_eval.errors import ImageError
from fhpt_eval.images.resize import Kernel, ResizeResult, opencv_version, resize

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

Side = Literal["generated", "ground_truth", "source"]
Level = Annotated[int, Field(ge=0, le=255)]
Extent = Annotated[int, Field(ge=1, le=8192)]

#: ITU-R BT.601 luma weights times 2**16, and half a unit to round: Pillow's and libjpeg's integers.
_LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)
_HALF = np.uint32(1 << 15)


class Names(NamedTuple):
    """Names of a pair's ground-truth and source image, without endings; "" where unknown."""

    target: str = ""
    source: str = ""


class Step(Frozen):
    """One step of the preparation; ``of`` limits it to some sides of a pair."""

    of: tuple[Side, ...] = Field(
        default=("generated", "ground_truth", "source"), min_length=1, strict=False
    )

    @field_validator("of")
    @classmethod
    def _sorted(cls, sides: tuple[Side, ...]) -> tuple[Side, ...]:
        return tuple(sorted(set(sides)))  # one set of sides, one digest

    #: Whether what it does depends on the pair's names, and not on pixels alone.
    by_name: ClassVar[bool] = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) that the step gives for an image of this size: the same.

        Raises:
            ImageError: the step cannot be applied to such an image.
        """
        return width, height

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

        ``sizes`` are ``(N, 2)``, height and width of the images of N pairs once prepared.

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
        if self._spares(width):
            return width, height
        if self.right > width or self.bottom > height:
            raise ImageError(
                f"is {width} x {height}; the protocol crops columns {self.left} to {self.right} "
                f"and rows {self.top} to {self.bottom}"
            )
        return self.right - self.left, self.bottom - self.top

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if self._spares(pixels.shape[1]):
            return pixels
        return pixels[self.top : self.bottom, self.left : self.right]

    def _spares(self, width: int) -> bool:
        return self.when_width is not None and width != self.when_width


class Pad(Step):
    """Put the image in the middle of a larger one of a given colour (white by default).

    An odd pixel too many goes to the right and the bottom.
    """

    step: Literal["pad"] = "pad"
    width: Extent
    height: Extent
    color: tuple[Level, Level, Level] = Field(default=(255, 255, 255), strict=False)

    def size(self, width: int, height: int) -> tuple[int, int]:
        if width > self.width or height > self.height:
            raise ImageError(
                f"is {width} x {height}, larger than the {self.width} x {self.height} "
                "that the protocol pads to"
            )
        return self.width, self.height

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
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
            opencv_version()
        return self.width, self.height

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        return resize(pixels, self.width, self.height, self.kernel, self.result)

    def software(self) -> dict[str, str]:
        return {"opencv": opencv_version()} if self.kernel.startswith("cv2.") else {}


class Color(Step):
    """Change the colours: ``grey`` is BT.601 luma in all three channels, rounded if uint8."""

    step: Literal["color"] = "color"
    space: Literal["grey"]

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
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

    What is left is uint8, or float32 where a resize says so.
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


def size_before_resize(size: tuple[int, int], steps: Sequence[Step], side: Side) -> tuple[int, int]:
    """Return the (width, height) of an image after all steps that come before the first resize.

    Raises:
        ImageError: a step cannot be applied to such an image.
    """
    places = [place for place, step in enumerate(steps) if isinstance(step, Resize)]
    return prepared_size(size, steps[: places[0]] if places else steps, side)


def software_of(steps: Iterable[Step]) -> dict[str, str]:
    """Return the versions of libraries that some steps rest on and not every run does."""
    return {name: version for step in steps for name, version in step.software().items()}


def prepared_tensor(
    images: Sequence[NDArray[np.uint8]],
    steps: Sequence[Step],
    side: Side,
    names: Sequence[Names] = (),
) -> Tensor:
    """Prepare images of one size: ``(N, 3, H, W)``, uint8, or float64 where a resize says so.

    Floats are levels / 255, in [0, 1] but for what a kernel overshoots.
    """
    import torch

    pairs = zip(images, names or [NAMELESS] * len(images), strict=True)
    stacked = np.stack([prepare(pixels, steps, side, name) for pixels, name in pairs])
    tensor = torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()
    return tensor if tensor.dtype == torch.uint8 else as_floats(tensor)


def as_floats(images: Tensor) -> Tensor:
    """Return levels, uint8 or float32, over 255; float64 images are so already."""
    import torch

    return images if images.dtype == torch.float64 else images.double().div_(255)
