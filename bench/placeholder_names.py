"""Count assignments to names that say nothing of what they hold.

    python -m bench.placeholder_names            the share, by room
    python -m bench.placeholder_names --list     every place

Assignments are all places in which a name is bound: statements, loops, comprehensions, ``with`` and
the arguments of functions.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "fhpt_eval"
#: Words that stand for any thing at all.
PLACEHOLDERS = frozenset(
    [
        "found",
        "one",
        "ones",
        "some",
        "own",
        "told",
        "at",
        "rest",
        "given",
        "made",
        "here",
        "there",
        "thing",
        "things",
        "stuff",
        "another",
        "other",
        "others",
        "whole",
        "everything",
    ]
)


def bound_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each name that is bound, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno


def count() -> tuple[Counter[str], Counter[str], list[str]]:
    """Return by room the number of assignments and of those to placeholders, and their places."""
    every: Counter[str] = Counter()
    placeholders: Counter[str] = Counter()
    places = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        for name, line in bound_names(ast.parse(path.read_text("utf-8"))):
            every[room] += 1
            if re.sub(r"^_+|_+$", "", name) in PLACEHOLDERS:
                placeholders[room] += 1
                places.append(f"{path.relative_to(PACKAGE)}:{line}: {name}")
    return every, placeholders, places


def main() -> None:
    """Print the shares, or the places."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print every place")
    every, placeholders, places = count()
    if parser.parse_args().list:
        print("\n".join(places))
    for room in sorted(every):
        print(f"{room:<20}{placeholders[room]:>5} of {every[room]:>6}")
    total, bad = sum(every.values()), sum(placeholders.values())
    print(f"{'all':<20}{bad:>5} of {total:>6}: {bad / total:.2%}")


if __name__ == "__main__":
    main()
