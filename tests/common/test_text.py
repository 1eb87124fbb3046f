"""Texts from anywhere, fit to be shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhpt_eval.common.text import MAX_LINE, MAX_LINES, SIMPLER, bounded, printable

ANY = st.text(st.characters())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\u001b]0;owned\\u0007"),
        ("a\rb", "a\\u000db"),
        ("\x9b2J", "\\u009b2J"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\udcff", "\\udcff"),
        ("line\n\tnext: ↑ é 中", "line\n\tnext: ↑ é 中"),
    ],
)
def test_what_steers_a_terminal_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown


@settings(derandomize=True, deadline=None)
@given(ANY)
def test_json_keeps_its_values(text: str) -> None:
    shown = printable(json.dumps({text: text}, ensure_ascii=False))
    assert json.loads(shown) == {text: text}


@settings(derandomize=True, deadline=None)
@given(ANY, st.sampled_from(["ascii", "latin-1", "cp1252", "utf-8"]))
def test_every_encoding_takes_every_text(text: str, encoding: str) -> None:
    text.encode(encoding, SIMPLER)


def test_an_arrow_that_an_encoding_lacks_is_still_an_arrow() -> None:
    assert "psnr ↑, l1 ↓".encode("cp1252", SIMPLER) == b"psnr ^, l1 v"


def test_a_message_has_a_greatest_length() -> None:
    lines = bounded("\n".join(["x" * (MAX_LINE + 1)] * (MAX_LINES + 5))).split("\n")
    assert lines[0] == "x" * MAX_LINE + "..."
    assert lines[MAX_LINES:] == ["... and 5 more lines"]
