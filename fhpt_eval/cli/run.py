"""``fhpt-eval run``: score a folder of generated images."""

from __future__ import annotations

from pathlib import Path

import click

from fhpt_eval.cli.weights import weights_dir
from fhpt_eval.naming import RULES

# Beside a result, which does not say where its images lay: so that another folder of the same name
# does not replace it unasked.
_ORIGIN = "origin.txt"
_RULES = ["auto", *(rule.name for rule in RULES)]


@click.command()
@click.option(
    "--pred",
    "preds",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of generated images; give it again for further methods.",
)
@click.option(
    "--gt",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of ground truth; the same as --pred for strips that hold it.",
)
@click.option(
    "--source",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of source images, for metrics that need them.",
)
@click.option(
    "--pairs",
    type=click.Path(path_type=Path),
    metavar="CSV",
    help="Which pairs are expected: columns from,to or generated,ground_truth.",
)
@click.option(
    "--match",
    type=click.Choice(_RULES),
    default="auto",
    show_default=True,
    help="How names are matched; auto takes the rule that matches most files.",
)
@click.option(
    "--panels",
    type=click.IntRange(2, 100),
    metavar="N",
    help="Generated images are horizontal strips of N panels.",
)
@click.option(
    "--panel",
    type=click.IntRange(1, 100),
    metavar="K",
    help="The panel to take, from 1 at the left.  [default: the last]",
)
@click.option(
    "--fid-reference",
    type=click.Path(path_type=Path),
    metavar="DIR|STATS.npz",
    help="Real images that FID and KID compare with, or their statistics.  [default: --gt]",
)
@click.option(
    "--keypoints",
    type=click.Path(path_type=Path),
    metavar="CSV|DIR",
    help="The targets' key points: an annotation CSV, or a folder of OpenPose's JSON.  "
    "[default: estimated]",
)
@click.option(
    "--gallery",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Images in which garments are looked for.  [default: the source images]",
)
@click.option(
    "--protocol",
    default="fhpt",
    show_default=True,
    metavar="NAME|FILE",
    help="A shipped protocol, or a TOML file of your own.",
)
@click.option(
    "--metrics", metavar="A,B", help="Only these metrics.  [default: all of the protocol's]"
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="METHOD",
    help="The method's name, one for each --pred.  [default: the folder's]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where results go; of several methods, each to a folder below.  "
    "[default: fhpt-eval-runs/PROTOCOL/METHOD]",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    envvar="FHPT_CACHE",
    metavar="DIR",
    help="Where features of ground truth are kept for other methods.  [default: the user's cache]",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--executor",
    type=click.Choice(["local"]),
    default="local",
    show_default=True,
    help="Where chunks are computed.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Chunks computed at a time.  [default: the number of cores]",
)
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Leave out what is missing, unreadable or of unequal sizes, and record it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print result.json, and nothing else.")
@weights_dir
def run(
    preds: tuple[Path, ...], gt: Path, source: Path | None, pairs: Path | None, match: str,
    panels: int | None, panel: int | None, fid_reference: Path | None,
    keypoints: Path | None, gallery: Path | None, protocol: str,
    metrics: str | None, names: tuple[str, ...], out: Path | None, cache: Path | None,
    device: str, executor: str, workers: int | None, allow_missing: bool, as_json: bool,
) -> int:  # fmt: skip
    """Score generated images against their ground truth.

    Writes result.json, scores.csv and pairs.csv. Repeating the command goes on from what is
    finished. Exit status: 0 all scores, 3 some are unavailable, 2 bad input or nowhere to write,
    1 a metric failed, 130 interrupted.

    \b
    fhpt-eval run --pred results/ --gt test/
    fhpt-eval run --pred results/ --gt test/ --metrics ssim,psnr --name ours
    fhpt-eval run --pred ours/ --pred theirs/ --gt test/
    fhpt-eval run --pred strips/ --gt strips/ --panels 3
    fhpt-eval run --pred results/ --gt test/ --metrics fid --fid-reference train.npz
    """
    from fhpt_eval.cli.show import TerminalProgress, citation, is_complete, show_scores
    from fhpt_eval.evaluation.evaluate import evaluate
    from fhpt_eval.evaluation.store import default_cache
    from fhpt_eval.protocol import load_protocol

    _ = executor  # one choice so far; the option names the seam
    chosen = _names(metrics)
    loaded, _ = load_protocol(protocol).with_metrics(chosen or [])
    loaded = loaded.with_options(reference=fid_reference, keypoints=keypoints, gallery=gallery)
    complete = True
    for pred, method, folder in _methods(preds, names, out, loaded.id):
        if not names and out is None:
            _check_origin(folder, pred, gt)
        progress = TerminalProgress()
        try:
            result = evaluate(
                pred, gt, protocol=loaded, metrics=chosen, source=source, pairs=pairs,
                match=match, panels=panels, panel=panel, name=method, out=folder,
                cache=cache or default_cache(), device=device, workers=workers,
                allow_missing=allow_missing, progress=progress,
            )  # fmt: skip
        finally:
            progress.close()
        if as_json:
            click.echo(result.to_json(), nl=False)
        else:
            show_scores(result)
            click.echo(citation(result))
            click.echo(f"Written to {folder}: result.json, scores.csv, pairs.csv")
        (folder / _ORIGIN).write_text(_origin(pred, gt), encoding="utf-8")
        complete = complete and is_complete(result.scores)
    return 0 if complete else 3


def _check_origin(folder: Path, pred: Path, gt: Path) -> None:
    """Refuse to replace the result of other images that only happen to lie in an equal name."""
    from fhpt_eval.errors import InputError

    note = folder / _ORIGIN
    if note.is_file() and note.read_text(encoding="utf-8") != _origin(pred, gt):
        raise InputError(
            f"{folder} holds the result of other folders:\n{note.read_text(encoding='utf-8')}"
            "Give this one a --name of its own, or say where it goes with --out."
        )


def _origin(pred: Path, gt: Path) -> str:
    return f"  --pred {pred.resolve()}\n  --gt {gt.resolve()}\n"


def _methods(
    preds: tuple[Path, ...], names: tuple[str, ...], out: Path | None, protocol: str
) -> list[tuple[Path, str, Path]]:
    """Return each method's folder of images, its name, and where its result goes."""
    if names and len(names) != len(preds):
        raise click.UsageError(f"{len(preds)} --pred and {len(names)} --name: give one for each.")
    methods = names or tuple(pred.resolve().name for pred in preds)
    if len(set(methods)) < len(methods):
        raise click.UsageError(
            f"Two methods have one name ({', '.join(methods)}); give each a --name."
        )
    root = out or Path("fhpt-eval-runs") / protocol
    alone = out is not None and len(preds) == 1
    return [
        (pred, method, root if alone else root / method)
        for pred, method in zip(preds, methods, strict=True)
    ]


def _names(metrics: str | None) -> list[str] | None:
    """Split the value of --metrics; ``None`` is all of the protocol's."""
    if metrics is None:
        return None
    names = [name.strip() for name in metrics.split(",") if name.strip()]
    if not names:
        raise click.UsageError("--metrics names no metric.")
    return names
