"""Without ground truth: what needs no pairs is computed as ever; the rest says what it lacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import fhpt_eval
from fhpt_eval.errors import UnavailableError
from fhpt_eval.metrics import (
    BRISQUE,
    L1,
    FaceIdentity,
    FeatureRows,
    Joints,
    Part,
    Retrieval,
)
from fhpt_eval.metrics.base import Need
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Result
from tests.support.command import fhpt_eval as command
from tests.support.patches import PatchFID, PatchKID
from tests.support.toy_sources import SourceGap


class FromSource(SourceGap):
    """How far generated images are from their sources, whatever their targets."""

    name: ClassVar[str] = "from_source"
    needs: ClassVar[frozenset[Need]] = frozenset({"source"})

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        return {"source": Part("Gap to the source", "lower")}

    def measure(self, rows: FeatureRows) -> Mapping[str, NDArray[np.float64]]:
        ours, theirs = (side["patches"]["pool"] for side in (rows.generated, rows.source))
        return {"source": np.abs(ours - theirs).mean(axis=1)}


def run(pred: Path, gt: Path | None, *metrics: Any, **options: Any) -> Result:
    toy = Protocol("toy", "", "", (), tuple(Entry(m.name, m, ()) for m in metrics))
    return fhpt_eval.evaluate(pred, gt, protocol=toy, name="ours", **options)


def values(result: Result) -> dict[str, float | None]:
    return {name: score.value for name, score in result.scores.items()}


@pytest.mark.parametrize("metric", [PatchFID, PatchKID], ids=["fid", "kid"])
def test_a_set_is_compared_with_a_reference_as_it_is_beside_ground_truth(
    transfers: dict[str, Path], metric: Any
) -> None:
    options = {"subsets": 2, "subset_size": 20} if metric is PatchKID else {}
    against = metric.model_validate({**options, "reference": str(transfers["sources"])})
    alone, beside = (run(transfers["generated"], gt, against) for gt in (None, transfers["test"]))
    assert values(alone) == values(beside)


def test_images_are_judged_alone_as_they_are_beside_ground_truth(
    transfers: dict[str, Path],
) -> None:
    alone, beside = (run(transfers["generated"], gt, BRISQUE()) for gt in (None, transfers["test"]))
    assert values(alone) == values(beside)
    assert list(alone.pairs["brisque"]) == list(beside.pairs["brisque"])


def test_images_are_compared_with_the_sources_that_their_names_tell(
    transfers: dict[str, Path],
) -> None:
    options = {"source": transfers["sources"]}
    alone, beside = (
        run(transfers["generated"], gt, FromSource(), **options) for gt in (None, transfers["test"])
    )
    assert alone.pairs.equals(beside.pairs)
    assert list(alone.files["source"][:2]) == ["00a.png", "00a.png"]
    assert set(alone.files["ground_truth"]) == {""}


def test_a_list_tells_sources_and_items_of_a_gallery(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    names = [path.stem.split("___") for path in sorted(transfers["generated"].iterdir())]
    rows = [f"{source}___{target},{target},{source},{source[:2]}" for source, target in names]
    listed = tmp_path / "pairs.csv"
    listed.write_text("generated,ground_truth,source,item\n" + "\n".join(rows))
    result = run(
        transfers["generated"], None, Retrieval(), source=transfers["sources"], pairs=listed
    )
    assert result.scores["retrieval.recall@1"].n == 36
    assert result.provenance.groups == 12


def test_what_needs_pairs_is_unavailable_with_that_reason(transfers: dict[str, Path]) -> None:
    result = run(transfers["generated"], None, BRISQUE(), L1(), PatchFID())
    reasons = {name: score.reason for name, score in result.scores.items()}
    assert reasons == {
        "brisque": None,
        "brisque.flat": None,
        "l1": "needs ground truth (--gt)",
        "fid": "needs ground truth (--gt, or --fid-reference)",
    }


def test_what_may_stand_in_for_ground_truth_is_named(transfers: dict[str, Path]) -> None:
    result = run(
        transfers["generated"], None, BRISQUE(), Joints(network="mannequin-pose"),
        FaceIdentity(network="mannequin-faces"),
    )  # fmt: skip
    assert "--keypoints" in (result.scores["joints.pckh"].reason or "")
    assert "--source with --set face_identity.against=source" in (
        result.scores["face_identity.rate"].reason or ""
    )


def test_a_run_of_which_nothing_can_be_computed_is_refused(transfers: dict[str, Path]) -> None:
    with pytest.raises(UnavailableError, match=r"l1 needs ground truth \(--gt\)"):
        run(transfers["generated"], None, L1())


def test_a_named_metric_that_lacks_ground_truth_stops_no_other(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    names = ("--metrics", "brisque,ssim", "--out", tmp_path / "out")
    finished = command("run", "--pred", transfers["generated"], *names)
    assert finished.status == 3
    assert "36 generated images, without ground truth (no --gt)" in finished.err
    assert "Unavailable: ssim: needs ground truth (--gt)" in finished.err
    assert "| brisque" in finished.out


def test_the_keys_alone_make_the_test_set(transfers: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in transfers["generated"].iterdir():
        pixels = np.asarray(Image.open(path))
        Image.fromarray(pixels[::-1]).save(other / path.name)
    ours, theirs = (run(pred, None, BRISQUE()) for pred in (transfers["generated"], other))
    assert ours.test_set == theirs.test_set
    assert ours.provenance.generated_digest != theirs.provenance.generated_digest
    (other / "00a___00b.png").rename(other / "renamed.png")
    assert run(other, None, BRISQUE()).test_set.digest != ours.test_set.digest


def test_unreadable_images_are_listed_as_ever(transfers: dict[str, Path], tmp_path: Path) -> None:
    (transfers["generated"] / "part2").symlink_to(tmp_path / "moved")
    (transfers["generated"] / "notes.txt").touch()
    result = run(transfers["generated"], None, BRISQUE(), allow_missing=True)
    (excluded,) = result.provenance.excluded
    assert (excluded.kind, excluded.name) == ("unreadable", "generated/part2")
    assert result.provenance.passed_over == {"generated": {".txt": 1}}
    assert result.provenance.assumptions == ("Passed over in --pred: 1 .txt",)
