"""Nearest neighbours: exactly those of brute force, whatever the blocks, the order, the threads."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fhpt_eval.errors import ArgumentError
from fhpt_eval.metrics.gallery import nearest
from fhpt_eval.metrics.gallery.nearest import Distance, hit_ranks, search

Array = NDArray[Any]


def integers(seed: int, *shape: int, most: int = 8) -> Array:
    return np.random.default_rng(seed).integers(-most, most + 1, shape)


@pytest.fixture(scope="module")
def embeddings() -> tuple[Array, Array]:
    """2,000 queries and as many gallery vectors, float32, of which 300 are there twice."""
    generator = np.random.default_rng(0)
    queries, gallery = generator.normal(size=(2, 2000, 64)).astype(np.float32)
    gallery[700:1000] = gallery[:300]
    queries[:50] = gallery[:50]
    return queries, gallery


def squares(queries: Array, gallery: Array) -> Array:
    """Return exact squared distances of whole numbers."""
    q, g = queries.astype(np.int64), gallery.astype(np.int64)
    return np.asarray((q**2).sum(1)[:, None] + (g**2).sum(1) - 2 * np.einsum("qd,gd->qg", q, g))


# --- equal to brute force ---


def naive(queries: Array, gallery: Array, distance: Distance) -> list[list[int]]:
    """Rank by a double loop, in exact arithmetic."""

    def key(q: list[int], g: list[int]) -> Fraction:
        if distance == "euclidean":
            return Fraction(sum((a - b) ** 2 for a, b in zip(q, g, strict=True)))
        product = sum(a * b for a, b in zip(q, g, strict=True))
        lengths = sum(a * a for a in q) * sum(b * b for b in g)
        # The cosine, squared with its sign: of the same order, and a fraction. 0 for no direction.
        return -Fraction(product * abs(product), lengths) if lengths else Fraction(0)

    rows = gallery.tolist()
    return [
        sorted(range(len(rows)), key=lambda at: (key(q, rows[at]), at)) for q in queries.tolist()
    ]


@st.composite
def small(draw: st.DrawFn) -> tuple[Array, Array]:
    """Return arrays of few small whole numbers, so that most distances are tied."""
    dimensions = draw(st.integers(1, 5))
    side = st.lists(
        st.lists(st.integers(-1, 1), min_size=dimensions, max_size=dimensions),
        min_size=1,
        max_size=9,
    )
    return np.array(draw(side), np.float32), np.array(draw(side), np.float32)


@given(small(), st.integers(1, 10), st.sampled_from(["cosine", "euclidean"]), st.data())
@settings(max_examples=150, deadline=None)
def test_search_equals_a_double_loop_for_any_block_size(
    arrays: tuple[Array, Array], block: int, distance: Distance, data: st.DataObject
) -> None:
    queries, gallery = arrays
    k = data.draw(st.integers(1, len(gallery)))
    indices, distances = search(queries, gallery, k, distance, block=block)
    expected = naive(queries.astype(int), gallery.astype(int), distance)
    assert indices.tolist() == [row[:k] for row in expected]
    assert (np.diff(distances, axis=1) >= 0).all()


@given(small(), st.integers(1, 10), st.sampled_from(["cosine", "euclidean"]), st.data())
@settings(max_examples=150, deadline=None)
def test_ranks_equal_those_of_a_double_loop_for_any_block_size(
    arrays: tuple[Array, Array], block: int, distance: Distance, data: st.DataObject
) -> None:
    queries, gallery = arrays
    some = np.random.default_rng(data.draw(st.integers(0, 99)))
    own, shown = some.integers(-1, 3, len(queries)), some.integers(-1, 3, len(gallery))
    left_out = some.integers(-1, len(gallery), len(queries))
    found = hit_ranks(queries, gallery, own, shown, left_out, distance, block)
    ranking = naive(queries.astype(int), gallery.astype(int), distance)
    for row, ranks in enumerate(found):
        order = [at for at in ranking[row] if at != left_out[row]]
        hits = [n + 1 for n, at in enumerate(order) if shown[at] == own[row] >= 0]
        assert ranks.tolist() == hits


def test_2000_vectors_with_ties_are_ranked_as_by_brute_force() -> None:
    """Whole numbers, whose squared distances are exact; most of them occur many times."""
    queries, gallery = integers(1, 2000, 16), integers(2, 2000, 16)
    gallery[700:1000] = gallery[:300]
    exact = squares(queries, gallery)
    order = np.argsort(exact, axis=1, kind="stable")
    indices, distances = search(queries, gallery, 50, "euclidean")
    assert np.array_equal(indices, order[:, :50])
    assert np.array_equal(distances, np.sqrt(np.take_along_axis(exact, indices, 1)))
    labels = np.random.default_rng(3).integers(0, 400, (2, 2000))
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, 2001)[None], 1)
    found = list(hit_ranks(queries, gallery, labels[0], labels[1], distance="euclidean"))
    for row in range(2000):
        assert found[row].tolist() == sorted(ranks[row, labels[1] == labels[0, row]])


def test_2000_embeddings_with_duplicates_have_the_neighbours_of_brute_force(
    embeddings: tuple[Array, Array],
) -> None:
    """Cosines one by one in float64; einsum adds in one order, so that duplicates tie there too."""
    unit = [x.astype(np.float64) for x in embeddings]
    unit = [x / np.sqrt((x**2).sum(1, keepdims=True)) for x in unit]
    cosines = np.einsum("qd,gd->qg", *unit)
    order = np.argsort(-cosines, axis=1, kind="stable")
    indices, distances = search(*embeddings, 50)
    assert np.array_equal(indices, order[:, :50])
    # 64 x 2^-50 of rounding in ours is promised; theirs is 100 times less.
    assert np.abs(distances - (1 - np.take_along_axis(cosines, indices, 1))).max() < 6e-14


def test_first_and_second_of_equal_vectors_are_in_the_gallerys_order(
    embeddings: tuple[Array, Array],
) -> None:
    indices, distances = search(*embeddings, 2)
    assert indices[:50].tolist() == [[row, row + 700] for row in range(50)]
    assert (distances[:50] == 0).all()


@pytest.mark.parametrize("dimensions", [1, 3, 64, 2048])
def test_distances_are_those_of_long_arithmetic(dimensions: int) -> None:
    x, y = np.random.default_rng(5).normal(size=(2, 4, dimensions))
    for distance in ("cosine", "euclidean"):
        indices, found = search(x, y, 4, distance)
        for row in range(4):
            for at, value in zip(indices[row], found[row], strict=True):
                a, b = x[row].tolist(), y[at].tolist()
                lengths = math.hypot(*a) * math.hypot(*b)
                allowed = dimensions * 2.0**-50 + 1e-15  # as promised, and float64's own rounding
                if distance == "euclidean":
                    expected = math.dist(a, b)
                    allowed *= lengths / expected  # of its square, twice that
                else:
                    expected = 1 - math.fsum(p * q for p, q in zip(a, b, strict=True)) / lengths
                assert value == pytest.approx(expected, abs=allowed, rel=1e-15)


# --- equal bits ---


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [1, 7, 333, 1999, 5000])
def test_the_block_size_moves_no_bit(
    embeddings: tuple[Array, Array], distance: Distance, block: int
) -> None:
    queries, gallery = embeddings[0][:40], embeddings[1]
    ours, theirs = (search(queries, gallery, 30, distance, size) for size in (None, block))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_the_order_of_rows_and_the_number_of_queries_move_no_bit(
    embeddings: tuple[Array, Array], distance: Distance
) -> None:
    queries, gallery = embeddings
    _, whole = search(queries, gallery, 30, distance)
    generator = np.random.default_rng(6)
    rows, columns = generator.permutation(2000)[:700], generator.permutation(2000)
    _, shuffled = search(queries[rows], gallery[columns], 30, distance)
    assert np.array_equal(whole[rows], shuffled)
    _, single = search(queries[rows[:1]], gallery, 30, distance)
    assert np.array_equal(single[0], whole[rows[0]])


def test_the_number_of_threads_and_the_layout_move_no_bit(embeddings: tuple[Array, Array]) -> None:
    queries, gallery = embeddings
    found = []
    for threads in (1, 4):
        with threadpool_limits(limits=threads):
            found.append(search(queries, gallery, 30))
    found.append(search(np.asfortranarray(queries), gallery.astype(np.float64)[::1], 30))
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_distances_are_symmetric_to_the_bit(embeddings: tuple[Array, Array]) -> None:
    x, y = (side[:60] for side in embeddings)
    for distance in ("cosine", "euclidean"):
        there, back = (search(a, b, 60, distance) for a, b in ((x, y), (y, x)))
        tables = [np.empty((60, 60)) for _ in range(2)]
        for table, (indices, distances) in zip(tables, (there, back), strict=True):
            np.put_along_axis(table, indices, distances, 1)
        assert np.array_equal(tables[0], tables[1].T)


@pytest.mark.parametrize("dimensions", [1, 2, 5, 2048, 65_536])
def test_every_partial_sum_is_a_whole_number_that_float64_holds(dimensions: int) -> None:
    """The largest sums that vectors of length 1 can have, whichever way they are added."""
    x = np.full((1, dimensions), 1.0)
    x[0, 0] = 1 - 2.0**-30  # so that low parts are not zero
    fixed = nearest._fixed(x, "cosine")
    worst = np.full(dimensions, 2.0 ** (fixed.bits - 27))  # no low part is larger
    assert (np.abs(fixed.low) <= worst).all()
    assert (fixed.high == np.rint(fixed.high)).all()
    assert (fixed.low == np.rint(fixed.low)).all()
    assert float((fixed.high**2).sum()) < 2.0**53
    assert 2 * float((np.abs(fixed.high[0]) * worst).sum()) < 2.0**53


# --- numbers at the edges ---


@pytest.mark.parametrize("scale", [1e-290, 1e-30, 1e30, 1e140])
def test_cosine_neighbours_do_not_depend_on_lengths(
    embeddings: tuple[Array, Array], scale: float
) -> None:
    queries, gallery = (x[:50].astype(np.float64) for x in embeddings)
    scales = np.where(np.arange(50) % 2, 1.0, scale)[:, None]
    assert np.array_equal(search(queries, gallery, 9)[0], search(queries, gallery * scales, 9)[0])


def test_a_vector_of_zeros_is_at_distance_1_from_everything() -> None:
    x = np.array([[0.0, 0.0], [1.0, 1.0]])
    indices, distances = search(x, np.array([[0.0, 0.0], [-1.0, 0.0], [2.0, 2.0]]), 3)
    assert indices.tolist() == [[0, 1, 2], [2, 0, 1]]
    assert distances[0].tolist() == [1, 1, 1]
    assert distances[1, 0] == 0
    assert distances[1, 1] == 1


def test_more_neighbours_than_the_gallery_has_are_refused() -> None:
    with pytest.raises(ArgumentError, match="'k' must lie in 1 to 4"):
        search(np.ones((2, 3)), np.ones((4, 3)), 5)


@pytest.mark.parametrize(
    ("queries", "gallery", "message"),
    [
        (np.ones(3), np.ones((4, 3)), "'queries'"),
        ([[1.0]], np.ones((4, 1)), "'queries'"),
        (np.ones((2, 3), complex), np.ones((4, 3)), "'queries'"),
        (np.ones((2, 3)), np.ones((4, 2)), "'queries' have 3 dimensions, 'gallery' 2"),
        (np.ones((2, 3)), np.ones((0, 3)), "'gallery' must have rows"),
        (np.ones((1, 65_537)), np.ones((1, 65_537)), "65,536 dimensions"),
        (np.array([[1.0, np.nan]]), np.ones((4, 2)), "not finite"),
        (np.ones((1, 2)), np.array([[1.0, np.inf]]), "not finite"),
        (np.array([[1e200, 0.0]]), np.ones((1, 2)), "too large"),
    ],
)
def test_what_is_no_pair_of_arrays_is_refused(queries: Any, gallery: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        search(queries, gallery, 1)


def test_other_arguments_are_checked() -> None:
    x, labels = np.ones((2, 3)), np.zeros(2, np.int64)
    with pytest.raises(ArgumentError, match="'distance' must be 'cosine' or 'euclidean'"):
        search(x, x, 1, "manhattan")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="'block'"):
        search(x, x, 1, block=0)
    with pytest.raises(ArgumentError, match="'query_labels' must be 2 whole numbers"):
        hit_ranks(x, x, labels[:1], labels)
    with pytest.raises(ArgumentError, match="'gallery_labels'"):
        hit_ranks(x, x, labels, labels.astype(float))
    with pytest.raises(ArgumentError, match="'excluded' names a row"):
        hit_ranks(x, x, labels, labels, np.array([0, 2]))


# --- memory ---


def test_no_matrix_of_all_distances_is_held() -> None:
    """All distances would be 144 MB; blocks of 1,024 by 256 are 2 MB, and some are held at once."""
    generator = np.random.default_rng(7)
    queries, gallery = generator.normal(size=(3000, 8)), generator.normal(size=(6000, 8))
    labels = np.arange(6000) % 500
    tracemalloc.start()
    try:
        search(queries, gallery, 5, block=256)
        for _ in hit_ranks(queries, gallery, labels[:3000], labels, block=256):
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30e6


def test_everything_may_be_relevant_to_everything() -> None:
    x, labels = integers(8, 30, 4), np.zeros(30, np.int64)
    ranks = [row.tolist() for row in hit_ranks(x, x, labels, labels)]
    assert ranks == [list(range(1, 31))] * 30
