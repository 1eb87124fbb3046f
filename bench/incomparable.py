"""What makes numbers incomparable, measured: published results under every shipped protocol.

``python -m bench.incomparable STRIPS > docs/incomparable.md`` scores each folder of strips of three
panels (source, target, generated) below STRIPS, a method each, and prints the page: no image goes
into it, numbers only. A protocol that cannot score these images is left out, with its reason.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from fhpt_eval import evaluate, load_protocol
from fhpt_eval.errors import InputError, UnavailableError
from fhpt_eval.leaderboard.sensitivity import Sensitivity, build
from fhpt_eval.protocol import Entry, Protocol, parse_protocol, preset_names
from fhpt_eval.protocol.diff import compare
from fhpt_eval.result import Result

PANELS = 3

#: What the others move from: the person alone, as the field cuts these images, and nothing else.
CROP = """
id = "crop"
prepare = [{ step = "crop", left = 40, right = 216, bottom = 256 }]
[metrics.ssim]
[metrics.psnr]
[metrics.l1]
"""

#: The same with white on both sides, and nothing else: what padding alone does.
PADDED = CROP.replace('"crop"\n', '"crop-padded"\n', 1).replace(
    "}]\n", '}, { step = "pad", width = 256, height = 256 }]\n', 1
)

HEAD = """# What makes numbers incomparable

The same images, scored as published scripts score them. Each table below holds one method's results
under every shipped protocol that fits them, and how far each number moves from `crop`: columns 40
to 216 of each image as they are, SSIM as the preset `fhpt` has it. Nothing but the protocol changes
from row to row.

Made by `python -m bench.incomparable STRIPS` from strips of source, target and generated image:
{methods}. No image of that set is part of the project.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, usage="%(prog)s STRIPS [options]")
    parser.add_argument("strips", type=Path, help="a folder of strips for each method")
    parser.add_argument("--protocols", default=",".join(preset_names()), help="names or files")
    parser.add_argument(
        "--compare", default="", help="A:B,... pairs of protocols to set side by side"
    )
    parser.add_argument("--metrics", default="ssim,psnr,l1", help="kinds of metrics that count")
    chosen = parser.parse_args()
    crop = parse_protocol(CROP, "crop")
    protocols = [
        crop,
        parse_protocol(PADDED, "crop-padded"),
        *(load_protocol(name) for name in chosen.protocols.split(",")),
    ]
    kinds = chosen.metrics.split(",")
    methods = sorted(folder for folder in chosen.strips.iterdir() if folder.is_dir())
    with tempfile.TemporaryDirectory() as cache:
        scored = {one.name: score(one, protocols, kinds, Path(cache)) for one in methods}
    tables = {name: build(results, crop.id) for name, (results, _) in scored.items() if results}
    left_out = {reason for _, reasons in scored.values() for reason in reasons}
    pairs = [tuple(pair.split(":")) for pair in chosen.compare.split(",") if pair]
    comparisons = [compare(load_protocol(a), load_protocol(b)).markdown() for a, b in pairs]
    sys.stdout.write(page(tables, sorted(left_out), comparisons))


def score(
    folder: Path, protocols: Sequence[Protocol], kinds: Sequence[str], cache: Path
) -> tuple[list[Result], list[str]]:
    """Score a folder under each protocol: the results, and why some protocols have none."""
    results, reasons = [], []
    for one in protocols:
        try:
            names = [e.name for e in one.entries if e.metric.name in kinds and not lacking(e)]
            results.append(
                evaluate(folder, folder, protocol=one, metrics=names, panels=PANELS, cache=cache)
            )
        except (InputError, UnavailableError) as error:
            reasons.append(f"`{one.id}`: {' '.join(str(error).split())[:300]}")
    return results, reasons


def lacking(entry: Entry) -> bool:
    """Whether something is missing that images alone do not have, such as key points."""
    return any(step.lacks() for step in entry.steps)


def page(
    tables: Mapping[str, Sensitivity], left_out: Sequence[str], comparisons: Sequence[str]
) -> str:
    """Write the page."""
    counts = {name: table.lines[0].result.test_set.pairs for name, table in tables.items()}
    told = ", ".join(f"{name} ({count} pairs)" for name, count in counts.items())
    parts = [HEAD.format(methods=told), *_places(tables)]
    for name, table in tables.items():
        parts += [f"## {name}\n", table.to_markdown()]
    if comparisons:
        parts += ["## What protocols differ in\n", *comparisons]
    if left_out:
        parts.append("## Left out\n")
        parts.append("\n".join(f"- {reason}" for reason in left_out) + "\n")
    return "\n".join(parts)


def _places(tables: Mapping[str, Sensitivity]) -> list[str]:
    """Write, for each metric under which methods change places, who stands where."""
    found = []
    for column in next(iter(tables.values())).columns if tables else ():
        orders = orders_of(tables, column)
        if len(orders) > 1:
            lines = [f"- {' before '.join(order)}: {', '.join(labels)}"
                     for order, labels in orders.items()]  # fmt: skip
            found.append(f"### {column}\n\n" + "\n".join(lines) + "\n")
    return ["## Methods change places\n\nBest first, by protocol:\n", *found] if found else []


def orders_of(tables: Mapping[str, Sensitivity], column: str) -> dict[tuple[str, ...], list[str]]:
    """Return the orders of methods by a metric, best first, and the rows that have each.

    Rows in which a method has no value, or one over another number of pairs than the others, are
    passed over, and so are details.
    """
    values: dict[str, dict[str, float]] = {}
    counts: dict[str, set[int]] = {}
    for method, table in tables.items():
        for line in table.lines:
            score = line.scores.get(column)
            if score is None or score.value is None or score.detail:
                continue
            sign = -1.0 if score.direction == "higher" else 1.0
            values.setdefault(line.label, {})[method] = sign * score.value
            counts.setdefault(line.label, set()).add(score.n)
    orders: dict[tuple[str, ...], list[str]] = {}
    for label, by_method in values.items():
        if len(by_method) == len(tables) and len(counts[label]) == 1:
            orders.setdefault(tuple(sorted(by_method, key=by_method.__getitem__)), []).append(label)
    return orders


if __name__ == "__main__":
    main()
