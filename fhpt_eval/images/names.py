"""How images of the field are called: one name for each image, whatever its spelling.

The in-shop tree of DeepFashion (``WOMEN/Dresses/id_00000001/01_1_front``), its flat names in the
spellings of the field's repositories (``fashionWOMENDressesid0000000101_1front``), those of
DeepFashion-MultiModal (``WOMEN-Dresses-id_00000001-01_1_front``) and Market-1501's, VITON-HD's and
DressCode's folders are told by patterns alone, so that a name means the same in every list and
folder.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from fhpt_eval.errors import did_you_mean

#: DeepFashion's categories, which some spell without the underscore.
_CATEGORIES = {
    name.replace("_", "").lower(): name
    for name in (
        "Blouses_Shirts", "Cardigans", "Denim", "Dresses", "Graphic_Tees", "Jackets_Coats",
        "Jackets_Vests", "Leggings", "Pants", "Rompers_Jumpsuits", "Shirts_Polos", "Shorts",
        "Skirts", "Suiting", "Sweaters", "Sweatshirts_Hoodies", "Tees_Tanks",
    )
}  # fmt: skip
_VIEWS = ("front", "side", "back", "additional", "full", "flat")

#: An image of DeepFashion: gender, category, eight digits of the model, two of the colour, the
#: number of the image and its view. ``deepB`` is PIDM's name for B, ``fasion`` pose-gan's spelling.
_DEEPFASHION = re.compile(
    r"(?:(?P<folder>.*)/)?(?:(?:deep)?fash?ion)?(?P<gender>WOMEN|MEN)(?P<mark>[/-]?)"
    r"(?P<category>[A-Z_]+?)[/-]?id_?(?P<model>\d{8})[/_-]?(?P<colour>\d{2})"
    rf"_(?P<number>\d+)_?(?P<view>{'|'.join(_VIEWS)})",
    re.IGNORECASE,
)
#: Market-1501: person, camera and sequence, frame, box; DukeMTMC-reID: person, camera, frame.
_MARKET = re.compile(
    r"(?:(?P<folder>.*)/)?(?P<name>(?P<person>-1|\d{4})_c\d(?:s\d_\d{6}_\d{2}|_f\d{7}))"
)
#: A person or a garment, which have one number: VITON-HD's in folders, DressCode's by the part.
_VITON = re.compile(r"(?:(?P<folder>.*)/)?(?P<name>(?P<number>\d{5})_\d{2})")
_DRESSCODE = re.compile(r"(?:(?P<folder>.*)/)?(?P<name>(?P<number>\d{6})_(?P<part>[01]))")

_DRESSCODE_IMAGES = re.compile(r"(?:^|/)(?:upper_body|lower_body|dresses)/images$")

#: The data sets' own folders of photographs. What lies in another folder may be a mask or a part
#: of the photograph that has this name, so such a folder stays in the name.
PHOTOGRAPHS = frozenset(
    {
        "img", "img_highres", "images", "image", "train", "test", "val",
        "bounding_box_train", "bounding_box_test", "query", "gt_bbox",
        "upper_body", "lower_body", "dresses",
    }
)  # fmt: skip
#: Names above which a search for a near miss would take longer than it helps.
_HINTED = 20_000

DEEPFASHION, MARKET, VITON_HD, DRESSCODE = "DeepFashion", "Market-1501", "VITON-HD", "DressCode"
#: What pairs of two names are in these: SOURCE_TARGET, and PERSON_GARMENT.
POSE_TRANSFER = frozenset({DEEPFASHION, MARKET})
TRY_ON = frozenset({VITON_HD, DRESSCODE})


@dataclass(frozen=True, slots=True)
class Identity:
    """What the name of an image of a known dataset says.

    Attributes:
        name: the one spelling that all others lead to.
        folder: what of the folders in front stays in it.
        dataset: where it is from.
        layout: what its own spelling is called, or "" where it is the common one.
        item: the garment (of re-identification sets the person, dressed as they were filmed), or
            ``None`` where the name does not tell.
        group: what it shares with images that are not independent of it.
        garment: whether it shows a garment without a person.
    """

    name: str
    folder: str
    dataset: str
    layout: str
    item: str | None
    group: str
    garment: bool = False


def identity_of(name: str) -> Identity | None:
    """Tell which image of a known dataset a name (a path without ending) means, if any."""
    if name.lower().endswith(_VIEWS):
        return _deepfashion(name)
    if name[-1:].isdigit():
        return _market(name) or _viton(name) or _dresscode(name)
    return None


@lru_cache(maxsize=2**18)
def canonical(name: str) -> str:
    """Return the one name of an image, from any spelling of it (a path without ending).

    Names of no known dataset stay as they are, but for ``\\`` in paths and accents, which have two
    forms in Unicode: the composed one (NFC) counts.
    """
    name = name.replace("\\", "/")
    if not name.isascii():
        name = unicodedata.normalize("NFC", name)
    identity = identity_of(name)
    return name if identity is None else identity.name


def _deepfashion(name: str) -> Identity | None:
    match = _DEEPFASHION.fullmatch(name)
    if match is None:
        return None
    category = match["category"].strip("_")
    category = _CATEGORIES.get(category.replace("_", "").lower(), category)
    item = f"fashion{match['gender'].upper()}{category}id{match['model']}{match['colour']}"
    common = f"{item}_{match['number']}{match['view'].lower()}"
    layout = {"/": "DeepFashion's in-shop tree", "-": "DeepFashion-MultiModal's names"}.get(
        match["mark"], "" if name.endswith(common) else "another spelling of DeepFashion's names"
    )
    return _identity(match["folder"], common, DEEPFASHION, layout, item, item)


def _market(name: str) -> Identity | None:
    match = _MARKET.fullmatch(name)
    if match is None:
        return None
    person = match["person"]
    layout = "Market-1501's folders" if "bounding_box" in (match["folder"] or "") else ""
    # 0000 and -1 are distractors: images of many people, whom the name does not tell apart.
    item = None if person in ("0000", "-1") else person
    return _identity(match["folder"], match["name"], MARKET, layout, item, person)


def _viton(name: str) -> Identity | None:
    match = _VITON.fullmatch(name)
    if match is None:
        return None
    last = (match["folder"] or "").rpartition("/")[2]
    layout = "VITON-HD's folders" if last == "image" else ""
    number = match["number"]
    garment = last == "cloth"
    return _identity(match["folder"], match["name"], VITON_HD, layout, number, number, garment)


def _dresscode(name: str) -> Identity | None:
    match = _DRESSCODE.fullmatch(name)
    if match is None:
        return None
    layout = "DressCode's folders" if _DRESSCODE_IMAGES.search(match["folder"] or "") else ""
    number, garment = match["number"], bool(layout) and match["part"] == "1"
    return _identity(match["folder"], match["name"], DRESSCODE, layout, number, number, garment)


def _identity(
    folder: str | None,
    name: str,
    dataset: str,
    layout: str,
    item: str | None,
    group: str,
    garment: bool = False,
) -> Identity:
    kept = folder if folder and folder.rpartition("/")[2].lower() not in PHOTOGRAPHS else ""
    name = f"{kept}/{name}" if kept else name
    return Identity(name, kept, dataset, layout, item, group, garment)


class NameIndex:
    """Names of images, found by any spelling of them."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take over names: paths without endings, each once."""
        self._names = dict.fromkeys(names)
        self._spelled: dict[str, list[str]] = {}
        for name in self._names:
            self._spelled.setdefault(canonical(name), []).append(name)
        self._by_base: dict[str, list[str]] = {}

    def find(self, name: str) -> list[str]:
        """Return the names that mean the same image: the equal one, or all that are spelled so."""
        return [name] if name in self._names else self._spelled.get(canonical(name), [])

    def called(self, name: str) -> str:
        """Return what one of the names is called everywhere: its common spelling, if free."""
        common = canonical(name)
        return common if len(self._spelled[common]) == 1 else name

    def find_loosely(self, name: str) -> list[str]:
        """Return the names that differ in case, or in that one has more folders in front."""
        name = canonical(name)
        alike = [known for known in self._alike(name) if _ends_alike(known, name)]
        if not alike:
            folded = name.casefold()
            alike = [k for k in self._alike(name) if _ends_alike(k.casefold(), folded)]
        return alike

    def near(self, name: str) -> str:
        """Return " Did you mean 'x'?" for the names closest to one that is not there, or ""."""
        alike = self._alike(canonical(name))
        if alike:
            return f" Did you mean '{alike[0]}'?"
        return did_you_mean(name, list(self._names)) if len(self._names) <= _HINTED else ""

    def _alike(self, name: str) -> list[str]:
        """Return the names whose last part is the same but for the case."""
        if not self._by_base:
            for known in self._names:
                base = canonical(known).rpartition("/")[2].casefold()
                self._by_base.setdefault(base, []).append(known)
        return self._by_base.get(name.rpartition("/")[2].casefold(), [])


def _ends_alike(known: str, name: str) -> bool:
    known = canonical(known)
    return known == name or known.endswith(f"/{name}") or name.endswith(f"/{known}")
