"""Whether a result's files agree with each other, and results of the same images too."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.common.files import read_text
from fhpt_eval.common.intervals import mean
from fhpt_eval.common.settings import digest_of
from fhpt_eval.errors import ResultError
from fhpt_eval.leaderboard.entries import counted_of
from fhpt_eval.result import MAX_JSON_BYTES, PairTable, Result, Score

#: How far two numbers may lie apart, relatively: the same bits give the same sum.
_SAME = 1e-9
#: The same for two machines or two versions of the code, whose roundings differ.
_ROUNDING = 1e-3
#: Values as small as this are rounding of 0.
_ZERO = 1e-9
#: So many contradictions of a result are listed.
_SHOWN = 5


def check_agreement(results: Sequence[Result]) -> None:
    """Refuse results that contradict their own pairs, or each other about the same images.

    Raises:
        ResultError: names each score, with both numbers.
    """
    faults = []
    for result in results:
        wrong = list(_against_pairs(result))
        faults += [f"{result.method}: {fault}" for fault in wrong[:_SHOWN]]
        if len(wrong) > _SHOWN:
            faults.append(f"{result.method}: and {len(wrong) - _SHOWN} more scores")
    for first, second in combinations(results, 2):
        faults += _against_each_other(first, second)
    if faults:
        raise ResultError(
            "These results contradict themselves, so none of them is shown.\n  "
            + "\n  ".join(faults)
            + "\nScore the images again, or leave these results out."
        )


def check_scores_csv(folder: Path, result: Result) -> None:
    """Refuse a run's folder whose ``scores.csv`` has other values than its ``result.json``.

    Raises:
        ResultError: names the first such score, with both numbers.
    """
    file = folder / "scores.csv"
    if not file.is_file():
        return
    text = read_text(file, MAX_JSON_BYTES, "the file that the run wrote", error=ResultError)
    try:
        rows = {row["score"]: row["value"] for row in csv.DictReader(io.StringIO(text))}
        written = {name: float(value) if value else None for name, value in rows.items()}
    except (KeyError, ValueError, csv.Error):
        raise ResultError(f"{file}: is not the scores.csv that a run wrote.") from None
    for name, score in result.scores.items():
        if name in written and not _same(written[name], score.value, _SAME):
            raise ResultError(
                f"{folder} contradicts itself: {name} is {_text(written[name])} in scores.csv and "
                f"{_text(score.value)} in result.json. Score the images again."
            )


def _against_pairs(result: Result) -> Iterator[str]:
    """Say what a result claims of its pairs that its table of pairs has otherwise.

    A score without a value claims nothing: its reason says why.
    """
    table = result.pair_table
    if table is None:
        return
    if len(table.keys) != result.test_set.pairs:
        yield (
            f"result.json is of {result.test_set.pairs:,} pairs, and pairs.csv has "
            f"{len(table.keys):,}"
        )
        return
    for name, score in result.scores.items():
        if name not in table.columns or score.value is None:
            continue
        if score.weight and score.weight not in table.columns:
            yield f"{name} is weighted by {score.weight}, which pairs.csv has not"
            continue
        values, weights = _counted(table, name, score, counted_of(result, name))
        defined = ~np.isnan(values) & (weights > 0)
        count = int(defined.sum())
        average = mean(values[defined], weights[defined]) if count else math.nan
        if count != score.n or not _same(average, score.value, _SAME):
            yield (
                f"{name} is {_text(score.value)} over {score.n:,} pairs in result.json, and the "
                f"mean in pairs.csv is {_text(average)} over {count:,}"
            )
        elif score.over != _over(table.keys, defined):
            yield f"{name} rests on other pairs in result.json than in pairs.csv"


def _counted(
    table: PairTable, name: str, score: Score, batch: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the values of the pairs that count, and their weights."""
    number = len(table.keys)
    number -= number % batch if batch and number >= batch else 0
    values = table.columns[name][:number]
    weights = np.nan_to_num(table.columns[score.weight][:number]) if score.weight else None
    return values, np.ones(number) if weights is None else weights


def _over(keys: Sequence[str], defined: NDArray[np.bool_]) -> str | None:
    """Return what a score says of its pairs: the digest of their keys, unless they are all."""
    if defined.sum() == len(keys):
        return None
    return digest_of([key for key, counts in zip(keys, defined, strict=False) if counts])


def _against_each_other(first: Result, second: Result) -> Iterator[str]:
    """Say which scores two results claim otherwise of one set of images under one protocol."""
    ours, theirs = first.provenance, second.provenance
    alike = (
        ours.generated_digest == theirs.generated_digest
        and first.protocol.digest == second.protocol.digest
        and first.test_set.digest == second.test_set.digest
    )
    if not alike:
        return
    made = [(p.code, p.device, p.software) for p in (ours, theirs)]
    tolerance = _SAME if made[0] == made[1] else _ROUNDING
    for name in first.scores.keys() & second.scores.keys():
        values = first.scores[name].value, second.scores[name].value
        if None not in values and not _same(*values, tolerance):
            yield (
                f"{name} of the same images is {_text(values[0])} of {first.method} and "
                f"{_text(values[1])} of {second.method}"
            )


def _same(first: float | None, second: float | None, tolerance: float) -> bool:
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=tolerance, abs_tol=_ZERO)


def _text(value: float | None) -> str:
    return "empty" if value is None else f"{value:.6g}"
