"""Results as twelve methods' repositories write them are scored with at most one flag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import fhpt_eval
from fhpt_eval.benchmarks.mannequin.draw import draw
from fhpt_eval.benchmarks.mannequin.methods import blur
from fhpt_eval.errors import InputError
from tests.support import field_names as names

Pixels = NDArray[np.uint8]

#: Pairs of images, by their numbers: several sources of one target, and one that is both.
PAIRS = ((0, 1), (2, 1), (1, 4), (3, 5))


@dataclass(frozen=True)
class Archive:
    """How a method's results are named, arranged and placed beside their ground truth.

    ``panels`` are what a strip holds, from the left: ``s``, ``t`` and ``g`` for source, target and
    generated image, ``p`` for a pose. ``truth`` is the spelling of the ground truth; without one
    the strips hold it. ``flag`` is what has to be said.
    """

    method: str
    name: str
    truth: names.Spelling | None
    panels: str = "g"
    spelling: names.Spelling = names.flat
    ending: str = "png"
    flag: dict[str, Any] = field(default_factory=dict)
    listed: Callable[[], str] | None = None


def _nted_list() -> str:
    return "".join(f"img/{names.tree(t)}.jpg,img/{names.tree(s)}.jpg\n" for s, t in PAIRS)


ARCHIVES = (
    Archive("NTED", "{a}_2_{b}_vis", names.below("img", names.tree), listed=_nted_list),
    Archive("PIDM", "{a}_2_{b}_vis", lambda n: f"deep{names.flat(n)}"),
    Archive("PoCoLD", "seed_0/{a}_2_{b}_vis", names.flat),
    Archive("CFLD", "{a}_2_{b}_vis", names.tree),
    Archive("PCDMs", "{a}_to_{b}", names.flat),
    Archive("PISE", "{a}_{b}_vis", names.flat, ending="jpg"),
    Archive("CASD", "{a}.jpg___{b}.jpg_vis", names.flat, "sptpg", ending="jpg", flag={"panels": 5}),
    Archive("DPTN", "{a}_2_{b}_vis", names.multimodal, ending="jpg"),
    Archive("GFLA", "{a}_2_{b}_vis", names.below("bounding_box_test", names.market),
            spelling=names.market, ending="jpg"),
    Archive("DiOr", "generated_{n}", None, "stg", ending="jpg", flag={"panels": 3}),
    Archive("pose-gan", "{a}.jpg_{b}.jpg", names.flat, "stg", names.posegan, flag={"panels": 3}),
)  # fmt: skip


@pytest.fixture(scope="module")
def people() -> list[Pixels]:
    """Return a drawn person for each image."""
    return [draw(0, identity, 0, 64, 44).image for identity in range(6)]


def write(archive: Archive, people: list[Pixels], root: Path) -> tuple[Path, Path]:
    """Write a method's results and their ground truth; return the folders."""
    for number, (source, target) in enumerate(PAIRS, start=1):
        a, b = archive.spelling(source), archive.spelling(target)
        shown = {
            "s": people[source], "t": people[target], "p": np.zeros_like(people[0]),
            "g": blur(people[target], 0.5),
        }  # fmt: skip
        name = f"{archive.name.format(a=a, b=b, n=number)}.{archive.ending}"
        save(np.concatenate([shown[each] for each in archive.panels], axis=1), root / "pred" / name)
    if archive.truth is None:
        return root / "pred", root / "pred"
    for number, person in enumerate(people):
        save(person, root / "gt" / f"{archive.truth(number)}.png")
    return root / "pred", root / "gt"


def save(pixels: Pixels, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=98)  # which PNG passes over


def score(pred: Path, gt: Path, **options: Any) -> fhpt_eval.Result:
    return fhpt_eval.evaluate(pred, gt, metrics=["psnr"], device="cpu", **options)


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.method)
def test_an_archive_is_scored_with_at_most_one_flag(
    archive: Archive, people: list[Pixels], tmp_path: Path
) -> None:
    pred, gt = write(archive, people, tmp_path)
    result = score(pred, gt, **archive.flag)
    assert len(result.pairs) == len(PAIRS)
    assert result.pairs["psnr"].min() > 25  # of another person it is below 20
    assert "is compared with" in result.provenance.example
    if archive.listed is not None:
        (tmp_path / "test_pairs.txt").write_text(archive.listed())
        listed = score(pred, gt, pairs=tmp_path / "test_pairs.txt")
        assert listed.scores["psnr"].value == result.scores["psnr"].value
        assert listed.test_set == result.test_set


@pytest.mark.parametrize("archive", [a for a in ARCHIVES if a.flag], ids=lambda a: a.method)
def test_the_message_names_the_flag_when_it_is_missing(
    archive: Archive, people: list[Pixels], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"--panels {archive.flag['panels']}\\?"):
        score(*write(archive, people, tmp_path))


def test_the_grids_of_x_mdpt_are_named_as_grids(people: list[Pixels], tmp_path: Path) -> None:
    grid = np.concatenate([np.concatenate([person] * 8, axis=1) for person in people[:5]])
    save(grid, tmp_path / "pred" / "gen_img_000.png")
    save(people[4], tmp_path / "gt" / "gen_img_000.png")
    with pytest.raises(InputError, match=r"--grid 5x8\?"):
        score(tmp_path / "pred", tmp_path / "gt")
    result = score(tmp_path / "pred", tmp_path / "gt", grid="5x8")
    assert len(result.pairs) == 1
