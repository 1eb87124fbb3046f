"""The face of the person in an image: found, aligned and described by dlib.

Names are imported when they are first used, so that a worker does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhpt_eval.features.faces.feature import Faces, descriptors

__all__ = ["Faces", "descriptors"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("fhpt_eval.features.faces.feature"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
