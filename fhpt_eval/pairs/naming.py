"""How result files are named: rules that read the source and the target out of a file's name.

Each repository of the field has a rule of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Endings that some scripts leave inside a name, as in ``A.jpg___B.jpg_vis.jpg``.
_INNER_SUFFIX = re.compile(r"\.(jpe?g|png|webp|bmp)$", re.IGNORECASE)

#: DeepFashion's flattened names, as in ``fashionWOMENTees_Tanksid0000508545_1front``: the item is
#: the garment in one colour, the identity its eight-digit number.
_DEEPFASHION = re.compile(
    r"(?P<item>fashion(?:WOMEN|MEN)[A-Za-z_]+id\d{10})"
    r"_\d+_?(?:front|side|back|additional|full|flat)$"
)


#: Two names in one that can be told apart because the first kept its ending: ``A.jpg_B.jpg``.
_JOINED = re.compile(r"(?P<source>.+?)\.(?:jpe?g|png|webp|bmp)_(?P<target>.+?)(?:_vis)?$", re.I)


@dataclass(frozen=True, slots=True)
class NameRule:
    """A rule for names of generated images.

    ``name`` is what ``--match`` takes; ``separator`` stands between source and target, or is
    ``None`` where the whole name is the target's.
    """

    name: str
    title: str
    separator: str | None

    def candidates(self, stem: str) -> Iterator[tuple[str | None, str]]:
        """Yield every (source, target) that the rule can read in a name without its ending."""
        if self.separator is None:
            yield None, stem
            if _bare(stem) != stem:  # scripts that append .png to a name with its ending
                yield None, _bare(stem)
            return
        folder, slash, name = stem.rpartition("/")
        for left, right in _splits(name.removesuffix("_vis"), self.separator):
            yield folder + slash + _bare(left), folder + slash + _bare(right)
            if slash:  # the folder may be the results' own
                yield _bare(left), _bare(right)


#: In the order in which ties are settled: the more special separator first.
RULES = (
    NameRule("same-stem", "B.png is compared with B.jpg", None),
    NameRule("A___B", "A.jpg___B.jpg_vis.jpg, with or without .jpg and _vis", "___"),
    NameRule("A_2_B", "A_2_B_vis.jpg, with or without _vis", "_2_"),
    NameRule("A_to_B", "A_to_B.png", "_to_"),
    NameRule("A_B", "A_B_vis.jpg, A_B.jpg, A.jpg_B.jpg.png", "_"),
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
    for rule in RULES[1:-1]:
        readings = readings or list(rule.candidates(name.removesuffix("_vis")))
    joined = _JOINED.match(name)
    if not readings and joined:
        readings = [(joined["source"], _bare(joined["target"]))]
    if len(readings) != 1 or readings[0][0] is None:
        return None, stem
    source, target = readings[0]
    return f"{folder}{slash}{source}", folder + slash + target


def item_of(name: str) -> str | None:
    """Return the item id in a DeepFashion image name (without ending), or ``None``."""
    match = _DEEPFASHION.search(name)
    return match["item"] if match else None


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
