"""A run from folders to a result: the same bytes in give the same bits out, and nothing twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import structural_similarity

import fhpt_eval
from fhpt_eval.errors import InputError, PairingError, ProtocolError, UnavailableError
from fhpt_eval.evaluation.survey.chunks import CHUNK_PAIRS
from fhpt_eval.result import Result
from tests.support.photographs import PairFolders, Pixels, crops, spoilt

Maker = Callable[..., PairFolders]


def run(folders: PairFolders, **options: Any) -> Result:
    options = {"name": "ours", "metrics": ["ssim", "l1"], **options}
    return fhpt_eval.evaluate(folders.generated, folders.ground_truth, **options)


def untimed(out: Path) -> tuple[dict[str, Any], bytes]:
    """Return what must not change from run to run."""
    table = json.loads((out / "result.json").read_text())
    del table["timing"]
    return table, (out / "pairs.csv").read_bytes()


def test_a_score_is_the_mean_over_pairs_of_what_the_reference_gives(make_pairs: Maker) -> None:
    folders = make_pairs(5)
    result = run(folders, metrics=["ssim"])
    for key, value in result.pairs["ssim"].items():
        x, y = (
            np.asarray(Image.open(folder / f"{key}.png"))
            for folder in (folders.generated, folders.ground_truth)
        )
        expected = structural_similarity(
            x, y, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )  # fmt: skip
        assert value == pytest.approx(expected, abs=1e-10)
    assert result.scores["ssim"].value == pytest.approx(result.pairs["ssim"].mean())
    assert (result.scores["ssim"].n, result.scores["ssim"].coverage) == (5, 1.0)


def test_the_number_of_workers_moves_no_bit(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(3 * CHUNK_PAIRS, height=40, width=40)
    for workers in (1, 2, 4):
        run(folders, out=tmp_path / str(workers), workers=workers, metrics=None)
    assert untimed(tmp_path / "1") == untimed(tmp_path / "2") == untimed(tmp_path / "4")


def test_a_second_run_computes_no_chunk(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(CHUNK_PAIRS + 20)
    first = run(folders, out=tmp_path / "out")
    before = untimed(tmp_path / "out")
    second = run(folders, out=tmp_path / "out")
    assert (first.timing.chunks, first.timing.chunks_reused) == (second.timing.chunks, 0)
    assert second.timing.chunks_reused == second.timing.chunks > 1
    assert untimed(tmp_path / "out") == before


def test_a_run_without_out_writes_nothing_and_gives_the_same(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(4)
    kept, free = run(folders, out=tmp_path / "out"), run(folders)
    assert kept.model_copy(update={"timing": free.timing}).to_json() == free.to_json()


def computed(result: Result) -> int:
    return result.timing.chunks - result.timing.chunks_reused


def test_changing_one_generated_image_recomputes_one_chunk(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(3 * CHUNK_PAIRS)
    run(folders, out=tmp_path / "out")
    changed = folders.generated / "person0005.png"
    Image.fromarray(spoilt(np.asarray(Image.open(changed)), 99)).save(changed)
    again = run(folders, out=tmp_path / "out")
    assert computed(again) == 1
    fresh = run(folders, out=tmp_path / "fresh")
    assert computed(fresh) > 1
    assert untimed(tmp_path / "out") == untimed(tmp_path / "fresh")


def test_adding_a_pair_recomputes_at_most_the_chunk_it_lands_in(
    make_pairs: Maker, tmp_path: Path, photographs: dict[str, Pixels]
) -> None:
    folders = make_pairs(4 * CHUNK_PAIRS)
    before = run(folders, out=tmp_path / "out")
    for number, image in enumerate(crops(photographs, 4, 64, 44)):
        for folder in (folders.generated, folders.ground_truth):
            Image.fromarray(image).save(folder / f"new{number}.png")
        after = run(folders, out=tmp_path / "out")
        # A full chunk that takes in one more is split; both halves are the chunk it landed in.
        assert computed(after) <= 1 + (after.timing.chunks - before.timing.chunks)
        before = after


def test_adding_a_metric_computes_that_metric_alone(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(4)
    run(folders, out=tmp_path / "out", metrics=["ssim", "l1"])
    more = run(folders, out=tmp_path / "out", metrics=["ssim", "l1", "psnr"])
    assert computed(more) == 1
    fewer = run(folders, out=tmp_path / "out", metrics=["ssim"])
    assert (computed(fewer), list(fewer.scores)) == (0, ["ssim"])


def test_changed_parameters_compute_anew(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(4)
    protocol = tmp_path / "mine.toml"
    values = []
    for sigma in (1.5, 1.2):
        protocol.write_text(f'id = "mine"\n[metrics.ssim]\nsigma = {sigma}\n')
        result = run(folders, out=tmp_path / "out", metrics=None, protocol=protocol)
        assert computed(result) == result.timing.chunks
        values.append(result.scores["ssim"].value)
    assert values[0] != values[1]


def test_a_damaged_partial_is_computed_again(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(CHUNK_PAIRS + 20)
    run(folders, out=tmp_path / "out")
    before = untimed(tmp_path / "out")
    partials = sorted((tmp_path / "out" / "partials").rglob("*.partial"))
    for damaged in partials[::2]:
        damaged.write_bytes(damaged.read_bytes()[:-7])
    for empty in partials[1::2]:
        empty.write_bytes(b"")
    again = run(folders, out=tmp_path / "out")
    assert computed(again) == 2
    assert untimed(tmp_path / "out") == before


def test_where_the_images_lie_does_not_matter(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(3)
    run(folders, out=tmp_path / "one")
    shutil.copytree(folders.generated.parent, tmp_path / "elsewhere")
    moved = PairFolders(tmp_path / "elsewhere" / "generated", tmp_path / "elsewhere/ground_truth")
    run(moved, out=tmp_path / "two")
    assert untimed(tmp_path / "one") == untimed(tmp_path / "two")


def test_digests_depend_on_pixels_and_keys_not_on_compression(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(3)
    before = run(folders)
    for path in folders.ground_truth.iterdir():
        Image.open(path).save(path, compress_level=1)
    same = run(folders)
    assert same.test_set.digest == before.test_set.digest
    shutil.copy(folders.ground_truth / "person0000.png", folders.ground_truth / "person0001.png")
    other = run(folders)
    assert other.test_set.digest != before.test_set.digest
    assert other.provenance.generated_digest == before.provenance.generated_digest


def test_pairs_of_different_sizes_are_scored_each_at_its_own(
    make_pairs: Maker, photographs: dict[str, Pixels]
) -> None:
    folders = make_pairs(6)
    for number, size in enumerate([(33, 47), (128, 61)]):
        (image,) = crops(photographs, 1, *size)
        Image.fromarray(image).save(folders.ground_truth / f"odd{number}.png")
        Image.fromarray(spoilt(image)).save(folders.generated / f"odd{number}.png")
    whole = run(folders)
    for number in range(2):
        single = whole.pairs["ssim"][f"odd{number}"]
        x, y = (
            np.asarray(Image.open(folder / f"odd{number}.png"))
            for folder in (folders.generated, folders.ground_truth)
        )
        expected = structural_similarity(
            x, y, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False,
        )  # fmt: skip
        assert single == pytest.approx(expected, abs=1e-10)


def test_preparation_is_applied_before_the_metric(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(3)
    protocol = tmp_path / "padded.toml"
    protocol.write_text(
        'id = "padded"\n[[prepare]]\nstep = "pad"\nwidth = 64\nheight = 64\n'
        "[metrics.ssim]\n[metrics.l1]\n[metrics.cut]\nmetric = 'l1'\n"
        'prepare = [{step = "crop", left = 10, right = 54, bottom = 64}]\n'
    )
    plain, padded = run(folders), run(folders, protocol=protocol, metrics=None)
    assert padded.pairs["ssim"].mean() > plain.pairs["ssim"].mean()
    np.testing.assert_allclose(padded.pairs["l1"], plain.pairs["l1"] * 44 / 64, rtol=1e-12)
    np.testing.assert_allclose(padded.pairs["cut"], plain.pairs["l1"], rtol=1e-12)


def test_missing_images_are_left_out_and_recorded_when_allowed(make_pairs: Maker) -> None:
    folders = make_pairs(8)
    (folders.generated / "person0002.png").unlink()
    (folders.generated / "person0003.png").write_bytes(b"no image")
    with pytest.raises(PairingError, match="person0002"):
        run(folders)
    result = run(folders, allow_missing=True)
    assert (result.scores["ssim"].n, result.scores["ssim"].coverage) == (6, 0.75)
    excluded = {(one.kind, one.name) for one in result.provenance.excluded}
    assert excluded == {("missing", "person0002"), ("unreadable", "generated/person0003.png")}
    assert "person0003" not in result.pairs.index


def test_an_image_that_proves_undecodable_late_is_listed_with_its_file(
    make_pairs: Maker, tmp_path: Path
) -> None:
    """A PNG whose chunks are sound but whose pixel data are not passes every cheap check."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    folders = make_pairs(4)
    header = struct.pack(">IIBBBBB", 44, 64, 8, 2, 0, 0, 0)
    broken = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"junk")
    (folders.generated / "person0001.png").write_bytes(broken + chunk(b"IEND", b""))
    with pytest.raises(PairingError, match=r"person0001\.png: cannot be decoded"):
        run(folders, out=tmp_path / "out")
    result = run(folders, out=tmp_path / "out", allow_missing=True)
    assert (result.scores["l1"].n, result.scores["l1"].coverage) == (3, 0.75)


def test_groups_widen_the_interval(make_pairs: Maker, tmp_path: Path) -> None:
    folders = make_pairs(24)
    names = sorted(path.name for path in folders.generated.iterdir())
    table = tmp_path / "pairs.csv"
    rows = [f"{name},{name},item{n % 4}" for n, name in enumerate(names)]
    table.write_text("\n".join(["generated,ground_truth,item", *rows]))
    alone, grouped = run(folders), run(folders, pairs=table)
    assert alone.scores["l1"].value == grouped.scores["l1"].value
    assert (alone.provenance.groups, grouped.provenance.groups) == (24, 4)
    assert alone.scores["l1"].interval != grouped.scores["l1"].interval


def test_a_chosen_metric_that_is_not_in_the_protocol_makes_another_protocol(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(3)
    protocol = tmp_path / "mine.toml"
    protocol.write_text('id = "mine"\n[metrics.l1]\n')
    own = run(folders, protocol=protocol, metrics=["l1"])
    more = run(folders, protocol=protocol, metrics=["l1", "psnr"])
    assert (own.protocol.id, more.protocol.id) == ("mine", "mine+psnr")
    assert own.protocol.digest != more.protocol.digest


def test_an_unknown_metric_is_refused_before_anything_else() -> None:
    with pytest.raises(ProtocolError, match="Did you mean 'ssim'"):
        fhpt_eval.evaluate("nowhere", "nowhere", metrics=["sssim"])


def test_a_folder_with_another_methods_result_is_not_overwritten(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(2)
    run(folders, out=tmp_path / "out", name="first")
    with pytest.raises(InputError, match="holds the result of 'first'"):
        run(folders, out=tmp_path / "out", name="second")


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_there_is_refused(make_pairs: Maker, device: str) -> None:
    with pytest.raises(InputError, match="--device"):
        run(make_pairs(1), device=device)


def test_a_metric_that_needs_source_images_says_so(
    make_pairs: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin installed in a folder of its own, as a third party would bring it."""
    from fhpt_eval.common import plugins

    (tmp_path / "copied.py").write_text(
        "from typing import ClassVar\n"
        "from fhpt_eval.metrics import Metric\n"
        "class Copied(Metric):\n"
        "    name = 'copied'; title = 'Copied from the source'; direction = 'lower'\n"
        "    needs: ClassVar = frozenset({'source'})\n"
        "    def columns(self, batch):\n"
        "        d = (batch.generated.double() - batch.source.double()).abs()\n"
        "        return {'': d.mean(dim=(1, 2, 3))}\n".replace(
            "    name = 'copied'; title = 'Copied from the source'; direction = 'lower'\n",
            "    name: ClassVar = 'copied'\n"
            "    title: ClassVar = 'Copied from the source'\n"
            "    direction: ClassVar = 'lower'\n",
        )
    )
    info = tmp_path / "copied-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: copied\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fhpt_eval.metrics]\ncopied = copied:Copied\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.installed.cache_clear()
    try:
        folders = make_pairs(2)
        for path in folders.generated.iterdir():  # A___B names, so that sources are known
            path.rename(path.with_name(f"person0000___{path.name}"))
        protocol = tmp_path / "mine.toml"
        protocol.write_text('id = "mine"\n[metrics.l1]\n[metrics.copied]\n')
        without = run(folders, protocol=protocol, metrics=None)
        reason = without.scores["copied"].reason
        assert reason == "needs source images, and 2 of 2 pairs have none (--source)"
        assert without.scores["l1"].value is not None
        with pytest.raises(UnavailableError, match="copied needs source images"):
            run(folders, protocol=protocol, metrics=["copied"])
        given = run(folders, protocol=protocol, metrics=None, source=folders.ground_truth)
        assert given.scores["copied"].value is not None
        assert given.provenance.software["copied"] == "1.0"
    finally:
        plugins.installed.cache_clear()
