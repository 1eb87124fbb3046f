"""Random sets of names as the field spells them, with the pairs that they mean."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fhpt_eval.images.listing import Listing

#: A spelling: what the n-th image of a data set is called, without the ending.
Spelling = Callable[[int], str]

_GARMENTS = ("Tees_Tanks", "Blouses_Shirts", "Denim", "Dresses", "Jackets_Vests")
_VIEWS = ("front", "side", "back", "full", "additional", "flat")


def _photograph(n: int) -> tuple[str, str, str, str, int, str]:
    """Return gender, category, model, colour, number and view; three images share a garment."""
    garment, view = divmod(n, 3)
    gender = ("WOMEN", "MEN")[garment % 2]
    return (
        gender, _GARMENTS[garment % 5], f"{garment + 2:08d}", f"{garment % 3 + 1:02d}",
        view + 1, _VIEWS[view],
    )  # fmt: skip


def flat(n: int) -> str:
    """The flat names that most repositories use."""
    gender, category, model, colour, number, view = _photograph(n)
    return f"fashion{gender}{category}id{model}{colour}_{number}{view}"


def posegan(n: int) -> str:
    """pose-gan's flat names: ``fasion``, no underscore in categories."""
    gender, category, model, colour, number, view = _photograph(n)
    return f"fasion{gender}{category.replace('_', '')}id{model}{colour}_{number}{view}"


def multimodal(n: int) -> str:
    """DeepFashion-MultiModal's names."""
    gender, category, model, colour, number, view = _photograph(n)
    return f"{gender}-{category}-id_{model}-{colour}_{number}_{view}"


def tree(n: int) -> str:
    """The in-shop tree."""
    gender, category, model, colour, number, view = _photograph(n)
    return f"{gender}/{category}/id_{model}/{colour}_{number}_{view}"


def market(n: int) -> str:
    """Market-1501's names, of which several differ in the last part alone."""
    return f"{n // 3 + 1:04d}_c{n % 3 + 1}s1_{n // 2 * 25 + 151:06d}_{n % 2:02d}"


def viton(n: int) -> str:
    """VITON-HD's people, and their garments."""
    return f"{n * 7 + 55:05d}_00"


def dresscode(n: int) -> str:
    """DressCode's people."""
    return f"{n * 7 + 20714:06d}_0"


def numbers(n: int) -> str:
    """PG2's numbers."""
    return f"{n:05d}"


def words(n: int) -> str:
    """Names with a separator in them, of no data set."""
    return f"img_{n}"


def below(folder: str, spelling: Spelling) -> Spelling:
    """Put images into a folder."""
    return lambda n: f"{folder}/{spelling(n)}"


#: For each data set: how results spell it, how folders do.
DATASETS: Mapping[str, tuple[tuple[Spelling, ...], tuple[Spelling, ...]]] = {
    "DeepFashion": (
        (flat, posegan, multimodal),
        (
            flat, posegan, multimodal, tree, below("img", tree), below("test", flat),
            lambda n: "deep" + flat(n),
        ),
    ),
    "Market-1501": ((market,), (market, below("bounding_box_test", market))),
    "VITON-HD": ((viton,), (viton, below("image", viton), below("test/image", viton))),
    "DressCode": ((dresscode,), (dresscode, below("dresses/images", dresscode))),
    "numbers": ((numbers,), (numbers,)),
    "words": ((words,), (words,)),
}  # fmt: skip
TRY_ON = ("VITON-HD", "DressCode")

#: How results are named after two names.
PAIR_NAMES = (
    "{a}.jpg___{b}.jpg_vis", "{a}___{b}", "{a}_2_{b}_vis", "{a}_2_{b}", "{a}_to_{b}",
    "{a}_{b}_vis", "{a}_{b}", "{a}.jpg_{b}.jpg",
)  # fmt: skip
TARGET_NAMES = ("{b}", "{b}.jpg")


@dataclass
class Names:
    """Names of a run's files, the ground truth and the source of each generated image."""

    generated: list[str] = field(default_factory=list)
    truth: list[str] = field(default_factory=list)
    sources: list[str] | None = None
    expected: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    listed: str | None = None
    match: str = "auto"

    def list_folder(self, root: Path, _: str) -> Listing:
        """Stand in for a look at the disk: the folders are called after the fields."""
        names: list[str] = getattr(self, root.name)
        return Listing({name: [root / f"{name}.png"] for name in sorted(names)}, {}, {})


def draw(number: int) -> Names:
    """Draw a set of names: one data set, one way to name results, some images missing."""
    rng = random.Random(number)
    dataset = rng.choice(list(DATASETS))
    own, laid_out = DATASETS[dataset]
    spelled, placed = rng.choice(own), rng.choice(laid_out)
    dressed = dataset in TRY_ON and rng.random() < 0.6
    images = rng.sample(range(rng.choice([4, 8, 30])), 4)
    pairs = {(rng.choice(images), rng.choice(images)) for _ in range(rng.randint(1, 4))}
    pattern = rng.choice(PAIR_NAMES if rng.random() < 0.85 else TARGET_NAMES)
    prefix = rng.choice(["", "", "", "epoch_3/"]) if "{a}" in pattern else ""
    names = Names()
    rows = []
    for a, b in sorted(pairs):
        if dressed and "{a}" in pattern:
            garment = dresscode(b)[:-1] + "1" if dataset == "DressCode" else viton(b)
            result = f"{prefix}{spelled(a)}_{garment}"
            names.expected[result] = placed(a)
            names.shown[result] = spelled(a) if a == b else ""
        else:
            result = prefix + pattern.format(a=spelled(a), b=spelled(b))
            names.expected[result] = placed(b)
            names.shown[result] = spelled(a)
        rows.append((a, b, result))
    names.generated = sorted(names.expected)
    held = set(images) | set(range(images[0]))
    if rng.random() < 0.3:
        held = {n for n in held if rng.random() < 0.7} or {images[0]}
    if rng.random() < 0.3:
        held &= {b for _, b, _ in rows} | {images[0]}
    names.truth = sorted({placed(n) for n in held} | _beside(rng, placed, held))
    if rng.random() < 0.2:
        names.sources = sorted({spelled(a) for a, _, _ in rows})
    if rng.random() < 0.25 and not (dressed and "{a}" in pattern):
        names.listed = _list(rng, rows, rng.choice(laid_out))
    return names


def _beside(rng: random.Random, placed: Spelling, held: set[int]) -> set[str]:
    """Return what lies beside the people of try-on sets: garments and masks."""
    example = placed(0)
    if rng.random() < 0.5:
        if example.startswith("image/"):
            return {f"cloth/{viton(n)}" for n in held} | {f"agnostic/{viton(n)}" for n in held}
        if example.startswith("dresses/"):
            return {placed(n)[:-1] + "1" for n in held}
    return set()


def _list(rng: random.Random, rows: list[tuple[int, int, str]], spelled: Spelling) -> str:
    """Return a list of the pairs in one of the field's forms."""
    names = [(f"{spelled(a)}.jpg", f"{spelled(b)}.jpg", f"{g}.png") for a, b, g in rows]
    form = rng.randrange(5)
    if form == 0:
        return "from,to\n" + "".join(f"{a},{b}\n" for a, b, _ in names)
    if form == 1:
        return "".join(f"{b},{a}\n" for a, b, _ in names)
    if form == 2:
        return json.dumps([{"source_image": a, "target_image": b} for a, b, _ in names])
    if form == 3:
        return "generated,ground_truth\n" + "".join(f"{g},{b}\n" for _, b, g in names)
    return "generated,ground_truth\n,\n" + "".join(
        f"results\\{g},{b.upper()}\n".replace("/", "\\") for _, b, g in names
    )
