"""Match generated images with ground truth by key, and list all that does not fit.

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
from fhpt_eval.images.files import ImageRef
from fhpt_eval.images.listing import list_folder
from fhpt_eval.pairs.lists import Row, read_pairs_csv
from fhpt_eval.pairs.naming import RULES, NameRule, item_of, names_in, pair_key
from fhpt_eval.pairs.pair import Folders, Matching, Pair, Problem

#: The rule that reads what the more special ones read as well.
_CATCH_ALL = RULES[-1]


@dataclass(frozen=True, slots=True)
class _Claim:
    """A generated image (by its file's key) that says which pair it is."""

    file: str
    source: str | None
    target: str
    item: str | None = None

    @property
    def key(self) -> str:
        return pair_key(self.source, self.target)


@dataclass
class _Index:
    """The images of a folder: those with a key of their own, and keys that several files share."""

    files: dict[str, ImageRef] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    duplicates: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    passed_over: Mapping[str, int] = field(default_factory=dict)


def match_pairs(folders: Folders, *, rule: str = "auto", pairs_csv: Path | None = None) -> Matching:
    """Match the generated images of a folder with their ground truth.

    Args:
        folders: where the images are, and of which panels they are strips.
        rule: a name from :data:`fhpt_eval.pairs.naming.RULES`, or ``"auto"`` for the one that
            matches most files.
        pairs_csv: says exactly what is expected: columns ``from,to`` (source and target names),
            or ``generated,ground_truth``; a column ``item`` may stand with either.

    Raises:
        InputError: a folder, the CSV or an option cannot be used.
        PairingError: no generated image has a ground truth.
    """
    known = ("auto", *(named.name for named in RULES))
    if rule not in known:
        raise InputError(f"--match {rule}:{did_you_mean(rule, known)} Rules: {', '.join(known)}.")
    generated = _index(folders.generated, "--pred")
    if folders.is_strip_only and folders.cut is not None:
        folders.cut.check_own_truth()
        if pairs_csv or folders.source or rule != "auto":
            raise InputError(
                "--pred and --gt are one folder, so each strip is a pair of its own: --pairs, "
                "--source and --match do not apply. Leave them out."
            )
        return _Matcher(generated, generated, _Index()).by_strip(folders.cut.label)
    truth = _index(folders.ground_truth, "--gt") if folders.ground_truth else None
    sources = _index(folders.source, "--source") if folders.source else _Index()
    matcher = _Matcher(generated, truth, sources, of_strips=folders.cut is not None)
    if pairs_csv:
        return matcher.by_csv(pairs_csv, rule)
    return matcher.by_rule(rule) if truth else matcher.without_truth(rule)


def _index(root: Path, what: str) -> _Index:
    """List a folder's images by key; two files with one key are a problem, not a choice."""
    listing = list_folder(root, what)
    index = _Index(passed_over=listing.passed_over)
    for path, reason in listing.unreadable.items():
        index.problems.append(Problem("unreadable", str(path), reason))
    for key, paths in listing.images.items():
        index.names[key] = paths[0].relative_to(root).as_posix()
        if len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            reason = f"{names} in {what} have one name; remove all but one"
            index.problems.append(Problem("duplicate", key, reason))
            index.duplicates.add(key)
        else:
            index.files[key] = ImageRef(paths[0])
    return index


class _Matcher:
    """Matches one index of generated images with one of ground truth, if there is any."""

    def __init__(
        self, generated: _Index, truth: _Index | None, sources: _Index, *, of_strips: bool = False
    ) -> None:
        self.generated, self.truth, self.sources = generated, truth or _Index(), sources
        self.is_paired, self.of_strips = truth is not None, of_strips
        sides = {"generated": generated, "ground_truth": self.truth, "source": sources}
        self.problems = list(dict.fromkeys(p for index in sides.values() for p in index.problems))
        self.passed_over = {s: i.passed_over for s, i in sides.items() if i.passed_over}

    def by_rule(self, name: str) -> Matching:
        """Match by the named rule, or by the one that matches most files."""
        rules = [rule for rule in RULES if name in ("auto", rule.name)]
        claims = {rule.name: self._read(rule) for rule in rules}
        if name == "auto":
            special = {file for rule in rules[1:-1] for file in claims[rule.name]}
            general = claims[_CATCH_ALL.name].items()
            claims[_CATCH_ALL.name] = {f: claim for f, claim in general if f not in special}
        counts = {rule.name: len(claims[rule.name]) for rule in rules}
        best = max(rules, key=lambda rule: counts[rule.name])
        matched = claims[best.name]
        if not matched:
            raise PairingError(self._nothing_in_common(rules))
        unmatched = [file for file in self.generated.files if file not in matched]
        lost = self._report_unmatched(unmatched, best)
        if best.separator is None:
            for key in self.truth.files:
                if key not in matched and key not in self.generated.duplicates:
                    reason = f"no generated image; ground truth {self.truth.names[key]} wants it"
                    self.problems.append(Problem("missing", key, reason))
            expected = len(self.truth.names)  # every ground truth wants its generated image
        else:
            keys = {claim.key for claim in matched.values()}
            expected = len(keys) + lost + len(self.generated.duplicates)
        if best.separator is None and self.of_strips:  # the names of strips tell both
            claims_of_strips = [_Claim(file, *names_in(file)) for file in matched]
            return self._matching(claims_of_strips, best.name, counts, expected, own_files=True)
        return self._matching(matched.values(), best.name, counts, expected)

    def without_truth(self, name: str) -> Matching:
        """Take each generated image alone; its source is the one that a rule reads in its name."""
        rules = [rule for rule in RULES if rule.separator and name in ("auto", rule.name)]
        readings = {rule.name: self._read_sources(rule) for rule in rules}
        best = max(readings.values(), key=len, default={})
        claims = [best.get(file) or _Claim(file, *names_in(file)) for file in self.generated.files]
        expected = len({claim.key for claim in claims}) + len(self.generated.duplicates)
        return self._matching(claims, "names of generated images alone", {}, expected)

    def _read_sources(self, rule: NameRule) -> dict[str, _Claim]:
        """Read source and target of every generated image whose source is there."""
        claims = {}
        for file in self.generated.files:
            readings = {r for r in rule.candidates(file) if r[0] in self.sources.files}
            if len(readings) == 1:
                claims[file] = _Claim(file, *readings.pop())
        return claims

    def by_csv(self, path: Path, name: str) -> Matching:
        """Match exactly what a CSV of pairs expects."""
        rows = read_pairs_csv(path)
        find = self._finder(name, rows)
        lines: dict[str, int] = {}
        claims, used = [], set()
        for row in rows:
            if row.key in lines:
                reason = f"stands in lines {lines[row.key]} and {row.line} of {path.name}"
                reason += "" if row.source else "; a column 'source' would tell them apart"
                self.problems.append(Problem("duplicate", row.key, reason))
                continue
            lines[row.key] = row.line
            file = find(row)
            used.add(file)
            wanted = f"wanted by {path.name}, line {row.line}"
            if self.is_paired and row.target not in self.truth.files:
                if row.target not in self.truth.duplicates:
                    reason = f"no ground truth {row.target}; {wanted}"
                    self.problems.append(Problem("missing", row.key, reason))
            elif file is not None:
                claims.append(_Claim(file, row.source, row.target, row.item))
            elif row.generated not in self.generated.duplicates:
                self.problems.append(Problem("missing", row.key, f"no generated image; {wanted}"))
        for key in self.generated.files:
            if key not in used:
                name_ = self.generated.names[key]
                self.problems.append(Problem("extra", name_, f"is not expected by {path.name}"))
        return self._matching(claims, f"the pairs of {path.name}", {}, len(lines))

    def by_strip(self, label: str) -> Matching:
        """Take generated images and ground truth out of the same files."""
        claims = [_Claim(file, *names_in(file)) for file in self.generated.files]
        expected = len({claim.key for claim in claims}) + len(self.generated.duplicates)
        return self._matching(claims, label, {}, expected, own_files=True)

    def _read(self, rule: NameRule) -> dict[str, _Claim]:
        """Read what pair every generated image is, where its target is there."""
        claims = {}
        for file in self.generated.files:
            readings = [r for r in rule.candidates(file) if r[1] in self.truth.files]
            readings = list(dict.fromkeys(readings))
            if len(readings) > 1:  # settled by the source image, where its name is known
                known = self.sources.files or self.truth.files
                readings = [r for r in readings if r[0] in known]
            if len(readings) == 1:
                claims[file] = _Claim(file, *readings[0])
        return claims

    def _finder(self, name: str, rows: Sequence[Row]) -> Callable[[Row], str | None]:
        """Return a look-up of the generated image's key for a row of the CSV."""
        targets = Counter(row.target for row in rows)
        by_names: dict[tuple[str | None, str], str] = {}
        for rule in RULES:
            if name in ("auto", rule.name):
                for file in self.generated.files:
                    for names in rule.candidates(file):
                        by_names.setdefault(names, file)

        def find(row: Row) -> str | None:
            if row.generated is not None:
                return row.generated if row.generated in self.generated.files else None
            file = by_names.get((row.source, row.target))
            # A file that bears the target's name alone is meant only if the target stands once.
            if file is None and targets[row.target] == 1:
                file = by_names.get((None, row.target))
            return file

        return find

    def _matching(
        self,
        claims: Iterable[_Claim],
        rule: str,
        counts: dict[str, int],
        expected: int,
        own_files: bool = False,
    ) -> Matching:
        """Build the pairs; of files that claim to be the same pair none is taken."""
        by_key: dict[str, list[_Claim]] = {}
        for claim in claims:
            by_key.setdefault(claim.key, []).append(claim)
        pairs = []
        for key, same in sorted(by_key.items()):
            if len(same) > 1:
                names = " and ".join(self.generated.names[claim.file] for claim in same)
                reason = f"{names} are the same pair; keep one of them"
                self.problems.append(Problem("duplicate", key, reason))
                continue
            (claim,) = same
            pairs.append(
                Pair(
                    key,
                    self.generated.files[claim.file],
                    self.truth.files.get(claim.file if own_files else claim.target),
                    self.sources.files.get(claim.source or ""),
                    claim.source,
                    claim.target,
                    claim.item or item_of(claim.target),
                )
            )
        return Matching(
            tuple(pairs), rule, counts, tuple(self.problems), expected, self.passed_over
        )

    def _report_unmatched(self, files: Iterable[str], rule: NameRule) -> int:
        """Report files that match nothing; return how many are pairs by their name all the same."""
        lost = 0
        for file in files:
            targets = list(dict.fromkeys(target for _, target in rule.candidates(file)))
            if self.truth.duplicates.intersection(targets):
                lost += 1  # its ground truth is there twice, which is listed already
                continue
            in_truth = [target for target in targets if target in self.truth.files]
            if in_truth:
                reason = f"can be read as any of {', '.join(in_truth)}; give --pairs"
            elif targets and rule.separator is not None:
                lost += 1
                reason = f"no ground truth {targets[-1]}; {self.generated.names[file]} wants it"
                self.problems.append(Problem("missing", file, reason))
                continue
            elif targets:
                reason = f"there is no ground truth {targets[-1]}"
            else:
                reason = f"is not named as {rule.name} ({rule.title})"
            self.problems.append(Problem("extra", self.generated.names[file], reason))
        return lost

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
