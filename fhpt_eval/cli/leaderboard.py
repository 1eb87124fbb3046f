"""``fhpt-eval leaderboard``: results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import say

if TYPE_CHECKING:
    from fhpt_eval.leaderboard.table import Leaderboard


@click.command()
@options.runs
@click.option("--csv", "csv_file", type=options.PATH, metavar="FILE", help="Write the table here.")
@click.option("--sort", metavar="SCORE", help="Best first by this score.  [default: the first]")
def leaderboard(runs: tuple[Path, ...], csv_file: Path | None, sort: str | None) -> None:
    """Put results side by side; each RUN is a folder that 'run' wrote, or a result.json.

    Results under different protocols, or on different test sets, are refused.

    \b
    fhpt-eval leaderboard fhpt-eval-runs/fhpt/* --csv leaderboard.csv
    """
    from fhpt_eval.cli.show import load_results, result_files
    from fhpt_eval.common.files import keep_apart, write_atomically
    from fhpt_eval.leaderboard.table import build

    if csv_file is not None:
        keep_apart(csv_file, result_files(runs))
    board = build(load_results(runs), sort)
    if csv_file is not None:
        write_atomically(csv_file, board.to_csv().encode())
    show_leaderboard(board)
    if csv_file is not None:
        say(f"Written to {csv_file}")


def show_leaderboard(board: Leaderboard) -> None:
    """Print a leaderboard; the best value of each score is bold."""
    from fhpt_eval.cli.show import show_table

    show_table(board.table())
    for note in board.notes():
        say(note)
