"""Match generated images with ground truth by key, and list all that does not fit.

Matching never goes by position. A pair's key is the ground truth's name where the generated image
bears it too, and ``SOURCE___TARGET`` where the name tells both, whatever the file's own spelling;
so the results of two methods have the same keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from fhpt_eval.errors import InputError, PairingError, did_you_mean
from fhpt_eval.images.files import ImageRef, Panel
from fhpt_eval.images.names import identity_of
from fhpt_eval.pairs.by_list import ListedPairs
from fhpt_eval.pairs.claims import Claim, Reader
from fhpt_eval.pairs.direction import decide
from fhpt_eval.pairs.folder import FolderIndex
from fhpt_eval.pairs.naming import RULES, NameRule, names_in, pair_key
from fhpt_eval.pairs.pair import Folders, Matching, Pair, Problem

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
    panel = folders.generated_panel()
    panels = Panel(panel, folders.panels) if folders.panels and panel else None
    generated = FolderIndex(folders.generated, "--pred", panels)
    if folders.is_strip_only:
        if pairs or folders.source or rule != "auto":
            raise InputError(
                "--pred and --gt are one folder, so each strip is a pair of its own: --pairs, "
                "--source and --match do not apply. Leave them out."
            )
        return _match_strips(generated, folders)
    truth = FolderIndex(folders.ground_truth, "--gt")
    sources = FolderIndex(folders.source, "--source")
    if pairs:
        listed = ListedPairs(generated, truth, sources, rule)
        claims, notes, expected = listed.match(pairs)
        matcher = _Matcher(generated, truth, sources, [*listed.problems], notes)
        return matcher.matching(claims, f"the pairs of {pairs.name}", {}, expected)
    return _Matcher(generated, truth, sources).by_rule(rule)


def _match_strips(generated: FolderIndex, folders: Folders) -> Matching:
    """Take source, ground truth and generated image out of the same strips."""
    source, target, _ = folders.strip()
    count = folders.panels or 1
    truth, sources = FolderIndex(None, "--gt"), FolderIndex(None, "--source")
    claims = []
    for file, ref in generated.files.items():
        truth.files[file] = ImageRef(ref.path, Panel(target, count))
        truth.names[file] = f"its panel {target}"
        sources.files[file] = ImageRef(ref.path, Panel(source, count))
        name, target_name = names_in(file)
        own = pair_key(name, target_name)
        claims.append(Claim(file, name, target_name, file, named=own))
    expected = len({claim.key for claim in claims}) + len(generated.duplicates)
    matcher = _Matcher(generated, truth, sources)
    return matcher.matching(claims, f"strips of {count}", {}, expected, own_panels=True)


class _Matcher:
    """Matches one folder of generated images with one of ground truth."""

    def __init__(
        self,
        generated: FolderIndex,
        truth: FolderIndex,
        sources: FolderIndex,
        problems: Iterable[Problem] = (),
        notes: Iterable[str] = (),
    ) -> None:
        self.generated, self.truth, self.sources = generated, truth, sources
        self.problems, self.notes = list(problems), list(notes)
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
        return self.matching(matched.values(), best.name, counts, expected)

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
        there = {c for k in self.generated.duplicates if (c := self.truth.find(k)) is not None}
        for key in self.truth.files:
            if key not in claimed and key not in aside and key not in there:
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

    def matching(
        self,
        claims: Iterable[Claim],
        rule: str,
        counts: dict[str, int],
        expected: int,
        own_panels: bool = False,
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
            source = self.sources.find(claim.file if own_panels else claim.source or "")
            pairs.append(
                Pair(
                    key,
                    self.generated.files[claim.file],
                    self.truth.files[claim.truth],
                    None if source is None else self.sources.files[source],
                    claim.source,
                    claim.target,
                    claim.shown,
                )
            )
            example = example or self._example(claim)
        problems = [
            *self.generated.problems, *self.truth.problems, *self.sources.problems, *self.problems
        ]  # fmt: skip
        notes = [
            *self.truth.layout.describe("--gt"),
            *self.notes,
        ]
        return Matching(
            tuple(pairs), rule, counts, tuple(problems), expected, example, tuple(notes)
        )

    def _example(self, claim: Claim) -> str:
        return (
            f"{self.generated.names[claim.file]} is compared with {self.truth.names[claim.truth]}"
        )

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
