"""From terms to columns of a model matrix, dense or sparse.

A term is a product of sources; a source is an evaluated expression that knows its columns. The
columns of a product are all products of one column from each source, the first source running
fastest, as in R. Indicator columns are never stored: ``codes == level`` is cheap to make again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ranef.design.contrasts import FactorCoding
from ranef.typing import FloatArray, IntArray

SPARSE_MIN_COLUMNS = 50
SPARSE_GAIN = 8  # sparse must be this many times smaller than dense to be worth it


@dataclass(frozen=True, slots=True, eq=False)
class NumericSource:
    """A numeric expression: one column, or several (``poly(x, 2)``).

    Attributes
    ----------
    label : str
    columns : tuple of array (n,)
        Any real dtype; may look into the caller's memory.
    suffixes : tuple of str
        Empty text for a single column.
    """

    label: str
    columns: tuple[NDArray[Any], ...]
    suffixes: tuple[str, ...]

    def names(self, full: bool) -> tuple[str, ...]:
        """Return the names of the columns."""
        del full
        return tuple(self.label + suffix for suffix in self.suffixes)

    def column(self, number: int, full: bool) -> NDArray[Any]:
        """Return one column."""
        del full
        return self.columns[number]

    def entries_per_row(self, full: bool) -> float:
        """Return how many entries of a row are not zero."""
        del full
        return float(len(self.columns))

    def rows(self, full: bool) -> sparse.csr_array:
        """Return all columns as a sparse matrix (n, c)."""
        del full
        return sparse.csr_array(np.column_stack(self.columns).astype(np.float64, copy=False))


@dataclass(frozen=True, slots=True, eq=False)
class FactorSource:
    """A factor.

    Attributes
    ----------
    label : str
    codes : int array (n,)
        Positions in the levels of the coding; all of them occur, or -1 in new data where the
        value is missing.
    coding : FactorCoding
    """

    label: str
    codes: IntArray
    coding: FactorCoding

    def names(self, full: bool) -> tuple[str, ...]:
        """Return the names of the columns."""
        inside = self.coding.full_names if full else self.coding.names
        return tuple(f"{self.label}[{name}]" for name in inside)

    def column(self, number: int, full: bool) -> NDArray[Any]:
        """Return one column; indicators are booleans."""
        level = self._indicated(number, full)
        if level is not None:
            indicator: NDArray[Any] = self.codes == level
            return indicator
        return self.coding.matrix[:, number][self.codes]

    def entries_per_row(self, full: bool) -> float:
        """Return how many entries of a row are not zero."""
        if full or self.coding.base is not None:
            return 1.0
        counts = np.bincount(self.codes[self.codes >= 0], minlength=len(self.coding.levels))
        nonzero = np.count_nonzero(self.coding.matrix, axis=1)
        return float(counts @ nonzero) / max(len(self.codes), 1)

    def rows(self, full: bool) -> sparse.csr_array:
        """Return all columns as a sparse matrix (n, c)."""
        count = len(self.coding.levels)
        matrix = np.eye(count) if full else self.coding.matrix
        table = sparse.csr_array(matrix)
        return table[np.maximum(self.codes, 0)]

    def _indicated(self, number: int, full: bool) -> int | None:
        if full:
            return number
        base = self.coding.base
        return None if base is None else number + (number >= base)


Source: TypeAlias = NumericSource | FactorSource


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """The columns of one term.

    Attributes
    ----------
    sources : tuple of Source
        One for each factor of the term.
    full : tuple of bool
        For each, whether all levels have their column.
    """

    sources: tuple[Source, ...]
    full: tuple[bool, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: ``f[T.b]:x``."""
        each = [s.names(f) for s, f in zip(self.sources, self.full, strict=True)]
        return tuple(":".join(reversed(combo)) for combo in itertools.product(*reversed(each)))

    def columns(self) -> Iterator[NDArray[Any]]:
        """Yield the columns, of any real dtype."""
        if len(self.sources) == 1:
            source, full = self.sources[0], self.full[0]
            for number in range(len(source.names(full))):
                yield source.column(number, full)
            return
        each = [
            [_factor_of_product(source.column(n, full)) for n in range(len(source.names(full)))]
            for source, full in zip(self.sources, self.full, strict=True)
        ]
        for combination in itertools.product(*reversed(each)):
            yield reduce(np.multiply, reversed(combination))

    def entries_per_row(self) -> float:
        """Return how many entries of a row are not zero, about."""
        each = zip(self.sources, self.full, strict=True)
        return float(np.prod([source.entries_per_row(full) for source, full in each]))

    def rows(self) -> sparse.csr_array:
        """Return all columns as a sparse matrix (n, c)."""
        each = [s.rows(f) for s, f in zip(self.sources, self.full, strict=True)]
        return reduce(row_products, each)


def stack(
    products: Sequence[Product], count: int, intercept: bool
) -> FloatArray | sparse.csc_array:
    """Return the model matrix of an optional intercept and several terms.

    Parameters
    ----------
    products : sequence of Product
    count : int
        Number of rows, n.
    intercept : bool

    Returns
    -------
    float64 array (n, p), Fortran order, or csc_array (n, p)
        Sparse where there are many columns and a dense matrix would be much larger.
    """
    widths = [len(product.names) for product in products]
    total = intercept + sum(widths)
    if total > SPARSE_MIN_COLUMNS:
        entries = intercept + sum(product.entries_per_row() for product in products)
        if 8 * total > SPARSE_GAIN * 12 * entries:  # bytes per row: float64, and float64 + int32
            return _stack_sparse(products, count, intercept)
    result = np.empty((count, total), order="F")
    position = 0
    if intercept:
        result[:, 0] = 1.0
        position = 1
    for product in products:
        for column in product.columns():
            result[:, position] = column
            position += 1
    return result


def _factor_of_product(column: NDArray[Any]) -> NDArray[Any]:
    """Return a column that can be multiplied: products of small integers would overflow."""
    return column if column.dtype.kind == "b" else column.astype(np.float64, copy=False)


def row_products(left: sparse.csr_array, right: sparse.csr_array) -> sparse.csr_array:
    """Return the products of the entries of each row: (n, a) and (n, b) give (n, a b).

    Column ``i + a j`` is the product of columns i and j. Cost: the entries of the result.
    """
    (rows, width), height = left.shape, right.shape[1]
    per_left, per_right = np.diff(left.indptr), np.diff(right.indptr)
    row_of_left = np.repeat(np.arange(rows), per_left)
    repeats = per_right[row_of_left]
    from_left = np.repeat(np.arange(len(left.data)), repeats)
    starts = np.cumsum(repeats) - repeats
    within = np.arange(len(from_left)) - starts[from_left]
    from_right = right.indptr[row_of_left[from_left]] + within
    small = max(width * height, len(from_left)) < np.iinfo(np.int32).max
    index_type = np.int32 if small else np.int64  # int32 wherever it suffices: half the memory
    shift = right.indices[from_right].astype(index_type) * width
    columns = left.indices[from_left].astype(index_type) + shift
    pointers = np.concatenate([[0], np.cumsum(per_left * per_right)]).astype(index_type)
    data = left.data[from_left] * right.data[from_right]
    return sparse.csr_array((data, columns, pointers), shape=(rows, width * height))


def _stack_sparse(products: Sequence[Product], count: int, intercept: bool) -> sparse.csc_array:
    blocks = [sparse.csc_array(np.ones((count, 1)))] if intercept else []
    blocks += [sparse.csc_array(product.rows()) for product in products]
    stacked = sparse.csc_array(sparse.hstack(blocks, format="csc"))
    stacked.sort_indices()
    return stacked
