"""``fhpt-eval protocols``: what is shipped, what a protocol fixes, what two differ in."""

from __future__ import annotations

import click

from fhpt_eval.cli.screen import put, say


@click.group(invoke_without_command=True)
@click.pass_context
def protocols(ctx: click.Context) -> None:
    """List the shipped protocols.

    \b
    fhpt-eval protocols
    fhpt-eval protocols show fhpt
    fhpt-eval protocols diff fhpt mine.toml
    """
    if ctx.invoked_subcommand is not None:
        return
    from fhpt_eval.cli.show import show_table
    from fhpt_eval.common.tables import Table
    from fhpt_eval.protocol import load_protocol, preset_names

    rows = []
    for protocol in map(load_protocol, preset_names()):
        names = ", ".join(entry.name for entry in protocol.entries)
        rows.append((protocol.id, protocol.title, names, protocol.digest[:12]))
    show_table(Table(("name", "title", "metrics", "digest"), rows, frozenset({"title", "metrics"})))


@protocols.command()
@click.argument("protocol", metavar="NAME|FILE")
def show(protocol: str) -> None:
    """Print all that a protocol fixes, defaults written out, as JSON."""
    import json

    from fhpt_eval.protocol import load_protocol

    loaded = load_protocol(protocol)
    shown = {**loaded.about(), "digest": loaded.digest, **loaded.canonical()}
    put(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")


@protocols.command()
@click.argument("first", metavar="NAME|FILE")
@click.argument("second", metavar="NAME|FILE")
def diff(first: str, second: str) -> None:
    """Show everything in which two protocols differ that moves a number, and known effects.

    \b
    fhpt-eval protocols diff fhpt mine.toml
    """
    from fhpt_eval.cli.show import show_table
    from fhpt_eval.protocol import load_protocol
    from fhpt_eval.protocol.diff import compare

    a, b = load_protocol(first), load_protocol(second)
    # Two files may have one id; what was typed then tells them apart.
    names = (a.id, b.id) if a.id != b.id else (first, second)
    comparison = compare(a, b, names)
    say(comparison.head)
    for table in comparison.tables():
        say()
        show_table(table)
    for note in comparison.notes():
        say(f"\n{note}")
