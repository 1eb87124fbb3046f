"""Draw the image of every pair, and write it under a name that says which pair it is.

Each file carries a mark: the digest of the weights, and one of all else that its pixels were made
from. So a command that is repeated draws what is missing and nothing else, and never mixes the
images of two models in one folder.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fhpt_eval.common.files import check_writable, csv_text, opened, write_atomically
from fhpt_eval.common.machine import ahead
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import InputError
from fhpt_eval.features.kinds import decoded_some, doubt
from fhpt_eval.images.files import MAX_BYTES
from fhpt_eval.images.listing import SUFFIXES
from fhpt_eval.reference_models.drn.configuration import Precision
from fhpt_eval.reference_models.drn.data.batches import AHEAD, Batches, Decoded, resized
from fhpt_eval.reference_models.drn.data.inputs import Batch, to_bytes, to_inputs
from fhpt_eval.reference_models.drn.data.pairs import PairSet
from fhpt_eval.reference_models.drn.model.drn import autocast
from fhpt_eval.reference_models.drn.training.checkpoints import Loaded
from fhpt_eval.reference_models.drn.training.logs import png_bytes

#: The list of pairs beside the images, for ``fhpt-eval run --pairs``.
PAIRS = "pairs.csv"
#: The key of a PNG's text that holds its mark.
MARK = "fhpt-eval-drn"

#: Longest file name that file systems take, in bytes.
_LONGEST = 255
#: zlib's level for the PNG files: 1.8 ms for a drawn image of 256 x 176 on one slow core, against
#: 2.8 ms at the usual level, 6, and a tenth more bytes.
_LEVEL = 3


@dataclass(frozen=True, slots=True)
class Generated:
    """What was done: images written, images that were there already, seconds for the new ones."""

    written: int
    skipped: int
    seconds: float

    @property
    def per_second(self) -> float:
        """New images per second; 0 if there were none."""
        return self.written / self.seconds if self.written else 0.0


def file_names(data: PairSet) -> list[str]:
    """Return each pair's file: ``SOURCE___TARGET_vis.png``, in the target's folder.

    That is the rule ``A___B`` of ``fhpt-eval run``. A source's folders, where names have some, are
    joined to its name unless they are the target's.

    Raises:
        InputError: two pairs would share a file, or a name is too long for one.
    """
    numbers: dict[str, int] = {}
    for number, (source, target) in enumerate(data.pairs.tolist()):
        shown, posed = data.people[source].name, data.people[target].name
        folder, slash, stem = posed.rpartition("/")
        first = shown.removeprefix(folder + slash).replace("/", "_")
        name = f"{folder}{slash}{first}___{stem}_vis.png"
        if len(name.rpartition("/")[2].encode()) > _LONGEST:
            raise InputError(
                f"{shown} and {posed} make a file name above {_LONGEST} bytes; shorten the images' "
                "names."
            )
        if numbers.setdefault(name, number) != number:
            raise InputError(f"Two pairs would share the file {name}; rename one of the sources.")
    return list(numbers)


def generate(
    loaded: Loaded,
    data: PairSet,
    out: Path,
    *,
    device: torch.device,
    batch_size: int = 32,
    precision: Precision = "float32",
    compiled: bool = False,
    threads: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Generated:
    """Draw every pair's image at the size of the target's (or else the source's) image.

    Args:
        loaded: the model, on ``device``.
        data: the pairs; images of targets are not needed.
        out: the folder for the images; what is there already from this model is kept.
        device: of the model.
        batch_size: images at a time.
        precision: what the networks compute in.
        compiled: whether to compile the model first, which pays for thousands of images.
        threads: that decode, resize and write.
        overwrite: replace images of another model or of other data, instead of refusing. Those that
            another model drew of other pairs are removed.
        progress: is told how far it is.

    Raises:
        InputError: ``out`` has images that something else made, or an image cannot be decoded.
        StorageError: an image cannot be written.
    """
    progress = progress or Progress()
    drawer = _Drawer(loaded, data, device, precision, compiled)
    names = file_names(data)
    warning = doubt(loaded.made_for, lambda: _some_sources(data))
    if warning:
        progress.say(f"Warning: what is drawn says nothing of the model: {warning}.")
    with ThreadPoolExecutor(threads) as pool, ThreadPoolExecutor(1) as maker:
        marks = [drawer.mark(number) for number in range(len(data))]
        present = _marks_in(out, pool)
        foreign = _foreign(present, dict(zip(names, marks, strict=True)), loaded.digest)
        _tell(out, present, names, foreign, overwrite, progress)
        check_writable(out)
        for name in foreign:  # before the first new one, so that a stop leaves no mixture
            (out / name).unlink()
        _write_about(out, loaded, data, names, precision, warning)
        left = [n for n, name in enumerate(names) if present.get(name) != marks[n]]
        rows = np.array(left, dtype=np.int64)
        started = time.monotonic()
        progress.stage("generating", len(rows), "images")

        def write(image: NDArray[np.uint8], number: int) -> None:
            pixels = resized(image, *drawer.size(number))
            content = png_bytes(pixels, text={MARK: marks[number]}, level=_LEVEL)
            write_atomically(out / names[number], content, durable=False)

        at_once = max(1, min(batch_size, len(rows)))
        batches = Batches(data, Decoded(data.people, *drawer.working, pool), *drawer.working,
                          targets=False)  # fmt: skip
        _draw_all(drawer, ahead(maker, batches, _padded(rows, at_once), AHEAD), rows,
                  lambda image, number: pool.submit(write, image, number), progress)  # fmt: skip
        seconds = time.monotonic() - started
    return Generated(len(rows), len(data) - len(rows), seconds)


class _Drawer:
    """A model, and what it needs to draw the pairs of a set."""

    def __init__(
        self,
        loaded: Loaded,
        data: PairSet,
        device: torch.device,
        precision: Precision,
        compiled: bool,
    ) -> None:
        self.loaded, self.data, self.device = loaded, data, device
        self.precision = precision
        self.configuration = loaded.record.configuration
        self.working = self.configuration.height, self.configuration.width
        # Tensor cores read channels last; on a CPU it depends on the layer.
        self.channels_last = device.type == "cuda"
        if self.channels_last:
            loaded.model.to(memory_format=torch.channels_last)
        if compiled:
            loaded.model.compile()

    def __call__(self, batch: Batch) -> torch.Tensor:
        """Return the final images, ``(N, 3, H, W)`` uint8, on the device."""
        settings = self.configuration
        inputs = to_inputs(batch.to(self.device), settings.heatmap_sigma, settings.model.face_size)
        with torch.inference_mode(), autocast(self.device, self.precision):
            outputs = self.loaded.model(inputs.to(self.device, channels_last=self.channels_last))
        return to_bytes(outputs.final)

    def size(self, number: int) -> tuple[int, int]:
        """Return height and width of a pair's image as it is written."""
        target: int = self.data.pairs[number, 1].item()
        return self.data.people[target].size

    def mark(self, number: int) -> str:
        """Return the digest of the weights, and that of all else that a pair's pixels depend on."""
        source, target = (self.data.people[place] for place in self.data.pairs[number])
        assert source.file is not None  # noqa: S101 - reading the data made sure
        settings = self.configuration
        parts = [
            source.file.identity, list(target.size), self.precision, list(self.working),
            settings.heatmap_sigma, settings.model.model_dump(mode="json"),
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(parts).encode())
        for person in (source, target):
            digest.update(person.points.astype("<f8").tobytes())
        return f"{self.loaded.digest} {digest.hexdigest()}"


def _draw_all(
    drawer: _Drawer,
    batches: Iterable[Batch],
    rows: NDArray[np.int64],
    submit: Callable[[NDArray[np.uint8], int], Future[None]],
    progress: Progress,
) -> None:
    """Draw batch after batch; while the device draws one, the one before is fetched and written."""
    writing: list[Future[None]] = []
    done = 0
    # Of each batch and the one after it, which is asked of the device before this is fetched.
    for drawn, _ in pairwise(chain(map(drawer, batches), [torch.empty(0)])):
        for future in writing:  # of the batch before, so that memory stays bounded
            future.result()
        pixels = drawn.permute(0, 2, 3, 1).cpu().numpy()
        numbers = rows[done : done + len(pixels)].tolist()
        writing = [submit(image, n) for image, n in zip(pixels, numbers, strict=False)]
        done += len(numbers)
        progress.advance(done)
    for future in writing:
        future.result()


def _padded(rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    """Yield rows in batches of one size: a model that is compiled, or tuned, sees one shape.

    The last batch is filled up with its last row.
    """
    for first in range(0, len(rows), batch_size):
        part = rows[first : first + batch_size]
        yield np.pad(part, (0, batch_size - len(part)), mode="edge")


def _marks_in(out: Path, pool: ThreadPoolExecutor) -> dict[str, str | None]:
    """Return the mark of each image below a folder, or nothing where it has none."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out: {out} is a file; give a folder.")
    names = sorted(
        path.relative_to(out).as_posix()
        for path in (out.rglob("*") if out.is_dir() else ())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )
    return dict(zip(names, pool.map(lambda name: _mark_in(out / name), names), strict=True))


def _foreign(
    present: Mapping[str, str | None], marks: Mapping[str, str], weights: str
) -> list[str]:
    """Return the images that must not stay: of these pairs but otherwise made, or another model's.

    Whatever carries no mark and is of none of these pairs is somebody's own.
    """
    return [
        name
        for name, mark in present.items()
        if mark != marks.get(name, mark) or (mark and mark.partition(" ")[0] != weights)
    ]


def _tell(
    out: Path,
    present: Mapping[str, str | None],
    names: Sequence[str],
    foreign: Sequence[str],
    overwrite: bool,
    progress: Progress,
) -> None:
    """Refuse a folder that would mix images of two models; say what else it holds."""
    if foreign and not overwrite:
        raise InputError(
            f"--out: {out} holds {len(foreign):,} images that were made by another model, from "
            f"other data or in another precision, such as {foreign[0]}. Choose another folder, or "
            "have them replaced with --overwrite."
        )
    if extra := sorted(present.keys() - set(names) - set(foreign)):
        progress.say(
            f"{out} also holds {len(extra):,} images that are of none of these pairs, such as "
            f"{extra[0]}; fhpt-eval run scores them too if their names match."
        )


def _some_sources(data: PairSet) -> list[NDArray[np.uint8]]:
    """Decode some of the images that are drawn from."""
    files = dict.fromkeys(data.people[source].file for source in data.pairs[:, 0].tolist())
    return decoded_some(file for file in files if file is not None)


def _mark_in(path: Path) -> str | None:
    """Return the mark that a file carries; whatever is no such PNG carries none."""
    from PIL import Image

    try:
        with opened(path, MAX_BYTES) as file, Image.open(file, formats=("PNG",)) as image:
            mark = image.info.get(MARK)
    except (OSError, SyntaxError, ValueError):
        return None
    return mark if isinstance(mark, str) else None


def _write_about(
    out: Path, loaded: Loaded, data: PairSet, names: Sequence[str], precision: str, warning: str
) -> None:
    """Say beside the images what makes them, and which pair each of them is."""
    about = {
        "weights": loaded.digest,
        "pairs": data.digest,
        "precision": precision,
        "record": loaded.record.values(),
        **({"warning": warning} if warning else {}),
    }
    write_atomically(out / "about.json", (json.dumps(about, indent=1) + "\n").encode())
    rows = [
        [name, *(data.people[place].name for place in (target, source))]
        for name, (source, target) in zip(names, data.pairs.tolist(), strict=True)
    ]
    text = csv_text([["generated", "ground_truth", "source"], *rows])
    write_atomically(out / PAIRS, text.encode())
