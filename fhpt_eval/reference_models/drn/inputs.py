"""What the network is given, and what it shall draw."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Tensors:
    """Named tensors with one row per pair, that go to a device together."""

    def to(self, device: torch.device | str, *, channels_last: bool = False) -> Self:
        """Return a copy on another device; copies from pinned memory do not wait."""
        layout = torch.channels_last if channels_last else torch.preserve_format

        def moved(tensor: Tensor) -> Tensor:
            there = tensor.to(device, non_blocking=True)
            return there.contiguous(memory_format=layout) if there.ndim == 4 else there

        return replace(self, **{f.name: moved(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True)
class Inputs(_Tensors):
    """N pairs at the working size H x W, with face crops of F x F; all float32.

    Attributes:
        source: I_s, ``(N, 3, H, W)`` in [-1, 1].
        source_pose: P_s, ``(N, 18, H, W)`` in [0, 1]; the map of a missing joint is 0.
        target_pose: P_t, likewise.
        source_face: I_F, ``(N, 3, F, F)`` in [-1, 1], the part of the source in its face box; all
            0 (grey) where the source shows no face.
        target_face_pose: H_F, ``(N, 18, F, F)`` in [0, 1]: the target's joints in the frame of its
            face box; all 0 where the target shows no face.
        face_box: B_F, ``(N, 4)``: left, top, right, bottom of the target's face box as edges in
            pixels of the working size (pixel i reaches from i to i + 1), NaN where the target
            shows no face. A box may reach beyond the image.
    """

    source: Tensor
    source_pose: Tensor
    target_pose: Tensor
    source_face: Tensor
    target_face_pose: Tensor
    face_box: Tensor


@dataclass(frozen=True)
class Targets(_Tensors):
    """What N pairs shall become.

    Attributes:
        image: I_g, ``(N, 3, H, W)`` float32 in [-1, 1].
    """

    image: Tensor
