"""The engine's front door: under one protocol or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError
from fhpt_eval.evaluation.device import choose_device
from fhpt_eval.evaluation.executors.local import LocalExecutor
from fhpt_eval.evaluation.run import Run, Scoring
from fhpt_eval.pairs.pair import Folders
from fhpt_eval.protocol import Protocol, load_protocol, with_options
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
        panels: number of panels, where generated images are horizontal strips; the protocol's, if
            it says so.
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
    (result,) = evaluate_many(
        pred, gt, protocols=[protocol], metrics=metrics, source=source, pairs=pairs, match=match,
        panels=panels, panel=panel, fid_reference=fid_reference, keypoints=keypoints,
        gallery=gallery, name=name,
        outs=None if out is None else [out], cache=cache, device=device, workers=workers,
        allow_missing=allow_missing, progress=progress,
    )  # fmt: skip
    return result


def evaluate_many(
    pred: str | Path,
    gt: str | Path,
    *,
    protocols: Sequence[str | Path | Protocol],
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
    outs: Sequence[str | Path] | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
    workers: int | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> list[Result]:
    """Score the same images under several protocols; each image is checked and decoded once.

    The results are those of :func:`evaluate` with each protocol, to the last bit. Pairs that do not
    fit under one of the protocols are left out of all (``allow_missing``), or refuse the run.

    Args:
        pred: as of :func:`evaluate`, and so all that is not named below.
        gt: the folder of ground truth.
        protocols: names, TOML files or loaded protocols, with different ids.
        metrics: names of the metrics to compute under each protocol.
        source: the folder of source images.
        pairs: a CSV that says which pairs are expected.
        match: the rule by which file names are matched.
        panels: number of panels of strips.
        panel: which panel is the generated image.
        fid_reference: goes to the metrics that compare with real images, of any of the protocols.
        keypoints: goes to the metrics that take the targets' key points.
        gallery: goes to the metrics that look for garments.
        name: the method's name.
        outs: for each protocol the folder where its result and its chunks are written.
        cache: where features of ground truth are kept.
        device: where to compute.
        workers: number of chunks computed at a time.
        allow_missing: leave out pairs that cannot be scored.
        progress: is told what goes on.

    Returns:
        A result for each protocol, in their order.

    Raises:
        InputError: something given is wrong; nothing was computed.
        UnavailableError: under one of the protocols no metric can be computed, or one named in
            ``metrics`` cannot.
        MetricError: a metric failed; finished chunks are kept.
        StorageError: a folder cannot be written; finished chunks are kept.
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
    loaded = [p if isinstance(p, Protocol) else load_protocol(p) for p in protocols]
    panels = panels or _panels(loaded)
    folders = Folders(Path(pred), Path(gt), Path(source) if source else None, panels, panel)
    scorings = _scorings(
        loaded, metrics, outs, reference=fid_reference, keypoints=keypoints, gallery=gallery
    )
    run = Run(
        folders=folders,
        match=match,
        pairs_csv=Path(pairs) if pairs else None,
        scorings=scorings,
        method=method,
        cache=Path(cache) if cache else None,
        device=choose_device(device),
        executor=LocalExecutor(workers),
        allow_missing=allow_missing,
        progress=progress or Progress(),
    )
    return run.go()


def _scorings(
    protocols: Sequence[Protocol],
    metrics: Sequence[str] | None,
    outs: Sequence[str | Path] | None,
    **options: str | Path | None,
) -> tuple[Scoring, ...]:
    """Say for each protocol which metrics are computed, and where its result goes.

    Raises:
        InputError: two protocols have one id, or not every one has its folder.
        ProtocolError: a metric is not there, or no protocol has a use for an option.
    """
    if not protocols:
        raise InputError("protocols names none.")
    if outs is not None and len(set(map(Path, outs))) != len(protocols):
        raise InputError("outs must hold a folder of its own for each protocol.")
    chosen = [one.with_metrics(metrics or [e.name for e in one.entries]) for one in protocols]
    found = with_options([protocol for protocol, _ in chosen], **options)
    ids = Counter(protocol.id for protocol in found)
    twice = [name for name, count in ids.items() if count > 1]
    if twice:
        raise InputError(f"Several protocols have the id {', '.join(twice)}; give each its own.")
    return tuple(
        Scoring(
            protocol,
            tuple(entry for entry in protocol.entries if entry.name in names),
            frozenset(metrics or ()),
            Path(outs[at]) if outs else None,
        )
        for at, (protocol, (_, names)) in enumerate(zip(found, chosen, strict=True))
    )


def _panels(protocols: Sequence[Protocol]) -> int | None:
    """Return the number of panels that the protocols say results have.

    Raises:
        InputError: they do not agree.
    """
    said = {one.panels for one in protocols} or {None}
    if len(said) > 1:
        names = ", ".join(f"{one.id}: {one.panels or 'no strips'}" for one in protocols)
        raise InputError(f"The protocols differ in the number of panels ({names}). Give --panels.")
    return said.pop()
