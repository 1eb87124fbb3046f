"""Chunks are a stable function of the keys; a new pair disturbs only the chunk it lands in."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fhpt_eval.evaluation.survey.chunks import CHUNK_PAIRS, CheckedPair, split
from fhpt_eval.images.files import CheckedImage, ImageRef
from fhpt_eval.pairs.pair import Pair


def pair(target: str, source: str | None = None) -> CheckedPair:
    """Make a pair whose images are never looked at."""
    key = target if source is None else f"{source}___{target}"
    image = CheckedImage(ImageRef(Path(key)), "0" * 64, 1, 1)
    made = Pair(key, image.ref, image.ref, None, source, target)
    return CheckedPair(made, image, image, None)


def layout(pairs: list[CheckedPair]) -> set[frozenset[str]]:
    """Return the keys in each chunk."""
    return {frozenset(p.pair.key for p in c.pairs) for c in split(pairs)}


names = st.lists(st.integers(0, 10**9).map(lambda n: f"person{n}"), unique=True, max_size=200)


@given(names)
@settings(max_examples=50, deadline=None)
def test_every_pair_is_in_exactly_one_chunk(targets: list[str]) -> None:
    chunks = layout([pair(target) for target in targets])
    assert sorted(key for keys in chunks for key in keys) == sorted(targets)


@given(names, st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_the_pairs_does_not_matter(targets: list[str], random: st.DataObject) -> None:
    shuffled = list(targets)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert split([pair(t) for t in targets]) == split([pair(t) for t in shuffled])


@given(names.filter(bool))
@settings(max_examples=100, deadline=None)
def test_a_new_pair_disturbs_only_the_chunk_it_lands_in(targets: list[str]) -> None:
    new, rest = targets[0], targets[1:]
    before = layout([pair(target) for target in rest])
    after = layout([pair(target) for target in targets])
    unchanged = before & after
    disturbed = before - unchanged
    assert len(disturbed) <= 1
    # What was disturbed holds, with the new pair, exactly what is new.
    renewed = frozenset().union(*(after - unchanged))
    assert renewed == frozenset().union(*disturbed) | {new}


def test_chunks_are_bounded_and_not_tiny() -> None:
    sizes = [len(c.pairs) for c in split([pair(f"person{n}") for n in range(5000)])]
    assert max(sizes) <= CHUNK_PAIRS
    assert sum(sizes) / len(sizes) > CHUNK_PAIRS / 3


def test_pairs_of_one_ground_truth_share_a_chunk_however_many_they_are() -> None:
    many = [pair("target", f"source{n}") for n in range(3 * CHUNK_PAIRS)]
    others = [pair(f"person{n}") for n in range(100)]
    with_target = [c for c in split(many + others) if any("___" in p.pair.key for p in c.pairs)]
    assert len(with_target) == 1


def test_no_pairs_make_no_chunks() -> None:
    assert split([]) == ()
