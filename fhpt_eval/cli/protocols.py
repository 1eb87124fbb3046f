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
    fhpt-eval protocols for ADGAN
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


@protocols.command("for")
@click.argument("method", required=False)
def for_method(method: str | None) -> None:
    """Say which protocols a method's printed numbers can be compared with, and what stands against.

    Without METHOD: all methods that anything is known of.

    \b
    fhpt-eval protocols for
    fhpt-eval protocols for ADGAN
    """
    from fhpt_eval.cli.show import show_table, show_text
    from fhpt_eval.common.tables import Table
    from fhpt_eval.protocol.methods import find_method, methods

    if method is None:
        rows = [
            (each.name, ", ".join(c.protocol for c in each.comparable) or "-") for each in methods()
        ]
        show_table(Table(("method", "protocols"), rows, frozenset({"protocols"})))
        return
    known = find_method(method)
    read = f"{known.repository} at {known.commit}" if known.commit else known.repository
    say(f"{known.name}{f' ({read.strip()})' if read else ''}")
    if known.comparable:
        header = ("protocol", "scores", "why")
        cells = [(c.protocol, ", ".join(c.scores), c.why) for c in known.comparable]
        show_table(Table(header, cells, frozenset(header[1:])))
    else:
        say("Its printed numbers can be compared with those of no shipped protocol.")
    for line in (f"Its results: {known.results}.", *(f"- {note}" for note in known.notes)):
        show_text(line)
    if known.comparable:
        say("'fhpt-eval protocols show NAME' has the quirks of a protocol.")
