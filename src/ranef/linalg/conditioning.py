"""Coordinates in which scale and origin of the data do not matter.

Before anything is summed over the rows, the model is re-expressed:

* rows are multiplied by the square roots of the weights;
* aliased columns of X are dropped (the later column goes) and X = Q R; the response becomes its
  least-squares residual y0 = y - Q Q'y, so that a large mean costs no digits;
* the k columns of a random term with unstructured covariance are whitened, z <- z W with
  W = R_z^-1 and R_z'R_z = Z'Z / n; those of a diagonal term are divided by their root mean squares.

Afterwards beta = R^-1 (Q'y + gamma), Sigma = W Sigma~ W' and b = W b~. The REML criterion gains
2 log|det R| and both criteria -sum(log w). Q is never formed: y0 needs R^-1 only through X R^-1.

Memory: a few vectors of n numbers. Cost: O(n p^2 + n sum k^2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranef.linalg.triangular import (
    gram_factor,
    independent_by_gram,
    independent_columns,
    invert_upper,
    row_blocks,
    stacked_factor,
)
from ranef.typing import FloatArray, IntArray

# Above this many floating-point operations dependent sparse columns are found from cross-products:
# Householder QR of their dense rows keeps all digits, but takes n p^2 operations.
LARGEST_SPARSE_QR = 2e10


@dataclass(frozen=True, slots=True, eq=False)
class FixedBasis:
    """The fixed-effects columns after dropping aliased ones, and their triangular factor.

    Attributes
    ----------
    kept : int array (p,)
        Columns of the caller's X that were kept, increasing.
    columns : float64 array (n, p) or scipy.sparse.csc_array
        Those columns, not weighted (X itself if nothing was dropped).
    R, R_inverse : float64 array (p, p)
        Upper triangular, R'R = X'WX.
    estimate : float64 array (p,)
        Weighted least-squares coefficients of the response.
    residual : float64 array (n,)
        sqrt(w) (y - X estimate).
    delicate : bool
        Whether cross-products of the columns would lose digits: sums are of Q = X R^-1, then.
    """

    kept: IntArray
    columns: FloatArray | sparse.csc_array
    R: FloatArray
    R_inverse: FloatArray
    estimate: FloatArray
    residual: FloatArray
    delicate: bool

    def __post_init__(self) -> None:
        """Lock the arrays that estimates are read from."""
        for array in (self.kept, self.R, self.R_inverse, self.estimate, self.residual):
            array.flags.writeable = False

    @property
    def logdet(self) -> float:
        """Log of |det R|."""
        return float(np.log(np.abs(self.R.diagonal())).sum())


def fixed_basis(
    X: FloatArray | sparse.csc_array, y: FloatArray, root_weights: FloatArray | None
) -> FixedBasis:
    """Drop aliased columns, factor X and subtract the least-squares fit from the response.

    Parameters
    ----------
    X : (n, p) dense or sparse
    y : float64 array (n,)
        Response minus offset, not weighted.
    root_weights : float64 array (n,) or None
    """
    kept, R, delicate = _independent(X, root_weights)
    columns = X if len(kept) == X.shape[1] else X[:, kept]
    if delicate:
        R = _orthonormalised(columns, R, root_weights)
    R_inverse = invert_upper(R)
    estimate = np.zeros(len(kept))
    residual = y.copy() if root_weights is None else y * root_weights
    for _ in range(2):  # the second step refines: it removes the rounding error of the first
        step = R_inverse @ times_basis(columns, R_inverse, residual, root_weights, delicate)
        change = columns @ step
        if root_weights is not None:
            change *= root_weights
        residual -= change
        estimate += step
    return FixedBasis(kept, columns, R, R_inverse, estimate, residual, delicate)


def times_basis(
    columns: FloatArray | sparse.csc_array,
    R_inverse: FloatArray,
    vector: FloatArray,
    root_weights: FloatArray | None,
    delicate: bool,
) -> FloatArray:
    """Return Q'sqrt(w) vector, (p,), by rows of Q where that is delicate; ``vector`` is (n,)."""
    if not delicate:
        weighted = vector if root_weights is None else vector * root_weights
        product: FloatArray = R_inverse.T @ (columns.T @ weighted)
        return product
    total, start = np.zeros(len(R_inverse)), 0
    for block in _row_blocks(columns, root_weights):
        total += (block @ R_inverse).T @ vector[start : start + len(block)]
        start += len(block)
    return total


def _orthonormalised(
    columns: FloatArray | sparse.csc_array, R: FloatArray, root_weights: FloatArray | None
) -> FloatArray:
    """Return R after one more step of Cholesky on Q = X R^-1, which makes Q'Q nearly the identity.

    R of Householder's QR has the right size in every direction, but Q made from it is orthonormal
    only to rounding times the condition of X (CholeskyQR2, Fukaya and others 2014).
    """
    again = gram_factor(basis_gram(columns, invert_upper(R), root_weights))
    return R if again is None else again @ R


def basis_gram(
    columns: FloatArray | sparse.csc_array, R_inverse: FloatArray, root_weights: FloatArray | None
) -> FloatArray:
    """Return Q'Q from the rows of Q = X R^-1, (p, p)."""
    gram = np.zeros_like(R_inverse)
    for block in _row_blocks(columns, root_weights):
        Q = block @ R_inverse
        gram += Q.T @ Q
    return gram


def _row_blocks(
    X: FloatArray | sparse.csc_array, root_weights: FloatArray | None
) -> Iterator[FloatArray]:
    """Yield slices of sqrt(w) X, dense."""
    n, width = X.shape
    by_rows = None if isinstance(X, np.ndarray) else X.tocsr()

    def take(rows: slice) -> FloatArray:
        block = np.asarray(X[rows] if by_rows is None else by_rows[rows].toarray())
        return block if root_weights is None else block * root_weights[rows, None]

    return row_blocks(n, take, width)


def _independent(
    X: FloatArray | sparse.csc_array, root_weights: FloatArray | None
) -> tuple[IntArray, FloatArray, bool]:
    """Return the columns of X that are not aliased, upper R with R'R = X'WX, and `delicate`."""
    n, width = X.shape
    if width == 0:
        return np.zeros(0, dtype=np.intp), np.zeros((0, 0)), False
    if isinstance(X, np.ndarray):
        gram = np.zeros((width, width))
        for block in _row_blocks(X, root_weights):
            gram += block.T @ block
    else:
        weighted = X if root_weights is None else X.multiply(root_weights[:, None]).tocsc()
        gram = (weighted.T @ weighted).toarray()
    factor = gram_factor(gram)
    if factor is not None:
        return np.arange(width), factor, False
    if not isinstance(X, np.ndarray) and float(n) * width * width > LARGEST_SPARSE_QR:
        return *_independent_centred(X, gram, root_weights), False
    return *independent_columns(stacked_factor(_row_blocks(X, root_weights), width)), True


def _independent_centred(
    X: sparse.csc_array, gram: FloatArray, root_weights: FloatArray | None
) -> tuple[IntArray, FloatArray]:
    """Return independent columns and R from cross-products of columns that were centred.

    Only columns without zeros beside an intercept, the first column, are: of indicators and their
    products with numbers, cross-products lose nothing. With X = X_c (I + e_0 m'), e_0 the intercept
    and m the means, R = R_c (I + e_0 m'), which is upper triangular too.
    """
    n, width = X.shape
    full = np.diff(X.indptr) == n
    means = np.zeros(width)
    first = X[:, [0]].toarray()[:, 0]
    if full[0] and (first == 1.0).all():
        weights = np.ones(n) if root_weights is None else root_weights**2
        numbers = np.flatnonzero(full)[1:]
        means[numbers] = (X[:, numbers].T @ weights) / weights.sum()
        gram = gram.copy()
        for j in numbers:  # one after another: a column of n numbers at a time
            centred = (X[:, [j]].toarray()[:, 0] - means[j]) * weights
            products = X.T @ centred - means * centred.sum()
            gram[j], gram[:, j] = products, products
    kept, R = independent_by_gram(gram)
    R[0] += R[0, 0] * means[kept]
    return kept, R


def whitening(
    columns: Sequence[FloatArray | None], n: int, correlated: bool, root_weights: FloatArray | None
) -> FloatArray:
    """Return W (k, k), upper triangular, such that the columns of Z W are of comparable size.

    Correlated columns become orthonormal in the metric 1/n; uncorrelated ones are scaled only,
    because rotating them would change the model. Columns that are collinear are only scaled too.

    Parameters
    ----------
    columns : k arrays (n,) or None
        None stands for a column of ones.
    """
    k = len(columns)
    gram = np.empty((k, k))
    for i in range(k):
        for j in range(i + 1):
            if j == i or correlated:
                gram[i, j] = gram[j, i] = _inner(columns[i], columns[j], n, root_weights) / n
            else:
                gram[i, j] = gram[j, i] = 0.0
    scale = np.sqrt(gram.diagonal())
    scale[scale == 0] = 1.0
    if not correlated or k == 1:
        return np.diag(1.0 / scale)
    factor = gram_factor(gram)
    if factor is None:

        def take(rows: slice) -> FloatArray:
            weights = np.ones(n)[rows] if root_weights is None else root_weights[rows]
            parts = [weights if column is None else column[rows] * weights for column in columns]
            stacked: FloatArray = np.column_stack(parts) / np.sqrt(n)
            return stacked

        factor = stacked_factor(row_blocks(n, take, k), k)
        kept, factor = independent_columns(factor, tolerance=1e-9)
        if len(kept) < k:
            return np.diag(1.0 / scale)
    inverse = invert_upper(factor)
    return inverse * np.where(
        inverse.diagonal() < 0.0, -1.0, 1.0
    )  # as Cholesky's, whatever the rows


def _inner(
    left: FloatArray | None, right: FloatArray | None, n: int, root_weights: FloatArray | None
) -> float:
    """Return the weighted inner product of two columns; None is a column of ones."""
    if root_weights is not None:
        left = root_weights if left is None else left * root_weights
        right = root_weights if right is None else right * root_weights
    if left is None and right is None:
        return float(n)
    if left is None:
        return float(right.sum())  # type: ignore[union-attr]
    if right is None:
        return float(left.sum())
    return float(np.dot(left, right))
