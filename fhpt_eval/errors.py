"""Every error that fhpt-eval raises on purpose.

The tree::

    FhptEvalError                what a person can act on; never a bug of ours
    ├── ArgumentError            a library call got a value that it cannot use (a ValueError)
    ├── InputError               something given to a run is wrong
    │   ├── ImageError           one image cannot be used
    │   ├── PairingError         generated images and ground truth do not fit together
    │   ├── ProtocolError        a protocol file, a metric's parameters or a name in them
    │   ├── ResultError          a result file cannot be read, or results cannot be compared
    │   └── WeightsError         pretrained weights are missing, damaged or not the registered ones
    ├── UnavailableError         a metric was asked for whose needs the run cannot meet
    ├── MetricError              a metric failed while computing
    └── StorageError             a file could not be written

    Undefined                    raised inside a metric: the score is ``null`` with this reason

Messages say what is wrong, where, and what to do.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence


class FhptEvalError(Exception):
    """Base of all errors that are meant for the user."""


class ArgumentError(FhptEvalError, ValueError):
    """A library call got an argument that it cannot use; the message names the argument."""


class InputError(FhptEvalError):
    """Something given to a run is wrong: a path, a file, a name or an option."""


class ImageError(InputError):
    """One image cannot be used; ``str(error)`` is the reason, without the file's name."""


class PairingError(InputError):
    """Generated images and ground truth do not fit together."""


class ProtocolError(InputError):
    """A protocol, or a metric's parameters, cannot be used."""


class ResultError(InputError):
    """A result cannot be read, or results cannot stand in one leaderboard."""


class WeightsError(InputError):
    """Pretrained weights are missing, damaged, or not what the registry says; none are used."""


class UnavailableError(FhptEvalError):
    """A metric was asked for whose needs this run cannot meet."""


class MetricError(FhptEvalError):
    """A metric raised while it was computing; the cause is chained."""


class StorageError(FhptEvalError):
    """A file or folder could not be written."""


class Undefined(Exception):  # noqa: N818 - a state of a score, not an error of the run
    """Raised by a metric over sets whose score does not exist; the message is the reason."""


def of_the_system(error: BaseException) -> str:
    """Say in a line what the system refused; empty if the error is something else, such as a bug.

    Memory counts, also torch's, and what no encoding or file system can hold.
    """
    text = str(error)
    if isinstance(error, MemoryError) or re.search(r"can't allocate memory|out of memory", text):
        return (
            "The memory of this machine does not suffice. What was finished is kept; fewer "
            "--workers take less at a time."
        )
    if isinstance(error, BrokenPipeError):
        return "The program that reads the output has ended, so not all of it was printed."
    if isinstance(error, OSError):
        name = "" if error.filename is None else f"{error.filename}: "
        full = " Free some room and repeat the command." if error.errno == errno.ENOSPC else ""
        return f"{name}{error.strerror or text}. What was finished is kept.{full}"
    if isinstance(error, UnicodeError):
        return f"A text cannot be read or written ({text[:200]}). What was finished is kept."
    return ""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return " Did you mean 'x'?" for the known words closest to ``word``, or an empty string."""
    import difflib

    near = difflib.get_close_matches(word, list(dict.fromkeys(known)), n=3, cutoff=0.6)
    if not near:
        return ""
    return " Did you mean " + " or ".join(f"'{n}'" for n in near) + "?"
