"""The engine's front door: one function. May import: everything but cli, leaderboard, report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fhpt_eval.errors import InputError
from fhpt_eval.evaluation.device import choose_device
from fhpt_eval.evaluation.executors.local import LocalExecutor
from fhpt_eval.evaluation.progress import Progress
from fhpt_eval.evaluation.run import Run
from fhpt_eval.pairs import Folders
from fhpt_eval.protocol import Protocol, load_protocol
from fhpt_eval.result import MAX_NAME, Result, is_method_name


def evaluate(
    pred: str | Path,
    gt: str | Path,
    *,
    protocol: str | Path | Protocol = "fhpt",
    metrics: Sequence[str] | str | None = None,
    source: str | Path | None = None,
    pairs: str | Path | None = None,
    match: str = "auto",
    panels: int | None = None,
    panel: int | None = None,
    fid_reference: str | Path | None = None,
    keypoints: str | Path | None = None,
    gallery: str | Path | None = None,
    name: str | None = None,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Score a folder of generated images against a folder of ground truth.

    Args:
        pred: the folder of generated images.
        gt: the folder of ground truth.
        protocol: a shipped protocol's name, a TOML file, or a loaded protocol.
        metrics: names of the metrics to compute; all of the protocol's by default. One that the
            protocol lacks is added with its default parameters, which gives another protocol.
        source: the folder of source images, for metrics that need them.
        pairs: a CSV that says which pairs are expected.
        match: the rule by which file names are matched; ``"auto"`` takes the best one.
        panels: number of panels, where generated images are horizontal strips.
        panel: which panel is the generated image, counted from 1; the last by default.
        fid_reference: real images that Fréchet and kernel distances compare with in place of the
            ground truth: a folder, or a file of statistics (.npz).
        keypoints: the targets' key points, an annotation CSV or a folder of OpenPose's JSON;
            estimated by default.
        gallery: a folder of images in which garments are looked for; the source images by default.
        name: the method's name; the folder's by default.
        out: where finished chunks and the result are written, so that the same call goes on from
            there; nothing is written by default.
        cache: where features of ground truth are kept, for other methods that are scored against
            the same images; they are computed anew by default.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
        workers: number of chunks computed at a time; the number of cores by default.
        allow_missing: leave out pairs that are missing, unreadable or of unequal sizes, and record
            them in the result, rather than refuse the run.
        progress: is told what goes on.

    Returns:
        The result; ``result.scores["ssim"].value``, ``result.pairs["ssim"]``.

    Raises:
        InputError: something given is wrong; nothing was computed.
        UnavailableError: a metric named in ``metrics`` lacks something; nothing was computed.
        MetricError: a metric failed; finished chunks are kept.
        StorageError: ``out`` cannot be written; finished chunks are kept.
    """
    if isinstance(metrics, str):
        metrics = [name.strip() for name in metrics.split(",")]
    if metrics is not None and not metrics:
        raise InputError("metrics names none; leave it out for all of the protocol's.")
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1, not {workers}.")
    if panels is not None and panels < 2:
        raise InputError(f"A strip has at least 2 panels, not {panels}.")
    method = name or Path(pred).resolve().name
    if not is_method_name(method):
        raise InputError(
            f"--name: a method's name has 1 to {MAX_NAME} printable characters, no slash, and is "
            "not made of dots."
        )
    folders = Folders(Path(pred), Path(gt), Path(source) if source else None, panels, panel)
    loaded = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    loaded, chosen = loaded.with_metrics(metrics or [entry.name for entry in loaded.entries])
    loaded = loaded.with_options(reference=fid_reference, keypoints=keypoints, gallery=gallery)
    run = Run(
        folders=folders,
        match=match,
        pairs_csv=Path(pairs) if pairs else None,
        protocol=loaded,
        entries=tuple(entry for entry in loaded.entries if entry.name in chosen),
        asked=frozenset(metrics or ()),
        method=method,
        out=Path(out) if out else None,
        cache=Path(cache) if cache else None,
        device=choose_device(device),
        executor=LocalExecutor(workers),
        allow_missing=allow_missing,
        progress=progress or Progress(),
    )
    return run.go()
