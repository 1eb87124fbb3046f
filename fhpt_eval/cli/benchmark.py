"""``fhpt-eval benchmark``: benchmarks that the package makes itself."""

from __future__ import annotations

from pathlib import Path

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import say
from fhpt_eval.cli.train_networks import train_faces, train_garments, train_pose


def _size(_: click.Context, __: click.Parameter, value: str) -> tuple[int, int]:
    """Read a size as HEIGHTxWIDTH; bounds are checked where it is used."""
    parts = value.lower().split("x")
    if len(parts) != 2 or not all(p.isascii() and p.isdigit() and len(p) < 6 for p in parts):
        raise click.BadParameter(f"{value!r} is no size; write height and width as in 256x176.")
    return int(parts[0]), int(parts[1])


@click.group()
def benchmark() -> None:
    """Make a benchmark of drawn people, with exact ground truth."""


@benchmark.group(invoke_without_command=True)
@options.path("--out", "DIR", "A new or empty folder, or one that holds this very set.")
@options.number(
    "--identities",
    "People; each is drawn in four views, and every fifth is for the test.",
    default=250,
)
@options.number("--seed", "Everything is drawn from it.", default=0, metavar="S")
@click.option(
    "--size",
    callback=_size,
    default="256x176",
    metavar="HxW",
    help="Height and width of an image.",
)
@options.number(
    "--workers", "Processes; they change no byte.  [default: the number of cores]", 1, 256
)
@options.path("--sheet", "FILE.png", "Write a contact sheet of the first ten people.")
@click.pass_context
def mannequin(
    context: click.Context, out: Path | None, identities: int, seed: int, size: tuple[int, int],
    workers: int | None, sheet: Path | None,
) -> None:  # fmt: skip
    """Draw people with key points, parsing maps, faces and item ids.

    Images and lists are laid out as DeepFashion's; what those lists lack lies in DIR/mannequin.
    The same seed gives the same set on every machine: its digest is printed. The commands below
    train the small networks of the protocol mannequin, which are part of the package already.

    \b
    fhpt-eval benchmark mannequin --out mannequin --identities 250 --seed 0
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context)
        return
    from fhpt_eval.benchmarks.mannequin.layout import Settings, write_benchmark
    from fhpt_eval.common.machine import available_cores

    if out is None and sheet is None:
        raise click.UsageError("Say where to write it: --out DIR, or --sheet FILE.png.")
    settings = Settings(identities=identities, seed=seed, height=size[0], width=size[1])
    if out is not None:
        written = write_benchmark(out, settings, workers or available_cores())
        for split, count in written.images.items():
            say(f"{split}: {count:,} images, {written.pairs[split]:,} pairs")
        say(f"digest: {written.digest}")
    if sheet is not None:
        _write_sheet(sheet, identities, seed, size)
        say(f"contact sheet: {sheet}")


def _refuse_options(context: click.Context) -> None:
    """Refuse options of the drawing before another command, where they would do nothing."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{parameter.opts[0]} stands before {context.invoked_subcommand}, which does not "
                f"see it there. Write it behind, if {context.invoked_subcommand} has it."
            )


for _command in (train_garments, train_pose, train_faces):
    mannequin.add_command(_command)


def _write_sheet(sheet: Path, identities: int, seed: int, size: tuple[int, int]) -> None:
    import io

    from PIL import Image

    from fhpt_eval.benchmarks.mannequin.layout import contact_sheet
    from fhpt_eval.common.files import write_atomically

    pixels = contact_sheet(seed, range(min(10, identities)), *size)
    buffer = io.BytesIO()
    # 256 colours: a page's picture, a third as large; the set itself is never reduced so.
    few = Image.fromarray(pixels).quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(buffer, "PNG", optimize=True)
    write_atomically(sheet, buffer.getvalue())
