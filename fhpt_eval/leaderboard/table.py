"""Put results side by side, or say why they cannot be."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fhpt_eval.common.files import Cell, csv_text
from fhpt_eval.common.settings import MISSING, differences
from fhpt_eval.common.tables import Table, arrowed
from fhpt_eval.errors import ResultError, did_you_mean
from fhpt_eval.leaderboard.agreement import check_agreement
from fhpt_eval.result import Result

if TYPE_CHECKING:
    import pandas as pd


#: So many settings in which two protocols differ are told.
_MOST_LINES = 8


@dataclass(frozen=True)
class Leaderboard:
    """Results of different methods under one protocol on one test set, and their scores' names."""

    results: tuple[Result, ...]
    scores: tuple[str, ...]

    def rows(self) -> list[list[Cell]]:
        """Return the table: a header, then a row per method."""
        header: list[Cell] = ["method"]
        for name in self.scores:
            header += [name, f"{name}_low", f"{name}_high"]
        header += ["pairs", "coverage", "groups", "protocol", "protocol_digest"]
        header += ["test_set_digest", "version"]
        return [header, *(self._row(result) for result in self.results)]

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a DataFrame indexed by ``method``; scores without a value are NaN."""
        import pandas as pd

        header, *rows = self.rows()
        frame = pd.DataFrame(rows, columns=header).set_index("method")
        figures = [f"{name}{end}" for name in self.scores for end in ("", "_low", "_high")]
        return frame.astype(dict.fromkeys(figures, float))

    def table(self) -> Table:
        """Return the scores for people; the best value of each is bold."""
        names = self.headlines()
        heads = [arrowed(name, self.direction(name)) for name in names]
        rows = [
            [result.method, *(_cell(result, name) for name in names), f"{result.test_set.pairs:,}"]
            for result in self.results
        ]
        bold = {
            (row, column)
            for column, name in enumerate(names, start=1)
            for row, result in enumerate(self.results)
            if result.method in self.best(name)
        }
        return Table(["method", *heads, "pairs"], rows, bold=frozenset(bold))

    def headlines(self) -> list[str]:
        """Return the scores that have a place on a terminal: with a value, and no details."""
        return [
            name for name in self.scores
            if any(_has_value(result, name) for result in self.results) and not self._detail(name)
        ]  # fmt: skip

    def notes(self) -> list[str]:
        """Say which scores no method has, and over which pairs means are that are not over all."""
        names = self.headlines()
        nowhere = [n for n in self.scores if n not in names and not self._detail(n)]
        notes = [f"No method has: {', '.join(nowhere)}. Each result.json says why."] * bool(nowhere)
        partly = [
            name
            for name in names
            if any(r.scores[name].coverage < 1 for r in self.results if _has_value(r, name))
        ]
        same = [name for name in partly if self.over_same_pairs(name)]
        if same:
            notes.append(f"Over the same share of the pairs, for all methods: {', '.join(same)}.")
        if len(same) < len(partly):
            apart = ", ".join(name for name in partly if name not in same)
            notes.append(
                f"Over other pairs than other methods' where it stands with a percentage: {apart}. "
                "Such a value is never the best."
            )
        return notes + self._standings()

    def _standings(self) -> list[str]:
        """Say what the results may be compared with: once, or of each where they differ."""
        methods: dict[str, list[str]] = {}
        for result in self.results:
            methods.setdefault(result.protocol.standing, []).append(result.method)
        if len(methods) < 2:
            return list(filter(None, methods))
        return [f"{', '.join(names)}: {line}" for line, names in methods.items() if line]

    def _detail(self, score: str) -> bool:
        return all(r.scores[score].detail for r in self.results if score in r.scores)

    def to_csv(self) -> str:
        """Return the text of ``leaderboard.csv``; cells of scores without a value are empty."""
        return csv_text(self.rows())

    def best(self, score: str) -> set[str]:
        """Return the methods with the best value of a score; ties are all the best.

        A score that is not defined for all pairs is never the best, unless all methods' are means
        over the same ones; nor is one without a direction, such as a spread.
        """
        if self.direction(score) == "none":
            return set()
        alike = self.over_same_pairs(score)
        values = {
            r.method: r.scores[score].value
            for r in self.results
            if score in r.scores and (alike or r.scores[score].coverage == 1)
        }
        defined = {method: value for method, value in values.items() if value is not None}
        if not defined:
            return set()
        pick = max if self.direction(score) == "higher" else min
        top = pick(defined.values())
        return {method for method, value in defined.items() if value == top}

    def over_same_pairs(self, score: str) -> bool:
        """Whether all methods that have a score have it over the same pairs."""
        defined = [r.scores[score] for r in self.results if _has_value(r, score)]
        return len({(score.n, score.over) for score in defined}) < 2

    def direction(self, score: str) -> str:
        """Return which direction of a score is better."""
        return next(r.scores[score].direction for r in self.results if score in r.scores)

    def _row(self, result: Result) -> list[Cell]:
        row: list[Cell] = [result.method]
        for name in self.scores:
            score = result.scores.get(name)
            low, high = (score.interval if score else None) or (None, None)
            row += [score.value if score else None, low, high]
        version = result.provenance.software.get("fhpt-eval")
        protocol = result.protocol
        coverage = min(score.coverage for score in result.scores.values())
        return [*row, result.test_set.pairs, coverage, result.provenance.groups, protocol.id,
                protocol.digest, result.test_set.digest, version]  # fmt: skip


def build(results: Sequence[Result], sort: str | None = None) -> Leaderboard:
    """Put results side by side, best first by ``sort``.

    Unless given that is the first score with a direction; without any they stand by name.

    Methods without a value come last, and before them those whose value is not over all pairs.

    Raises:
        ResultError: they cannot be compared; the message says in which fields they differ. Or
            there is no score ``sort``, or no value of it is better than another.
    """
    if not results:
        raise ResultError("A leaderboard needs at least one result.")
    _check_comparable(results)
    methods = Counter(result.method for result in results)
    twice = [method for method, count in methods.items() if count > 1]
    if twice:
        raise ResultError(
            f"Several results are named {', '.join(twice)}. Give each run a --name of its own."
        )
    check_agreement(results)
    # A dict keeps the protocol's order, and takes up scores that only some results have.
    scores = tuple(dict.fromkeys(name for result in results for name in result.scores))
    board = Leaderboard(tuple(results), scores)
    directed = [name for name in scores if board.direction(name) != "none"]
    key = sort or (directed[0] if directed else "")
    if key in scores and key not in directed:
        raise ResultError(
            f"'{key}' goes with another score: no value of it is better than another, so nothing "
            f"can be sorted by it. Scores to sort by: {', '.join(directed) or 'none'}."
        )
    if key not in scores and directed:
        raise ResultError(
            f"There is no score '{key}'.{did_you_mean(key, directed)} Scores: "
            f"{', '.join(directed)}."
        )
    if not key:
        return Leaderboard(tuple(sorted(results, key=lambda result: result.method)), scores)
    alike = board.over_same_pairs(key)
    sign = -1.0 if board.direction(key) == "higher" else 1.0

    def rank(result: Result) -> tuple[bool, bool, float, str]:
        score = result.scores.get(key)
        value = score.value if score else None
        partly = score is not None and score.coverage < 1 and not alike
        return (value is None, partly, sign * (value or 0.0), result.method)

    return Leaderboard(tuple(sorted(results, key=rank)), scores)


def _has_value(result: Result, score: str) -> bool:
    return score in result.scores and result.scores[score].value is not None


def _cell(result: Result, name: str) -> str:
    score = result.scores.get(name)
    if score is None or score.value is None:
        return "-"
    return f"{score.value:.4f}" + (f" ({score.coverage:.0%})" if score.coverage < 1 else "")


def _unlike_settings(first: Result, second: Result) -> list[str]:
    """Return a line for each setting in which protocols differ, and what metrics one alone has."""
    ours, theirs = (dict(result.protocol.settings.get("metrics", {})) for result in (first, second))
    lines = [
        f"{result.protocol.id} alone has {', '.join(sorted(names))}"
        for result, names in ((first, ours.keys() - theirs), (second, theirs.keys() - ours))
        if names
    ]
    for name in ours.keys() ^ theirs.keys():
        ours.pop(name, None), theirs.pop(name, None)
    unlike = differences(ours, theirs)
    return [f"{name}: {_text(a)} and {_text(b)}" for name, a, b in unlike] + lines


def _text(setting: object) -> str:
    return "nothing" if setting is MISSING else json.dumps(setting)


def _check_comparable(results: Sequence[Result]) -> None:
    """Refuse to rank what was not measured alike."""
    first = results[0]
    faults = []
    for result in results[1:]:
        names = f"{first.method} and {result.method}"
        if result.protocol.digest != first.protocol.digest:
            lines = _unlike_settings(first, result)
            shown = lines[:_MOST_LINES]
            if len(lines) > _MOST_LINES:
                shown.append(f"and {len(lines) - _MOST_LINES} more: fhpt-eval protocols diff")
            faults.append(
                f"{names} were scored under different protocols "
                f"({first.protocol.id} and {result.protocol.id}):\n  " + "\n  ".join(shown)
            )
        if result.test_set.digest != first.test_set.digest:
            ours, theirs = first.test_set, result.test_set
            faults.append(
                f"{names} were scored on different test sets: {ours.pairs:,} pairs with digest "
                f"{ours.digest[:12]} and {theirs.pairs:,} pairs with digest {theirs.digest[:12]} "
                f"(keys or ground-truth pixels differ; excluded: {len(first.provenance.excluded)} "
                f"and {len(result.provenance.excluded)})"
            )
        elif result.provenance.groups != first.provenance.groups:
            faults.append(
                f"{names} have intervals over different groups ({first.provenance.groups:,} and "
                f"{result.provenance.groups:,}): items or sources were known to one run only"
            )
    if faults:
        raise ResultError(
            "These results cannot be ranked together.\n" + "\n".join(faults) + "\n"
            "Score them under one protocol on one test set, or make a leaderboard of each."
        )
