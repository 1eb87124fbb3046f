"""Exact nearest neighbours, in blocks of bounded memory.

A matrix product gives other last digits with another number of threads, shape or library, and near
ties then change places. Here it cannot: every vector is rounded once, by itself, to two whole
numbers a component, the first 26 bits and some 20 below, such that every product and every partial
sum is a whole number below 2^53. Those are exact in float64, in whatever order they are added (the
idea of Ozaki, Ogita, Oishi, Rump, "Error-free transformations of matrix multiplication by using
fast routines of matrix multiplication and its applications", Numerical Algorithms 59, 2012). So a
distance depends on its two vectors alone, to the bit, and equal vectors tie exactly.

Left out are products of two low parts. With that and the rounding, the product of two vectors of
length 1 and D components is off by less than D 2^-50 (2e-12 for 2,048), and typically by 1e-14;
squares of Euclidean distances by twice that, times the product of the lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError

Distance = Literal["cosine", "euclidean"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: More components a vector than this, and the sums of the second product could pass 2^53.
MAX_DIMENSIONS = 65_536
#: Lengths beyond this would overflow when squared.
_MAX_LENGTH = 2.0**500

#: Bits of a component's high part. The smallest scale: a length of 2^-1000 counts as zero.
_HIGH = 26
_LEAST_EXPONENT = -1000
#: Components of vectors that are held in float64 at a time, and rows at most.
_BLOCK_COMPONENTS, _BLOCK_ROWS = 2**23, 4096
#: Queries whose distances to a block are held at a time.
_QUERIES = 1024
#: (query, relevant image) pairs whose ranks are counted in one pass over the gallery.
_PAIRS = 2**20


@dataclass(frozen=True, slots=True)
class _Fixed:
    """Rows of vectors as whole numbers: ``2^exponent (high 2^-26 + low 2^-bits)``.

    ``high``, ``low`` are ``(N, D)``, ``squares`` is each row's product with itself and
    ``exponents`` (N,), all float64 but the last. Rows have lengths of at most 1 before 2^exponent.
    """

    high: Floats
    low: Floats
    squares: Floats
    exponents: Integers
    bits: int


def search(
    queries: NDArray[Any],
    gallery: NDArray[Any],
    k: int,
    distance: Distance = "cosine",
    block: int | None = None,
) -> tuple[Integers, Floats]:
    """Find the k nearest rows of the gallery for every query, nearest first.

    Of rows at one distance the first of the gallery comes first. Memory is that of a few blocks,
    whatever the numbers of rows; neither the block size nor threads change a bit of the result.

    Args:
        queries: ``(Q, D)`` finite numbers, D at most 65,536.
        gallery: ``(G, D)``.
        k: 1 to G.
        distance: ``"cosine"``, 1 - cos of the angle, in [0, 2], and 1 where a vector is zero; or
            ``"euclidean"``.
        block: rows of the gallery that are looked at together; a fitting number by default.

    Returns:
        ``(Q, k)`` int64 rows of the gallery, and their ``(Q, k)`` float64 distances.

    Raises:
        ArgumentError: an array is not as above, or ``k`` or ``block`` is out of range.
    """
    queries, gallery = _checked(queries, gallery, distance, block)
    if not 1 <= k <= len(gallery):
        raise ArgumentError(f"'k' must lie in 1 to {len(gallery)}, the gallery's rows, not {k}")
    indices = np.zeros((len(queries), 0), np.int64)
    distances = np.zeros((len(queries), 0))
    for start, columns in _blocks(gallery, distance, block):
        blocks = [
            _nearest(_distances(rows, columns, distance), start, kept, k)
            for rows, kept in _query_blocks(queries, distance, indices, distances)
        ]
        indices, distances = (np.concatenate(column) for column in zip(*blocks, strict=True))
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(indices, order, 1), np.take_along_axis(distances, order, 1)


def hit_ranks(
    queries: NDArray[Any],
    gallery: NDArray[Any],
    query_labels: NDArray[np.int64],
    gallery_labels: NDArray[np.int64],
    excluded: NDArray[np.int64] | None = None,
    distance: Distance = "cosine",
    block: int | None = None,
) -> Iterator[Integers]:
    """Yield for each query the ranks of all gallery rows that bear its label, ascending.

    The nearest row has rank 1; rows at one distance rank in the gallery's order.

    Args:
        queries: ``(Q, D)``, and so on as for :func:`search`.
        gallery: ``(G, D)``.
        query_labels: ``(Q,)``; a negative label fits nothing.
        gallery_labels: ``(G,)``.
        excluded: ``(Q,)`` or ``(Q, E)``: rows of the gallery that are left out for that query;
            negative: none.
        distance: as for :func:`search`.
        block: as for :func:`search`.

    Raises:
        ArgumentError: an array is not as above.
    """
    queries, gallery = _checked(queries, gallery, distance, block)
    excluded = np.full(len(queries), -1) if excluded is None else excluded
    if excluded.ndim == 1:
        excluded = excluded[:, None]
    for name, array, wanted in (
        ("query_labels", query_labels, len(queries)),
        ("gallery_labels", gallery_labels, len(gallery)),
        ("excluded", excluded[:, 0] if excluded.ndim == 2 else excluded, len(queries)),
    ):
        if array.shape != (wanted,) or array.dtype.kind not in "iu":
            raise ArgumentError(f"'{name}' must be {wanted} whole numbers, not {array.shape}")
    if (excluded >= len(gallery)).any():
        raise ArgumentError(f"'excluded' names a row that the gallery of {len(gallery)} lacks")
    relevant = [
        rows[~np.isin(rows, left_out)]
        for rows, left_out in zip(
            _rows_by_label(query_labels, gallery_labels), excluded, strict=True
        )
    ]
    return _ranks_in_groups(queries, gallery, relevant, excluded, distance, block)


def _checked(
    queries: NDArray[Any], gallery: NDArray[Any], distance: str, block: int | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    for name, array in (("queries", queries), ("gallery", gallery)):
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim != 2:
            raise ArgumentError(f"'{name}' must be a NumPy array of numbers, (rows, dimensions)")
        if not 1 <= array.shape[1] <= MAX_DIMENSIONS or not len(array):
            raise ArgumentError(
                f"'{name}' must have rows, of 1 to {MAX_DIMENSIONS:,} dimensions; its shape is "
                f"{array.shape}"
            )
    if queries.shape[1] != gallery.shape[1]:
        raise ArgumentError(
            f"'queries' have {queries.shape[1]} dimensions, 'gallery' {gallery.shape[1]}"
        )
    if distance not in get_args(Distance):
        raise ArgumentError(
            f"'distance' must be {' or '.join(map(repr, get_args(Distance)))}, not {distance!r}"
        )
    if block is not None and block < 1:
        raise ArgumentError(f"'block' must be at least 1, not {block}")
    return queries, gallery


def _blocks(
    vectors: NDArray[Any], distance: Distance, block: int | None = None
) -> Iterator[tuple[int, _Fixed]]:
    """Yield the first row of each block, and the block in fixed point."""
    size = block or max(1, min(_BLOCK_ROWS, _BLOCK_COMPONENTS // vectors.shape[1]))
    for start in range(0, len(vectors), size):
        yield start, _fixed(vectors[start : start + size], distance)


def _low_bits(dimensions: int) -> int:
    """Return how many bits of a component low parts reach down to.

    Of vectors no longer than 1, a high part's length is below 2^26 (1 + tiny), and each component
    of a low part at most 2^(bits - 27), so that both mixed products together stay below
    2^bits sqrt(D) (1 + tiny). This leaves them a factor of 2 below 2^53, or more.
    """
    return 52 - ((dimensions - 1).bit_length() + 1) // 2


def _fixed(vectors: NDArray[Any], distance: Distance) -> _Fixed:
    """Round rows to whole numbers, each by itself."""
    x = np.array(vectors, dtype=np.float64, order="C")  # rows are the inner loops of sums
    largest = np.abs(x).max(axis=1)
    if not (largest <= _MAX_LENGTH).all():
        raise ArgumentError("a vector holds numbers that are not finite, or too large")
    exponents = np.maximum(np.frexp(largest)[1], _LEAST_EXPONENT).astype(np.int64)
    x *= np.ldexp(1.0, -exponents)[:, None]  # so that squares neither overflow nor vanish
    lengths = np.sqrt(np.square(x).sum(axis=1))
    if distance == "cosine":
        x /= np.where(lengths > 0, lengths, 1)[:, None]
        exponents = np.zeros_like(exponents)
    else:
        grown = np.frexp(lengths)[1].astype(np.int64)
        x *= np.ldexp(1.0, -grown)[:, None]
        exponents = exponents + grown
    bits = _low_bits(x.shape[1])
    x *= 2.0**_HIGH
    high = np.rint(x)
    x -= high
    x *= 2.0 ** (bits - _HIGH)
    low = np.rint(x, out=x)
    lengths_squared = np.einsum("nd,nd->n", high, high)
    lengths_squared = _combined(lengths_squared, 2 * np.einsum("nd,nd->n", high, low), bits)
    if distance == "cosine":
        lengths_squared[lengths == 0] = 1.0  # no direction: all products are 0, and distances 1
    return _Fixed(high, low, lengths_squared, exponents, bits)


def _combined(high: Floats, mixed: Floats, bits: int) -> Floats:
    """Return products from those of high parts, and of high with low ones; overwrites both."""
    high *= 2.0 ** (-2 * _HIGH)
    mixed *= 2.0 ** (-_HIGH - bits)
    high += mixed
    return high


def _distances(rows: _Fixed, columns: _Fixed, distance: Distance) -> Floats:
    """Return ``(N, M)`` distances between all rows and all columns."""
    mixed = rows.high @ columns.low.T
    mixed += rows.low @ columns.high.T
    products = _combined(rows.high @ columns.high.T, mixed, rows.bits)
    sides = (rows.squares[:, None], columns.squares)
    return _finished(products, *sides, rows.exponents[:, None], columns.exponents, distance)


def _pair_distances(first: _Fixed, second: _Fixed, distance: Distance) -> Floats:
    """Return ``(N,)`` distances between rows of equal number; the bits of :func:`_distances`."""
    mixed = np.einsum("nd,nd->n", first.high, second.low)
    mixed += np.einsum("nd,nd->n", first.low, second.high)
    products = _combined(np.einsum("nd,nd->n", first.high, second.high), mixed, first.bits)
    exponents = (first.exponents, second.exponents)
    return _finished(products, first.squares, second.squares, *exponents, distance)


def _finished(
    products: Floats,
    ours: Floats,
    theirs: Floats,
    our_exponents: Integers,
    their_exponents: Integers,
    distance: Distance,
) -> Floats:
    """Return distances of their products and squares; 0 for equal vectors; may overwrite them."""
    if distance == "cosine":
        # Squares are 1 but for rounding; the root of a square is exact, and so is x / x.
        products /= np.sqrt(ours * theirs)
        np.subtract(1, products, out=products)
        return np.clip(products, 0, 2, out=products)
    products *= np.ldexp(2.0, our_exponents)
    products *= np.ldexp(1.0, their_exponents)
    gaps: Floats = np.ldexp(ours, 2 * our_exponents) + np.ldexp(theirs, 2 * their_exponents)
    gaps -= products
    np.maximum(gaps, 0, out=gaps)
    return np.sqrt(gaps, out=gaps)


def _query_blocks(
    queries: NDArray[Any], distance: Distance, indices: Integers, distances: Floats
) -> Iterator[tuple[_Fixed, tuple[Integers, Floats]]]:
    for start, rows in _blocks(queries, distance, _query_rows(queries)):
        chosen = slice(start, start + len(rows.high))
        yield rows, (indices[chosen], distances[chosen])


def _query_rows(queries: NDArray[Any]) -> int:
    return max(1, min(_QUERIES, _BLOCK_COMPONENTS // int(queries.shape[1])))


def _nearest(
    new: Floats, start: int, kept: tuple[Integers, Floats], k: int
) -> tuple[Integers, Floats]:
    """Keep the k nearest of those kept so far and a block's, in the gallery's order."""
    numbers = np.broadcast_to(np.arange(start, start + new.shape[1]), new.shape)
    indices = np.concatenate([kept[0], numbers], axis=1)
    distances = np.concatenate([kept[1], new], axis=1)
    if indices.shape[1] <= k:
        return indices, distances
    limit = np.partition(distances, k - 1, axis=1)[:, k - 1, None]
    chosen = distances <= limit
    for row in np.flatnonzero(chosen.sum(axis=1) > k):  # too many at the limit: the first stay
        nearer, equal = distances[row] < limit[row], distances[row] == limit[row]
        chosen[row] = nearer | (equal & (equal.cumsum() <= k - nearer.sum()))
    shape = (len(new), k)
    return indices[chosen].reshape(shape), distances[chosen].reshape(shape)


def _rows_by_label(query_labels: Integers, gallery_labels: Integers) -> Iterator[Integers]:
    """Yield for each query the rows of the gallery with its label, ascending."""
    order = np.argsort(gallery_labels, kind="stable")
    ordered = gallery_labels[order]
    starts, stops = (np.searchsorted(ordered, query_labels, side) for side in ("left", "right"))
    for label, start, stop in zip(query_labels, starts, stops, strict=True):
        yield order[start:stop] if label >= 0 else order[:0]


def _ranks_in_groups(
    queries: NDArray[Any],
    gallery: NDArray[Any],
    relevant: list[Integers],
    excluded: Integers,
    distance: Distance,
    block: int | None,
) -> Iterator[Integers]:
    """Cut the queries such that a pass over the gallery counts for a bounded number of pairs."""
    start = 0
    while start < len(queries):
        stop, pairs = start, 0
        while stop < len(queries) and (stop == start or pairs + len(relevant[stop]) <= _PAIRS):
            pairs += len(relevant[stop])
            stop += 1
        chosen = slice(start, stop)
        group = _Group(queries[chosen], gallery, relevant[chosen], excluded[chosen], distance)
        yield from group.ranks(block)
        start = stop


class _Group:
    """Some queries, and how many rows of the gallery come before each of their relevant ones."""

    def __init__(
        self,
        queries: NDArray[Any],
        gallery: NDArray[Any],
        relevant: list[Integers],
        excluded: Integers,
        distance: Distance,
    ) -> None:
        self._queries, self._gallery, self._distance = queries, gallery, distance
        self._excluded = excluded
        self._rows = relevant
        counts = [len(rows) for rows in relevant]
        self._bounds = np.cumsum([0, *counts])
        ours = np.repeat(np.arange(len(queries)), counts)
        theirs = np.concatenate(relevant)
        self._limits = np.empty(len(ours))
        size = _query_rows(queries)
        for start in range(0, len(ours), size):
            block = slice(start, start + size)
            first, second = (
                _fixed(side[chosen[block]], distance)
                for side, chosen in ((queries, ours), (gallery, theirs))
            )
            self._limits[block] = _pair_distances(first, second, distance)
        self._before = np.zeros(len(ours), np.int64)

    def ranks(self, block: int | None) -> Iterator[Integers]:
        """Yield the ranks of each query's relevant rows."""
        if len(self._limits):
            for start, columns in _blocks(self._gallery, self._distance, block):
                self._count_block(start, columns)
        for first, last in pairwise(self._bounds):
            yield np.sort(self._before[first:last]) + 1

    def _count_block(self, start: int, columns: _Fixed) -> None:
        size = len(columns.high)
        for first, rows in _blocks(self._queries, self._distance, _query_rows(self._queries)):
            distances = _distances(rows, columns, self._distance)
            for left_out in self._excluded[first : first + len(distances)].T - start:
                inside = np.flatnonzero((left_out >= 0) & (left_out < size))
                distances[inside, left_out[inside]] = np.inf
            ordered = np.sort(distances, axis=1)
            for row, (unordered, ascending) in enumerate(zip(distances, ordered, strict=True)):
                self._count_row(first + row, start, unordered, ascending)

    def _count_row(self, query: int, start: int, distances: Floats, ascending: Floats) -> None:
        """Add to a query's counts the images of a block that come before its relevant ones."""
        pairs = slice(self._bounds[query], self._bounds[query + 1])
        limits, rows = self._limits[pairs], self._rows[query] - start
        if not len(rows):
            return
        before = np.searchsorted(ascending, limits, "left")
        ties = np.searchsorted(ascending, limits, "right") - before
        itself = (rows >= 0) & (rows < len(distances))
        for tied in np.flatnonzero(ties > itself):
            before[tied] += np.count_nonzero(distances[: max(0, rows[tied])] == limits[tied])
        self._before[pairs] += before
