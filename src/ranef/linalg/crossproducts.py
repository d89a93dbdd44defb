"""Cross-products of the conditioned model: the only pass over the n rows.

For every grouping factor f with columns Z_f (k_f per level), and with Q = X R^-1:

    A_f,j  = Z_f,j' Z_f,j           (k_f, k_f, J_f)       one small matrix per level
    C_f,j  = [Q y0]' Z_f,j          (p + 1, k_f, J_f)     the border
    B_fg   = Z_f,j' Z_g,l           (k_f, k_g, nnz)       for every observed pair of levels
    D      = [Q y0]'[Q y0]          (p + 1, p + 1)

They are sums over rows, so they add over chunks of rows. Everything after this module costs
nothing in n. Memory while summing: the whitened columns of all terms, and a few vectors of n
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranef.linalg.conditioning import FixedBasis, basis_gram, times_basis
from ranef.typing import FloatArray, IntArray

# Pair tables up to this many cells (or 4 per row) are counted in a dense lookup, not sorted.
DENSE_LOOKUP_CELLS = 1 << 23


@dataclass(frozen=True, slots=True, eq=False)
class GroupedColumns:
    """The random-effects columns of one grouping factor, all its terms together.

    Attributes
    ----------
    name : str
        Name of the grouping factor.
    codes : int array (n,)
        Level of every row.
    size : int
        Number of levels, J.
    columns : tuple (k,) of float64 array (n,) or None
        As the user sees them; None is a column of ones.
    blocks : tuple of (start, stop)
        Columns that share an unstructured covariance matrix; blocks are independent.
    whitening : float64 array (k, k)
        W, block diagonal: the core works with Z W.
    """

    name: str
    codes: IntArray
    size: int
    columns: tuple[FloatArray | None, ...]
    blocks: tuple[tuple[int, int], ...]
    whitening: FloatArray

    @property
    def width(self) -> int:
        """Number of columns, k."""
        return len(self.columns)


@dataclass(frozen=True, slots=True, eq=False)
class PairBlocks:
    """Observed pairs of levels of two factors: rows, cols (nnz,), values (k_f, k_g, nnz)."""

    rows: IntArray
    cols: IntArray
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class CrossProducts:
    """Sums over the rows; see the module's docstring for the shapes.

    ``pairs[f, g]`` exists for f < g, in the order of ``A``.
    ``log_weights`` is sum(log w), ``logdet_fixed`` log|det R|.
    """

    n: int
    A: tuple[FloatArray, ...]
    C: tuple[FloatArray, ...]
    D: FloatArray
    pairs: Mapping[tuple[int, int], PairBlocks]
    names: tuple[str, ...]
    blocks: tuple[tuple[tuple[int, int], ...], ...]
    log_weights: float
    logdet_fixed: float

    @property
    def p(self) -> int:
        """Number of fixed-effects columns."""
        return int(self.D.shape[0]) - 1


Column = FloatArray | float


def cross_products(
    basis: FixedBasis, groups: tuple[GroupedColumns, ...], root_weights: FloatArray | None
) -> CrossProducts:
    """Sum the cross-products over all rows, factors in the order given."""
    n = len(basis.residual)
    whitened = [_whitened(group, root_weights) for group in groups]
    A, C = [], []
    for group, columns in zip(groups, whitened, strict=True):
        A.append(_gram(group, columns))
        C.append(_border(basis, group, columns, root_weights))
    pairs = {
        (f, g): _pairs(groups[f], whitened[f], groups[g], whitened[g])
        for g in range(len(groups))
        for f in range(g)
    }
    return CrossProducts(
        n=n,
        A=tuple(A),
        C=tuple(C),
        D=_corner(basis, root_weights),
        pairs=pairs,
        names=tuple(group.name for group in groups),
        blocks=tuple(group.blocks for group in groups),
        log_weights=0.0 if root_weights is None else 2.0 * float(np.log(root_weights).sum()),
        logdet_fixed=basis.logdet,
    )


def _whitened(group: GroupedColumns, root_weights: FloatArray | None) -> list[Column]:
    """Return the columns of sqrt(w) Z W; a number stands for a constant column."""
    out: list[Column] = []
    for j in range(group.width):
        total: Column = 0.0
        for i in range(j + 1):  # W is upper triangular
            factor = group.whitening[i, j]
            column = group.columns[i]
            if factor != 0.0:
                total = total + (factor if column is None else column * factor)
        out.append(total if root_weights is None else total * root_weights)
    return out


def _by_level(group: GroupedColumns, values: Column) -> FloatArray:
    """Return the sum of ``values`` over the rows of each level, (J,)."""
    if isinstance(values, np.ndarray):
        sums = np.bincount(group.codes, weights=values, minlength=group.size)
        return sums.astype(np.float64, copy=False)
    counts = np.bincount(group.codes, minlength=group.size)
    return counts.astype(np.float64) * values


def _gram(group: GroupedColumns, columns: list[Column]) -> FloatArray:
    k = group.width
    out = np.empty((k, k, group.size))
    for i in range(k):
        for j in range(i + 1):
            out[i, j] = _by_level(group, columns[i] * columns[j])
            out[j, i] = out[i, j]
    return out


def _border(
    basis: FixedBasis,
    group: GroupedColumns,
    columns: list[Column],
    root_weights: FloatArray | None,
) -> FloatArray:
    """Return [Q y0]'Z per level, (p + 1, k, J)."""
    X, p = basis.columns, len(basis.kept)
    out = np.empty((p + 1, group.width, group.size))
    weighted = [column if root_weights is None else column * root_weights for column in columns]
    for i, column in enumerate(columns):
        out[p, i] = _by_level(group, basis.residual * column)
    if isinstance(X, np.ndarray):
        for c in range(p):
            fixed = X[:, : c + 1] @ basis.R_inverse[: c + 1, c] if basis.delicate else X[:, c]
            for i, column in enumerate(weighted):
                out[c, i] = _by_level(group, fixed * column)
    else:
        n = len(group.codes)
        for i, column in enumerate(weighted):
            values = np.broadcast_to(np.asarray(column, dtype=float), n)
            shape = (n, group.size)
            indicator = sparse.csr_array((values, group.codes, np.arange(n + 1)), shape=shape)
            out[:p, i] = (X.T @ indicator).toarray()
    if not (basis.delicate and isinstance(X, np.ndarray)):
        out[:p] = np.tensordot(basis.R_inverse.T, out[:p], axes=1)
    return out


def _corner(basis: FixedBasis, root_weights: FloatArray | None) -> FloatArray:
    """Return [Q y0]'[Q y0]: Q'Q is the identity, Q'y0 nearly zero.

    Where that is delicate, rounding in R^-1 can change Q by 1e-7. That does no harm, as long as
    all cross-products are those of the same Q.
    """
    p = len(basis.kept)
    out = np.eye(p + 1)
    if basis.delicate:
        out[:p, :p] = basis_gram(basis.columns, basis.R_inverse, root_weights)
    out[p, :p] = times_basis(
        basis.columns, basis.R_inverse, basis.residual, root_weights, basis.delicate
    )
    out[:p, p] = out[p, :p]
    out[p, p] = basis.residual @ basis.residual
    return out


def _pairs(
    first: GroupedColumns,
    first_columns: list[Column],
    second: GroupedColumns,
    second_columns: list[Column],
) -> PairBlocks:
    """Return the cross-products of two factors on the pairs of levels that occur."""
    rows, cols, position = observed_pairs(first.codes, first.size, second.codes, second.size)
    values = np.empty((first.width, second.width, len(rows)))
    for i, left in enumerate(first_columns):
        for j, right in enumerate(second_columns):
            product = left * right
            if isinstance(product, np.ndarray):
                values[i, j] = np.bincount(position, weights=product, minlength=len(rows))
            else:
                values[i, j] = np.bincount(position, minlength=len(rows)) * float(product)
    return PairBlocks(rows, cols, values)


def observed_pairs(
    first: IntArray, first_size: int, second: IntArray, second_size: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the distinct pairs of codes, ordered by first then second, and each row's pair.

    Returns
    -------
    rows, cols : int32 arrays (nnz,)
    position : int array (n,)
        Index of the row's pair.
    """
    key = first.astype(np.int64)
    key *= second_size
    key += second
    cells = first_size * second_size
    if cells <= max(DENSE_LOOKUP_CELLS, 4 * len(key)):
        seen = np.zeros(cells, dtype=bool)
        seen[key] = True
        found = np.flatnonzero(seen)
        lookup = np.empty(cells, dtype=np.int32)
        lookup[found] = np.arange(len(found), dtype=np.int32)
        position: IntArray = lookup[key]
    else:
        found, position = np.unique(key, return_inverse=True)
    rows = (found // second_size).astype(np.int32)
    cols = (found % second_size).astype(np.int32)
    return rows, cols, position
