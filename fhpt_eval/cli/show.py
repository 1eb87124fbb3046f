"""What several commands show: progress, tables of scores."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from fhpt_eval.cli.screen import put, say
from fhpt_eval.common.progress import Progress
from fhpt_eval.common.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from fhpt_eval.common.tables import Table
    from fhpt_eval.result import Result, Score

#: In a log, a stage tells how far it is at most this often, in seconds.
_LOG_EVERY = 10.0


class TerminalProgress(Progress):
    """Shows bars on a terminal and plain lines in a log, both on standard error."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._name, self._total, self._unit, self._logged = "", 0, "", 0.0
        #: When the stage told of steps for the first time, and how many there were: some may have
        #: been done before.
        self._first: tuple[float, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.close()

    def say(self, message: str) -> None:
        self.close()
        say(message, err=True)

    def stage(self, name: str, total: int, unit: str = "") -> None:
        self.close()
        name = printable(name)
        self._name, self._total, self._unit, self._first = name, total, unit, None
        self._logged = time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self._bars = Bars(
                TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
                TimeRemainingColumn(), TextColumn("{task.fields[beside]}", markup=False),
                console=Console(stderr=True, markup=False), transient=True,
            )  # fmt: skip
            self._task = self._bars.add_task(name, total=total or None, beside="")
            self._bars.start()

    def advance(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        beside = ", ".join(filter(None, (self._rate(done, now), printable(note))))
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=done, beside=beside)
        elif now - self._logged > _LOG_EVERY:
            self._logged = now
            count = f"{done:,} of {self._total:,}" if self._total else f"{done:,}"
            say(", ".join(filter(None, (f"{self._name}: {count}", beside))), err=True)

    def _rate(self, done: int, now: float) -> str:
        """Return how many steps a second the stage makes, once that is known."""
        self._first = self._first or (now, done)
        seconds, steps = now - self._first[0], done - self._first[1]
        return f"{steps / seconds:,.3g} {self._unit}".rstrip() + "/s" if seconds and steps else ""

    def close(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None


def show_table(table: Table) -> None:
    """Print a table: as wide as the terminal, in a pipe as Markdown of any width."""
    if not sys.stdout.isatty():
        put(table.markdown())
        return
    from rich.console import Console

    console = Console(markup=False, highlight=False)
    for block in table.fitted(console.width):
        console.print(block)


def show_text(text: str) -> None:
    """Print a sentence: on a terminal in lines that break between words."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        text = click.wrap_text(text, width, subsequent_indent="  ")
    say(text)


def load_results(runs: Sequence[Path]) -> list[Result]:
    """Read the results of runs, given by their folders or as ``result.json``.

    A folder without one is left out and named, unless none has one. Where there are no per-pair
    values to check the scores by, that is said.

    Raises:
        ResultError: a file is no result, or a folder's files contradict each other.
    """
    from fhpt_eval.leaderboard.agreement import check_agreement, check_scores_csv
    from fhpt_eval.result import EARLIER, UNFINISHED, Result

    files = [run / "result.json" if run.is_dir() else run for run in runs]
    finished = [file for file in files if file.is_file()]
    if finished:  # a glob also catches folders of runs that were refused or interrupted
        for file in files:
            if file not in finished:
                earlier = (file.parent / f"{EARLIER}result.json").exists()
                lack = UNFINISHED if earlier else "holds no result."
                say(f"Left out: {file.parent} {lack}", err=True)
        files = finished
    folders = {run / "result.json": run for run in runs if run.is_dir()}
    results = []
    for file in files:
        folder = folders.get(file)
        results.append(Result.load(folder or file))
        if results[-1].pair_table is None:
            say(f"{file}: no pairs.csv was read, so its means stand unchecked.", err=True)
    check_agreement(results)
    for file, result in zip(files, results, strict=True):
        if file in folders:
            check_scores_csv(folders[file], result)
    return results


def result_files(runs: Sequence[Path]) -> dict[str, Path]:
    """Return the files of results that :func:`load_results` may read, by what they are."""
    from fhpt_eval.result import FILES

    folders = [run if run.is_dir() else run.parent for run in runs]
    files = [folder / name for folder in folders for name in FILES]
    return {f"the result's {file}": file for file in [*runs, *files]}


def show_scores(result: Result) -> None:
    """Print a result's scores as a table, and below it notes and what there is no score of."""
    say(result.title)
    show_table(result.table())
    notes: dict[str, list[str]] = {}
    for name, score in result.scores.items():
        text = score.reason or score.note
        if text and not score.detail:
            # Of a metric that could not be computed at all its name says enough.
            notes.setdefault(text, []).append(name if score.n else name.partition(".")[0])
    if details := sum(score.detail and score.n > 0 for score in result.scores.values()):
        say(f"{details} details are in scores.csv")
    for text, names in notes.items():
        say(f"{', '.join(dict.fromkeys(names))}: {text}")


def is_complete(scores: dict[str, Score]) -> bool:
    """Whether every score has a value."""
    return all(score.value is not None for score in scores.values())
