"""Several protocols in one run: each image once, and the bits of a run under each alone."""

from __future__ import annotations

import json
import math
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from PIL import Image
from torch import Tensor

import fhpt_eval
from fhpt_eval.errors import InputError, PairingError, ProtocolError, UnavailableError
from fhpt_eval.evaluation.compute import chunk
from fhpt_eval.evaluation.evaluate import evaluate_many
from fhpt_eval.evaluation.request import Request, loaded_protocols
from fhpt_eval.evaluation.survey import checks
from fhpt_eval.images.files import check, decode
from fhpt_eval.images.preparation import Crop, Pad, Resize, Step
from fhpt_eval.metrics import FID, L1, SSIM, Metric, PairMetric
from fhpt_eval.protocol import Entry, Protocol, parse_protocol
from fhpt_eval.result import Result
from tests.support.command import fhpt_eval as command
from tests.support.patches import PatchFID, PatchKID
from tests.support.photographs import PairFolders
from tests.support.toy_features import ColourGap, MeanColour
from tests.support.toy_sources import SourceGap

Maker = Callable[..., PairFolders]


class BatchSize(PairMetric):
    """The number of pairs in a pair's batch: what the arithmetic of other metrics may depend on."""

    name: ClassVar[str] = "batch_size"
    title: ClassVar[str] = "Batch size"
    direction: ClassVar[Any] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, math.inf)

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        return torch.full((len(generated),), float(len(generated)), dtype=torch.float64)


def protocol(name: str, *metrics: Metric, steps: tuple[Step, ...] = ()) -> Protocol:
    return Protocol(name, "", "", steps, tuple(Entry(m.name, m, steps) for m in metrics))


PLAIN = protocol("plain", L1(), SSIM(), BatchSize())
PADDED = protocol("padded", L1(), BatchSize(), steps=(Pad(width=1100, height=1100),))
SMALL = protocol(
    "small", SSIM(sigma=1.2), BatchSize(),
    steps=(Resize(width=40, height=40, kernel="pil.bicubic"),),
)  # fmt: skip
ALL = (PLAIN, PADDED, SMALL)


def many(folders: PairFolders, *protocols: Protocol, **options: Any) -> list[Result]:
    return evaluate_many(
        folders.generated, folders.ground_truth, protocols=protocols,
        **{"name": "ours", **options},
    )  # fmt: skip


def one(folders: PairFolders, wanted: Protocol, **options: Any) -> Result:
    return fhpt_eval.evaluate(
        folders.generated, folders.ground_truth, protocol=wanted, name="ours", **options
    )


def untimed(out: Path) -> dict[str, Any]:
    """Return all that was written but the timing."""
    table: dict[str, Any] = json.loads((out / "result.json").read_text())
    del table["timing"]
    return {name: (out / name).read_bytes() for name in ("pairs.csv", "scores.csv")} | table


def test_results_are_those_of_single_runs_to_the_last_bit(
    make_pairs: Maker, tmp_path: Path
) -> None:
    """Padding cuts the batches of one protocol to single pairs, and those of no other."""
    folders = make_pairs(40, height=120, width=90)
    outs = [tmp_path / "many" / wanted.id for wanted in ALL]
    many(folders, *ALL, outs=outs, workers=2)
    for wanted, out in zip(ALL, outs, strict=True):
        one(folders, wanted, out=tmp_path / wanted.id, workers=1)
        assert untimed(out) == untimed(tmp_path / wanted.id)
    sizes = {
        w.id: set(r.pairs["batch_size"]) for w, r in zip(ALL, many(folders, *ALL), strict=True)
    }
    assert sizes["padded"] == {1.0}
    assert sizes["plain"] == sizes["small"] != {1.0}


def test_a_metric_added_later_has_the_batches_that_it_would_have_had(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(6)
    mixed = Protocol("mixed", "", "", (), (*PLAIN.entries[1:], *PADDED.entries[:1]))
    whole = one(folders, mixed, out=tmp_path / "whole")
    one(folders, mixed, out=tmp_path / "later", metrics=["l1"])
    one(folders, mixed, out=tmp_path / "later")
    assert untimed(tmp_path / "later") == untimed(tmp_path / "whole")
    assert whole.pairs["batch_size"].tolist() == [6.0] * 6


def test_each_image_is_checked_and_decoded_once(
    make_pairs: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = make_pairs(40)
    checked, decoded = Counter[Path](), Counter[Path]()

    def counting_check(ref: Any) -> Any:
        checked[ref.path] += 1
        return check(ref)

    def counting_decode(image: Any) -> Any:
        decoded[image.ref.path] += 1
        return decode(image)

    monkeypatch.setattr(checks, "check", counting_check)
    monkeypatch.setattr(chunk, "decode", counting_decode)
    many(folders, *ALL)
    images = [*folders.generated.iterdir(), *folders.ground_truth.iterdir()]
    assert checked == Counter(images)
    assert decoded == Counter(images)


def test_a_feature_that_two_protocols_want_is_computed_once(make_pairs: Maker) -> None:
    MeanColour.seen.clear()
    folders = make_pairs(10)
    first, second = many(folders, protocol("a", ColourGap()), protocol("b", ColourGap(), L1()))
    assert sum(MeanColour.seen) == 20
    assert first.scores["colour_gap"] == second.scores["colour_gap"]


def test_a_reference_folder_serves_all_protocols_and_is_decoded_once(
    make_pairs: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, real = make_pairs(20), make_pairs(30, root="real").ground_truth
    protocols = (
        protocol("a", PatchFID(reference=str(real))),
        protocol("b", PatchKID(reference=str(real), subsets=2, subset_size=10)),
        protocol("c", PatchFID(reference=str(real)), steps=(Pad(width=99, height=99),)),
    )
    alone = [one(folders, wanted) for wanted in protocols]
    decoded = Counter[Path]()

    def counting_decode(image: Any) -> Any:
        decoded[image.ref.path] += 1
        return decode(image)

    monkeypatch.setattr(chunk, "decode", counting_decode)
    together = many(folders, *protocols)
    assert [result.scores for result in together] == [result.scores for result in alone]
    images = [*folders.generated.iterdir(), *folders.ground_truth.iterdir(), *real.iterdir()]
    assert decoded == Counter(images)


def test_source_images_of_one_protocol_move_no_bit_of_another(
    transfers: dict[str, Path],
) -> None:
    folders = PairFolders(transfers["generated"], transfers["test"])
    protocols = (protocol("a", L1(), BatchSize()), protocol("b", SourceGap()))
    options = {"source": transfers["sources"]}
    alone = [one(folders, wanted, **options) for wanted in protocols]
    together = many(folders, *protocols, **options)
    assert [result.scores for result in together] == [result.scores for result in alone]
    assert all(a.pairs.equals(b.pairs) for a, b in zip(together, alone, strict=True))


def test_each_folder_goes_on_as_if_its_protocol_had_been_run_alone(
    make_pairs: Maker, tmp_path: Path
) -> None:
    folders = make_pairs(40)
    outs = [tmp_path / "a", tmp_path / "b"]
    first = many(folders, protocol("a", SSIM()), protocol("b", SSIM(), L1()), outs=outs)
    assert [result.timing.chunks_reused for result in first] == [0, 0]
    for wanted, out in ((protocol("b", SSIM(), L1()), "b"), (protocol("a", SSIM()), "a")):
        again = one(folders, wanted, out=tmp_path / out)
        assert again.timing.chunks_reused == again.timing.chunks > 1


def test_a_repeated_run_computes_nothing_and_a_further_protocol_only_itself(
    make_pairs: Maker, tmp_path: Path
) -> None:
    class Counted(L1):
        name: ClassVar[str] = "counted"
        seen: ClassVar[list[int]] = []

        def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
            self.seen.append(len(generated))
            return super().measure(generated, ground_truth)

    folders = make_pairs(40)
    first, second = protocol("a", SSIM()), protocol("b", Counted())
    one(folders, first, out=tmp_path / "a")
    outs = [tmp_path / "a", tmp_path / "b"]
    many(folders, first, second, outs=outs)
    assert sum(Counted.seen) == 40
    again = many(folders, second, first, outs=outs[::-1])
    assert sum(Counted.seen) == 40
    assert all(result.timing.chunks_reused == result.timing.chunks for result in again)


def test_what_is_finished_is_kept_when_a_metric_of_one_protocol_fails(
    make_pairs: Maker, tmp_path: Path
) -> None:
    class Fails(L1):
        name: ClassVar[str] = "fails"
        left: ClassVar[list[int]] = [1, 2]

        def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
            self.left.pop()  # two batches are one chunk here
            return super().measure(generated, ground_truth)

    folders = make_pairs(40)
    options: dict[str, Any] = {"outs": [tmp_path / "a", tmp_path / "b"], "workers": 1}
    protocols = (protocol("a", SSIM()), protocol("b", Fails()))
    with pytest.raises(fhpt_eval.FhptEvalError, match="Metric fails failed"):
        many(folders, *protocols, **options)
    Fails.left += range(2)
    results = many(folders, *protocols, **options)
    assert results[0].timing.chunks_reused == 1
    assert results[0].timing.chunks == 2
    alone = one(folders, protocol("l1", L1()))
    assert results[1].scores["fails"] == alone.scores["l1"]


def uneven(make_pairs: Maker) -> PairFolders:
    """Return pairs of 64 x 44 pixels, and one of 20 x 20."""
    folders = make_pairs(4)
    for folder in (folders.generated, folders.ground_truth):
        path = folder / "person0001.png"
        Image.open(path).resize((20, 20)).save(path)
    return folders


CROPPED = protocol("cropped", SSIM(), steps=(Crop(right=30, bottom=30),))


def test_a_pair_that_does_not_fit_one_protocol_refuses_the_run_and_names_it(
    make_pairs: Maker,
) -> None:
    with pytest.raises(PairingError, match=r"rows 0 to 30 \(protocol cropped\)"):
        many(uneven(make_pairs), PLAIN, CROPPED)
    with pytest.raises(PairingError) as alone:
        many(uneven(lambda n: make_pairs(n, root="again")), CROPPED)
    assert "protocol cropped" not in str(alone.value)


def test_sizes_that_differ_after_one_preparation_name_its_protocols(make_pairs: Maker) -> None:
    half = (Crop(right=30, bottom=30, of=("generated",)),)
    wrong, other = protocol("wrong", SSIM(), steps=half), protocol("other", L1(), steps=half)
    with pytest.raises(PairingError, match=r"after preparation \(protocol wrong, other\); a"):
        many(make_pairs(2), PLAIN, wrong, other)


def test_a_pair_that_does_not_fit_one_protocol_is_left_out_of_all(make_pairs: Maker) -> None:
    results = many(uneven(make_pairs), PLAIN, CROPPED, allow_missing=True)
    assert [len(result.pairs) for result in results] == [3, 3]
    assert all(result.scores["ssim"].coverage == 0.75 for result in results)
    assert len({result.test_set.digest for result in results}) == 1
    assert "protocol cropped" in results[0].provenance.excluded[0].reason


def test_a_protocol_without_any_metric_that_can_be_computed_is_named(make_pairs: Maker) -> None:
    class Never(L1):
        name: ClassVar[str] = "never"

        def lacks(self) -> str:
            return "needs what nobody has"

    folders = make_pairs(2)
    with pytest.raises(UnavailableError, match="under protocol b: never needs what nobody has"):
        many(folders, PLAIN, protocol("b", Never()))
    first, second = many(folders, PLAIN, protocol("b", L1(), Never()))
    assert first.scores["l1"] == second.scores["l1"]
    assert second.scores["never"].reason == "needs what nobody has"


@pytest.mark.parametrize(
    ("protocols", "options", "message"),
    [
        ((), {}, "protocols names none"),
        ((PLAIN, PLAIN), {}, "Several protocols have the id plain"),
        ((PLAIN, PADDED), {"outs": ["a"]}, "a folder of its own for each"),
        ((PLAIN, PADDED), {"outs": ["a", "a"]}, "a folder of its own for each"),
    ],
)
def test_protocols_that_cannot_be_told_apart_are_refused(
    make_pairs: Maker, protocols: tuple[Protocol, ...], options: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        many(make_pairs(2), *protocols, **options)


def test_an_option_goes_to_the_protocols_that_take_it() -> None:
    def loaded(*protocols: Protocol) -> list[Protocol]:
        return loaded_protocols(
            Request.of(pred="p", gt="g", protocols=protocols, fid_reference="train")
        )

    first, second = loaded(PLAIN, protocol("f", FID()))
    assert first is PLAIN
    assert second.id == "f+fid-reference"
    assert getattr(second.entries[0].metric, "reference") == "train"  # noqa: B009 - for mypy
    with pytest.raises(ProtocolError, match="--fid-reference: none of the metrics takes one"):
        loaded(PLAIN, PADDED)


TOML = 'id = "{0}"\nprepare = [{{ step = "pad", width = {1}, height = {1} }}]\n[metrics.{2}]\n'


def files(folder: Path) -> list[Path]:
    """Write three protocols; that ``tight`` fits no image."""
    told = {"psnr99": (99, "psnr"), "ssim99": (99, "ssim"), "tight": (9, "ssim")}
    for name, (side, metric) in told.items():
        (folder / f"{name}.toml").write_text(TOML.format(name, side, metric))
    return [folder / f"{name}.toml" for name in told]


def run(folders: PairFolders, *more: str | Path) -> Any:
    return command("run", "--pred", folders.generated, "--gt", folders.ground_truth, *more)


def test_each_result_goes_to_a_folder_named_after_its_protocol(
    make_pairs: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    psnr, ssim, _ = files(tmp_path)
    finished = run(make_pairs(3), "--protocol", f"{psnr}, {ssim}")
    assert finished.status == 0, finished.err
    runs = Path("fhpt-eval-runs")
    found = {path.parent for path in runs.glob("*/*/result.json")}
    assert found == {runs / "psnr99" / "generated", runs / "ssim99" / "generated"}
    assert "fhpt-eval sensitivity fhpt-eval-runs/psnr99/generated" in finished.out
    assert all((folder / "origin.txt").is_file() for folder in found)


def test_with_out_each_result_goes_below_it(make_pairs: Maker, tmp_path: Path) -> None:
    psnr, ssim, _ = files(tmp_path)
    folders, out = make_pairs(3), tmp_path / "out"
    assert run(folders, "--protocol", f"{psnr},{ssim}", "--out", out).status == 0
    assert {path.parent.name for path in out.glob("*/result.json")} == {"psnr99", "ssim99"}


def test_the_exit_status_is_the_worst_one(make_pairs: Maker, tmp_path: Path) -> None:
    psnr, ssim, tight = files(tmp_path)
    folders, out = make_pairs(3), tmp_path / "out"
    name = "person0001.png"  # equal images: PSNR is infinite
    shutil.copy(folders.ground_truth / name, folders.generated / name)
    assert run(folders, "--protocol", ssim, "--out", out / "one").status == 0
    for order in (f"{psnr},{ssim}", f"{ssim},{psnr}"):
        assert run(folders, "--protocol", order, "--out", out / "some").status == 3
    assert run(folders, "--protocol", f"{ssim},{tight}", "--out", out / "none").status == 2


@pytest.mark.parametrize(
    ("value", "message"), [("fhpt,", "a name missing"), ("fhpt,fhpt", "have the id fhpt")]
)
def test_a_list_of_protocols_that_cannot_be_is_explained(
    make_pairs: Maker, value: str, message: str
) -> None:
    finished = run(make_pairs(2), "--protocol", value)
    assert finished.status == 2
    assert message in finished.err


def test_a_file_may_have_a_comma_in_its_name(make_pairs: Maker, tmp_path: Path) -> None:
    path = tmp_path / "a,b.toml"
    path.write_text(TOML.format("comma", 99, "l1"))
    assert parse_protocol(path.read_text(), "test").id == "comma"
    finished = run(make_pairs(2), "--protocol", path, "--out", tmp_path / "out")
    assert finished.status == 0, finished.err
