"""``fhpt-eval demo``: the whole way from images to a leaderboard, offline."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("fhpt-eval-demo"),
    show_default=True,
    metavar="DIR",
    help="Where everything goes.",
)
def demo(out: Path) -> None:
    """See it work, offline, in under a minute.

    Takes crops of photographs as ground truth, spoils them in three ways as three methods, scores
    each, and writes a leaderboard.
    """
    from fhpt_eval import demo_data
    from fhpt_eval.cli.leaderboard import show_leaderboard
    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.evaluation.evaluate import evaluate
    from fhpt_eval.leaderboard.table import build
    from fhpt_eval.storage import check_writable, write_atomically

    check_writable(out)
    folders = demo_data.write(out / "images")
    truth = folders.pop("ground_truth")
    results = []
    for method, folder in folders.items():
        click.echo(f"{method}: fhpt-eval run --pred {folder} --gt {truth} ...", err=True)
        progress = TerminalProgress()
        try:
            results.append(
                evaluate(folder, truth, pairs=out / "images" / "pairs.csv", name=method,
                         out=out / "runs" / method, progress=progress)
            )  # fmt: skip
        finally:
            progress.close()
    board = build(results)
    write_atomically(out / "leaderboard.csv", board.to_csv().encode())
    show_leaderboard(board)
    click.echo(
        f"Leaderboard: {out / 'leaderboard.csv'}\n"
        f"Scores, per-pair values and provenance: {out / 'runs'}\n"
        f"Images: {out / 'images'}\n"
        "Now yours: fhpt-eval run --pred RESULTS --gt TEST_IMAGES"
    )
