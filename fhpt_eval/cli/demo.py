"""``fhpt-eval demo``: the whole way from images to a leaderboard, offline."""

from __future__ import annotations

from pathlib import Path

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import say

_SEED = 0
#: Reference models that are part of the package: the method's name, and that of its weights.
_MODELS = {"patn": "patn-mannequin", "drn": "drn-mannequin"}


@click.command()
@options.path("--out", "DIR", "Where everything goes.", default=Path("fhpt-eval-demo"))
@options.number(
    "--identities",
    "People who are drawn; every fifth is for the test, in 12 pairs.",
    10,
    10_000,
    default=100,
)
@click.pass_context
def demo(context: click.Context, out: Path, identities: int) -> None:
    """See it work, offline, in a few minutes.

    Draws a small benchmark of people, makes the images of four methods that need no network and of
    two reference models, scores each under the protocol mannequin, whose networks are part of the
    package, and writes a leaderboard.
    """
    from fhpt_eval.benchmarks.mannequin.layout import Settings, write_benchmark
    from fhpt_eval.benchmarks.mannequin.methods import write_methods
    from fhpt_eval.cli.leaderboard import show_leaderboard
    from fhpt_eval.cli.show import TerminalProgress, is_complete
    from fhpt_eval.common.files import check_writable, write_atomically
    from fhpt_eval.common.machine import available_cores
    from fhpt_eval.evaluation.evaluate import evaluate
    from fhpt_eval.leaderboard.table import build

    check_writable(out)
    images = out / "mannequin"
    say(f"fhpt-eval benchmark mannequin --out {images} --identities {identities}", err=True)
    write_benchmark(images, Settings(identities=identities, seed=_SEED), available_cores())
    truth = images / "test"
    results = []
    methods = write_methods(images, out / "methods") | _reference_models(images, out / "methods")
    for method, folder in methods.items():
        say(
            f"fhpt-eval run --pred {folder} --gt {truth} --source {truth} --protocol mannequin",
            err=True,
        )
        with TerminalProgress() as progress:
            results.append(
                evaluate(folder, truth, source=truth, protocol="mannequin", name=method,
                         out=out / "runs" / method, cache=out / "cache", progress=progress)
            )  # fmt: skip
    board = build(results)
    write_atomically(out / "leaderboard.csv", board.to_csv().encode())
    show_leaderboard(board)
    say(
        f"Leaderboard: {out / 'leaderboard.csv'}\n"
        f"Scores, per-pair values and provenance: {out / 'runs'}\n"
        f"Images: {truth}, and those of the methods: {out / 'methods'}\n"
        "Now yours: fhpt-eval run --pred RESULTS --gt TEST_IMAGES --source SOURCE_IMAGES"
    )
    context.exit(0 if all(is_complete(result.scores) for result in results) else 3)


def _reference_models(images: Path, out: Path) -> dict[str, Path]:
    """Draw the test pairs with each reference model; return the folders by the methods' names."""
    import torch

    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.common.machine import choose_device
    from fhpt_eval.reference_models.drn.data.pairs import read_data
    from fhpt_eval.reference_models.drn.generate import generate
    from fhpt_eval.reference_models.drn.training.checkpoints import load_model

    device = torch.device(choose_device("auto"))
    data = read_data(images, "test", targets=False)
    for method, weights in _MODELS.items():
        folder = out / method
        say(
            f"fhpt-eval drn generate --checkpoint {weights} --data {images} --out {folder}",
            err=True,
        )
        with TerminalProgress() as progress:
            generate(load_model(weights, device), data, folder, device=device, progress=progress)
    return {method: out / method for method in _MODELS}
