"""What two protocols differ in, told in sentences: everything that moves a number, nothing else."""

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
from fhpt_eval.protocol.diff import compare, describe
from tests.support.command import fhpt_eval

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
[metrics.lpips]
scale = "0..1"
"""


def read(text: str) -> Protocol:
    return parse_protocol(text, "test")


def protocol(name: str, *metrics: Any, steps: Any = ()) -> Protocol:
    return Protocol(name, "", "", steps, tuple(Entry(m.name, m, steps) for m in metrics))


def sentences(first: Protocol, second: Protocol) -> dict[str, tuple[str, ...]]:
    return {section.title: section.sentences for section in compare(first, second).sections}


def test_equal_protocols_say_so_whatever_they_are_called() -> None:
    fhpt = load_protocol("fhpt")
    told = compare(fhpt, replace(fhpt, id="other", title="Another"))
    assert told.head == (
        f"fhpt and other are equal in everything that moves a number; digest {fhpt.digest[:12]}."
    )
    assert told.sections == ()


def test_the_head_names_both_digests() -> None:
    first, second = read(PADDED), read(STRETCHED)
    head = compare(first, second).head
    assert first.digest[:12] in head
    assert second.digest[:12] in head


def test_metrics_that_only_one_has_are_told_with_their_settings() -> None:
    told = sentences(read(PADDED), read(STRETCHED))["Metrics"]
    assert told[0] == "Only padded has brisque: BRISQUE."
    assert told[1].startswith(
        "Only stretched has ssim_13: SSIM with a gaussian window of 13 x 13, sigma 1.5, 5 pixels "
        "left out at each border, the mean over the three colour channels, the data range of "
        "each generated image"
    )
    assert told[2] == (
        "Only stretched has lpips: LPIPS with the network alex, the linear layers of release 0.1 "
        "and the network fed black as 0 and white as 1."
    )


def test_one_metric_under_two_names_is_recognised() -> None:
    told = sentences(read(PADDED), read(STRETCHED))["Metrics"]
    assert told[-1] == (
        "padded's ssim is computed as stretched's ssim_13, but of images that are prepared "
        "otherwise."
    )


def test_a_metric_that_both_have_alike_is_told_to_be_so() -> None:
    first, second = protocol("a", SSIM()), protocol("b", SSIM())
    changed = replace(second, entries=(*second.entries, Entry("ssim_2", SSIM(sigma=2), ())))
    told = sentences(first, changed)["Metrics"]
    assert told[-1] == "Alike in every setting, hence equal on the same images: ssim."
    assert "ssim (SSIM)" not in sentences(first, changed)


def test_a_preparation_is_told_for_all_metrics_and_where_it_is_another() -> None:
    assert sentences(read(PADDED), read(STRETCHED))["Preparation"] == (
        "For psnr: padded pads to 256 x 256 with white; stretched resizes to 256 x 256 with "
        "Pillow's bicubic kernel.",
        "Otherwise: padded pads to 256 x 256 with white; stretched takes images as they are.",
        PADDING,
        "Sizes are width x height.",
    )


PADDING = (
    "White padding of 176 columns to 256 moved SSIM by +0.107 to +0.115 and PSNR by +1.63 dB on "
    "DeepFashion (docs/traps.md)."
)


def test_what_a_difference_is_known_to_do_is_told_with_its_source() -> None:
    told = sentences(protocol("a", SSIM()), protocol("b", SSIM(sigma=1.2)))["ssim (SSIM)"]
    assert told == (
        "a has sigma 1.5; b has sigma 1.2.",
        "Sigma 1.2 instead of 1.5 moved SSIM by +0.013 to +0.016 on DeepFashion and by +0.005 to "
        "+0.014 on Market-1501 (docs/traps.md).",
    )
    assert len(sentences(protocol("a", SSIM()), protocol("b", SSIM(sigma=2)))["ssim (SSIM)"]) == 1


@pytest.mark.parametrize("taps", [11, 13])
def test_the_two_most_used_windows_are_told_apart_with_what_that_does(taps: int) -> None:
    gaussian, uniform = SSIM(size=taps, border=5), SSIM(window="uniform", size=51)
    told = sentences(protocol("a", gaussian), protocol("b", uniform))["ssim (SSIM)"]
    assert told[1:] == (
        "A uniform window of 51 instead of the gaussian one of sigma 1.5 moved SSIM by -0.02 to "
        "-0.08 on DeepFashion and by +0.13 to +0.26 on Market-1501 (docs/traps.md).",
    )


def test_what_a_step_of_one_metric_alone_is_known_to_do_is_told_too() -> None:
    own = Protocol("a", "", "", (), (Entry("ssim", SSIM(), (Pad(width=256, height=256),)),))
    assert PADDING in sentences(own, protocol("b", SSIM()))["Preparation"]
    both = protocol("b", SSIM(), steps=(Pad(width=256, height=256),))
    assert PADDING not in sentences(both, read(PADDED)).get("Preparation", ())


def test_steps_that_both_begin_with_are_told_once() -> None:
    crop, pad = Crop(right=9, bottom=9), Pad(width=20, height=20)
    short, long = (
        protocol("short", SSIM(), steps=(crop,)),
        protocol("long", SSIM(), steps=(crop, pad)),
    )
    told = (
        "For every metric: short keeps columns 0 to 9 and rows 0 to 9; long does so too, then "
        "pads to 20 x 20 with white."
    )
    assert sentences(short, long)["Preparation"][0] == told
    assert sentences(long, short)["Preparation"][0] == told


def test_a_metric_that_both_prepare_alike_is_no_difference_unless_the_rest_differs() -> None:
    pad = (Pad(width=8, height=8),)
    first = Protocol("a", "", "", (), (Entry("ssim", SSIM(), pad), Entry("x", SSIM(), ())))
    second = replace(first, id="b", entries=first.entries[:1])
    assert "Preparation" not in sentences(first, second)
    other = Protocol("c", "", "", pad, (Entry("ssim", SSIM(), pad), Entry("x", SSIM(), pad)))
    assert sentences(first, other)["Preparation"][:2] == (
        "For ssim: a pads to 8 x 8 with white, and so does c.",
        "Otherwise: a takes images as they are; c pads to 8 x 8 with white.",
    )


def test_parameters_that_differ_are_told_and_no_others() -> None:
    told = sentences(read(PADDED), read(STRETCHED))
    assert told["ssim (SSIM)"][0] == (
        "padded has a gaussian window of 13 x 13, sigma 1.5, 5 pixels left out at each border, the "
        "data range of each generated image and population covariance (divided by n); stretched "
        "has a uniform window of 51 x 51, 25 pixels left out at each border, data range 255 and "
        "sample covariance (divided by n - 1)."
    )
    assert "psnr (PSNR)" not in told


def test_weights_are_told_apart_by_their_digests() -> None:
    class Learned(SSIM):
        digest: str = "0" * 64

        def weights(self) -> dict[str, str]:
            return {"same": "1" * 64, "net": self.digest}

    told = sentences(protocol("a", Learned()), protocol("b", Learned(digest="2" * 64)))
    assert told["ssim (SSIM)"][0].count("weights net") == 2
    assert "weights net (000000000000)" in told["ssim (SSIM)"][0]
    assert "weights net (222222222222)" in told["ssim (SSIM)"][0]
    assert "same" not in told["ssim (SSIM)"][0]


def test_another_version_or_metric_under_one_name_is_told() -> None:
    class Newer(SSIM):
        version = 7

    told = sentences(protocol("a", SSIM()), protocol("b", Newer()))["ssim (SSIM)"]
    assert told == ("a has version 1 of the metric; b has version 7 of the metric.",)
    other = Protocol("b", "", "", (), (Entry("ssim", read(PADDED).entries[2].metric, ()),))
    told = sentences(protocol("a", SSIM()), other)["ssim (SSIM)"]
    assert told[0].startswith("a calls the metric ssim so: SSIM with a gaussian window of 11 x 11")
    assert told[0].endswith("; b the metric brisque: BRISQUE.")


def test_what_else_fixes_an_entrys_numbers_is_told_too() -> None:
    class Dropping(Entry):
        batch = 0

        def canonical(self) -> dict[str, Any]:
            return super().canonical() | {"drop_incomplete": self.batch, "order": "sorted"}

    class Batches(Dropping):
        batch = 64

    first = Protocol("a", "", "", (), (Dropping("ssim", SSIM(), ()),))
    second = Protocol("b", "", "", (), (Batches("ssim", SSIM(), ()),))
    assert sentences(first, second)["ssim (SSIM)"] == (
        "a has every pair counted; b has the last, incomplete batch of 64 left out.",
    )
    assert describe(second.entries[0]).endswith(
        "the last, incomplete batch of 64 left out and order sorted"
    )


def test_a_parameter_without_words_is_told_by_its_name() -> None:
    class Plugin(SSIM):
        gamma: float = 1.0

    told = sentences(protocol("a", Plugin()), protocol("b", Plugin(gamma=2.2)))["ssim (SSIM)"]
    assert told == ("a has gamma 1; b has gamma 2.2.",)


CHANGES = st.fixed_dictionaries(
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


@given(CHANGES, CHANGES)
def test_settings_are_told_apart_exactly_when_the_digests_differ(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> None:
    first, second = protocol("a", SSIM(**ours)), protocol("b", SSIM(**theirs))
    told = sentences(first, second)
    assert ("ssim (SSIM)" in told) == (first.digest != second.digest)


def test_the_command_prints_the_sentences(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PADDED)
    (tmp_path / "b.toml").write_text(STRETCHED)
    finished = fhpt_eval("protocols", "diff", tmp_path / "a.toml", tmp_path / "b.toml")
    assert finished.status == 0
    assert finished.out == compare(read(PADDED), read(STRETCHED)).text() + "\n"
    assert "\nPreparation\n- For psnr: padded pads" in finished.out


def test_two_files_of_one_id_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PADDED)
    (tmp_path / "b.toml").write_text(PADDED.replace("13", "11"))
    finished = fhpt_eval("protocols", "diff", tmp_path / "a.toml", tmp_path / "b.toml")
    assert f"{tmp_path / 'b.toml'} has a gaussian window of 11 x 11" in finished.out


def test_the_docs_show_what_the_command_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocols.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    plain, padded = (
        next(b for b in blocks if f'id = "{name}"' in b) for name in ("plain", "padded")
    )
    assert f"```\n{compare(read(plain), read(padded)).text()}\n```" in page


@pytest.mark.parametrize("arguments", [["fhpt", "fhtp"], ["fhpt"]])
def test_a_protocol_that_is_not_there_is_named(arguments: list[str]) -> None:
    finished = fhpt_eval("protocols", "diff", *arguments)
    assert finished.status == 2
    assert "fhtp" in finished.err or "Missing argument" in finished.err
