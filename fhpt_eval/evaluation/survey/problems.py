"""What keeps a run from starting, told to a person."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NoReturn

from fhpt_eval.common.files import csv_text, write_atomically
from fhpt_eval.errors import PairingError
from fhpt_eval.pairs.pair import Problem

#: So many problems of a kind are shown; the whole list is written to a file.
SHOWN = 20
#: Where the whole list lies in the folder of a result: where nobody keeps files of their own.
LISTED = Path("partials", "problems.csv")
_TITLES = {
    "missing": "missing",
    "extra": "unexpected",
    "duplicate": "ambiguous",
    "unreadable": "unreadable",
    "size": "of unequal sizes",
}


def refuse(problems: Sequence[Problem], out: Path | None, first: str = "") -> NoReturn:
    """Refuse the run: list what is wrong by kind, and say what to do.

    The whole list goes to :data:`LISTED` in ``out`` where more is wrong than is shown.

    Raises:
        PairingError: always.
    """
    lines = [first] if first else []
    cut = False
    for kind, group in groupby(sorted(problems, key=_order), key=lambda problem: problem.kind):
        alike = list(group)
        lines.append(f"{len(alike):,} {_TITLES.get(kind, kind)}:")
        lines += [f"  {problem.name}: {problem.reason}" for problem in alike[:SHOWN]]
        if len(alike) > SHOWN:
            cut = True
            lines.append(f"  ... and {len(alike) - SHOWN:,} more")
    if cut and out is not None:
        rows = [("kind", "name", "reason"), *((p.kind, p.name, p.reason) for p in problems)]
        listed = out / LISTED
        write_atomically(listed, csv_text(rows).encode())
        lines.append(f"All of them are listed in {listed}.")
    lines.append(
        "No result was written. Mend these, or leave them out and have the result say so with "
        "--allow-missing."
    )
    raise PairingError("\n".join(lines))


def _order(problem: Problem) -> tuple[int, str]:
    kinds = list(_TITLES)
    return (kinds.index(problem.kind) if problem.kind in kinds else len(kinds), problem.name)


def unusable(what: str, problems: Sequence[Problem]) -> str:
    """Say which images of a set cannot be used; the first ones where there are many."""
    lines = [f"  {problem.name}: {problem.reason}" for problem in problems[:SHOWN]]
    lines += [f"  and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
    return f"{what}: {len(problems):,} images cannot be used.\n" + "\n".join(lines)
