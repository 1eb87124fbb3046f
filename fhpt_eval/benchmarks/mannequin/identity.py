"""Who a person is and what they wear, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fhpt_eval.benchmarks.mannequin.exact import Dice

Colour = tuple[int, int, int]

_SKIN: tuple[Colour, ...] = (
    (250, 221, 200), (243, 206, 178), (230, 184, 150), (208, 158, 121), (176, 124, 88),
    (141, 94, 64), (108, 70, 48), (84, 54, 40),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = (
    (32, 26, 28), (56, 38, 30), (92, 60, 40), (134, 88, 50), (190, 142, 82), (224, 192, 130),
    (150, 62, 36), (150, 150, 154), (70, 48, 70),
)  # fmt: skip
_EYES: tuple[Colour, ...] = (
    (70, 46, 30),
    (44, 32, 26),
    (64, 104, 140),
    (76, 112, 74),
    (120, 116, 96),
)
_LIPS: tuple[Colour, ...] = ((196, 84, 90), (178, 60, 76), (206, 116, 106), (150, 60, 70))
_CLOTH: tuple[Colour, ...] = (
    (36, 40, 58), (38, 38, 42), (236, 232, 224), (196, 44, 52), (38, 94, 150), (62, 128, 98),
    (226, 178, 60), (222, 120, 142), (128, 84, 146), (150, 112, 78), (120, 170, 200),
    (232, 126, 60),
    (110, 116, 122), (92, 30, 46), (200, 210, 186), (24, 104, 112), (244, 214, 216), (74, 84, 50),
)  # fmt: skip
_LOWER: tuple[Colour, ...] = (
    (48, 66, 104), (84, 112, 156), (34, 36, 44), (60, 60, 64), (178, 158, 124), (92, 84, 66),
    (224, 220, 210), (110, 52, 48), (40, 70, 62),
)  # fmt: skip
_SHOES: tuple[Colour, ...] = (
    (40, 36, 38), (236, 236, 234), (120, 72, 44), (170, 40, 46), (60, 76, 120), (210, 184, 150),
)  # fmt: skip
_BEARDS = ("none", "none", "full", "goatee", "stubble", "moustache")
#: Textures by the name that the sidecar gives them.
TEXTURES = (
    "plain", "stripes", "pinstripes", "checks", "tartan", "dots", "flowers", "zigzag", "blocks",
    "speckles", "diamonds",
)  # fmt: skip
DECORATIONS = ("none", "letters", "logo", "emblem", "pocket")


@dataclass(frozen=True, slots=True)
class Texture:
    """A cloth's pattern, its period in hundredths of the body's height, and its colours."""

    kind: str
    period: float
    colours: tuple[Colour, Colour, Colour]
    salt: int


@dataclass(frozen=True, slots=True)
class Top:
    """An upper garment; lengths are shares of the arm, and of the body's height below the waist."""

    kind: str
    sleeve: float
    ease: float
    length: float
    collar: str
    front: str
    decoration: str
    word: str
    texture: Texture
    trim: Colour


@dataclass(frozen=True, slots=True)
class Bottom:
    """A lower garment; its length is a share of the leg."""

    kind: str
    length: float
    ease: float
    flare: float
    texture: Texture


@dataclass(frozen=True, slots=True)
class Face:
    """Features that tell people apart; sizes are factors around 1."""

    width: float
    jaw: float
    eye_size: float
    eye_gap: float
    eye_colour: Colour
    brow: float
    brow_tilt: float
    nose: float
    mouth: float
    lips: Colour
    beard: str
    glasses: str


@dataclass(frozen=True, slots=True)
class Person:
    """A person in clothes: everything that does not change from view to view."""

    identity: int
    woman: bool
    height: float
    build: float
    shoulders: float
    hips: float
    head: float
    skin: Colour
    hair: str
    hair_colour: Colour
    fringe: float
    face: Face
    top: Top
    bottom: Bottom
    shoes: str
    shoe_colour: Colour

    @property
    def category(self) -> str:
        """DeepFashion's name for the kind of the garment."""
        if self.top.kind == "dress":
            return "Dresses"
        names = {
            "tee": "Tees_Tanks", "tank": "Tees_Tanks", "sweater": "Sweaters",
            "jacket": "Jackets_Coats" if self.woman else "Jackets_Vests",
            "hoodie": "Sweatshirts_Hoodies",
            "shirt": "Blouses_Shirts" if self.woman else "Shirts_Polos",
        }  # fmt: skip
        return names[self.top.kind]

    @property
    def item(self) -> str:
        """The item id, as DeepFashion's names have it: category, number, number of the colour."""
        gender = "WOMEN" if self.woman else "MEN"
        return f"fashion{gender}{self.category}id{self.identity + 1:08d}01"


def make_person(seed: int, identity: int) -> Person:
    """Draw a person and their clothes; depends on the seed and the number alone."""
    body, looks, clothes = (Dice(seed, identity, stream) for stream in (0, 1, 2))
    woman = body.chance(0.55)
    skin = body.pick(_SKIN)
    hair_colour = body.pick(_HAIR[:3] if sum(skin) < 360 else _HAIR)
    styles = ("long", "bob", "bun", "ponytail", "curly", "short", "wavy")
    hair = looks.pick(styles if woman else ("short", "crop", "curly", "short", "bald", "bob"))
    top = _top(clothes, woman)
    return Person(
        identity=identity,
        woman=woman,
        height=body.between(0.95, 1.0),
        build=body.between(0.88, 1.16) * (0.94 if woman else 1.06),
        shoulders=body.between(0.093, 0.1) if woman else body.between(0.108, 0.12),
        hips=body.between(0.08, 0.092) if woman else body.between(0.076, 0.086),
        head=body.between(0.96, 1.08),
        skin=skin,
        hair=hair,
        hair_colour=hair_colour,
        fringe=looks.pick((0.2, 0.24, 0.36, 0.28)) if woman else looks.between(0.17, 0.27),
        face=_face(looks, woman),
        top=top,
        bottom=_bottom(clothes, woman, top),
        shoes=clothes.pick(
            ("flat", "boot", "sneaker") if woman else ("sneaker", "boot", "sneaker")
        ),
        shoe_colour=clothes.pick(_SHOES),
    )


def dressed(wearer: Person, owner: Person) -> Person:
    """Return the wearer in the owner's clothes: who is seen is one, the item is the other's."""
    return replace(
        wearer, identity=owner.identity, woman=owner.woman, top=owner.top, bottom=owner.bottom,
        shoes=owner.shoes, shoe_colour=owner.shoe_colour,
    )  # fmt: skip


def _face(dice: Dice, woman: bool) -> Face:
    return Face(
        width=dice.between(0.9, 1.08),
        jaw=dice.between(0.86, 1.0) if woman else dice.between(0.98, 1.14),
        eye_size=dice.between(0.86, 1.24) * (1.08 if woman else 0.96),
        eye_gap=dice.between(0.88, 1.14),
        eye_colour=dice.pick(_EYES),
        brow=dice.between(0.6, 1.1) if woman else dice.between(1.0, 1.7),
        brow_tilt=dice.between(-0.25, 0.3),
        nose=dice.between(0.75, 1.3),
        mouth=dice.between(0.8, 1.25),
        lips=dice.pick(_LIPS),
        beard="none" if woman else dice.pick(_BEARDS),
        glasses=dice.pick(("none", "none", "none", "round", "square")),
    )  # fmt: skip


def _texture(dice: Dice, colours: tuple[Colour, ...], kinds: tuple[str, ...]) -> Texture:
    first = dice.pick(colours)
    # Colours of one cloth must be told apart, or there is no texture to see.
    distinct = [c for c in _CLOTH if sum(abs(a - b) for a, b in zip(c, first, strict=True)) > 170]
    second = dice.pick(distinct)
    thirds = [c for c in distinct if sum(abs(a - b) for a, b in zip(c, second, strict=True)) > 150]
    third = dice.pick(thirds or distinct)
    kind = dice.pick(kinds)
    return Texture(kind, dice.between(2.6, 5.2), (first, second, third), int(dice.share() * 2**31))


def _top(dice: Dice, woman: bool) -> Top:
    kind = dice.pick(
        ("tee", "tank", "shirt", "sweater", "jacket", "dress", "dress", "hoodie")
        if woman
        else ("tee", "tee", "shirt", "sweater", "jacket", "hoodie", "tank")
    )
    sleeves: dict[str, tuple[float, ...]] = {
        "tee": (0.3, 0.36), "tank": (0.0,), "shirt": (0.4, 0.97, 0.97), "sweater": (0.97, 0.7),
        "jacket": (0.99,), "hoodie": (0.98,), "dress": (0.0, 0.28, 0.6, 0.97),
    }  # fmt: skip
    collars: dict[str, tuple[str, ...]] = {
        "tee": ("crew", "v", "crew"), "tank": ("scoop", "v"), "shirt": ("shirt",),
        "sweater": ("crew", "turtle", "v"), "jacket": ("lapel",), "hoodie": ("hood",),
        "dress": ("scoop", "v", "crew", "shirt"),
    }  # fmt: skip
    collar = dice.pick(collars[kind])
    texture = _texture(dice, _CLOTH, TEXTURES)
    front = {"shirt": "buttons", "lapel": "open", "hood": "zip"}.get(collar, "none")
    plain = texture.kind == "plain"
    decoration = dice.pick(("letters", "emblem", "letters") if plain else DECORATIONS)
    if front in ("open", "zip", "buttons"):
        decoration = "pocket" if decoration != "none" else "none"
    lengths = {"dress": 0.0, "jacket": 0.15, "sweater": 0.12, "hoodie": 0.12}
    return Top(
        kind=kind,
        sleeve=dice.pick(sleeves[kind]),
        ease={"jacket": 0.011, "hoodie": 0.012, "sweater": 0.01, "tank": 0.003}.get(kind, 0.006),
        length=lengths.get(kind, dice.between(0.06, 0.12)),
        collar=collar,
        front=front,
        decoration=decoration,
        word="".join(dice.pick("ACEFHKLMNOSTUVXZ") for _ in range(dice.pick((2, 3, 4)))),
        texture=texture,
        trim=texture.colours[1 if dice.chance(0.6) else 2],
    )


def _bottom(dice: Dice, woman: bool, top: Top) -> Bottom:
    if top.kind == "dress":
        kind, length = "dress", dice.pick((0.4, 0.56, 0.8))
        return Bottom(kind, length, 0.006, dice.between(0.015, 0.06), top.texture)
    kind = dice.pick(("trousers", "jeans", "skirt", "shorts", "skirt") if woman
                     else ("trousers", "jeans", "shorts", "jeans"))  # fmt: skip
    kinds = ("plain", "plain", "plain", "checks", "pinstripes", "tartan", "dots")
    texture = _texture(dice, _LOWER, kinds if kind != "jeans" else ("plain",))
    lengths = {"shorts": dice.between(0.26, 0.46), "skirt": dice.pick((0.36, 0.5, 0.76))}
    return Bottom(
        kind=kind,
        length=lengths.get(kind, dice.pick((0.98, 0.98, 0.9))),
        ease=dice.between(0.002, 0.008),
        flare=dice.between(0.0, 0.05) if kind == "skirt" else dice.pick((0.0, 0.0, 0.008, 0.014)),
        texture=texture,
    )
