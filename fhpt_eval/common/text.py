"""Texts that came from a file, a name or an option, fit to be shown."""

from __future__ import annotations

import codecs
import json
import re

#: Longest line and most lines of a message, so that a hostile name does not drown what is said.
MAX_LINE, MAX_LINES = 2_000, 400

# What steers a terminal rather than being text: control characters but line ends and tabs, halves
# of surrogate pairs (bytes of names that are no text), and what turns the direction of writing.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: Characters of ours that an encoding may lack, and what stands for them.
_SIMPLER = {"↑": "^", "↓": "v", "é": "e", "│": "|", "─": "-", "…": "...", "×": "x", "±": "+-"}  # noqa: RUF001


def printable(text: str) -> str:
    """Return a text in which what would steer a terminal is written out, as in ``\\\\u001b``.

    A line end, a tab, and all that can be printed stay as they are. JSON stays JSON, with the same
    values.
    """
    return _STEERING.sub(_written_out, text)


def bounded(text: str) -> str:
    """Return a text of at most :data:`MAX_LINES` lines of :data:`MAX_LINE` characters."""
    lines = text.split("\n")
    cut = [line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}..." for line in lines[:MAX_LINES]]
    more = [f"... and {len(lines) - MAX_LINES:,} more lines"] if len(lines) > MAX_LINES else []
    return "\n".join([*cut, *more])


def _written_out(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _simpler(error: UnicodeError) -> tuple[str, int]:
    """Replace what a stream's encoding lacks: by a plainer sign, or its number as in JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_SIMPLER.get(sign, json.dumps(sign)[1:-1]) for sign in lacking), error.end


#: The name under which a stream takes this way of encoding: ``stream.reconfigure(errors=SIMPLER)``.
SIMPLER = "fhpt_eval.simpler"
codecs.register_error(SIMPLER, _simpler)
