"""Match generated images with ground truth by key, and list all that does not fit.

Matching never goes by position. A pair's key is the ground truth's name where the generated image
bears it too, and ``SOURCE___TARGET`` where the name tells both, whatever the file's own spelling;
so the results of two methods have the same keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fhpt_eval.errors import InputError, PairingError, did_you_mean
from fhpt_eval.images.names import canonical, identity_of
from fhpt_eval.pairs.by_list import ListedPairs
from fhpt_eval.pairs.claims import Claim, Reader
from fhpt_eval.pairs.direction import decide
from fhpt_eval.pairs.folder import FolderIndex
from fhpt_eval.pairs.naming import RULES, NameRule, names_in
from fhpt_eval.pairs.pair import Folders, Matching, Pair, Problem
from fhpt_eval.pairs.shapes import Cut

#: Both readings of names A_B.
_TRANSFER, _TRY_ON = (rule for rule in RULES if rule.is_general)


def match_pairs(folders: Folders, *, rule: str = "auto", pairs: Path | None = None) -> Matching:
    """Match the generated images of a folder with their ground truth.

    Args:
        folders: where the images are, and the panel to take from strips.
        rule: a name from :data:`fhpt_eval.pairs.naming.RULES`, or ``"auto"`` for the one that
            matches most files.
        pairs: a list that says exactly what is expected, as :mod:`fhpt_eval.pairs.lists` reads it.

    Raises:
        InputError: a folder, the list or an option cannot be used.
        PairingError: no generated image has a ground truth, or names do not tell which it is.
    """
    known = ("auto", *(named.name for named in RULES))
    if rule not in known:
        raise InputError(f"--match {rule}:{did_you_mean(rule, known)} Rules: {', '.join(known)}.")
    generated = FolderIndex(folders.generated, "--pred")
    if folders.is_strip_only and folders.cut is not None:
        folders.cut.check_own_truth()
        if pairs or folders.source or rule != "auto":
            raise InputError(
                "--pred and --gt are one folder, so each strip is a pair of its own: --pairs, "
                "--source and --match do not apply. Leave them out."
            )
        return _Matcher(generated, generated, FolderIndex(None, "--source")).by_strip(folders.cut)
    truth = FolderIndex(folders.ground_truth, "--gt")
    sources = FolderIndex(folders.source, "--source")
    matcher = _Matcher(generated, truth, sources, of_strips=folders.cut is not None)
    is_paired = folders.ground_truth is not None
    if pairs:
        return matcher.by_list(pairs, ListedPairs(generated, truth, sources, rule, is_paired))
    return matcher.by_rule(rule) if is_paired else matcher.without_truth(rule)


class _Matcher:
    """Matches one folder of generated images with one of ground truth."""

    def __init__(
        self,
        generated: FolderIndex,
        truth: FolderIndex,
        sources: FolderIndex,
        *,
        of_strips: bool = False,
    ) -> None:
        self.generated, self.truth, self.sources = generated, truth, sources
        self.of_strips = of_strips
        self.problems: list[Problem] = []
        self.notes: list[str] = []
        self._reader = Reader(truth, sources)

    def by_rule(self, name: str) -> Matching:
        """Match by the named rule, or by the one that matches most files."""
        rules = [rule for rule in RULES if name in ("auto", rule.name)]
        claims = self._by_rules() if name == "auto" else {name: self._read(rules[0])}
        best = max(rules, key=lambda rule: len(claims[rule.name]))
        matched = claims[best.name]
        if not matched:
            raise PairingError(self._nothing_in_common(rules))
        lost = self._report_unmatched([f for f in self.generated.files if f not in matched], best)
        if best.separator is None:
            expected = self._report_unclaimed({claim.truth for claim in matched.values()})
        else:
            keys = {claim.key for claim in matched.values()}
            expected = len(keys) + lost + len(self.generated.duplicates)
        counts = {rule.name: len(claims[rule.name]) for rule in rules}
        pairs: Iterable[Claim] = matched.values()
        if best.separator is None and self.of_strips:  # the names of strips tell both
            pairs = [Claim(claim.file, *names_in(claim.file), claim.truth) for claim in pairs]
        return self._matching(pairs, best.name, counts, expected)

    def by_list(self, path: Path, listed: ListedPairs) -> Matching:
        """Match exactly what a list of pairs expects."""
        claims, notes, expected = listed.match(path)
        self.problems, self.notes = listed.problems, notes
        return self._matching(claims, f"the pairs of {path.name}", {}, expected)

    def by_strip(self, cut: Cut) -> Matching:
        """Take generated images and ground truth out of the same files."""
        claims = [Claim(file, *names_in(file), file) for file in self.generated.files]
        expected = len({claim.key for claim in claims}) + len(self.generated.duplicates)
        matching = self._matching(claims, cut.label, {}, expected)
        first = self.generated.names[claims[0].file] if claims else ""
        example = f"panel {cut.generated} is compared with panel {cut.ground_truth} in {first}"
        return replace(matching, example=example)

    def without_truth(self, name: str) -> Matching:
        """Take each generated image alone; its source is the one that a rule reads in its name."""
        rules = [rule for rule in RULES if rule.separator and name in ("auto", rule.name)]
        readings = {rule.name: self._read_sources(rule) for rule in rules}
        best = max(readings.values(), key=len, default={})
        claims = [
            best.get(file) or Claim(file, *names_in(file), "") for file in self.generated.files
        ]
        expected = len({claim.key for claim in claims}) + len(self.generated.duplicates)
        return self._matching(claims, "names of generated images alone", {}, expected)

    def _read_sources(self, rule: NameRule) -> dict[str, Claim]:
        """Read source and target of every generated image whose source is there."""
        claims = {}
        for file in self.generated.files:
            readings = {
                (self._reader.name_of(beside), canonical(target))
                for beside, target in rule.candidates(file)
                if beside is not None and self.sources.find(beside) is not None
            }
            if len(readings) == 1 and not rule.target_first:
                claims[file] = Claim(file, *readings.pop(), "")
        return claims

    def _by_rules(self) -> dict[str, Mapping[str, Claim]]:
        """Return what every rule reads; the general ones only what no special one does.

        Raises:
            PairingError: most names are of two halves, and nothing tells which is the target.
        """
        special = {rule.name: self._read(rule) for rule in RULES if not rule.is_general}
        named: set[str] = set()
        for rule in RULES[1:]:
            if not rule.is_general:
                claims = special[rule.name]
                special[rule.name] = {f: c for f, c in claims.items() if not self._is_chance(c)}
                named |= special[rule.name].keys()
        files = [file for file in self.generated.files if file not in named]
        readings = [self._read(rule, files) for rule in (_TRANSFER, _TRY_ON)]
        directions = decide(readings[0], readings[1], self.truth)
        if len(directions.undecided) > max(map(len, special.values())):
            directions.refuse_undecided(self.generated, self.truth)
        return {
            **special,
            _TRANSFER.name: directions.transfer,
            _TRY_ON.name: directions.try_on,
        }

    def _is_chance(self, claim: Claim) -> bool:
        """Whether a separator stands in a name by chance, as in ``img_2_img_3``.

        So it is if the source is neither there nor named as the target is, and a general rule
        reads two names of which that can be said.
        """
        source = claim.source or ""
        if identity_of(source) or self._is_likely(source, claim.target):
            return False
        return any(
            self.truth.find(target) is not None and self._is_likely(source or "", target)
            for source, target in _TRANSFER.candidates(claim.file)
        )

    def _is_likely(self, source: str, target: str) -> bool:
        return self._is_there(source) or _shape(source) == _shape(target)

    def _is_there(self, name: str) -> bool:
        return self.truth.find(name) is not None or self.sources.find(name) is not None

    def _read(self, rule: NameRule, files: Iterable[str] | None = None) -> dict[str, Claim]:
        """Read what pair every generated image is, where its target is there."""
        files = self.generated.files if files is None else files
        claims = ((file, self._reader.read(rule, file)) for file in files)
        return {file: claim for file, claim in claims if claim is not None}

    def _report_unclaimed(self, claimed: set[str]) -> int:
        """Report ground truth without generated image; return how many are to have one."""
        aside = self.truth.layout.aside - claimed
        doubled = {c for k in self.generated.duplicates if (c := self.truth.find(k)) is not None}
        for key in self.truth.files:
            if key not in claimed and key not in aside and key not in doubled:
                reason = f"no generated image; ground truth {self.truth.names[key]} wants it"
                self.problems.append(Problem("missing", key, reason))
        return len(self.truth.names) - len(aside)

    def _report_unmatched(self, files: Iterable[str], rule: NameRule) -> int:
        """Report files that match nothing; return how many are pairs by their name all the same."""
        lost = 0
        for file in files:
            targets = list(dict.fromkeys(target for _, target in rule.candidates(file)))
            if sum(self.truth.is_twice(target) for target in targets):
                lost += 1  # its ground truth is there twice, which is listed
                continue
            name = self.generated.names[file]
            in_truth = [target for target in targets if self.truth.find(target) is not None]
            if in_truth:
                reason = f"can be read as any of {', '.join(in_truth)}; give --pairs"
            elif targets and rule.separator is not None:
                lost += 1
                reason = f"no ground truth {targets[-1]}; {name} wants it.{self._near(targets[-1])}"
                self.problems.append(Problem("missing", file, reason.removesuffix(".")))
                continue
            elif targets:
                reason = f"there is no ground truth {targets[-1]}.{self._near(targets[-1])}"
            else:
                reason = f"is not named as {rule.name} ({rule.title})"
            self.problems.append(Problem("extra", name, reason.removesuffix(".")))
        return lost

    def _near(self, name: str) -> str:
        return self.truth.near(name) if len(self.problems) < FolderIndex.HINTS else ""

    def _matching(
        self, claims: Iterable[Claim], rule: str, counts: dict[str, int], expected: int
    ) -> Matching:
        """Build the pairs; of files that claim to be the same pair none is taken."""
        by_key: dict[str, list[Claim]] = {}
        for claim in claims:
            by_key.setdefault(claim.key, []).append(claim)
        pairs = []
        example = ""
        for key, same in sorted(by_key.items()):
            if len(same) > 1:
                names = " and ".join(self.generated.names[claim.file] for claim in same)
                reason = f"{names} are the same pair; keep one of them"
                self.problems.append(Problem("duplicate", key, reason))
                continue
            (claim,) = same
            source = self.sources.find(claim.source or "")
            pairs.append(
                Pair(
                    key,
                    self.generated.files[claim.file],
                    self.truth.files.get(claim.truth),
                    None if source is None else self.sources.files[source],
                    claim.source,
                    claim.target,
                    claim.shown,
                )
            )
            example = example or self._example(claim)
        sides = {"generated": self.generated, "ground_truth": self.truth, "source": self.sources}
        problems = [problem for side in sides.values() for problem in side.problems]
        return Matching(
            tuple(pairs), rule, counts, tuple(dict.fromkeys([*problems, *self.problems])), expected,
            example, (*self.truth.layout.describe("--gt"), *self.notes),
            {side: index.passed_over for side, index in sides.items() if index.passed_over},
        )  # fmt: skip

    def _example(self, claim: Claim) -> str:
        """Say what a pair's files are; nothing of an image without ground truth."""
        truth = self.truth.names.get(claim.truth)
        return f"{self.generated.names[claim.file]} is compared with {truth}" if truth else ""

    def _nothing_in_common(self, rules: Sequence[NameRule]) -> str:
        ours = ", ".join(list(self.generated.names.values())[:3])
        theirs = ", ".join(list(self.truth.names.values())[:3])
        halves = self._halves(rules)
        tried = "; ".join(f"{rule.name} ({rule.title})" for rule in rules)
        return (
            "No generated image has a ground truth of a matching name.\n"
            f"  generated:    {ours}, ...\n  ground truth: {theirs}, ...\n"
            f"{halves}Tried: {tried}.\n"
            "Rename the files, or say what belongs together with --pairs CSV "
            "(columns generated,ground_truth)."
        )

    def _halves(self, rules: Sequence[NameRule]) -> str:
        """Say of the first name that holds names of ground truth all the same which they are."""
        for file, name in self.generated.names.items():
            readings = (r for rule in rules if rule.separator for r in rule.candidates(file))
            targets = {target for _, target in readings if self.truth.find(target) is not None}
            if targets:
                return (
                    f"{name} may be meant for {' or '.join(sorted(targets))}, which nothing "
                    "decides: give --pairs, or --match.\n"
                )
        return ""


def _shape(name: str) -> str:
    """Return a name with 0 for its numbers."""
    return re.sub(r"\d+", "0", name)
