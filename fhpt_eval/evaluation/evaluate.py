"""The engine's front door."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fhpt_eval.common.fingerprint import device_name
from fhpt_eval.common.machine import choose_device, one_thread
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError, ProtocolError, StorageError, UnavailableError
from fhpt_eval.evaluation.compute.chunk import Job
from fhpt_eval.evaluation.executors import open_executor
from fhpt_eval.evaluation.request import Request
from fhpt_eval.evaluation.run import Prepared, evaluate_request, method_of, prepare
from fhpt_eval.evaluation.store.store import FolderStore, MemoryStore
from fhpt_eval.evaluation.tasks import Planned
from fhpt_eval.evaluation.work import Work
from fhpt_eval.metrics.sets.reference_set import Statistics
from fhpt_eval.protocol import Protocol, load_protocol
from fhpt_eval.result import EARLIER, Result


def evaluate(pred: str | Path | Request, gt: str | Path | None = None, **options: Any) -> Result:
    """Score a folder of generated images against a folder of ground truth.

    ``evaluate("results", "test", protocol="fhpt", metrics="ssim,lpips", out="runs/ours")``

    Args:
        pred: the folder of generated images; or a whole request.
        gt: the folder of ground truth; without it, what needs no pairs is computed.
        options: every other field of :class:`~fhpt_eval.evaluation.request.Request`, and what
            metrics declare, such as ``fid_reference``.

    Returns:
        The result; ``result.scores["ssim"].value``, ``result.pairs["ssim"]``.

    Raises:
        InputError: something given is wrong; nothing was computed.
        UnavailableError: a metric named in ``metrics`` lacks something; nothing was computed.
        MetricError: a metric failed; finished chunks are kept.
        StorageError: ``out`` cannot be written; finished chunks are kept.
    """
    results = evaluate_many(pred, gt, **options)
    if len(results) > 1:
        raise InputError("Several protocols give several results: call evaluate_many.")
    return results[0]


def evaluate_many(
    pred: str | Path | Request, gt: str | Path | None = None, **options: Any
) -> list[Result]:
    """Score the same images under several protocols; each image is checked and decoded once.

    Arguments and errors are those of :func:`evaluate`, with ``protocols`` and ``outs``.

    Returns:
        A result for each protocol, in their order: to the last bit those of :func:`evaluate` with
        each. Pairs that do not fit under one of the protocols are left out of all
        (``allow_missing``), or refuse the run.
    """
    request = pred if isinstance(pred, Request) else Request.of(pred=pred, gt=gt, **options)
    return evaluate_request(request)


def evaluate_methods(requests: Sequence[Request]) -> Iterator[list[Result]]:
    """Score several methods, one after the other; all are checked before any is computed.

    Args:
        requests: one for each method; their folders of results differ.

    Yields:
        For each request what :func:`evaluate_many` returns.

    Raises:
        InputError: something is wrong with one or several methods: all of it is listed, and nothing
            was computed. Otherwise as :func:`evaluate`.
    """
    prepared: list[Prepared] = []
    faults: dict[str, list[str]] = {}
    for request in requests:
        method = method_of(request)
        if request.progress and len(requests) > 1:
            request.progress.say(f"{method}:")
        try:
            prepared.append(prepare(request))
        except (InputError, UnavailableError, StorageError) as error:
            _tell_of_earlier(request)
            if len(requests) == 1:
                raise
            faults.setdefault(str(error), []).append(method)
    if faults:
        wrong = [f"{', '.join(methods)}: {fault}" for fault, methods in faults.items()]
        count = sum(map(len, faults.values()))
        raise InputError(
            f"{count} of {len(requests)} methods cannot be scored, and nothing was computed of "
            "any.\n" + "\n".join(wrong)
        )
    for each in prepared:
        yield each.results()


def _tell_of_earlier(request: Request) -> None:
    """Say of a refused run where its folders' earlier results are."""
    for out in request.outs:
        file = out / f"{EARLIER}result.json"
        if request.progress and file.exists():
            request.progress.say(f"The earlier result of {out} is set aside: {file.name}")


def reference_statistics(
    folder: str | Path,
    *,
    protocol: str | Path | Protocol = "fhpt",
    metric: str = "fid",
    device: str = "auto",
    workers: int | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Compute mean and covariance of the features of all images below a folder.

    The protocol says how they are prepared, and which network sees them; ``metric`` whose settings
    count, where it has several Fréchet distances. The rest are as in :func:`evaluate`.

    Raises:
        InputError: the folder, or an image in it, cannot be used.
        ProtocolError: the metric has no reference statistics.
        UnavailableError: the network's weights are missing.
    """
    loaded = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    loaded, (name,) = loaded.with_metrics([metric])
    (plain,) = (entry for entry in loaded.entries if entry.name == name)
    entry = plain.with_parameter("reference", str(folder))
    if entry.metric.statistics_of(entry.metric.empty(), ()) is None:
        raise ProtocolError(f"'{metric}' is no Fréchet distance, and has no reference statistics.")
    if entry.metric.reference_folder() is None:
        raise InputError(f"There is no folder {folder}. Give the folder of real images.")
    if lacking := entry.metric.lacks():
        raise UnavailableError(f"Cannot be computed: {metric} {lacking}.")
    chosen = choose_device(device)
    store = FolderStore(Path(cache)) if cache else MemoryStore()
    planned = Planned.plan(entry, device_name(chosen))
    executor = open_executor("local", workers)
    job = Job(chosen, MemoryStore(), store)
    work = Work([planned], job, executor, progress or Progress(), [], [], 0)
    work.compute(lambda *_: None)
    with one_thread():
        (reduced,) = work.reduced([planned])
    steps = [step.canonical() for step in entry.steps]
    statistics = entry.metric.statistics_of(reduced.reference or {}, steps)
    if statistics is None or (statistics.count or 0) < 2:
        raise InputError(
            f"{folder} holds {reduced.reference_count} images; a covariance needs at least 2."
        )
    return statistics
