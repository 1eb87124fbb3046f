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
#: Queries that are looked at together, and distances that are held at a time: at least so many,
#: and more of wider vectors, since the gallery is rounded anew for each time.
_QUERIES, _DISTANCES, _DISTANCES_A_COMPONENT = 1024, 2**21, 2**13


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
    indices = np.empty((len(queries), k), np.int64)
    distances = np.empty((len(queries), k))
    for query, row in enumerate(_rows(queries, gallery, distance, block)):
        near = np.flatnonzero(row <= np.partition(row, k - 1)[k - 1])  # at the limit perhaps more
        indices[query] = near[np.argsort(row[near], kind="stable")[:k]]
        distances[query] = row[indices[query]]
    return indices, distances


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

    The nearest row has rank 1; rows at one distance rank in the gallery's order. ``query_labels``
    are ``(Q,)``, and a negative one fits nothing; ``gallery_labels`` ``(G,)``; ``excluded``,
    ``(Q,)`` or ``(Q, E)``, has rows of the gallery that are left out for that query, negative for
    none. All else is as for :func:`search`.

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
    rows = _rows(queries, gallery, distance, block)
    return (
        _ranks(row, np.flatnonzero((gallery_labels == label) & (label >= 0)), left_out)
        for row, label, left_out in zip(rows, query_labels, excluded, strict=True)
    )


def _ranks(distances: Floats, relevant: Integers, left_out: Integers) -> Integers:
    """Return the ranks of some rows of the gallery, ascending; overwrites what is left out."""
    distances[left_out[left_out >= 0]] = np.inf
    relevant = relevant[distances[relevant] < np.inf]
    if not len(relevant):
        return relevant
    limits, ascending = distances[relevant], np.sort(distances)
    before = np.searchsorted(ascending, limits, "left")
    ties = np.searchsorted(ascending, limits, "right") - before
    for place in np.flatnonzero(ties > 1):
        before[place] += np.count_nonzero(distances[: relevant[place]] == limits[place])
    return np.sort(before) + 1


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


def _rows(
    queries: NDArray[Any], gallery: NDArray[Any], distance: Distance, block: int | None
) -> Iterator[Floats]:
    """Yield each query's distances to the gallery, ``(G,)``, which the next ones overwrite."""
    components = queries.shape[1]
    held = min(2 * _BLOCK_COMPONENTS, max(_DISTANCES, _DISTANCES_A_COMPONENT * components))
    size = max(1, min(_QUERIES, _BLOCK_COMPONENTS // components, held // len(gallery)))
    step = block or max(1, min(_BLOCK_ROWS, _BLOCK_COMPONENTS // components))
    buffer = np.empty((min(size, len(queries)), len(gallery)))
    for start in range(0, len(queries), size):
        rows = _fixed(queries[start : start + size], distance)
        table = buffer[: len(rows.high)]
        for first in range(0, len(gallery), step):
            columns = _fixed(gallery[first : first + step], distance)
            table[:, first : first + step] = _distances(rows, columns, distance)
        yield from table


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
    own = np.einsum("nd,nd->n", high, high)
    squares = _combined(own, 2 * np.einsum("nd,nd->n", high, low), bits)
    if distance == "cosine":
        squares[lengths == 0] = 1.0  # no direction: all products are 0, and distances 1
    return _Fixed(high, low, squares, exponents, bits)


def _combined(high: Floats, mixed: Floats, bits: int) -> Floats:
    """Return products from those of high parts, and of high with low ones; overwrites both."""
    high *= 2.0 ** (-2 * _HIGH)
    mixed *= 2.0 ** (-_HIGH - bits)
    high += mixed
    return high


def _distances(rows: _Fixed, columns: _Fixed, distance: Distance) -> Floats:
    """Return ``(N, M)`` distances between all rows and all columns; 0 for equal vectors."""
    mixed = rows.high @ columns.low.T
    mixed += rows.low @ columns.high.T
    products = _combined(rows.high @ columns.high.T, mixed, rows.bits)
    squares, exponents = rows.squares[:, None], rows.exponents[:, None]
    if distance == "cosine":
        # Squares are 1 but for rounding; the root of a square is exact, and so is x / x.
        products /= np.sqrt(squares * columns.squares)
        np.subtract(1, products, out=products)
        return np.clip(products, 0, 2, out=products)
    products *= np.ldexp(2.0, exponents)
    products *= np.ldexp(1.0, columns.exponents)
    ours, theirs = np.ldexp(squares, 2 * exponents), columns.squares
    result: Floats = ours + np.ldexp(theirs, 2 * columns.exponents)
    result -= products
    np.maximum(result, 0, out=result)
    return np.sqrt(result, out=result)
