"""How far single differences between protocols were measured to move scores: see docs/traps.md."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Effect:
    """What one difference was measured to do.

    ``of`` is a metric, or a step of the preparation. ``values`` has for each of its settings the
    two values, in either order (of a step that only one side has: its single value). ``change`` is
    the difference for people, ``sizes`` how far it moved which score of which images.
    """

    of: str
    values: Mapping[str, tuple[Any, ...]]
    change: str
    sizes: tuple[str, ...]
    source: str = "docs/traps.md"

    def applies(self, *settings: Mapping[str, Any]) -> bool:
        """Whether these settings, one or two, differ in this way."""
        return all(
            sorted(map(json.dumps, values))
            == sorted(json.dumps(setting.get(name)) for setting in settings)
            for name, values in self.values.items()
        )


EFFECTS = (
    *(
        Effect(
            "ssim",
            {"window": ("gaussian", "uniform"), "size": (taps, 51), "sigma": (1.5, None)},
            "a uniform window of 51 instead of the gaussian one of sigma 1.5",
            ("SSIM -0.02 to -0.08 on DeepFashion", "SSIM +0.13 to +0.26 on Market-1501"),
        )
        for taps in (11, 13)
    ),
    Effect(
        "ssim",
        {"sigma": (1.5, 1.2)},
        "sigma 1.2 instead of 1.5",
        ("SSIM +0.012 to +0.015 on DeepFashion", "SSIM +0.001 to +0.014 on Market-1501"),
    ),
    Effect(
        "ssim",
        {"data_range": ("full", "generated")},
        "the data range of each generated image instead of 255",
        ("SSIM up to 0.002 on DeepFashion", "SSIM 0.007 to 0.03 on Market-1501"),
    ),
    Effect(
        "ssim",
        {"window": ("gaussian", "gaussian"), "size": (11, 13)},
        "13 instead of 11 taps",
        ("SSIM up to 0.0002", "SSIM of a single pair up to 0.0007"),
    ),
    Effect(
        "ssim",
        {"scale": ("0..1", "-1..1"), "window": ("uniform", "uniform"), "size": (7, 7)},
        "images in [-1, 1] instead of [0, 1]",
        ("SSIM -0.03 on DeepFashion", "SSIM -0.09 to -0.11 on Market-1501"),
    ),
    Effect(
        "psnr",
        {"overflow": ("none", "uint8")},
        "differences that wrap around at 256",
        ("PSNR from 16.9 to 31.1 dB on DeepFashion",),
    ),
    Effect(
        "pad",
        {"width": (256,), "height": (256,), "color": ([255, 255, 255],)},
        "white padding of 176 columns to 256",
        ("SSIM +0.107 to +0.115 on DeepFashion", "PSNR +1.63 dB on DeepFashion"),
    ),
)
