"""The table of ``make parity``: what is compared with whom and how closely, and its Markdown.

May import: the standard library. docs/parity.md shows the table, ``make parity-page`` writes it
there, and ``tests/test_parity_page.py`` holds that it has these rows.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

#: How far two values are apart: their difference, or that over the reference's value; of vectors
#: the length of the difference over the length of the reference's.
Measure = Literal["absolute", "relative", "of vectors"]

#: What :func:`refreshed` replaces stands between these lines of the page.
BEGIN, END = "<!-- printed by make parity -->", "<!-- end of what make parity prints -->"

HEAD = ("Comparison", "Reference", "Compared", "Images", "Tolerance", "Largest difference")


@dataclass(frozen=True)
class Comparison:
    """A row: its name, the packages compared with, what was compared, and the tolerance."""

    name: str
    peers: tuple[str, ...]
    what: str
    tolerance: float
    measure: Measure = "absolute"


@dataclass
class Found:
    """What was found for a row: the number of images of each height and width; the difference."""

    images: dict[tuple[int, int], int] = field(default_factory=dict)
    difference: float = 0.0


_SETS = (
    Comparison(
        "fid", ("pytorch-fid",), "its network and `calculate_frechet_distance`", 1e-4, "relative"
    ),
    Comparison(
        'fid, `resize = "tensorflow"`', ("torch-fidelity",), "`calculate_metrics` on folders",
        1e-4, "relative",
    ),
    Comparison(
        'fid, `resize = "clean"`', ("clean-fid", "pytorch-fid"),
        "clean-fid's resize and `frechet_distance`, in the space that the features span; "
        "pytorch-fid's network",
        1e-4, "relative",
    ),
    Comparison(
        "fid, more images than features", ("pytorch-fid",),
        "`calculate_frechet_distance` on 32 of the features", 1e-4, "relative",
    ),
    Comparison(
        "fid, torchmetrics", ("torchmetrics", "pytorch-fid"),
        "`FrechetInceptionDistance` on 32 of the features of pytorch-fid's network", 1e-4,
        "relative",
    ),
    Comparison(
        "kid", ("torch-fidelity", "pytorch-fid"),
        "`kid_features_to_metric` on pytorch-fid's features: mean and std of 20 subsets of 32",
        1e-6,
    ),
    Comparison(
        'kid, `resize = "tensorflow"`', ("torch-fidelity",),
        "`calculate_metrics` on folders: mean and std of 20 subsets of 32", 1e-6,
    ),
    Comparison(
        'kid, `resize = "clean"`', ("clean-fid", "pytorch-fid"),
        "clean-fid's resize and `kernel_distance`, pytorch-fid's network: one subset of all", 1e-6,
    ),
    Comparison(
        "is", ("torch-fidelity", "pytorch-fid"),
        "`isc_features_to_metric` on pytorch-fid's network, unbiased logits: mean and std of 10 "
        "splits",
        1e-5,
    ),
    Comparison(
        'is, `resize = "tensorflow"` (as the original of 2016)', ("torch-fidelity",),
        "`calculate_metrics` on folders, unbiased logits: mean and std of 10 splits", 1e-5,
    ),
    Comparison(
        "is, the common PyTorch script", ("torchvision",),
        "the script's steps on `inception_v3`, biased logits, one split", 1e-5,
    ),
)  # fmt: skip

_LPIPS = tuple(
    Comparison(
        f'lpips, `network = "{net}"`, `release = "{release}"`', ("lpips",),
        f'`LPIPS(net="{net}", version="{release}")`, value of a pair', 1e-5,
    )
    for net in ("alex", "vgg", "squeeze")
    for release in ("0.1", "0.0")
)  # fmt: skip

#: What is done to images, whose it is, and how it is had there.
_MODES = {
    "pytorch-fid": (("pytorch-fid",), "pool features and logits"),
    "none": (("pytorch-fid",), "pool features, `resize_input=False`"),
    "tensorflow": (("torch-fidelity",), "pool features and both kinds of logits"),
    "clean": (
        ("clean-fid", "pytorch-fid"),
        "pool features and logits, clean-fid's resize, pytorch-fid's network",
    ),
    "torchvision": (("torchvision",), "pool features and logits of `inception_v3`"),
    "imagenet-mapped": (
        ("torchvision",),
        "pool features and logits of `inception_v3`, `transform_input=True`",
    ),
}

_INCEPTION = tuple(
    Comparison(f'inception, `resize = "{mode}"`', peers, what, 1e-5, "of vectors")
    for mode, (peers, what) in _MODES.items()
)

_SSIM = "`structural_similarity`"
_PIXELS = tuple(
    Comparison(name, ("scikit-image",) if name != "l1" else ("numpy",), what, 1e-6)
    for name, what in {
        "ssim": f"{_SSIM}, `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`",
        'ssim, `data_range = "generated"`': f"{_SSIM}, the range of the generated image",
        "ssim, `size = 9`, `sigma = 1.2`": f"{_SSIM}, `sigma=1.2`",
        'ssim, `window = "uniform"`': f"{_SSIM}, its defaults (7 x 7)",
        'ssim, `window = "uniform"`, `size = 51`': f"{_SSIM}, `win_size=51`, images in [0, 1]",
        'ssim, `channels = "grey"`': f"{_SSIM} of grey levels",
        "psnr": "`peak_signal_noise_ratio`",
        "l1": "mean of `abs(x / 255 - y / 255)`",
    }.items()
)

COMPARISONS: Mapping[str, Comparison] = {
    one.name: one for one in (*_SETS, *_LPIPS, *_INCEPTION, *_PIXELS)
}


def collect(records: Iterable[str]) -> dict[str, Found]:
    """Return by name what records, as :func:`record` writes them, say together."""
    found: dict[str, Found] = {}
    for text in records:
        name, images, difference = json.loads(text)
        one = found.setdefault(name, Found())
        for count, height, width in images:
            one.images[height, width] = max(count, one.images.get((height, width), 0))
        # The largest; what is not a number comes before all numbers.
        one.difference = max(one.difference, difference, key=lambda d: (math.isnan(d), d))
    return found


def record(name: str, images: Iterable[tuple[int, int, int]], difference: float) -> str:
    """Return the record of one comparison: numbers of images, heights and widths; difference."""
    return json.dumps([name, list(images), difference])


def rows(found: Mapping[str, Found]) -> list[str]:
    """Return the lines of the table for the comparisons that were made."""
    made = [one for name, one in COMPARISONS.items() if name in found]
    cells = [HEAD, ("---",) * len(HEAD), *(_cells(one, found[one.name]) for one in made)]
    return [f"| {' | '.join(row)} |" for row in cells]


def refreshed(page: str, table: Iterable[str]) -> str:
    """Return the page with another table."""
    before, _, rest = page.partition(f"{BEGIN}\n")
    _, _, after = rest.partition(END)
    return before + "\n".join([BEGIN, "", *table, "", END]) + after


def shown(page: str) -> list[str]:
    """Return the lines of the table that the page shows."""
    inside = page.partition(BEGIN)[2].partition(END)[0]
    return [line for line in inside.splitlines() if line.startswith("|")]


def without_differences(table: Iterable[str]) -> list[str]:
    """Return the lines without their last cell, which another machine may have otherwise."""
    return [line.rpartition(" | ")[0] for line in table]


def _cells(one: Comparison, found: Found) -> tuple[str, ...]:
    sizes = sorted(found.images.items(), key=lambda item: (-item[1], item[0]))
    return (
        one.name,
        ", ".join(f"{peer} {_version(peer)}" for peer in one.peers),
        one.what,
        ", ".join(f"{count} of {height} x {width}" for (height, width), count in sizes),
        f"{one.tolerance:.0e} {one.measure}",
        f"{found.difference:.1e}",
    )


def _version(peer: str) -> str:
    try:
        return version(peer)
    except PackageNotFoundError:
        return "(not installed)"
