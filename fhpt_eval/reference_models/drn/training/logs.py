"""What a training writes of itself: a CSV, TensorBoard where it is installed, sample grids."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from fhpt_eval.common.files import csv_text, read_text, write_atomically
from fhpt_eval.common.progress import Progress
from fhpt_eval.common.training import Row
from fhpt_eval.errors import StorageError
from fhpt_eval.images.files import encode
from fhpt_eval.reference_models.drn.configuration import TrainingSettings
from fhpt_eval.reference_models.drn.training.schedule import learning_rate, stage_of
from fhpt_eval.reference_models.drn.training.trainer import LOSSES

if TYPE_CHECKING:
    import numpy as np
    from torch.utils.tensorboard import SummaryWriter

# Largest log that is read, in bytes: millions of rows.
_MAX_BYTES = 2**30
#: Columns of the CSV; a loss that a stage does not have is an empty cell.
COLUMNS = ("step", "stage", "learning_rate", *LOSSES, "images_per_second", "seconds")


class Log:
    """The log of one training, of the losses' means since the row before.

    Rows behind the step at which a training goes on are dropped: they will come again.
    """

    def __init__(
        self, out: Path, step: int, settings: TrainingSettings, progress: Progress
    ) -> None:
        """Open ``out/log.csv`` and, where TensorBoard is installed, ``out/tensorboard``.

        Raises:
            StorageError: they cannot be written.
        """
        self._path = out / "log.csv"
        self._settings = settings
        write_atomically(self._path, csv_text([COLUMNS, *_rows_until(self._path, step)]).encode())
        self._board = _open_board(out / "tensorboard", step, progress)

    def write(self, row: Row) -> None:
        """Add a row."""
        values: dict[str, float | int | str] = {
            "step": row.step,
            "stage": stage_of(row.step - 1, self._settings),
            "learning_rate": learning_rate(row.step - 1, self._settings),
            **row.losses,
            "images_per_second": row.images_per_second,
            "seconds": round(row.seconds, 3),
        }
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(csv_text([[values.get(column) for column in COLUMNS]]))
        except OSError as error:
            raise StorageError(f"{self._path} cannot be written ({error.strerror}).") from error
        if self._board is not None:
            for column in COLUMNS[2:-1]:
                if column in values:
                    self._board.add_scalar(column, values[column], row.step)
            self._board.flush()

    def image(self, grid: NDArray[np.uint8], path: Path, step: int) -> None:
        """Write a sample grid as PNG, and show it in TensorBoard."""
        write_atomically(path, png_bytes(grid))
        if self._board is not None:
            self._board.add_image("samples", grid, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        if self._board is not None:
            self._board.close()


def png_bytes(
    image: NDArray[np.uint8], *, text: Mapping[str, str] | None = None, level: int = 6
) -> bytes:
    """Return an image ``(H, W, 3)`` as PNG, with texts in its header."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, value in (text or {}).items():
        info.add_text(key, value)
    return encode(image, "PNG", pnginfo=info, compress_level=level)


def _rows_until(path: Path, step: int) -> list[list[str]]:
    """Return an older log's rows up to a step; a row that was cut off by a kill is dropped.

    Its header counts: one of another version may lack a loss.
    """
    if not path.is_file():
        return []
    try:
        text = read_text(path, _MAX_BYTES, "another folder", error=StorageError)
        rows = list(csv.reader(io.StringIO(text, newline=None)))
    except csv.Error as error:
        raise StorageError(f"{path} is no log of a training ({error}); move it away.") from error
    header = rows[0] if rows else []
    complete = [dict(zip(header, row, strict=True)) for row in rows[1:] if len(row) == len(header)]
    kept = [row for row in complete if row.get("step", "").isdecimal()]
    return [[row.get(name, "") for name in COLUMNS] for row in kept if int(row["step"]) <= step]


def _open_board(folder: Path, step: int, progress: Progress) -> SummaryWriter | None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        progress.say(
            "TensorBoard is not installed (extra 'drn'): losses go to log.csv, samples to samples/."
        )
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)
