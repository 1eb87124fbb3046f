"""``fhpt-eval stats``: statistics of a reference set, for ``run --fid-reference``."""

from __future__ import annotations

from pathlib import Path

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import say


@click.command()
@click.argument("folder", type=options.PATH, metavar="DIR")
@click.option(
    "-o", "--out", required=True, type=options.PATH, metavar="STATS.npz", help="The file to write."
)
@click.option(
    "--protocol",
    default="fhpt",
    metavar="NAME|FILE",
    help="Says how images are prepared and which network sees them.",
)
@click.option(
    "--metric",
    default="fid",
    help="Whose settings count, where a protocol has several Fréchet distances.",
)
@options.device
@options.workers
@options.cache
@options.weights_dir
def stats(
    folder: Path, out: Path, protocol: str, metric: str, device: str, workers: int | None,
    cache: Path | None,
) -> None:  # fmt: skip
    """Compute FID's statistics of real images once, for any number of runs.

    The file holds mean, covariance, number of images, and what made the features; pytorch-fid and
    clean-fid read it as well. Repeating an interrupted command goes on from what is finished.

    \b
    fhpt-eval stats train/ -o train.npz
    fhpt-eval run --pred results/ --gt test/ --fid-reference train.npz
    """
    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.errors import InputError
    from fhpt_eval.evaluation.evaluate import reference_statistics
    from fhpt_eval.evaluation.store.store import default_cache
    from fhpt_eval.metrics.sets.reference_set import save_statistics

    if out.suffix != ".npz":
        raise InputError(f"-o {out}: a file of statistics ends in .npz.")
    with TerminalProgress() as progress:
        statistics = reference_statistics(
            folder, protocol=protocol, metric=metric, device=device, workers=workers,
            cache=cache or default_cache(), progress=progress,
        )  # fmt: skip
    save_statistics(out, statistics)
    say(f"{statistics.count:,} images. Written to {out}; use it with --fid-reference {out}")
