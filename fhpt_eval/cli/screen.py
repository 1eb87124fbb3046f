"""The one door to the screen: whatever a command prints goes through here."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

import click

from fhpt_eval.common.text import SIMPLER, bounded, printable


def say(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a message for people: nothing in it steers a terminal, and it has a greatest length.

    Where standard error takes nothing, nothing is lost but the message.
    """
    with contextlib.suppress(*[OSError] if err else []):
        _echo(
            bounded(printable(str(text))) + ("\n" if nl else ""), sys.stderr if err else sys.stdout
        )


def put(text: str) -> None:
    """Print a document of ours of any length, such as JSON or a table, with its own line ends."""
    _echo(printable(text), sys.stdout)


def _echo(text: str, stream: TextIO | None) -> None:
    # Of a stream that is not named, click says UTF-8 where it has another encoding.
    if stream is not None:
        click.echo(text, file=stream, nl=False)


def take_any_encoding() -> None:
    """Let both streams print every text: what their encoding lacks is replaced."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors=SIMPLER)


def finish() -> None:
    """Print what still waits in a buffer.

    Raises:
        OSError: it cannot be printed.
    """
    if sys.stdout is not None:
        sys.stdout.flush()


def give_up() -> None:
    """Print nothing more to standard output, whose reader is gone or whose disk is full."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
