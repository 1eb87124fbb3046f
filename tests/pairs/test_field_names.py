"""Whatever the field's spelling of names: the right pairs come out, or the run stops."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fhpt_eval.errors import InputError
from fhpt_eval.images.names import canonical
from fhpt_eval.pairs import folder
from fhpt_eval.pairs.matching import match_pairs
from fhpt_eval.pairs.pair import Folders
from tests.support.field_names import Names, draw

SETS = 10_000


def outcome(names: Names, root: Path, patch: pytest.MonkeyPatch) -> str:
    """Match a set of names; return "right" or "stopped", and fail if a pair is wrong."""
    patch.setattr(folder, "list_folder", names.list_folder)
    pairs = None
    if names.listed is not None:
        pairs = root / "list.csv"
        pairs.write_text(names.listed, encoding="utf-8")
    sources = None if names.sources is None else Path("/sources")
    folders = Folders(Path("/generated"), Path("/truth"), sources)
    try:
        matching = match_pairs(folders, rule=names.match, pairs=pairs)
    except InputError:
        return "stopped"
    paired = {
        _key(pair.generated.path): _key(pair.ground_truth.path)
        for pair in matching.pairs
        if pair.ground_truth is not None
    }
    wrong = {g: t for g, t in paired.items() if names.expected[g] != t}
    assert not wrong, (wrong, names, matching)
    for pair in matching.pairs:
        shown = canonical(names.shown.get(_key(pair.generated.path), ""))
        assert pair.source_name in (None, shown), (pair, names, matching)
    if matching.problems:
        return "stopped"
    assert paired.keys() == names.expected.keys(), (names, matching)
    return "right"


def _key(path: Path) -> str:
    return path.relative_to(path.anchor).as_posix().partition("/")[2].removesuffix(".png")


def test_wrong_pairs_never_come_out_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = Counter(outcome(draw(number), tmp_path, monkeypatch) for number in range(SETS))
    assert outcomes["right"] > SETS / 2
