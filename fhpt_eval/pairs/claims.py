"""What pair a generated image says that it is."""

from __future__ import annotations

from dataclasses import dataclass

from fhpt_eval.images.names import canonical, identity_of
from fhpt_eval.pairs.folder import FolderIndex
from fhpt_eval.pairs.naming import NameRule, item_of, pair_key


@dataclass(frozen=True, slots=True)
class Claim:
    """A generated image (by its file's key) that says which pair it is.

    ``truth`` is the key of its ground truth; ``source``, ``target`` and ``garment`` are names as
    pairs have them, whatever the files' spelling. ``named`` is the pair's key where it has one of
    its own.
    """

    file: str
    source: str | None
    target: str
    truth: str
    garment: str | None = None
    item: str | None = None
    named: str | None = None

    @property
    def key(self) -> str:
        """The pair's key."""
        return self.named or pair_key(self.source or self.garment, self.target)

    @property
    def shown(self) -> str | None:
        """The item: of a list, or what the garment's or the target's name tells."""
        if self.item is not None:
            return self.item
        if self.garment is None:
            return item_of(self.target)
        identity = identity_of(self.garment)
        return identity.item if identity else self.garment


class Reader:
    """Reads what pairs generated images are, where their ground truth is there."""

    def __init__(self, truth: FolderIndex, sources: FolderIndex) -> None:
        self._truth, self._sources = truth, sources

    def read(self, rule: NameRule, file: str) -> Claim | None:
        """Return what a rule reads in a name, if that is one pair whose ground truth is there."""
        claims = {
            (claim.source, claim.garment, claim.truth): claim
            for beside, target in rule.candidates(file)
            if (truth := self._truth.find(target)) is not None
            for claim in [self.claim(rule, file, beside, truth)]
        }
        if len(claims) > 1:  # settled by the source image, where its name is known
            known = self._sources.find
            claims = {k: c for k, c in claims.items() if c.source and known(c.source) is not None}
        return next(iter(claims.values())) if len(claims) == 1 else None

    def claim(self, rule: NameRule, file: str, beside: str | None, truth: str) -> Claim:
        """Return the claim of a reading: the name beside the target, and the ground truth's key."""
        target = self._truth.called(truth)
        name = None if beside is None else self.name_of(beside)
        if rule.target_first:
            return Claim(file, None, target, truth, garment=name)
        return Claim(file, name, target, truth)

    def name_of(self, source: str) -> str:
        """Return what a source is called in keys of pairs, where it lies or not."""
        for folder in (self._sources, self._truth):
            key = folder.find(source)
            if key is not None:
                return folder.called(key)
        return canonical(source)
