"""``fhpt-eval protocols``: what is shipped, and what a protocol fixes."""

from __future__ import annotations

import click


@click.group(invoke_without_command=True)
@click.pass_context
def protocols(ctx: click.Context) -> None:
    """List the shipped protocols.

    \b
    fhpt-eval protocols
    fhpt-eval protocols show fhpt
    """
    if ctx.invoked_subcommand is not None:
        return
    from rich.table import Table

    from fhpt_eval.cli.show import console
    from fhpt_eval.protocol import load_protocol, preset_names

    table = Table()
    for header in ("name", "title", "metrics", "digest"):
        table.add_column(header)
    for name in preset_names():
        protocol = load_protocol(name)
        names = ", ".join(entry.name for entry in protocol.entries)
        table.add_row(name, protocol.title, names, protocol.digest[:12])
    console().print(table)


@protocols.command()
@click.argument("protocol", metavar="NAME|FILE")
def show(protocol: str) -> None:
    """Print all that a protocol fixes, defaults written out, as JSON."""
    import json

    from fhpt_eval.protocol import load_protocol

    loaded = load_protocol(protocol)
    shown = {**loaded.about(), "digest": loaded.digest, **loaded.canonical()}
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
