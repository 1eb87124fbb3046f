"""What two protocols differ in, as a table: everything that moves a number, nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhpt_eval.images.preparation import Crop, Pad
from fhpt_eval.metrics import SSIM
from fhpt_eval.protocol import Entry, Protocol, load_protocol, parse_protocol
from fhpt_eval.protocol.diff import Comparison, compare
from fhpt_eval.protocol.effects import EFFECTS, Effect
from tests.support.command import fhpt_eval

DOCS = Path(__file__).parents[2] / "docs"

PADDED = """
id = "padded"
prepare = [{ step = "pad", width = 256, height = 256 }]
[metrics.ssim]
size = 13
border = 5
data_range = "generated"
[metrics.psnr]
[metrics.brisque]
"""
STRETCHED = """
id = "stretched"
[metrics.ssim]
window = "uniform"
size = 51
[metrics.psnr]
prepare = [{ step = "resize", width = 256, height = 256, kernel = "pil.bicubic" }]
[metrics.ssim_13]
metric = "ssim"
size = 13
border = 5
data_range = "generated"
"""
PAD = "pad width 256 height 256 color 255, 255, 255"
WHITE_PADDING = "white padding of 176 columns to 256"


def read(text: str) -> Protocol:
    return parse_protocol(text, "test")


def protocol(name: str, *metrics: Any, steps: Any = ()) -> Protocol:
    return Protocol(name, "", "", steps, tuple(Entry(m.name, m, steps) for m in metrics))


def rows_of(found: Comparison, metric: str) -> list[tuple[str, ...]]:
    return [tuple(row[1:]) for row in found.rows if row.metric == metric]


def changes(found: Comparison) -> list[str]:
    return [effect.change for effect in found.effects]


def test_equal_protocols_differ_in_nothing_whatever_they_are_called() -> None:
    fhpt = load_protocol("fhpt")
    same = compare(fhpt, replace(fhpt, id="other", title="Another"))
    assert same.head == (
        f"fhpt and other are equal in all that moves a number; digest {fhpt.digest[:12]}."
    )
    assert (same.rows, same.tables(), same.notes()) == ((), [], [])


def test_the_head_names_both_digests() -> None:
    first, second = read(PADDED), read(STRETCHED)
    head = compare(first, second).head
    assert first.digest[:12] in head
    assert second.digest[:12] in head


def test_a_metric_that_only_one_has_is_listed_with_all_its_settings() -> None:
    found = compare(read(PADDED), read(STRETCHED))
    assert rows_of(found, "brisque") == [("metric", f"brisque; {PAD}", "-")]
    other = protocol("other", SSIM(), steps=())
    assert rows_of(compare(other, protocol("none")), "ssim") == [
        ("metric", "ssim; window gaussian; size 11; sigma 1.5; border 5; channels rgb; data_range "
         "full; sample_covariance false; scale 0..1", "-")
    ]  # fmt: skip


def test_batches_that_are_left_out_are_part_of_a_metrics_settings() -> None:
    dropping = Protocol("a", "", "", (), (Entry("ssim", SSIM(), (), drop_incomplete=64),))
    assert rows_of(compare(dropping, protocol("b", SSIM())), "ssim") == [
        ("drop_incomplete", "64", "0")
    ]
    ((_, whole, _),) = rows_of(compare(dropping, protocol("b")), "ssim")
    assert whole.endswith("drop_incomplete 64")


def test_one_metric_under_two_names_is_recognised() -> None:
    found = compare(read(PADDED), read(STRETCHED))
    assert rows_of(found, "ssim_13")[0][1] == "as its ssim, but for the steps"
    renamed = Protocol("b", "", "", (), (Entry("structure", SSIM(), ()),))
    assert rows_of(compare(protocol("a", SSIM()), renamed), "structure")[0][1] == "as its ssim"


def test_a_metric_that_both_have_alike_has_no_row_and_is_named_below() -> None:
    first = protocol("a", SSIM())
    second = replace(first, id="b", entries=(*first.entries, Entry("ssim_2", SSIM(sigma=2), ())))
    found = compare(first, second)
    assert rows_of(found, "ssim") == []
    assert found.notes() == ["The same in both: ssim."]


def test_parameters_that_differ_have_rows_and_no_others() -> None:
    found = compare(read(PADDED), read(STRETCHED))
    assert rows_of(found, "ssim") == [
        ("step 1", PAD, "-"),
        ("window", "gaussian", "uniform"),
        ("size", "13", "51"),
        ("sigma", "1.5", "null"),
        ("border", "5", "25"),
        ("data_range", "generated", "full"),
        ("sample_covariance", "false", "true"),
    ]


def test_the_preparation_is_compared_step_by_step() -> None:
    resize = "resize width 256 height 256 kernel pil.bicubic result uint8"
    found = compare(read(PADDED), read(STRETCHED))
    assert rows_of(found, "psnr") == [("step 1", PAD, resize)]


def test_a_step_that_all_metrics_of_both_share_has_one_row() -> None:
    crop, pad = Crop(right=9, bottom=9, of=("source",)), Pad(width=256, height=256)
    metrics = (Entry("ssim", SSIM(), (crop,)), Entry("twice", SSIM(), (crop,)))
    first = Protocol("a", "", "", (), metrics)
    second = replace(first, id="b", entries=tuple(replace(m, steps=(crop, pad)) for m in metrics))
    assert compare(first, second).rows == (("all in both", "step 2", "-", PAD),)
    some = replace(first, id="c", entries=(replace(metrics[0], steps=()), metrics[1]))
    written = "crop left 0 top 0 right 9 bottom 9 when_width null of source"
    assert compare(first, some).rows == (("ssim", "step 1", written, "-"),)


def test_weights_are_told_apart_by_their_digests() -> None:
    class Learned(SSIM):
        digest: str = "0" * 64

        def weights(self) -> dict[str, str]:
            return {"same": "1" * 64, "net": self.digest}

    found = compare(protocol("a", Learned()), protocol("b", Learned(digest="2" * 64)))
    assert ("weights.net", "000000000000", "222222222222") in rows_of(found, "ssim")
    assert "weights.same" not in {row.setting for row in found.rows}


def test_another_version_or_metric_under_one_name_has_a_row() -> None:
    class Newer(SSIM):
        version = 7

    found = compare(protocol("a", SSIM()), protocol("b", Newer()))
    assert rows_of(found, "ssim") == [("version", "1", "7")]
    brisque = Protocol("b", "", "", (), (Entry("ssim", read(PADDED).entries[2].metric, ()),))
    found = compare(protocol("a", SSIM()), brisque)
    assert ("metric", "ssim", "brisque") in rows_of(found, "ssim")
    assert ("sigma", "1.5", "-") in rows_of(found, "ssim")


SSIM_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "window": st.sampled_from(["gaussian", "uniform"]),
        "size": st.sampled_from([7, 9, 11, 51]),
        "sigma": st.sampled_from([1.2, 1.5]),
        "channels": st.sampled_from(["rgb", "grey"]),
        "data_range": st.sampled_from(["full", "generated"]),
        "sample_covariance": st.booleans(),
    },
)


@given(SSIM_CHANGES, SSIM_CHANGES)
def test_there_are_rows_exactly_when_the_digests_differ(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    first, second = protocol("a", SSIM(**ours)), protocol("b", SSIM(**theirs))
    assert bool(compare(first, second).rows) == (first.digest != second.digest)


@pytest.mark.parametrize("taps", [11, 13])
def test_what_the_two_most_used_windows_are_known_to_do_is_shown(taps: int) -> None:
    gaussian, uniform = SSIM(size=taps, border=5), SSIM(window="uniform", size=51)
    found = compare(protocol("a", gaussian), protocol("b", uniform))
    assert changes(found) == ["a uniform window of 51 instead of the gaussian one of sigma 1.5"]


def test_an_effect_is_shown_once_and_only_of_the_values_that_were_measured() -> None:
    assert changes(compare(read(PADDED), read(STRETCHED))).count(WHITE_PADDING) == 1
    assert changes(compare(protocol("a", SSIM()), protocol("b", SSIM(sigma=1.2)))) == [
        "sigma 1.2 instead of 1.5"
    ]
    assert not changes(compare(protocol("a", SSIM()), protocol("b", SSIM(sigma=2))))


def test_a_step_that_both_have_has_no_effect() -> None:
    own = Protocol("a", "", "", (), (Entry("ssim", SSIM(), (Pad(width=256, height=256),)),))
    assert changes(compare(own, protocol("b", SSIM()))) == [WHITE_PADDING]
    both = protocol("b", SSIM(), steps=(Pad(width=256, height=256),))
    assert WHITE_PADDING not in changes(compare(both, read(PADDED)))


def test_an_effect_is_of_two_values_in_either_order_and_of_no_others() -> None:
    effect = Effect("ssim", {"size": (11, 13), "window": ("g", "g")}, "", ())
    small, large = {"size": 11, "window": "g", "more": 1}, {"size": 13, "window": "g"}
    assert effect.applies(small, large)
    assert effect.applies(large, small)
    assert not effect.applies(small, small)
    assert not effect.applies(small, {"size": 13, "window": "u"})
    assert Effect("pad", {"size": (11,)}, "", ()).applies(small)
    assert not Effect("pad", {"size": (11,)}, "", ()).applies(large)


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: effect.change)
def test_the_size_of_an_effect_stands_in_the_traps(effect: Effect) -> None:
    traps = (DOCS / "traps.md").read_text()
    assert effect.source == "docs/traps.md"
    figures = re.findall(r"[+-]?\d+\.\d+", " ".join(effect.sizes))
    assert figures
    assert all(figure in traps for figure in figures)


def test_the_command_prints_the_tables(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PADDED)
    (tmp_path / "b.toml").write_text(STRETCHED)
    finished = fhpt_eval("protocols", "diff", tmp_path / "a.toml", tmp_path / "b.toml")
    assert finished.status == 0
    assert finished.out == compare(read(PADDED), read(STRETCHED)).markdown()
    assert "\n| metric | setting | padded | stretched |\n" in finished.out
    assert f"\n| {WHITE_PADDING} | SSIM +0.107 to +0.115" in finished.out


def test_two_files_of_one_id_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PADDED)
    (tmp_path / "b.toml").write_text(PADDED.replace("13", "11"))
    finished = fhpt_eval("protocols", "diff", tmp_path / "a.toml", tmp_path / "b.toml")
    assert f"| metric | setting | {tmp_path / 'a.toml'} | {tmp_path / 'b.toml'} |" in finished.out


def test_the_docs_show_what_the_command_says() -> None:
    page = (DOCS / "protocols.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    plain, padded = (
        next(b for b in blocks if f'id = "{name}"' in b) for name in ("plain", "padded")
    )
    assert compare(read(plain), read(padded)).markdown() in page


@pytest.mark.parametrize("arguments", [["fhpt", "fhtp"], ["fhpt"]])
def test_a_protocol_that_is_not_there_is_named(arguments: list[str]) -> None:
    finished = fhpt_eval("protocols", "diff", *arguments)
    assert finished.status == 2
    assert "fhtp" in finished.err or "Missing argument" in finished.err
