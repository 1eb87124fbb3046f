"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)


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
device = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N."
)
workers = click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Chunks computed at a time.  [default: the number of cores]",
)
cache = click.option(
    "--cache",
    type=PATH,
    envvar="FHPT_CACHE",
    metavar="DIR",
    help="Where features of real images are kept, for other methods and for an interrupted command."
    "  [default: the user's cache]",
)
