"""Partials survive the way through bytes exactly, and damage is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fhpt_eval.evaluation.store.partial import Partial, address_of
from fhpt_eval.evaluation.store.store import FolderStore

digests = st.text("0123456789abcdef", min_size=64, max_size=64)
kinds = st.sampled_from([np.dtype(name) for name in ("f8", "f4", "i8", "?", "U7", "c16")])
arrays = hnp.arrays(kinds, hnp.array_shapes(min_side=0, max_side=3))
partials = st.builds(
    Partial,
    task=digests,
    chunk=digests,
    keys=st.tuples(*[st.text(max_size=20)] * 3),
    columns=st.dictionaries(st.text(max_size=10), arrays, max_size=3),
    state=st.dictionaries(st.text(max_size=10), arrays, max_size=2),
)


def equal(first: Any, second: Any) -> bool:
    """Whether two arrays are the same in kind, shape and bits."""
    same = (first.dtype, first.shape) == (second.dtype, second.shape)
    return same and first.tobytes() == second.tobytes()


@given(partials)
@settings(max_examples=60, deadline=None)
def test_a_partial_reads_back_as_it_was(partial: Partial) -> None:
    back = Partial.from_bytes(partial.to_bytes())
    assert back is not None
    assert (back.task, back.chunk, back.keys) == (partial.task, partial.chunk, partial.keys)
    for named, again in ((partial.columns, back.columns), (partial.state, back.state)):
        assert list(again) == list(named)
        assert all(equal(again[name], array) for name, array in named.items())


@given(partials, st.data())
@settings(max_examples=40, deadline=None)
def test_a_partial_that_was_cut_or_changed_is_no_partial(
    partial: Partial, data: st.DataObject
) -> None:
    payload = partial.to_bytes()
    at = data.draw(st.integers(0, len(payload) - 1))
    assert Partial.from_bytes(payload[:at]) is None
    changed = bytearray(payload)
    changed[at] ^= 1
    assert Partial.from_bytes(bytes(changed)) is None


def test_equal_partials_give_equal_bytes() -> None:
    first, second = (
        Partial("t", "c", ("k",), {"a": np.zeros(1)}, {name: np.ones(2) for name in "xy"})
        for _ in range(2)
    )
    assert first.to_bytes() == second.to_bytes()


@pytest.mark.parametrize("what", ["task", "chunk"])
def test_a_partial_of_something_else_is_not_believed_where_it_lies(
    tmp_path: Path, what: str
) -> None:
    """As where somebody copies a file over another one: its own words say what it is of."""
    store = FolderStore(tmp_path)
    mine = {"task": "a" * 64, "chunk": "b" * 64}
    theirs = Partial(keys=("k",), **mine | {what: "c" * 64})  # type: ignore[arg-type]
    store.save(Partial(keys=("k",), **mine))  # type: ignore[arg-type]
    store.save(theirs)
    address = address_of(**mine)
    assert store.load(address) is not None
    places = {file.stem: file for file in tmp_path.rglob("*.partial")}
    places[address].write_bytes(places[theirs.address].read_bytes())
    assert store.load(address) is None
