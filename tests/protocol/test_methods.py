"""Methods of the field: which shipped protocols their printed numbers can be compared with."""

from __future__ import annotations

import pytest

from fhpt_eval.errors import ProtocolError
from fhpt_eval.protocol import load_protocol, preset_names
from fhpt_eval.protocol.methods import Method, find_method, methods
from tests.support.command import fhpt_eval

each_method = pytest.mark.parametrize("method", methods(), ids=lambda method: method.name)


@each_method
def test_a_method_is_comparable_in_scores_that_the_protocol_has(method: Method) -> None:
    for each in method.comparable:
        assert each.protocol in preset_names()
        entries = {entry.name for entry in load_protocol(each.protocol).entries}
        assert set(each.scores) <= entries
    assert method.results
    assert method.comparable or method.notes


def test_every_published_protocol_is_some_methods() -> None:
    named = {each.protocol for method in methods() for each in method.comparable}
    assert named == set(preset_names()) - {"fhpt", "mannequin"}


def test_no_two_methods_share_a_name() -> None:
    names = [name for method in methods() for name in (method.name, *method.also)]
    assert len({find_method(name).name for name in names}) == len(methods())
    for method in methods():
        assert all(find_method(name) is method for name in (method.name, *method.also))


@pytest.mark.parametrize(
    ("typed", "name"),
    [("adgan", "ADGAN"), ("pose gan", "Def-GAN"), ("INTRINSIC_FLOW", "intrinsic-flow"),
     ("xmdpt", "X-MDPT"), ("2S ATN", "2s-ATN")],
)  # fmt: skip
def test_a_name_is_known_in_any_case_and_with_any_marks(typed: str, name: str) -> None:
    assert find_method(typed).name == name


@pytest.mark.parametrize(
    ("typed", "near"), [("adgn", "'ADGAN'"), ("PoCoLDs", "'PoCoLD'"), ("gflaa", "'GFLA'")]
)
def test_a_mistyped_name_is_answered_with_near_misses(typed: str, near: str) -> None:
    with pytest.raises(ProtocolError, match=f"of a method '{typed}'. Did you mean {near}"):
        find_method(typed)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ADGAN", ["| patn-fashion | ssim, is, joints |", "--panels 5", "contextual score"]),
        ("PCDMs", ["| pcdms-256 |", "| pcdms-512 |", "best of four samples"]),
        ("PISE", ["| pise-psnr | psnr_overflow |", "about 14 dB"]),
        ("NTED", ["no shipped protocol", "cfld-256"]),
        ("DRN", ["no shipped protocol", "is not public"]),
    ],
)
def test_the_command_says_which_protocol_why_and_what_stands_against_it(
    name: str, expected: list[str]
) -> None:
    finished = fhpt_eval("protocols", "for", name)
    assert finished.status == 0
    for words in expected:
        assert words in finished.out


def test_without_a_method_all_are_listed() -> None:
    lines = fhpt_eval("protocols", "for").out.splitlines()
    assert "| GFLA | gfla-256, gfla-market |" in lines
    assert "| Leffa | - |" in lines
    assert len(lines) == 2 + len(methods())


def test_an_unknown_method_is_no_traceback() -> None:
    finished = fhpt_eval("protocols", "for", "zzzzzz")
    assert (finished.status, finished.out) == (2, "")
    assert "Nothing is known of a method 'zzzzzz'. Known: PATN, ADGAN" in finished.err
