"""Source images and reference folders: each image once, in place of or besides the ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import fhpt_eval
from fhpt_eval.errors import InputError, ProtocolError, UnavailableError
from fhpt_eval.evaluation.evaluate import reference_statistics
from fhpt_eval.images.preparation import Side
from fhpt_eval.leaderboard.agreement import check_agreement
from fhpt_eval.metrics.base import Need, Part
from fhpt_eval.metrics.on_features import FeatureRows
from fhpt_eval.metrics.sets.reference_set import save_statistics
from fhpt_eval.protocol import Entry, Protocol
from fhpt_eval.result import Result
from tests.support.gaussians import frechet_distance
from tests.support.patches import Patches, PatchFID, PatchKID
from tests.support.photographs import PairFolders
from tests.support.toy_sources import SourceGap

Maker = Callable[..., PairFolders]


def protocol(*metrics: Any) -> Protocol:
    return Protocol("toy", "", "", (), tuple(Entry(m.name, m, ()) for m in metrics))


@pytest.fixture(autouse=True)
def _count_from_zero() -> None:
    Patches.seen.clear()


def run(folders: Mapping[str, Path], *metrics: Any, **options: Any) -> Result:
    return fhpt_eval.evaluate(
        folders["generated"], folders["test"], protocol=protocol(*metrics), name="ours", **options
    )


def patches(file: Path) -> Any:
    pixels = np.asarray(Image.open(file), dtype=np.float64) / 255
    blocks = pixels.reshape(2, pixels.shape[0] // 2, 2, pixels.shape[1] // 2, 3)
    return blocks.mean(axis=(1, 3)).transpose(2, 0, 1).ravel()


def test_each_source_image_is_seen_once_and_not_again_where_it_is_a_target(
    transfers: dict[str, Path],
) -> None:
    run(transfers, SourceGap(), source=transfers["sources"])
    assert sum(Patches.seen) == 36 + 24 + 12  # generated, targets, sources that are no target


class GapToSourceIfThere(SourceGap):
    """The same where the run has source images; of them alone, without ground truth's features."""

    needs: ClassVar[frozenset[Need]] = frozenset({"ground_truth"})

    def may_use(self) -> frozenset[Need]:
        """See :meth:`Metric.may_use`."""
        return frozenset({"source"})

    def sides_of(self, feature: str) -> frozenset[Side]:
        """See :meth:`Metric.sides_of`."""
        return frozenset({"generated", "source"})

    def measure(self, rows: FeatureRows) -> Mapping[str, NDArray[np.float64]]:
        """See :meth:`FeaturePairMetric.measure`."""
        assert not rows.ground_truth
        blank = np.full(len(rows.keys), np.nan)
        gap = blank
        if rows.source:
            ours, theirs = (side["patches"]["pool"] for side in (rows.generated, rows.source))
            gap = np.abs(ours - theirs).mean(axis=1)
        return {"source": gap, "target": blank, "named": blank + 1}

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        """See :meth:`Metric.parts`."""
        return {name: replace(part, weight="") for name, part in super().parts().items()}


def test_what_a_metric_may_use_it_has_where_all_pairs_have_it(transfers: dict[str, Path]) -> None:
    without = run(transfers, GapToSourceIfThere())
    assert without.scores["source_gap.source"].value is None
    assert sum(Patches.seen) == 36  # the generated images: the ground truth is not looked at
    result = run(transfers, GapToSourceIfThere(), source=transfers["sources"])
    needed = run(transfers, SourceGap(), source=transfers["sources"])
    assert result.pairs["source_gap.source"].equals(needed.pairs["source_gap.source"])
    assert result.protocol.settings == without.protocol.settings


def test_values_are_those_of_each_pairs_own_source(transfers: dict[str, Path]) -> None:
    result = run(transfers, SourceGap(), source=transfers["sources"])
    assert result.scores["source_gap.source"].weight == "source_gap.named"
    assert result.scores["source_gap.target"].weight is None
    check_agreement([result])
    assert list(result.pairs.index[:2]) == ["00a___00b", "00a___00c"]
    for key, value in result.pairs["source_gap.source"].items():
        source, _ = str(key).split("___")
        expected = np.abs(
            patches(transfers["generated"] / f"{key}.png")
            - patches(transfers["sources"] / f"{source}.png")
        ).mean()
        assert value == pytest.approx(expected, rel=1e-12)
    assert result.scores["source_gap.named"].value == 1.0


def test_without_source_images_the_metric_says_so(transfers: dict[str, Path]) -> None:
    with pytest.raises(UnavailableError, match="needs source images, and 36 of 36 pairs have none"):
        run(transfers, SourceGap())


def test_item_ids_that_are_missing_are_told(transfers: dict[str, Path]) -> None:
    class ItemGap(SourceGap):
        name: ClassVar[str] = "item_gap"
        needs: ClassVar[frozenset[Need]] = frozenset({"ground_truth", "source", "item"})

    with pytest.raises(UnavailableError, match="needs item ids, and 36 of 36 pairs have none"):
        run(transfers, ItemGap(), source=transfers["sources"])


def test_sources_are_kept_for_the_next_method_and_for_the_same_command(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    options = {"source": transfers["sources"], "cache": tmp_path / "cache"}
    first = run(transfers, SourceGap(), out=tmp_path / "one", **options)
    Patches.seen.clear()
    second = run(transfers, SourceGap(), out=tmp_path / "one", **options)
    assert Patches.seen == []
    assert second.timing.chunks_reused == second.timing.chunks == first.timing.chunks
    run(transfers, SourceGap(), out=tmp_path / "two", **options)
    assert sum(Patches.seen) == 36  # generated images of a fresh output folder


def damage(file: Path) -> None:
    """Spoil the pixels of a PNG, and leave its checksums right: only decoding can tell."""
    import struct
    import zlib

    data = file.read_bytes()
    at = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[at - 4 : at])
    wrong = b"IDAT" + b"\x00" * length
    file.write_bytes(
        data[:at] + wrong + struct.pack(">I", zlib.crc32(wrong)) + data[at + length + 8 :]
    )


def test_a_source_that_cannot_be_decoded_leaves_its_pairs_out_where_that_is_allowed(
    transfers: dict[str, Path],
) -> None:
    damage(transfers["sources"] / "03a.png")
    with pytest.raises(InputError, match=r"03a\.png"):
        run(transfers, SourceGap(), source=transfers["sources"])
    result = run(transfers, SourceGap(), source=transfers["sources"], allow_missing=True)
    assert result.test_set.pairs == 34
    assert [one.name for one in result.provenance.excluded] == ["source/03a.png"]
    assert result.scores["source_gap.source"].coverage == pytest.approx(34 / 36)


def moments(folder: Path) -> tuple[Any, Any]:
    rows = np.stack([patches(file) for file in sorted(folder.glob("*.png"))])
    return rows.mean(axis=0), np.cov(rows, rowvar=False)


def test_a_reference_folder_takes_the_place_of_the_ground_truth(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    metric = PatchFID(reference=str(transfers["sources"]))
    result = run(transfers, metric, cache=tmp_path / "cache")
    assert sum(Patches.seen) == 36 + 36  # generated and reference images, no ground truth
    expected = frechet_distance(*moments(transfers["generated"]), *moments(transfers["sources"]))
    # The square roots of the smallest eigenvalues differ between ways of computing them.
    assert result.scores["fid"].value == pytest.approx(expected, rel=1e-6)
    Patches.seen.clear()
    run(transfers, metric, cache=tmp_path / "cache")
    assert sum(Patches.seen) == 36


def test_kid_compares_with_a_reference_folder_too(transfers: dict[str, Path]) -> None:
    options = {"subsets": 1, "subset_size": 24}
    to_truth = run(transfers, PatchKID.model_validate(options))
    same = {**options, "reference": str(transfers["test"])}
    to_folder = run(transfers, PatchKID.model_validate(same))
    assert to_folder.scores["kid.mean"].value == to_truth.scores["kid.mean"].value


def test_the_content_of_a_reference_set_is_part_of_the_protocol_and_its_place_is_not(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    def digest(reference: Path | None) -> str:
        return protocol(PatchFID(reference=str(reference) if reference else None)).digest

    before = digest(transfers["sources"])
    copy = tmp_path / "copy"
    shutil.copytree(transfers["sources"], copy)
    assert digest(copy) == before != digest(None)
    (copy / "00a.png").unlink()
    assert digest(copy) != before


def test_a_reference_folder_is_checked_before_any_work(transfers: dict[str, Path]) -> None:
    (transfers["sources"] / "00a.png").write_bytes(b"no image")
    (transfers["sources"] / "01a.png").write_bytes(b"")
    with pytest.raises(InputError, match="2 images cannot be used") as error:
        run(transfers, PatchFID(reference=str(transfers["sources"])))
    assert "00a.png" in str(error.value)
    assert "is empty" in str(error.value)
    assert Patches.seen == []


def test_a_reference_image_that_cannot_be_decoded_is_named(transfers: dict[str, Path]) -> None:
    damage(transfers["sources"] / "00a.png")
    with pytest.raises(InputError, match=r"00a\.png"):
        run(transfers, PatchFID(reference=str(transfers["sources"])))


def statistics(folder: Path, file: Path, **options: Any) -> Path:
    own = protocol(PatchFID())
    save_statistics(file, reference_statistics(folder, protocol=own, **options))
    return file


def test_statistics_give_the_fid_of_their_folder(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    file = statistics(transfers["sources"], tmp_path / "stats.npz", cache=tmp_path / "cache")
    by_file = run(transfers, PatchFID(reference=str(file))).scores["fid"]
    by_folder = run(transfers, PatchFID(reference=str(transfers["sources"]))).scores["fid"]
    assert by_file.value == pytest.approx(by_folder.value, rel=1e-9)
    assert by_file.note == by_folder.note
    mean, covariance = moments(transfers["sources"])
    with np.load(file) as arrays:
        assert arrays["mu"] == pytest.approx(mean, rel=1e-12)
        assert arrays["sigma"] == pytest.approx(covariance, rel=1e-9)
        assert int(arrays["count"]) == 36


def test_statistics_of_another_preparation_are_refused(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    from fhpt_eval.images.preparation import Resize

    file = statistics(transfers["sources"], tmp_path / "stats.npz")
    step = Resize(step="resize", width=20, height=20, kernel="pil.bicubic")
    entry = Entry("fid", PatchFID(reference=str(file)), (step,))
    with pytest.raises(InputError, match="made with other settings"):
        fhpt_eval.evaluate(
            transfers["generated"], transfers["test"], protocol=Protocol("t", "", "", (), (entry,))
        )


def test_statistics_that_do_not_say_how_they_were_made_are_noted(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    mean, covariance = moments(transfers["sources"])
    np.savez(tmp_path / "theirs.npz", mu=mean, sigma=covariance)
    score = run(transfers, PatchFID(reference=str(tmp_path / "theirs.npz"))).scores["fid"]
    assert score.value is not None
    assert "do not say how they were made" in (score.note or "")


def test_statistics_of_another_size_are_refused(transfers: dict[str, Path], tmp_path: Path) -> None:
    np.savez(tmp_path / "theirs.npz", mu=np.zeros(5), sigma=np.eye(5))
    with pytest.raises(InputError, match="has 5 dimensions, and fid 12"):
        run(transfers, PatchFID(reference=str(tmp_path / "theirs.npz")))


def test_kid_says_that_moments_will_not_do(transfers: dict[str, Path], tmp_path: Path) -> None:
    file = statistics(transfers["sources"], tmp_path / "stats.npz")
    with pytest.raises(UnavailableError, match="holds moments alone"):
        run(transfers, PatchKID(reference=str(file)))


def test_kid_reads_the_features_of_clean_fid(transfers: dict[str, Path], tmp_path: Path) -> None:
    rows = np.stack([patches(file) for file in sorted(transfers["sources"].glob("*.png"))])
    np.savez(tmp_path / "kid.npz", feats=rows)
    options = {"subsets": 1, "subset_size": 36}
    by_file, by_folder = (
        run(transfers, PatchKID.model_validate({**options, "reference": str(reference)}))
        for reference in (tmp_path / "kid.npz", transfers["sources"])
    )
    ours = by_file.scores["kid.mean"].value
    assert ours == pytest.approx(by_folder.scores["kid.mean"].value, rel=1e-9)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_and_resuming_move_no_bit(
    transfers: dict[str, Path], tmp_path: Path, workers: int
) -> None:
    metrics = SourceGap(), PatchFID(reference=str(transfers["sources"]))
    options = {"source": transfers["sources"], "workers": workers}
    run(transfers, *metrics, source=transfers["sources"], out=tmp_path / "whole")
    run(transfers, *metrics, out=tmp_path / "part", cache=tmp_path / "cache", **options)
    kept = sorted((tmp_path / "part" / "partials").rglob("*.partial"))
    kept += sorted((tmp_path / "cache").rglob("*.partial"))
    for file in kept[::2]:
        file.unlink()
    run(transfers, *metrics, out=tmp_path / "part", cache=tmp_path / "cache", **options)

    def untimed(out: Path) -> Any:
        table = json.loads((out / "result.json").read_text())
        del table["timing"]
        return table, (out / "pairs.csv").read_bytes()

    assert untimed(tmp_path / "part") == untimed(tmp_path / "whole")


def test_an_option_that_no_metric_takes_is_refused() -> None:
    with pytest.raises(ProtocolError, match="--fid-reference: none of the metrics takes one"):
        protocol(SourceGap()).with_parameter("reference", "x", "--fid-reference")


def test_a_protocol_with_a_reference_set_says_so_in_its_id(tmp_path: Path) -> None:
    changed = protocol(PatchFID()).with_parameter("reference", str(tmp_path), "--fid-reference")
    assert changed.id == "toy+fid-reference"


def test_statistics_of_one_image_are_refused(transfers: dict[str, Path]) -> None:
    for file in list(transfers["test"].iterdir())[1:]:
        file.unlink()
    with pytest.raises(InputError, match="holds 1 images; a covariance needs at least 2"):
        reference_statistics(transfers["test"], protocol=protocol(PatchFID()))


def test_features_of_another_size_are_refused_before_any_work(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    np.savez(tmp_path / "kid.npz", feats=np.ones((30, 5)))
    with pytest.raises(InputError, match="has 5 dimensions, and kid 12"):
        run(transfers, PatchKID(reference=str(tmp_path / "kid.npz")))
    assert Patches.seen == []


def test_fid_without_moments_is_unavailable_and_kid_goes_on(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    rows = np.stack([patches(file) for file in sorted(transfers["sources"].glob("*.png"))])
    np.savez(tmp_path / "kid.npz", feats=rows)
    reference = str(tmp_path / "kid.npz")
    metrics = PatchFID(reference=reference), PatchKID(subset_size=30, reference=reference)
    result = run(transfers, *metrics)
    assert "holds features alone" in (result.scores["fid"].reason or "")
    assert result.scores["kid.mean"].value is not None
    assert "do not say how they were made" in (result.scores["kid.mean"].note or "")


def test_a_reference_that_is_not_there_is_told_before_any_work(
    transfers: dict[str, Path], tmp_path: Path
) -> None:
    """Also where the metric that wants it is unavailable for another reason."""
    metrics = SourceGap(), PatchFID(reference=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere cannot be read"):
        run(transfers, *metrics, out=tmp_path / "out")
    assert Patches.seen == []
    assert not (tmp_path / "out").exists()
