"""Partials survive the way through bytes exactly, and damage is noticed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fhpt_eval.evaluation.partial import Partial, Yield

columns = st.dictionaries(
    st.text(max_size=10), hnp.arrays(np.float64, 3, elements=st.floats()), max_size=3
)
states = st.none() | st.dictionaries(
    st.text(max_size=10), hnp.arrays(np.float64, (2, 2), elements=st.floats()), max_size=2
)
partials = st.builds(
    Partial,
    keys=st.tuples(*[st.text(max_size=20)] * 3),
    generated=st.just(("a" * 64,) * 3),
    ground_truth=st.just(("b" * 64,) * 3),
    yields=st.dictionaries(
        st.text("0123456789abcdef", min_size=64, max_size=64),
        st.builds(Yield, columns, states),
        max_size=3,
    ),
)


@given(partials)
@settings(max_examples=60, deadline=None)
def test_a_partial_reads_back_as_it_was(partial: Partial) -> None:
    back = Partial.from_bytes(partial.to_bytes())
    assert back is not None
    assert (back.keys, back.generated, back.ground_truth) == (
        partial.keys,
        partial.generated,
        partial.ground_truth,
    )
    assert back.yields.keys() == partial.yields.keys()
    for address, one in partial.yields.items():
        other = back.yields[address]
        assert list(other.columns) == list(one.columns)
        assert all(
            np.array_equal(other.columns[n], one.columns[n], equal_nan=True) for n in one.columns
        )
        assert (other.state is None) == (one.state is None)
        assert all(
            np.array_equal((other.state or {})[n], array, equal_nan=True)
            for n, array in (one.state or {}).items()
        )


@given(partials, st.data())
@settings(max_examples=40, deadline=None)
def test_a_partial_that_was_cut_or_changed_is_no_partial(
    partial: Partial, data: st.DataObject
) -> None:
    whole = partial.to_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    assert Partial.from_bytes(whole[:at]) is None
    changed = bytearray(whole)
    changed[at] ^= 1
    assert Partial.from_bytes(bytes(changed)) is None


def test_equal_partials_give_equal_bytes() -> None:
    one, two = (
        Partial(("k",), ("a",), ("b",), {n: Yield({"": np.zeros(1)}) for n in order})
        for order in ("xy", "yx")
    )
    assert one.to_bytes() == two.to_bytes()
