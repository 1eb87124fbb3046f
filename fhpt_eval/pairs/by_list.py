"""Match exactly what a list of pairs expects, whatever spelling it has of the files' names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from fhpt_eval.errors import PairingError
from fhpt_eval.images.names import canonical
from fhpt_eval.pairs.claims import Claim
from fhpt_eval.pairs.folder import FolderIndex
from fhpt_eval.pairs.lists import Row, read_list
from fhpt_eval.pairs.naming import RULES, NameRule
from fhpt_eval.pairs.pair import Problem

#: What stands beside the target (a source or a garment), and the target, as names have them.
_Names = tuple[str | None, str]


class Listed:
    """The names of a list in a folder; such as differ in case or leading folders are found too.

    Where two names of the list would so become one file, neither is found.

    Attributes:
        loose: the names that are spelled otherwise than the files, with the files' keys.
        doubtful: the files of names that would become one.
    """

    def __init__(self, folder: FolderIndex, names: Iterable[str]) -> None:
        self._keys: dict[str, str] = {}
        self.loose: dict[str, str] = {}
        by_key: dict[str, set[str]] = {}
        for name in dict.fromkeys(names):
            key = folder.find(name)
            if key is None and not folder.is_twice(name):
                alike = folder.index.find_loosely(name)
                if len(alike) == 1 and alike[0] in folder.files:
                    self.loose[name] = key = alike[0]
            if key is not None:
                self._keys[name] = key
                by_key.setdefault(key, set()).add(canonical(name).casefold())
        self.doubtful = {key for key, same in by_key.items() if len(same) > 1}
        for name, key in list(self.loose.items()):
            if key in self.doubtful:
                del self.loose[name], self._keys[name]

    def find(self, name: str) -> str | None:
        """Return the key of the file that a name of the list means."""
        return self._keys.get(name)


class ListedPairs:
    """Matches generated images with the rows of a list."""

    def __init__(
        self,
        generated: FolderIndex,
        truth: FolderIndex,
        sources: FolderIndex,
        rule: str,
        is_paired: bool,
    ) -> None:
        """Read the names of generated images under one rule, or under all (``"auto"``).

        ``transfer`` and ``try_on`` hold the files by what stands beside the target, and the target.
        """
        self.generated, self.truth, self.sources = generated, truth, sources
        self.is_paired = is_paired
        self.problems: list[Problem] = []
        self.transfer: dict[_Names, str] = {}
        self.try_on: dict[_Names, str] = {}
        for each in RULES:
            if rule in ("auto", each.name):
                self._read(each)

    def _read(self, rule: NameRule) -> None:
        """Enter the names that a rule reads; garments stand beside people in any order."""
        for file in self.generated.files:
            for beside, target in rule.candidates(file):
                names = (None if beside is None else canonical(beside), canonical(target))
                if not rule.target_first:
                    self.transfer.setdefault(names, file)
                if rule.target_first or names[0] is None:
                    self.try_on.setdefault(names, file)
                elif not rule.is_general:
                    self.try_on.setdefault((names[1], names[0]), file)

    def match(self, path: Path) -> tuple[list[Claim], list[str], int]:
        """Return the claims of what a list expects, notes on how it was read, and how many pairs.

        Raises:
            InputError: it cannot be read.
            PairingError: it has no header, and the files do not tell which column is the target.
        """
        rows, form = read_list(path)
        search = _Search(self, rows)
        notes = [f"{path.name} is read as {form}"] if form != "a CSV" else []
        if form == "target,source":
            swapped = _Search(self, [row.swapped for row in rows])
            alone = not search.hits and swapped.is_complete and not search.is_complete
            if swapped.hits > search.hits or alone:
                search, notes = swapped, [f"{path.name} is read as source,target"]
            elif search.hits and swapped.hits == search.hits and search.keys != swapped.keys:
                raise PairingError(
                    f"--pairs: {path} has no header, and its names do not tell which column is the "
                    "target. Put from,to (source, target) or to,from into its first line."
                )
        claims = search.claims(path.name)
        self.problems = search.problems
        return claims, [*notes, *search.notes(path.name)], search.expected


class _Search:
    """The files of the rows of a list."""

    def __init__(self, pairs: ListedPairs, rows: Sequence[Row]) -> None:
        self._pairs, self._rows = pairs, rows
        self.problems: list[Problem] = []
        self._truth = Listed(pairs.truth, (row.target for row in rows))
        self._generated = Listed(pairs.generated, (r.generated for r in rows if r.generated))
        places = pairs.sources if pairs.sources.files else pairs.truth
        self._sources = Listed(places, (row.source for row in rows if row.source))
        self._places = places
        # Of a line with several sources the target counts once.
        self._targets = Counter(t for _, t in {(row.line, row.target) for row in rows})
        self._bases = Counter(_bases(row) for row in rows)
        shown = Counter(row.key for row in rows if row.generated is not None)
        self._by_generated = any(count > 1 for count in shown.values())
        by_names = [self._file_of_names(row) for row in rows]
        self._files = [
            self._file_of_target(row) if file is None else file
            for row, file in zip(rows, by_names, strict=True)
        ]
        self.hits = sum(file is not None for file in by_names)
        self.is_complete = None not in self._files
        self.expected = 0

    @property
    def keys(self) -> set[tuple[str, str | None]]:
        """The files that were found, with the targets that rows give them."""
        return {
            (f, r.target) for f, r in zip(self._files, self._rows, strict=True) if f is not None
        }

    def _file_of_names(self, row: Row) -> str | None:
        """Return the generated image that a row names, or whose name holds both of a row's."""
        if row.generated is not None:
            return self._generated.find(row.generated)
        beside = row.garment or row.source
        if beside is None:
            return None
        by_names = self._pairs.try_on if row.garment else self._pairs.transfer
        file = by_names.get((canonical(beside), canonical(row.target)))
        if file is None:
            file = by_names.get((self._beside(row), self._target(row)))
        if file is None and self._bases[_bases(row)] == 1:
            file = by_names.get(_bases(row))
            file = None if file is not None and "/" in file else file  # its folder may tell
        return file

    def _file_of_target(self, row: Row) -> str | None:
        """Return the image that bears the target's name alone: meant if the target stands once."""
        if row.generated is not None or self._targets[row.target] > 1:
            return None
        by_names = self._pairs.transfer
        file = by_names.get((None, canonical(row.target)))
        return by_names.get((None, self._target(row))) if file is None else file

    def _target(self, row: Row) -> str:
        """Return what a row's target is called in keys of pairs."""
        key = self._truth.find(row.target)
        return canonical(row.target) if key is None else self._pairs.truth.called(key)

    def _beside(self, row: Row) -> str | None:
        """Return what a row's source or garment is called in keys of pairs."""
        if row.source is None:
            return None if row.garment is None else canonical(row.garment)
        key = self._sources.find(row.source)
        return canonical(row.source) if key is None else self._places.called(key)

    def _claim(self, row: Row, file: str, truth: str) -> Claim:
        beside = self._beside(row)
        named = canonical(file) if row.generated is not None and self._by_generated else None
        source, garment = (None, beside) if row.garment else (beside, None)
        item = row.item if row.garment is None else None
        return Claim(file, source, self._target(row), truth, garment, item, named)

    def claims(self, label: str) -> list[Claim]:
        """Return the pairs that are there, and list what is not."""
        claims: list[Claim] = []
        lines: dict[str, int] = {}
        used: dict[str, Row] = {}
        listed = zip(self._rows, self._files, strict=True)
        for _, choices in groupby(listed, key=lambda each: each[0].line):
            line = list(choices)
            hits = [(row, file) for row, file in line if file is not None]
            if len(hits) > 1 and len({file for _, file in hits}) == 1:
                hits = [(replace(hits[0][0], source=None), hits[0][1])]  # named by its target
            for row, file in hits or line[:1]:
                key = self._key(row)
                if key in lines:
                    self._report_twice(row, key, lines[key], label)
                    if file is not None:
                        used.setdefault(file, row)
                    continue
                lines[key] = row.line
                truth = self._truth.find(row.target) if self._pairs.is_paired else ""
                if file is not None and file in used and row.generated is None:
                    self._report_shared(file, used[file], row, label)
                    claims = [claim for claim in claims if claim.file != file]
                    continue
                if file is not None:
                    used[file] = row
                if truth is None or file is None:
                    self._report_missing(row, key, truth, label)
                else:
                    claims.append(self._claim(row, file, truth))
        self._report_unlisted(used, label)
        self.expected = len(lines)
        return claims

    def _key(self, row: Row) -> str:
        if row.generated is not None and self._by_generated:
            return canonical(row.generated)
        return row.key

    def _report_twice(self, row: Row, key: str, line: int, label: str) -> None:
        self.problems.append(
            Problem("duplicate", key, f"stands in lines {line} and {row.line} of {label}")
        )

    def _report_shared(self, file: str, first: Row, row: Row, label: str) -> None:
        name = self._pairs.generated.names[file]
        reason = (
            f"{name} can be read as lines {first.line} and {row.line} of {label}; add a column "
            "'generated' with the files' names"
        )
        self.problems.append(Problem("duplicate", row.key, reason))

    def _report_missing(self, row: Row, key: str, truth: str | None, label: str) -> None:
        wanted = f"wanted by {label}, line {row.line}"
        if truth is None:
            if self._pairs.truth.is_twice(row.target):
                return
            reason = f"no ground truth {row.target} in --gt; {wanted}"
            near = self._near(self._pairs.truth, self._truth, row.target)
        elif row.generated is not None:
            if self._pairs.generated.is_twice(row.generated):
                return
            reason = f"no generated image {row.generated} in --pred; {wanted}"
            near = self._near(self._pairs.generated, self._generated, row.generated)
        else:
            beside = row.garment or row.source
            names = row.target if beside is None else f"{beside}___{row.target}"
            reason = f"no generated image {names} (nor A_2_B, A_to_B, A_B of these); {wanted}"
            near = self._near(self._pairs.generated, None, f"{beside}_2_{row.target}")
        self.problems.append(Problem("missing", key, f"{reason}.{near}".removesuffix(".")))

    def _near(self, folder: FolderIndex, listed: Listed | None, name: str) -> str:
        if len(self.problems) >= FolderIndex.HINTS:
            return ""
        alike = folder.index.find_loosely(name) if listed else []
        if alike and listed and listed.doubtful.intersection(alike):
            return f" {folder.names[alike[0]]} would be meant by several lines"
        return folder.near(name)

    def _report_unlisted(self, used: Mapping[str, Row], label: str) -> None:
        """Report generated images in no row, however the row may spell them."""
        spelled = self._generated.doubtful
        for key in self._pairs.generated.files:
            if key not in used and key not in spelled:
                name = self._pairs.generated.names[key]
                self.problems.append(Problem("extra", name, f"is not expected by {label}"))

    def notes(self, label: str) -> list[str]:
        """Say which names of the list are spelled otherwise than the files."""
        loose = [
            (name, folder.names[key])
            for listed, folder in (
                (self._generated, self._pairs.generated),
                (self._truth, self._pairs.truth),
                (self._sources, self._places),
            )
            for name, key in listed.loose.items()
        ]
        if not loose:
            return []
        name, file = loose[0]
        return [f"{len(loose):,} names of {label} are spelled otherwise: {name} is {file}"]


def _bases(row: Row) -> _Names:
    """Return the names of a row without their folders."""
    beside = row.garment or row.source
    return (
        None if beside is None else canonical(beside).rpartition("/")[2],
        canonical(row.target).rpartition("/")[2],
    )
