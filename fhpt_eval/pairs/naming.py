"""How result files are named: rules that read the source and the target out of a file's name.

Each repository of the field has a rule of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from fhpt_eval.images.names import POSE_TRANSFER, canonical, identity_of

#: Endings that some scripts leave inside a name, as in ``A.jpg___B.jpg_vis.jpg``.
_INNER_SUFFIX = re.compile(r"\.(jpe?g|png|webp|bmp)$", re.IGNORECASE)

#: Two names in one that can be told apart because the first kept its ending: ``A.jpg_B.jpg``.
_JOINED = re.compile(r"(?P<source>.+?)\.(?:jpe?g|png|webp|bmp)_(?P<target>.+?)(?:_vis)?$", re.I)


@dataclass(frozen=True, slots=True)
class NameRule:
    """A rule for names of generated images.

    ``name`` is what ``--match`` takes; ``separator`` stands between two names, or is ``None`` where
    the whole name is the target's. ``target_first`` rules name the target, and then the garment
    that the person was dressed in; all others the source, and then the target.
    """

    name: str
    title: str
    separator: str | None
    target_first: bool = False

    @property
    def is_general(self) -> bool:
        """Whether it can read what the more special rules read as well."""
        return self.separator == "_"

    def candidates(self, stem: str) -> Iterator[tuple[str | None, str]]:
        """Yield every (source or garment, target) that can be read in a name without its ending."""
        if self.separator is None:
            yield None, stem
            if _bare(stem) != stem:  # scripts that append .png to a name with its ending
                yield None, _bare(stem)
            return
        folder, slash, name = stem.rpartition("/")
        for left, right in _splits(name.removesuffix("_vis"), self.separator):
            first, second = (right, left) if self.target_first else (left, right)
            yield folder + slash + _bare(first), folder + slash + _bare(second)
            if slash:  # the folder may be the results' own
                yield _bare(first), _bare(second)


#: In the order in which ties are settled: the more special separator first.
RULES = (
    NameRule("same-stem", "B.png is compared with B.jpg", None),
    NameRule("A___B", "A.jpg___B.jpg_vis.jpg, with or without .jpg and _vis", "___"),
    NameRule("A_2_B", "A_2_B_vis.jpg, with or without _vis", "_2_"),
    NameRule("A_to_B", "A_to_B.png", "_to_"),
    NameRule("A_B", "A_B_vis.jpg, A_B.jpg, A.jpg_B.jpg.png", "_"),
    NameRule("PERSON_GARMENT", "PERSON_GARMENT.png is compared with PERSON.jpg", "_", True),
)


def pair_key(source: str | None, target: str) -> str:
    """Return a pair's key: the target's name, after the source's where that is known."""
    return target if source is None else f"{source}___{target}"


def names_in(stem: str) -> tuple[str | None, str]:
    """Read (source, target) in a name that stands alone, such as a strip's.

    Without a list of images to look names up in, only what can be read in one way is read; any
    other name is the target's as a whole.
    """
    folder, slash, name = stem.rpartition("/")
    readings: list[tuple[str | None, str]] = []
    for rule in RULES[1:4]:
        readings = readings or list(rule.candidates(name.removesuffix("_vis")))
    joined = _JOINED.match(name)
    if not readings and joined:
        readings = [(joined["source"], _bare(joined["target"]))]
    if not readings:
        readings = [n for n in RULES[4].candidates(name) if are_people_of(POSE_TRANSFER, *n)]
    if len(readings) != 1 or readings[0][0] is None:
        return None, canonical(stem)
    source, target = readings[0]
    return canonical(f"{folder}{slash}{source}"), canonical(folder + slash + target)


def are_people_of(datasets: frozenset[str], first: str | None, second: str) -> bool:
    """Whether two names are of images of one data set, which is among these."""
    identities = identity_of(first or ""), identity_of(second)
    named = {identity.dataset if identity else "" for identity in identities}
    return len(named) == 1 and named <= datasets


def is_marked(stem: str) -> bool:
    """Whether a name is as only scripts of pose transfer write it: ``_vis``, ``A.jpg_B.jpg``."""
    return stem.endswith("_vis") or _JOINED.match(stem.rpartition("/")[2]) is not None


def item_of(name: str) -> str | None:
    """Return the item id that an image's name (without ending) tells, or ``None``."""
    identity = identity_of(name)
    return identity.item if identity else None


def _bare(name: str) -> str:
    return _INNER_SUFFIX.sub("", name)


def _splits(name: str, separator: str) -> Iterator[tuple[str, str]]:
    """Yield the two sides of every occurrence of the separator, overlapping ones too."""
    place = name.find(separator)
    while place >= 0:
        left, right = name[:place], name[place + len(separator) :]
        if left and right:
            yield left, right
        place = name.find(separator, place + 1)
