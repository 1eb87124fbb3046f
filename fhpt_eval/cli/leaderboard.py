"""``fhpt-eval leaderboard``: results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fhpt_eval.leaderboard.table import Leaderboard


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the leaderboard here.",
)
@click.option("--sort", metavar="SCORE", help="Best first by this score.  [default: the first]")
def leaderboard(runs: tuple[Path, ...], csv_file: Path | None, sort: str | None) -> None:
    """Put results side by side; each RUN is a folder that 'run' wrote, or a result.json.

    Results under different protocols, or on different test sets, are refused.

    \b
    fhpt-eval leaderboard fhpt-eval-runs/fhpt/* --csv leaderboard.csv
    """
    from fhpt_eval.cli.show import load_results
    from fhpt_eval.leaderboard.table import build
    from fhpt_eval.storage import write_atomically

    board = build(load_results(runs), sort)
    if csv_file is not None:
        write_atomically(csv_file, board.to_csv().encode())
    show_leaderboard(board)
    if csv_file is not None:
        click.echo(f"Written to {csv_file}")


def show_leaderboard(board: Leaderboard) -> None:
    """Print a leaderboard; the best value of each score is bold."""
    from rich.table import Table
    from rich.text import Text

    from fhpt_eval.cli.show import arrow, console

    table = Table()
    table.add_column("method")
    shown, nowhere = _columns(board)
    for name in shown:
        table.add_column(f"{name} {arrow(board.direction(name))}", justify="right")
    table.add_column("pairs", justify="right")
    best = {name: board.best(name) for name in shown}
    partly = False
    for result in board.results:
        cells = [Text(result.method)]
        for name in shown:
            score = result.scores.get(name)
            value = "-" if score is None or score.value is None else f"{score.value:.4f}"
            if score is not None and score.value is not None and score.coverage < 1:
                value += f" ({score.coverage:.0%})"
                partly = True
            style = "bold" if result.method in best[name] else ""
            cells.append(Text(value, style=style))
        table.add_row(*cells, f"{result.test_set.pairs:,}")
    out = console()
    out.print(table)
    if nowhere:
        out.print(f"No method has: {', '.join(nowhere)}. Each result.json says why.")
    if partly:
        out.print(
            "Values with a percentage are means over that share of the pairs only, other pairs "
            "than the other methods'; they are never the best."
        )


def _columns(board: Leaderboard) -> tuple[list[str], list[str]]:
    """Return the scores that have a place on a terminal, and those that no method has."""
    named = [
        (name, [r.scores[name] for r in board.results if name in r.scores]) for name in board.scores
    ]
    headlines = [(name, all_) for name, all_ in named if not all(score.detail for score in all_)]
    shown = [name for name, all_ in headlines if any(score.value is not None for score in all_)]
    return shown, [name for name, _ in headlines if name not in shown]
