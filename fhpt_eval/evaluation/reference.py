"""Statistics of a reference set, for ``--fid-reference``."""

from __future__ import annotations

from pathlib import Path

from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError, ProtocolError, UnavailableError
from fhpt_eval.evaluation import fingerprint
from fhpt_eval.evaluation.device import choose_device
from fhpt_eval.evaluation.executors.local import LocalExecutor
from fhpt_eval.evaluation.reduce import Addressed
from fhpt_eval.evaluation.store import FolderStore, MemoryStore
from fhpt_eval.evaluation.threads import one_thread
from fhpt_eval.evaluation.work import Work, Worker, add_up
from fhpt_eval.metrics.fid import FID
from fhpt_eval.metrics.sets.reference_set import Statistics
from fhpt_eval.protocol import Protocol, load_protocol


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

    Args:
        folder: the real images.
        protocol: says how they are prepared, and which network sees them.
        metric: whose settings count, where the protocol has several Fréchet distances.
        device: as in :func:`fhpt_eval.evaluate`, and so the following.
        workers: number of chunks computed at a time.
        cache: where features are kept, so that an interrupted call goes on from there.
        progress: is told what goes on.

    Raises:
        InputError: the folder, or an image in it, cannot be used.
        ProtocolError: the metric is no Fréchet distance.
        UnavailableError: the network's weights are missing.
    """
    loaded = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
    loaded, _ = loaded.with_metrics([metric])
    (own,) = (one for one in loaded.entries if one.name == metric)
    entry = own.with_parameter("reference", str(folder))
    fid = entry.metric
    if not isinstance(fid, FID):
        raise ProtocolError(f"'{metric}' is no Fréchet distance, and has no reference statistics.")
    if fid.reference_folder() is None:
        raise InputError(f"There is no folder {folder}. Give the folder of real images.")
    lacking = fid.lacks()
    if lacking:
        raise UnavailableError(f"Cannot be computed: {metric} {lacking}.")
    told = progress or Progress()
    executor = LocalExecutor(workers)
    store = FolderStore(Path(cache)) if cache else MemoryStore()
    chosen = choose_device(device)
    addressed = [Addressed.of(entry, fingerprint.device_name(chosen))]
    work = Work.plan(addressed, chosen, (MemoryStore(), store), executor, told)
    done = Worker(work, executor, told).go([], [], lambda *_: None)
    with one_thread():
        state = add_up(done, work, addressed).references[metric]
    count = fid.statistics_of(state, {}).count or 0
    if count < 2:
        raise InputError(f"{folder} holds {count} images; a covariance needs at least 2.")
    steps = [step.canonical() for step in entry.steps]
    return fid.statistics_of(state, fid.settings(steps))
