"""The command line, run in this process."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Finished:
    """What a command did: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


def fhpt_eval(*arguments: str | Path) -> Finished:
    """Run the command line in this process."""
    from fhpt_eval.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            status = stop.code
    return Finished(status if isinstance(status, int) else 1, out.getvalue(), err.getvalue())
