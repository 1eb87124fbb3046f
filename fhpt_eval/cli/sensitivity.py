"""``fhpt-eval sensitivity``: the same images under several protocols."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import say

if TYPE_CHECKING:
    from fhpt_eval.leaderboard.sensitivity import Sensitivity


@click.command()
@options.runs
@click.option("--base", metavar="PROTOCOL", help="Whose values move by 0.  [default: the first]")
@click.option("--csv", "csv_file", type=options.PATH, metavar="FILE", help="Write all digits here.")
@click.option("--markdown", type=options.PATH, metavar="FILE", help="Write table and notes here.")
def sensitivity(
    runs: tuple[Path, ...], base: str | None, csv_file: Path | None, markdown: Path | None
) -> None:
    """Show how far scores of the same images move with the protocol.

    Each RUN is a folder that 'run' wrote, or a result.json: of one method, each under another
    protocol. Results of other images are refused.

    \b
    fhpt-eval run --pred results/ --gt test/ --name ours --protocol fhpt,mine.toml
    fhpt-eval sensitivity fhpt-eval-runs/*/ours --base fhpt --csv sensitivity.csv
    """
    from fhpt_eval.cli.show import load_results, result_files
    from fhpt_eval.common.files import keep_apart, write_atomically
    from fhpt_eval.leaderboard.sensitivity import build

    for out in filter(None, (csv_file, markdown)):
        keep_apart(out, result_files(runs))
    table = build(load_results(runs), base)
    for file, text in ((csv_file, table.to_csv()), (markdown, table.to_markdown())):
        if file is not None:
            write_atomically(file, text.encode())
    _show(table)
    for file in filter(None, (csv_file, markdown)):
        say(f"Written to {file}")


def _show(table: Sensitivity) -> None:
    """Print the tables, and below them what they leave open."""
    from fhpt_eval.cli.show import show_table

    first = table.lines[0].result
    say(f"{first.method}: the same {first.test_set.pairs:,} pairs under each protocol\n")
    show_table(table.table())
    if table.spans().rows:
        say()
        show_table(table.spans())
    for note in table.notes():
        say(note)
