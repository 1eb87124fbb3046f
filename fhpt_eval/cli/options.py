"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

PATH = click.Path(path_type=Path)
Command = TypeVar("Command", bound=Callable[..., Any])


def path(name: str, metavar: str, text: str, **more: Any) -> Callable[[Command], Command]:
    """Return the option of a file or a folder; ``text`` is its help."""
    return click.option(name, type=PATH, metavar=metavar, help=text, **more)


def number(
    name: str, text: str, least: int | None = None, most: int | None = None, *,
    default: int | None = None, metavar: str = "N",
) -> Callable[[Command], Command]:  # fmt: skip
    """Return the option of a whole number, within bounds where it has some."""
    kind = click.INT if least is None else click.IntRange(least, most)
    return click.option(name, type=kind, default=default, metavar=metavar, help=text)


def _configure(ctx: click.Context, _parameter: click.Parameter, folder: Path | None) -> None:
    """Set the folder of weights for the time of the command."""
    if folder is None:
        return
    from fhpt_eval.weights import configure

    configure(folder)
    ctx.call_on_close(lambda: configure(None))


weights_dir = click.option(
    "--weights-dir",
    type=PATH,
    metavar="DIR",
    callback=_configure,
    expose_value=False,
    help="Folder of weights.  [default: FHPT_WEIGHTS, else a folder in your cache]",
)
runs = click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
device = click.option("--device", default="auto", help="auto, cpu, cuda or cuda:N.")
workers = number("--workers", "Chunks computed at a time.  [default: the number of cores]", 1, 1024)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
cache = path(
    "--cache",
    "DIR",
    "Where features of real images are kept, for other methods and for an interrupted command."
    "  [default: the user's cache]",
    envvar="FHPT_CACHE",
)
