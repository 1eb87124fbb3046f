"""Strips are cut by their sizes; what has no shape to be compared is refused before any work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import fhpt_eval
from fhpt_eval import Result
from fhpt_eval.errors import InputError, PairingError
from fhpt_eval.protocol import Entry, Protocol, parse_protocol
from tests.support.patches import PatchFID
from tests.support.photographs import crops, spoilt
from tests.support.toy_sources import SourceGap

Pixels = NDArray[np.uint8]

WIDTH, HEIGHT = 44, 64
RESIZED = parse_protocol(
    'id = "resized"\n[[prepare]]\nstep = "resize"\nwidth = 40\nheight = 60\n'
    'kernel = "pil.bicubic"\n[metrics.psnr]\n[metrics.l1]',
    "resized.toml",
)


class Folder:
    """Writes images of pairs in several arrangements, all of the same six photographs."""

    def __init__(self, root: Path, photographs: dict[str, Pixels]) -> None:
        self.root = root
        self.truth = crops(photographs, 6, HEIGHT, WIDTH)
        self.source = crops(photographs, 12, HEIGHT, WIDTH)[6:]
        self.results = {"ours": 8.0, "baseline": 30.0}

    def images(self, method: str) -> list[Pixels]:
        sigma = self.results[method]
        return [spoilt(image, number, sigma) for number, image in enumerate(self.truth)]

    def write(self, name: str, images: list[Pixels]) -> Path:
        for number, image in enumerate(images):
            path = self.root / name / f"a{number}___b{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
        return self.root / name

    def strips(self, method: str) -> Path:
        """Write strips of five, as PATN does: source, pose, target, pose, generated."""
        panels = zip(self.source, self.truth, self.images(method), strict=True)
        joined = [np.concatenate([s, s * 0, t, s * 0, g], axis=1) for s, t, g in panels]
        return self.write(f"{method}-strips", joined)

    def grids(self, method: str) -> Path:
        """Write grids of two rows and three columns: target and source above, results below."""
        panels = zip(self.source, self.truth, self.images(method), strict=True)
        joined = [
            np.concatenate([np.concatenate(row, axis=1) for row in ((t, s, s), (s, s, g))])
            for s, t, g in panels
        ]
        return self.write(f"{method}-grids", joined)


@pytest.fixture
def folder(tmp_path: Path, photographs: dict[str, Pixels]) -> Folder:
    return Folder(tmp_path, photographs)


def scored(pred: Path, gt: Path, **options: object) -> Result:
    return fhpt_eval.evaluate(pred, gt, protocol=RESIZED, **options)


@pytest.fixture
def right(folder: Folder) -> dict[str, float | None]:
    """The scores of each method out of folders of single images."""
    truth = folder.write("truth", folder.truth)
    return {
        method: scored(folder.write(method, folder.images(method)), truth).scores["psnr"].value
        for method in folder.results
    }


def test_strips_are_cut_against_single_images_and_against_strips_alike(
    folder: Folder, right: dict[str, float | None]
) -> None:
    ours, theirs = (folder.strips(method) for method in ("ours", "baseline"))
    for truth in (folder.root / "truth", ours, theirs):
        results = [scored(strips, truth, panels=5) for strips in (ours, theirs)]
        assert [result.scores["psnr"].value for result in results] == list(right.values())
        assert len({result.test_set.digest for result in results}) == 1


def test_single_results_are_compared_with_strips_of_ground_truth(
    folder: Folder, right: dict[str, float | None]
) -> None:
    result = scored(folder.root / "ours", folder.strips("baseline"), panels=5)
    assert result.scores["psnr"].value == right["ours"]
    assert result.provenance.assumptions == ("Panels of strips of 5: ground truth 3",)


def test_grids_are_cut_by_row_and_column(folder: Folder, right: dict[str, float | None]) -> None:
    grids = folder.grids("ours")
    result = scored(grids, folder.root / "truth", grid="2x3", panel=6)
    assert result.scores["psnr"].value == right["ours"]
    result = scored(grids, grids, grid=(2, 3), panel=6, gt_panel=1)
    assert result.scores["psnr"].value == right["ours"]
    assert result.provenance.assumptions == (
        "Panels of grids of 2 x 3: generated image 6, ground truth 1",
    )


def test_the_ground_truths_panel_alone_says_that_strips_hold_it(
    folder: Folder, right: dict[str, float | None]
) -> None:
    result = fhpt_eval.evaluate(folder.strips("ours"), protocol=RESIZED, panels=5, gt_panel=3)
    assert result.scores["psnr"].value == right["ours"]


@pytest.mark.parametrize(
    ("arrangement", "arithmetic"),
    [
        ("strips", r"220 x 64 is 5 panels of 44 x 64: --panels 5\?"),
        ("grids", r"132 x 128 is 6 panels of 44 x 64: --grid 2x3\?"),
    ],
)
@pytest.mark.parametrize("allow_missing", [False, True])
def test_panels_that_were_forgotten_are_refused_with_the_arithmetic(
    folder: Folder, arrangement: str, arithmetic: str, allow_missing: bool
) -> None:
    strips = getattr(folder, arrangement)("ours")
    truth = folder.write("truth", folder.truth)
    for pred, gt in ((strips, truth), (truth, strips)):
        with pytest.raises(PairingError, match=rf"6 of 6 pairs .* shape(?s:.)*{arithmetic}"):
            scored(pred, gt, allow_missing=allow_missing)


def test_strips_among_source_images_are_refused(folder: Folder) -> None:
    pred, truth, strips = (
        folder.write("ours", folder.images("ours")),
        folder.write("truth", folder.truth),
        folder.strips("baseline"),
    )
    for number in range(6):
        for root, name in ((truth, f"b{number}.png"), (strips, f"a{number}.png")):
            (root / f"a{number}___b{number}.png").rename(root / name)
    toy = Protocol("toy", "", "", (), (Entry("source_gap", SourceGap(), ()),))
    with pytest.raises(PairingError, match=r"source image a0.png 220 x 64.\n220 x 64 is 5 panels"):
        fhpt_eval.evaluate(pred, truth, source=strips, protocol=toy)
    result = fhpt_eval.evaluate(pred, truth, source=strips, protocol=toy, panels=5)
    assert result.provenance.assumptions == ("Panels of strips of 5: source image 1",)


@pytest.mark.parametrize("arrangement", ["strips", "grids"])
@pytest.mark.parametrize("is_reference", [False, True])
def test_panels_that_were_forgotten_are_seen_beside_a_reference_set_too(
    folder: Folder, arrangement: str, is_reference: bool
) -> None:
    truth = folder.write("truth", folder.truth)
    strips = getattr(folder, arrangement)("ours")
    pred, reference = (truth, strips) if is_reference else (strips, truth)
    metric = PatchFID(reference=str(reference))
    toy = Protocol("toy", "", "", (), (Entry("fid", metric, ()),))
    with pytest.raises(PairingError, match=r"6 of 6 images in (?s:.)*panels of 44 x 64"):
        fhpt_eval.evaluate(pred, protocol=toy)


def test_a_wrong_number_of_panels_is_refused_too(folder: Folder) -> None:
    truth = folder.write("truth", folder.truth)
    wide = [np.concatenate([image] * 6, axis=1) for image in folder.truth]
    with pytest.raises(PairingError, match=r"88 x 64 is 2 panels of 44 x 64"):
        scored(folder.write("six", wide), truth, panels=3)


def test_one_strip_among_images_is_a_pair_of_unequal_sizes(folder: Folder) -> None:
    truth = folder.write("truth", folder.truth)
    images = folder.images("ours")
    images[2] = np.concatenate([images[2]] * 3, axis=1)
    pred = folder.write("ours", images)
    with pytest.raises(PairingError, match=r"1 of unequal sizes:\n.*a2___b2.*is 3 panels of 44"):
        scored(pred, truth)
    left = scored(pred, truth, allow_missing=True)
    assert left.scores["psnr"].coverage == pytest.approx(5 / 6)


def test_a_crop_that_takes_the_panel_out_of_the_strip_is_no_misfit(
    folder: Folder, right: dict[str, float | None]
) -> None:
    cropped = parse_protocol(
        'id = "cropped"\n[[prepare]]\nstep = "crop"\nleft = 176\nright = 220\nbottom = 64\n'
        'of = ["generated"]\n[[prepare]]\nstep = "resize"\nwidth = 40\nheight = 60\n'
        'kernel = "pil.bicubic"\n[metrics.psnr]',
        "cropped.toml",
    )
    result = fhpt_eval.evaluate(folder.strips("ours"), folder.root / "truth", protocol=cropped)
    assert result.scores["psnr"].value == right["ours"]


def test_images_compared_with_themselves_are_no_result(folder: Folder) -> None:
    truth = folder.write("truth", folder.truth)
    with pytest.raises(InputError, match=r"its own ground truth"):
        scored(truth, truth)
    with pytest.raises(InputError, match=r"a copy of its ground truth"):
        scored(folder.write("copies", folder.truth), truth)


def test_strips_compared_with_themselves_are_asked_for_their_panels(folder: Folder) -> None:
    strips = folder.strips("ours")
    with pytest.raises(InputError, match=r"220 x 64 may be 5 panels of 44 x 64: --panels 5\?"):
        scored(strips, strips)


def test_some_copies_among_results_are_scored(folder: Folder) -> None:
    truth = folder.write("truth", folder.truth)
    images = [*folder.truth[:5], *folder.images("ours")[5:]]
    assert len(scored(folder.write("ours", images), truth).pairs) == 6
