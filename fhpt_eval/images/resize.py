"""Resize an image with the kernel of a named library."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from fhpt_eval.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
#: OpenCV's numbers of its kernels: cv2.INTER_NEAREST, _LINEAR, _CUBIC, _AREA and _LANCZOS4.
_CV2 = {"nearest": 0, "bilinear": 1, "bicubic": 2, "area": 3, "lanczos": 4}


def resize(
    pixels: NDArray[Any], width: int, height: int, kernel: Kernel, result: ResizeResult
) -> NDArray[Any]:
    """Resize ``(H, W, 3)`` levels, uint8 or float32; an image of that size keeps its levels.

    What is left is uint8, or float32 if ``result`` is ``"float"``.
    """
    library, _, name = kernel.partition(".")
    if pixels.shape[:2] == (height, width):
        return _finish(pixels, result)
    in_levels = result == "uint8" and pixels.dtype == np.uint8
    if in_levels and library != "torch":  # Pillow and OpenCV have an arithmetic for 8 bits
        return _RESIZE[library](pixels, width, height, name)
    white = np.float32(255 if library == "torch" and not in_levels else 1)
    levels = pixels.astype(np.float32) / white
    return _finish(_RESIZE[library](levels, width, height, name) * white, result)


@lru_cache(maxsize=1)
def opencv_version() -> str:
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
    rounded = levels.round() if result == "uint8" else levels
    return rounded.clip(0, 255).astype(np.uint8)


def _resize_pil(levels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    if levels.dtype != np.uint8 and levels.ndim == 3:  # Pillow takes floats a channel at a time
        planes = (np.ascontiguousarray(levels[..., channel]) for channel in range(3))
        return np.stack([_resize_pil(plane, width, height, name) for plane in planes], axis=2)
    kernel = Image.Resampling[name.upper()]
    return np.asarray(Image.fromarray(levels).resize((width, height), kernel))


def _resize_cv2(levels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    import cv2

    resized = cv2.resize(np.ascontiguousarray(levels), (width, height), interpolation=_CV2[name])
    return np.asarray(resized)


def _resize_torch(levels: NDArray[Any], width: int, height: int, name: str) -> NDArray[Any]:
    import torch
    from torch.nn.functional import interpolate

    mode, _, antialias = name.partition("-")
    # Channel by channel in memory, as scripts have it: the order of sums depends on it.
    image = torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)))[None]
    resized = interpolate(
        image, (height, width), mode=mode, align_corners=False, antialias=bool(antialias)
    )
    return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())


_RESIZE = {"pil": _resize_pil, "torch": _resize_torch, "cv2": _resize_cv2}
