"""Pairs: match generated images with ground truth by key, and list all that does not fit.

May import: errors, images, naming, pairs_csv.

Matching never goes by position. A pair's key is the ground truth's name where the generated image
bears it too, and ``SOURCE___TARGET`` where the name tells both, whatever the file's own spelling;
so the results of two methods have the same keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fhpt_eval.errors import InputError, PairingError, did_you_mean
from fhpt_eval.images import ImageRef, Panel, find_images
from fhpt_eval.naming import RULES, NameRule, item_of, names_in, pair_key
from fhpt_eval.pairs_csv import Row, read_pairs_csv

#: Panels (source, target, generated) of the strips that the field writes, by their number.
STRIPS = {3: (1, 2, 3), 5: (1, 3, 5)}


@dataclass(frozen=True, slots=True)
class Pair:
    """A generated image and its ground truth, by key; with them, where known, source and item."""

    key: str
    generated: ImageRef
    ground_truth: ImageRef
    source: ImageRef | None = None
    source_name: str | None = None
    target_name: str = ""
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a pair, or a file, out of a run: what kind, which one, why."""

    kind: str
    name: str
    reason: str


@dataclass(frozen=True)
class Matching:
    """What was matched: the pairs sorted by key, the rule, and what does not fit.

    ``expected`` is the number of pairs that there would be if everything fitted.
    """

    pairs: tuple[Pair, ...]
    rule: str
    counts: Mapping[str, int]
    problems: tuple[Problem, ...]
    expected: int

    def describe(self) -> str:
        """Say in a line which rule matched how many files."""
        others = [f"{rule}: {n}" for rule, n in self.counts.items() if n and rule != self.rule]
        also = f" (other rules: {', '.join(others)})" if others else ""
        return f"{len(self.pairs):,} pairs matched by {self.rule}{also}"


@dataclass(frozen=True)
class Folders:
    """Where images are: folders of generated images, ground truth and, perhaps, source images."""

    generated: Path
    ground_truth: Path
    source: Path | None = None
    panels: int | None = None
    panel: int | None = None

    @property
    def is_strip_only(self) -> bool:
        """Whether the ground truth is a panel of the generated images' own files."""
        return self.panels is not None and self.generated.resolve() == self.ground_truth.resolve()


@dataclass
class _Index:
    """The images of a folder by key, those with one file only."""

    files: dict[str, ImageRef] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    duplicates: set[str] = field(default_factory=set)


def match_pairs(folders: Folders, *, rule: str = "auto", pairs_csv: Path | None = None) -> Matching:
    """Match the generated images of a folder with their ground truth.

    Args:
        folders: where the images are, and the panel to take from strips.
        rule: a name from :data:`fhpt_eval.naming.RULES`, or ``"auto"`` for the one that matches
            most files.
        pairs_csv: says exactly what is expected: columns ``from,to`` (source and target names),
            or ``generated,ground_truth``; a column ``item`` may stand with either.

    Raises:
        InputError: a folder or the CSV cannot be used.
        PairingError: no generated image has a ground truth.
    """
    generated = _index(folders.generated, "--pred", folders.panels, _generated_panel(folders))
    known = ("auto", *(known.name for known in RULES))
    if rule not in known:
        raise InputError(f"--match {rule}: {did_you_mean(rule, known)} Rules: {', '.join(known)}.")
    if folders.is_strip_only:
        if pairs_csv or folders.source or rule != "auto":
            raise InputError(
                "--pred and --gt are one folder, so each strip is a pair of its own: --pairs, "
                "--source and --match have nothing to say. Leave them out."
            )
        truth = _index(folders.ground_truth, "--gt", folders.panels, _strip(folders)[1])
        matching = _match_strips(generated, truth, folders)
    else:
        truth = _index(folders.ground_truth, "--gt", None, None)
        sources = _index(folders.source, "--source", None, None) if folders.source else _Index()
        matcher = _Matcher(generated, truth, sources)
        matching = matcher.by_csv(pairs_csv, rule) if pairs_csv else matcher.by_rule(rule)
    return matching


def _generated_panel(folders: Folders) -> int | None:
    if folders.panels is None:
        if folders.panel is not None:
            raise InputError("--panel needs --panels: of how many is it one?")
        return None
    panel = folders.panel or folders.panels
    if not 1 <= panel <= folders.panels:
        raise InputError(f"--panel {panel} does not lie in 1 to {folders.panels}.")
    return panel


def _strip(folders: Folders) -> tuple[int, int, int]:
    """Return the panels of source, target and generated image."""
    if folders.panels not in STRIPS:
        known = " or ".join(str(n) for n in STRIPS)
        raise InputError(
            f"--pred and --gt are one folder, so the ground truth is a panel of each strip; that "
            f"is known for {known} panels, not {folders.panels}. Give --gt a folder of its own."
        )
    return STRIPS[folders.panels]


def _index(root: Path, what: str, panels: int | None, panel: int | None) -> _Index:
    """List a folder's images by key; two files with one key are a problem, not a choice."""
    index = _Index()
    for key, paths in find_images(root, what).items():
        index.names[key] = paths[0].relative_to(root).as_posix()
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            reason = f"{names} in {root} have one name; remove all but one"
            index.problems.append(Problem("duplicate", key, reason))
            index.duplicates.add(key)
            continue
        index.files[key] = ImageRef(paths[0], Panel(panel, panels) if panels and panel else None)
    return index


def _match_strips(generated: _Index, truth: _Index, folders: Folders) -> Matching:
    """Take source, ground truth and generated image out of the same strips."""
    panel_of_source = _strip(folders)[0]
    pairs: dict[str, Pair] = {}
    problems = list(generated.problems)
    for file, ref in generated.files.items():
        source_name, target = names_in(file)
        key = pair_key(source_name, target)
        if key in pairs:
            names = f"{pairs[key].generated.path.name} and {ref.path.name}"
            problems.append(Problem("duplicate", key, f"{names} are the same pair; remove one"))
            continue
        source = ImageRef(ref.path, Panel(panel_of_source, folders.panels or 1))
        truth_ref = truth.files[file]
        pairs[key] = Pair(key, ref, truth_ref, source, source_name, target, item_of(target))
    rule = f"strips of {folders.panels}"
    expected = len(pairs) + len(generated.duplicates)
    return Matching(_sorted(pairs.values()), rule, {rule: len(pairs)}, tuple(problems), expected)


class _Matcher:
    """Matches one index of generated images with one of ground truth."""

    def __init__(self, generated: _Index, truth: _Index, sources: _Index) -> None:
        self.generated, self.truth, self.sources = generated, truth, sources
        self.problems = [*generated.problems, *truth.problems, *sources.problems]

    def by_rule(self, name: str) -> Matching:
        """Match by the named rule, or by the one that matches most files."""
        rules = [rule for rule in RULES if name in ("auto", rule.name)]
        resolved = {rule.name: self._resolve(rule) for rule in rules}
        counts = {rule: len(found) for rule, found in resolved.items()}
        best = max(rules, key=lambda rule: counts[rule.name])
        if not counts[best.name]:
            raise PairingError(self._nothing_in_common(rules))
        found = resolved[best.name]
        pairs = self._pairs({key: (key, names) for key, names in found.items()})
        extra = [key for key in self.generated.files if key not in found]
        self._report_extra(extra, best)
        if best.separator is None:
            self._report_missing(key for key in self.truth.files if key not in found)
        # What is wrong with pairs that ought to exist; an unexpected image is none of them.
        lost = {p.name for p in self.problems if p.kind in ("missing", "duplicate")}
        expected = len(lost | {pair.key for pair in pairs})
        return Matching(_sorted(pairs), best.name, counts, tuple(self.problems), expected)

    def by_csv(self, path: Path, name: str) -> Matching:
        """Match exactly what a CSV of pairs expects."""
        rows = read_pairs_csv(path)
        find = self._finder(name, rows)
        expected: dict[str, tuple[str, tuple[str | None, str]]] = {}
        items: dict[str, str] = {}
        for row in rows:
            key = row.key
            if key in expected:
                self.problems.append(
                    Problem("duplicate", key, f"stands twice in {path}, line {row.line}")
                )
                continue
            file = find(row)
            if row.target not in self.truth.files:
                reason = f"no ground truth {row.target} (wanted by {path}, line {row.line})"
                self._missing_truth(key, row.target, reason)
            elif file is None:
                self._missing_generated(key, f"wanted by {path}, line {row.line}")
            else:
                expected[key] = (file, (row.source, row.target))
                if row.item:
                    items[key] = row.item
        used = {file for file, _ in expected.values()}
        for key in self.generated.files:
            if key not in used:
                name_ = self.generated.names[key]
                self.problems.append(Problem("extra", name_, f"is not expected by {path}"))
        pairs = self._pairs(expected, items)
        rule = f"the pairs of {path.name}"
        wanted = len({row.key for row in rows})
        return Matching(_sorted(pairs), rule, {rule: len(pairs)}, tuple(self.problems), wanted)

    def _resolve(self, rule: NameRule) -> dict[str, tuple[str | None, str]]:
        """Read (source, target) of every generated image whose target is there."""
        found = {}
        for key in self.generated.files:
            readings = [r for r in rule.candidates(key) if r[1] in self.truth.files]
            readings = list(dict.fromkeys(readings))
            if len(readings) > 1:  # settled by the source image, where its name is known
                known = self.sources.files or self.truth.files
                readings = [r for r in readings if r[0] in known] or readings
            if len(readings) == 1:
                found[key] = readings[0]
        return found

    def _finder(self, name: str, rows: Sequence[Row]) -> Callable[[Row], str | None]:
        """Return a look-up of the generated image's key for a row of the CSV."""
        targets = Counter(row.target for row in rows)
        by_names: dict[tuple[str | None, str], list[str]] = {}
        for rule in RULES:
            if name in ("auto", rule.name):
                for key in self.generated.files:
                    for names in rule.candidates(key):
                        by_names.setdefault(names, []).append(key)

        def find(row: Row) -> str | None:
            if row.generated is not None:
                return row.generated if row.generated in self.generated.files else None
            found = by_names.get((row.source, row.target), [])
            # A file that bears the target's name alone is meant only if the target stands once.
            if not found and targets[row.target] == 1:
                found = by_names.get((None, row.target), [])
            return found[0] if found else None

        return find

    def _pairs(
        self,
        found: Mapping[str, tuple[str, tuple[str | None, str]]],
        items: Mapping[str, str] | None = None,
    ) -> list[Pair]:
        """Build the pairs; two files that name the same source and target are a problem."""
        pairs: dict[str, Pair] = {}
        clashes: set[str] = set()
        for file, (source, target) in found.values():
            key = pair_key(source, target)
            if key in pairs:
                clashes.add(key)
                names = f"{pairs[key].generated.path.name} and {self.generated.names[file]}"
                reason = f"{names} are the same pair; remove one"
                self.problems.append(Problem("duplicate", key, reason))
                continue
            pairs[key] = Pair(
                key,
                self.generated.files[file],
                self.truth.files[target],
                self.sources.files.get(source or ""),
                source,
                target,
                (items or {}).get(key) or item_of(target),
            )
        return [pair for key, pair in pairs.items() if key not in clashes]

    def _report_extra(self, keys: Iterable[str], rule: NameRule) -> None:
        for key in keys:
            targets = list(dict.fromkeys(target for _, target in rule.candidates(key)))
            in_truth = [target for target in targets if target in self.truth.files]
            if self.truth.duplicates.intersection(targets):
                continue  # its ground truth is there twice, which is listed already
            if in_truth:
                reason = f"can be read as any of {', '.join(in_truth)}; give --pairs"
            elif targets:
                reason = f"there is no ground truth {targets[0]}"
            else:
                reason = f"is not named as {rule.name} ({rule.title})"
            self.problems.append(Problem("extra", self.generated.names[key], reason))

    def _report_missing(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._missing_generated(key, f"ground truth {self.truth.names[key]} wants it")

    def _missing_generated(self, key: str, reason: str) -> None:
        if key not in self.generated.duplicates:
            self.problems.append(Problem("missing", key, f"no generated image; {reason}"))

    def _missing_truth(self, key: str, target: str, reason: str) -> None:
        if target not in self.truth.duplicates:
            self.problems.append(Problem("missing", key, reason))

    def _nothing_in_common(self, rules: Sequence[NameRule]) -> str:
        ours = ", ".join(list(self.generated.names.values())[:3])
        theirs = ", ".join(list(self.truth.names.values())[:3])
        tried = "; ".join(f"{rule.name} ({rule.title})" for rule in rules)
        return (
            "No generated image has a ground truth of a matching name.\n"
            f"  generated:    {ours}, ...\n  ground truth: {theirs}, ...\n"
            f"Tried: {tried}.\n"
            "Rename the files, or say what belongs together with --pairs CSV "
            "(columns generated,ground_truth)."
        )


def _sorted(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    return tuple(sorted(pairs, key=lambda pair: pair.key))


def groups_of(pairs: Sequence[Pair]) -> list[int]:
    """Number the groups of pairs that share a source image, a target image or an item.

    Pairs of one person or garment are not independent, so intervals resample whole groups: the
    connected components of "shares something". Returns one group number per pair, in order of
    first appearance.
    """
    parent: dict[str, str] = {}

    def root(label: str) -> str:
        while parent.setdefault(label, label) != label:
            parent[label] = parent[parent[label]]
            label = parent[label]
        return label

    labels = []
    for pair in pairs:
        own = [f"t:{pair.target_name or pair.key}"]
        # A source image is also the target of other pairs, so both live in one name space.
        own += [f"t:{pair.source_name}"] if pair.source_name else []
        own += [f"i:{pair.item}"] if pair.item else []
        for label in own[1:]:
            parent[root(label)] = root(own[0])
        labels.append(own[0])
    numbers: dict[str, int] = {}
    return [numbers.setdefault(root(label), len(numbers)) for label in labels]
