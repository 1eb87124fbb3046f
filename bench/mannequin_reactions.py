"""How metrics react: drawn people, spoilt in five ways by degrees, scored under `mannequin`.

``python -m bench.mannequin_reactions > docs/mannequin-reactions.md`` prints the page. Each way has
metrics that are meant to see it; tests/benchmarks/mannequin/test_reactions.py holds them to that
order.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench.distortions import (
    noise,
    with_displaced_limbs,
    with_face_of,
    with_wrong_texture,
)
from fhpt_eval import evaluate
from fhpt_eval.benchmarks.mannequin import VIEWS, render
from fhpt_eval.benchmarks.mannequin.identity import Person, make_person
from fhpt_eval.benchmarks.mannequin.layout import TEST_EVERY, image_name
from fhpt_eval.benchmarks.mannequin.methods import Pixels, blur
from fhpt_eval.benchmarks.mannequin.pose import make_pose
from fhpt_eval.result import Result

#: Of people whom no network of the protocol was trained on.
SEED = 41

#: The score of each metric that the tables show.
SCORES = (
    "ssim", "lpips[mannequin]", "fid[mannequin]", "is[mannequin].mean", "brisque",
    "retrieval[mannequin].recall@1", "retrieval[mannequin].map", "joints[mannequin].pckh",
    "face_identity[mannequin].rate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Picture:
    """What is drawn: an identity's view, its place among the people, and their number."""

    identity: int
    view: int
    place: int
    people: int

    @property
    def person(self) -> Person:
        """Who it is."""
        return make_person(SEED, self.identity)

    def drawn(self, person: Person | None = None, degrees: float = 0.0) -> Pixels:
        """Draw it, or another person or with displaced limbs in its place."""
        own = self.person
        pose = make_pose(SEED, own, self.view)
        if degrees:
            pose = with_displaced_limbs(pose, degrees, self.identity * len(VIEWS) + self.view)
        return render(person or own, pose).image

    def is_among(self, share: float) -> bool:
        """Whether it belongs to the first so many of the people."""
        return self.place < share * self.people


@dataclass(frozen=True, slots=True)
class Spoiler:
    """A way to spoil pictures: its degrees, what they are, and the scores meant to see it."""

    title: str
    unit: str
    degrees: tuple[float, ...]
    spoil: Callable[[Picture, float], Pixels]
    meant: tuple[str, ...]


def _wrong_texture(picture: Picture, share: float) -> Pixels:
    wrong = picture.is_among(share)
    return picture.drawn(with_wrong_texture(picture.person, SEED) if wrong else None)


def _wrong_face(picture: Picture, share: float) -> Pixels:
    if not picture.is_among(share):
        return picture.drawn()
    return picture.drawn(with_face_of(picture.person, _another(picture.person)))


def _another(person: Person) -> Person:
    """Return the next person of the same gender."""
    numbers = range(person.identity + 1, person.identity + 200)
    return next(p for p in (make_person(SEED, n) for n in numbers) if p.woman == person.woman)


SPOILERS: Mapping[str, Spoiler] = {
    "blur": Spoiler(
        "Blur", "sigma in pixels", (0, 1, 2, 4),
        lambda picture, sigma: blur(picture.drawn(), sigma),
        ("ssim", "lpips[mannequin]", "fid[mannequin]", "is[mannequin].mean", "brisque"),
    ),
    "noise": Spoiler(
        "Noise", "deviation in levels", (0, 8, 20, 50),
        lambda picture, sigma: noise(
            picture.drawn(), sigma, picture.identity * len(VIEWS) + picture.view
        ),
        ("ssim", "lpips[mannequin]", "fid[mannequin]"),
    ),
    "texture": Spoiler(
        "Wrong texture, same colours", "share of the people", (0, 0.25, 0.5, 1), _wrong_texture,
        ("retrieval[mannequin].recall@1", "retrieval[mannequin].map"),
    ),
    "face": Spoiler(
        "Another person's face and hair", "share of the people", (0, 0.25, 0.5, 1), _wrong_face,
        ("face_identity[mannequin].rate",),
    ),
    "limbs": Spoiler(
        "Displaced arms and legs", "degrees at each joint", (0, 10, 20, 40),
        lambda picture, degrees: picture.drawn(degrees=degrees),
        ("joints[mannequin].pckh",),
    ),
}  # fmt: skip


def pictures(people: int) -> Iterator[Picture]:
    """Yield every view of so many people of the test split."""
    for place in range(people):
        for view in range(len(VIEWS)):
            yield Picture(place * TEST_EVERY, view, place, people)


def write_ground_truth(folder: Path, people: int) -> Path:
    """Write the pictures as they are, under their names in the benchmark."""
    return _write(folder, people, lambda picture: picture.drawn(), paired=False)


def write_spoilt(folder: Path, people: int, spoiler: Spoiler, degree: float) -> Path:
    """Write the pictures spoilt, each as made from the same person's next view."""
    return _write(folder, people, lambda picture: spoiler.spoil(picture, degree), paired=True)


def score(folder: Path, spoilt: Path, truth: Path, metrics: Sequence[str] | None) -> Result:
    """Score spoilt pictures; features of the ground truth are kept below ``folder``."""
    return evaluate(
        spoilt, truth, source=truth, protocol="mannequin", metrics=metrics, cache=folder / "cache"
    )


def _write(folder: Path, people: int, make: Callable[[Picture], Pixels], *, paired: bool) -> Path:
    folder.mkdir(parents=True)
    for picture in pictures(people):
        item = picture.person.item
        name = image_name(item, picture.view).removesuffix(".jpg")
        if paired:
            source = image_name(item, (picture.view + 1) % len(VIEWS)).removesuffix(".jpg")
            name = f"{source}___{name}"
        # A run refuses files that are their own ground truth, byte for byte.
        Image.fromarray(make(picture)).save(folder / f"{name}.png", compress_level=1 + paired)
    return folder


def react(folder: Path, people: int) -> Iterator[tuple[Spoiler, dict[float, Result]]]:
    """Yield each way to spoil, and the result at each of its degrees."""
    truth = write_ground_truth(folder / "truth", people)
    perfect: Result | None = None
    for name, spoiler in SPOILERS.items():
        found = {}
        for degree in spoiler.degrees:
            if degree or perfect is None:
                spoilt = write_spoilt(folder / name / f"{degree:g}", people, spoiler, degree)
                result = score(folder, spoilt, truth, None)
            perfect = perfect or result
            found[degree] = result if degree else perfect
        yield spoiler, found


HEAD = """# How the metrics react

{pairs} pairs of drawn people ({people} identities of seed {seed}, whom no network of the package
has seen, in four views) scored under the protocol `mannequin` against their ground truth, from
nothing wrong with them to much. In **bold** the scores that are meant to see it; they worsen from
row to row (tests/benchmarks/mannequin/test_reactions.py). Made by
`python -m bench.mannequin_reactions`.

The first row of every table is the ground truth itself. BRISQUE and the Inception score compare
with no ground truth, so that theirs is a value like any other. Retrieval need not have 1 there: the
query is the picture itself, and the garment is looked for in *other* views of it.

What to take from it: a wrong texture costs retrieval more than half of its recall@1, and SSIM less
than a blur of 2 pixels does, by which nearly every garment is still found. Arms and legs 10 degrees
off cost as much SSIM as a blur that leaves no detail. And a value without a ground truth says
little by itself: a little noise makes a drawing more natural to BRISQUE, which learnt from
photographs, and wrong textures on everybody raise the Inception score.
"""


def page(found: Sequence[tuple[Spoiler, Mapping[float, Result]]], people: int) -> str:
    """Return the page."""
    for spoiler, results in found:
        _check_order(spoiler, list(results.values()))
    pairs = next(iter(found[0][1].values())).test_set.pairs
    parts = [HEAD.format(pairs=pairs, people=people, seed=SEED)]
    for spoiler, results in found:
        first = next(iter(results.values()))
        arrows = {name: "↑" if first.scores[name].direction == "higher" else "↓" for name in SCORES}
        titles = [f"{name.replace('[mannequin]', '')} {arrows[name]}" for name in SCORES]
        parts.append(f"## {spoiler.title}\n")
        parts.append(f"| {spoiler.unit} | {' | '.join(titles)} |")
        parts.append("| --- |" + " ---: |" * len(titles))
        for degree, result in results.items():
            cells = [_cell(result, name, bold=name in spoiler.meant) for name in SCORES]
            parts.append(f"| {degree:g} | {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def _check_order(spoiler: Spoiler, results: Sequence[Result]) -> None:
    """Refuse to print that scores worsen where one does not."""
    for name in spoiler.meant:
        scores = [result.scores[name] for result in results]
        values = [score.value or 0.0 for score in scores]
        worse = sorted(values, reverse=scores[0].direction == "higher")
        if values != worse or len(set(values)) < len(values):
            raise SystemExit(f"{name} does not worsen with {spoiler.title}: {values}")


def _cell(result: Result, name: str, *, bold: bool) -> str:
    value = result.scores[name].value
    text = "-" if value is None else f"{value:.3f}"
    return f"**{text}**" if bold else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=60, help="identities, in four views each")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = list(react(Path(folder), chosen.people))
    print(page(found, chosen.people))


if __name__ == "__main__":
    main()
