"""``fhpt-eval leaderboard``: results side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from fhpt_eval.leaderboard.table import Leaderboard
    from fhpt_eval.result import Result


#: A width, in columns, that no table has.
_UNLIMITED = 100_000


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
    from fhpt_eval.common.files import write_atomically
    from fhpt_eval.leaderboard.table import build

    board = build(load_results(runs), sort)
    if csv_file is not None:
        write_atomically(csv_file, board.to_csv().encode())
    show_leaderboard(board)
    if csv_file is not None:
        click.echo(f"Written to {csv_file}")


def show_leaderboard(board: Leaderboard) -> None:
    """Print a leaderboard; the best value of each score is bold.

    A row is a method, or, where the terminal is too narrow for all scores, a score.
    """
    from rich.measure import Measurement

    from fhpt_eval.cli.show import arrow, console

    out = console()
    shown, nowhere = _columns(board)
    header = ["method", *(f"{name} {arrow(board.direction(name))}" for name in shown), "pairs"]
    rows = [_row(board, result, shown) for result in board.results]
    table = _table([header, *rows])
    unlimited = out.options.update(max_width=_UNLIMITED)
    if Measurement.get(out, unlimited, table).maximum > out.width:
        table = _table(zip(*[header, *rows], strict=True))
    out.print(table)
    if nowhere:
        out.print(f"No method has: {', '.join(nowhere)}. Each result.json says why.")
    for note in _notes(board, shown):
        out.print(note)


def _notes(board: Leaderboard, names: Sequence[str]) -> Iterator[str]:
    """Say over which pairs scores are means that are not over all."""
    partly = {
        name: board.over_same_pairs(name)
        for name in names
        if any(r.scores[name].coverage < 1 for r in board.results if _has_value(r, name))
    }
    same = [name for name, alike in partly.items() if alike]
    if same:
        yield f"Over the same share of the pairs, for all methods: {', '.join(same)}."
    if len(same) < len(partly):
        other = ", ".join(name for name, alike in partly.items() if not alike)
        yield (
            f"Over other pairs than other methods' where it stands with a percentage: {other}. "
            "Such a value is never the best."
        )


def _has_value(result: Result, name: str) -> bool:
    return name in result.scores and result.scores[name].value is not None


def _row(board: Leaderboard, result: Result, names: Sequence[str]) -> list[Text]:
    """Return a method's cells."""
    from rich.text import Text

    cells = [Text(result.method)]
    for name in names:
        score = result.scores.get(name)
        if score is None or score.value is None:
            cells.append(Text("-"))
            continue
        part = f" ({score.coverage:.0%})" if score.coverage < 1 else ""
        best = result.method in board.best(name)
        cells.append(Text(f"{score.value:.4f}{part}", style="bold" if best else ""))
    return [*cells, Text(f"{result.test_set.pairs:,}")]


def _table(rows: Iterable[Sequence[str | Text]]) -> Table:
    """Return a table whose first row is the header, and whose first column has names."""
    from rich.table import Table

    table = Table()
    for number, cells in enumerate(rows):
        if number:
            table.add_row(*cells)
            continue
        for at, cell in enumerate(cells):
            table.add_column(str(cell), justify="right" if at else "left", no_wrap=True)
    return table


def _columns(board: Leaderboard) -> tuple[list[str], list[str]]:
    """Return the scores that have a place on a terminal, and those that no method has."""
    named = [
        (name, [r.scores[name] for r in board.results if name in r.scores]) for name in board.scores
    ]
    headlines = [(name, all_) for name, all_ in named if not all(score.detail for score in all_)]
    shown = [name for name, all_ in headlines if any(score.value is not None for score in all_)]
    return shown, [name for name, _ in headlines if name not in shown]
