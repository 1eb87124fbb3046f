"""Settings by dotted names, and how two tables of them differ."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhpt_eval.common.settings import MISSING, differences, flat

values = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3))
names = st.text("abc", min_size=1, max_size=2)
tables = st.recursive(
    st.dictionaries(names, values, max_size=3),
    lambda below: st.dictionaries(names, st.one_of(values, below), max_size=3),
    max_leaves=8,
)


def test_values_stand_under_dotted_names_in_order() -> None:
    nested = {"model": {"blocks": 6, "norm": {"eps": 1e-5}}, "seed": 1}
    assert list(flat(nested).items()) == [
        ("model.blocks", 6),
        ("model.norm.eps", 1e-5),
        ("seed", 1),
    ]


def test_an_empty_table_is_a_value() -> None:
    assert flat({"weights": {}}) == {"weights": {}}


def test_a_list_is_a_value() -> None:
    assert flat({"a": [{"b": 1}]}) == {"a": [{"b": 1}]}


def test_each_difference_has_its_name_and_both_values() -> None:
    ours = {"model": {"blocks": 6, "width": 64}, "seed": 1}
    theirs = {"model": {"blocks": 9, "width": 64}, "seed": 2}
    assert differences(ours, theirs) == [("model.blocks", 6, 9), ("seed", 1, 2)]


def test_what_one_side_lacks_is_not_nothing_that_it_has() -> None:
    assert differences({"a": None}, {}) == [("a", None, MISSING)]
    assert differences({}, {"a": None}) == [("a", MISSING, None)]


def test_what_is_missing_is_written_as_nothing() -> None:
    assert f"{MISSING} and {MISSING!r}" == "nothing and nothing"


def test_what_only_they_have_stands_last() -> None:
    found = differences({"b": 1, "c": {"d": 2}}, {"a": 3})
    assert [name for name, _, _ in found] == ["b", "c.d", "a"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables, tables)
def test_tables_differ_in_nothing_only_if_they_are_equal(first: dict, second: dict) -> None:  # type: ignore[type-arg]
    assert differences(first, first) == []
    assert (differences(first, second) == []) == (first == second)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables, tables)
def test_the_other_way_round_the_values_are_exchanged(first: dict, second: dict) -> None:  # type: ignore[type-arg]
    there = {
        (name, theirs, ours) for name, ours, theirs in map(_hashable, differences(first, second))
    }
    assert {tuple(one) for one in map(_hashable, differences(second, first))} == there


def _hashable(difference: tuple[str, object, object]) -> tuple[str, str, str]:
    name, ours, theirs = difference
    return name, repr(ours), repr(theirs)
