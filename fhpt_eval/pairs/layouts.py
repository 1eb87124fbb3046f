"""What the images below a folder are, where it is laid out as a data set of the field is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fhpt_eval.images.names import TRY_ON, Identity, canonical, identity_of


@dataclass(frozen=True, slots=True)
class Layout:
    """What was recognised in the names of a folder's images.

    ``titles`` says which layouts they are, with a name each and what it is called elsewhere;
    ``aside`` are names of images that show no person, and ``garments`` those that show a garment.
    """

    titles: tuple[tuple[str, str, str], ...]
    aside: frozenset[str]
    garments: frozenset[str]

    def describe(self, what: str) -> list[str]:
        """Say in lines what was recognised in a folder that is called ``what``."""
        lines = [
            f"{what}: {title}" + (f": {name} is {called}" if name != called else "")
            for title, name, called in self.titles
        ]
        if self.aside:
            verb = "shows" if len(self.aside) == 1 else "show"
            lines.append(f"{what}: {len(self.aside):,} images of it {verb} no person: set aside")
        return lines


def layout_of(names: Iterable[str], root: Path | None = None) -> Layout:
    """Recognise the layout of a folder by its images' names (paths without endings).

    The folder's own path counts too, as it may be one of the folders of a data set.
    """
    above = "/".join(Path(os.path.realpath(root)).parts[-2:]) + "/" if root else ""
    identities = {name: identity_of(above + name) for name in names}
    titles: dict[str, tuple[str, str, str]] = {}
    for name, identity in identities.items():
        if identity is not None and identity.layout not in titles:
            titles[identity.layout] = (identity.layout, name, canonical(name))
    titles.pop("", None)
    garments = {name for name, each in identities.items() if each is not None and each.garment}
    return Layout(tuple(titles.values()), _aside(identities, garments), frozenset(garments))


def _aside(identities: dict[str, Identity | None], garments: set[str]) -> frozenset[str]:
    """Return the garments, and what lies beside the photographs of a try-on set."""
    known = [each for each in identities.values() if each is not None]
    if len(garments) == len(known):
        return frozenset()  # garments alone: results may be named by them
    if not any(each.layout and each.dataset in TRY_ON for each in known):
        return frozenset(garments)
    people = {n for n, each in identities.items() if each and each.layout and not each.garment}
    return frozenset(identities.keys() - people)
