"""``fhpt-eval run``: score a folder of generated images."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fhpt_eval.cli import options
from fhpt_eval.pairs.naming import RULES

if TYPE_CHECKING:
    from fhpt_eval.protocol import Protocol
    from fhpt_eval.result import Result

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
    metavar="NAME|FILE[,...]",
    help="A shipped protocol, or a TOML file of your own; several score the same images at once.",
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
    help="Where results go; of several protocols or methods, each to a folder below.  "
    "[default: fhpt-eval-runs/PROTOCOL/METHOD]",
)
@options.cache
@options.device
@click.option(
    "--executor",
    type=click.Choice(["local"]),
    default="local",
    show_default=True,
    help="Where chunks are computed.",
)
@options.workers
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Leave out what is missing, unreadable or of unequal sizes, and record it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print result.json, and nothing else.")
@options.weights_dir
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
    fhpt-eval run --pred results/ --gt test/ --protocol fhpt,mine.toml
    """
    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.evaluation.evaluate import evaluate_many
    from fhpt_eval.evaluation.store import default_cache
    from fhpt_eval.protocol import with_options

    _ = executor  # one choice so far; the option names the seam
    chosen = _names(metrics)
    loaded = with_options(
        _protocols(protocol, chosen), reference=fid_reference, keypoints=keypoints, gallery=gallery
    )
    given = {"fid-reference": fid_reference, "keypoints": keypoints, "gallery": gallery}
    complete = True
    for pred, method, folders in _methods(preds, names, out, [one.id for one in loaded]):
        origin = _origin({"pred": pred, "gt": gt, **given})
        if not names and out is None:
            for folder in folders:
                _check_origin(folder, origin)
        progress = TerminalProgress()
        try:
            results = evaluate_many(
                pred, gt, protocols=loaded, metrics=chosen, source=source, pairs=pairs,
                match=match, panels=panels, panel=panel, name=method, outs=folders,
                cache=cache or default_cache(), device=device, workers=workers,
                allow_missing=allow_missing, progress=progress,
            )  # fmt: skip
        finally:
            progress.close()
        for folder, result in zip(folders, results, strict=True):
            complete = _show(result, folder, as_json) and complete
            (folder / _ORIGIN).write_text(origin, encoding="utf-8")
        if len(results) > 1 and not as_json:
            click.echo(f"Side by side: fhpt-eval sensitivity {shlex.join(map(str, folders))}")
    return 0 if complete else 3


def _show(result: Result, folder: Path, as_json: bool) -> bool:
    """Print a result, and return whether every score has a value."""
    from fhpt_eval.cli.show import is_complete, show_scores

    if as_json:
        click.echo(result.to_json(), nl=False)
    else:
        show_scores(result)
        click.echo(result.citation)
        click.echo(f"Written to {folder}: result.json, scores.csv, pairs.csv")
    return is_complete(result.scores)


def _protocols(text: str, metrics: list[str] | None) -> list[Protocol]:
    """Load the protocols that --protocol names; a file may have a comma in its name."""
    from fhpt_eval.protocol import load_protocol

    names = [text] if Path(text).is_file() else [name.strip() for name in text.split(",")]
    if not all(names):
        raise click.UsageError("--protocol: there is a name missing beside a comma.")
    loaded = [load_protocol(name).with_metrics(metrics or [])[0] for name in names]
    ids = [protocol.id for protocol in loaded]
    if len(set(ids)) < len(ids):
        raise click.UsageError(f"--protocol: two of them have one id ({', '.join(ids)}).")
    return loaded


def _check_origin(folder: Path, origin: str) -> None:
    """Refuse to replace the result of other images that only happen to lie in an equal name."""
    from fhpt_eval.errors import InputError

    note = folder / _ORIGIN
    if note.is_file() and note.read_text(encoding="utf-8") != origin:
        raise InputError(
            f"{folder} holds the result of other folders:\n{note.read_text(encoding='utf-8')}"
            "Give this one a --name of its own, or say where it goes with --out."
        )


def _origin(paths: Mapping[str, Path | None]) -> str:
    """Say which folders and files a result is of."""
    given = {name: path for name, path in paths.items() if path is not None}
    return "".join(f"  --{name} {path.resolve()}\n" for name, path in given.items())


def _methods(
    preds: tuple[Path, ...], names: tuple[str, ...], out: Path | None, protocols: list[str]
) -> list[tuple[Path, str, list[Path]]]:
    """Return each method's folder of images, its name, and where its results go."""
    if names and len(names) != len(preds):
        raise click.UsageError(f"{len(preds)} --pred and {len(names)} --name: give one for each.")
    methods = names or tuple(pred.resolve().name for pred in preds)
    if len(set(methods)) < len(methods):
        raise click.UsageError(
            f"Two methods have one name ({', '.join(methods)}); give each a --name."
        )
    roots = [(out or Path("fhpt-eval-runs")) / protocol for protocol in protocols]
    if out is not None and len(protocols) == 1:
        roots = [out]
    alone = out is not None and len(preds) == 1
    return [
        (pred, method, [root if alone else root / method for root in roots])
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
