"""Triangular factors of tall matrices: R with R'R = M'M, from one pass over the rows.

Two routes. The Gram matrix M'M is the cheapest thing that can be computed from n rows, and its
Cholesky factor is accurate as long as the columns are not nearly dependent. Where the pivots say
that they may be, the factor is computed again by Householder QR of row blocks, stacked
(Demmel, Grigori, Hoemmen, Langou 2012, "Communication-optimal parallel and sequential QR and LU
factorizations"), which loses no digits and resolves the rank. Either way n x p numbers are never
copied as a whole. O(n p^2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.linalg import lapack

from ranef.typing import FloatArray, IntArray

# A column whose part outside the span of the columns before it is smaller than this, relative to
# the column, is aliased. R's lm and lme4 use the same number.
RANK_TOLERANCE = 1e-7
# Squared pivots of the equilibrated Gram matrix: above this, Cholesky keeps 12 digits.
SAFE_PIVOT = 1e-4
# Squared remainder of an equilibrated column below which cross-products cannot tell it from zero.
GRAM_TOLERANCE = 1e-10
ROWS_PER_BLOCK = 1 << 15


def gram_factor(gram: FloatArray) -> FloatArray | None:
    """Return upper R with R'R = ``gram``, or None where that would lose digits.

    Parameters
    ----------
    gram : float64 array (p, p)
        Cross-products M'M; equilibrated here.
    """
    scale = np.sqrt(gram.diagonal())
    if not scale.all():
        return None
    factor, info = lapack.dpotrf(gram / np.outer(scale, scale), lower=0, clean=1)
    if info != 0 or factor.diagonal().min(initial=1.0) ** 2 < SAFE_PIVOT:
        return None
    result: FloatArray = factor * scale
    return result


def independent_by_gram(gram: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return independent columns and their factor from cross-products alone.

    For wide sparse matrices, mostly indicators, where dependence is exact and a pass over dense
    rows would cost n p^2: left-to-right Cholesky of the equilibrated matrix that leaves out every
    column with a squared remainder below `GRAM_TOLERANCE`. O(p^3 / 3), in p matrix-vector products.
    """
    scale = np.sqrt(gram.diagonal())
    inside = np.flatnonzero(scale)
    scaled = gram[np.ix_(inside, inside)] / np.outer(scale[inside], scale[inside])
    width = len(inside)
    R = np.zeros((width, width))
    kept: list[int] = []
    for j in range(width):
        row = scaled[j] - R[: len(kept), j] @ R[: len(kept)]
        if row[j] > GRAM_TOLERANCE:
            R[len(kept)] = row / np.sqrt(row[j])
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    factor = np.triu(R[: len(kept)][:, index]) * scale[inside[index]]
    return inside[index], factor


def stacked_factor(row_blocks: Iterator[FloatArray], width: int) -> FloatArray:
    """Return upper R (p, p) of the rows that ``row_blocks`` yields, by Householder QR."""
    factor = np.zeros((0, width))
    for block in row_blocks:
        factor = np.asarray(np.linalg.qr(np.vstack([factor, block]), mode="r"))
    if factor.shape[0] < width:
        factor = np.vstack([factor, np.zeros((width - factor.shape[0], width))])
    return factor


def row_blocks(n: int, take: Callable[[slice], FloatArray], width: int) -> Iterator[FloatArray]:
    """Yield ``take(rows)`` for consecutive slices of the n rows."""
    step = max(ROWS_PER_BLOCK, 4 * width)
    for start in range(0, n, step):
        yield take(slice(start, start + step))


def independent_columns(
    factor: FloatArray, tolerance: float = RANK_TOLERANCE
) -> tuple[IntArray, FloatArray]:
    """Return the columns that the ones to their left do not determine, and their factor.

    Parameters
    ----------
    factor : float64 array (p, p)
        Upper triangular, from `gram_factor` or `stacked_factor`.
    tolerance : float
        Relative size of the new part of a column below which it counts as aliased.

    Returns
    -------
    kept : int array (r,)
    R : float64 array (r, r)
        Upper triangular factor of the kept columns.
    """
    width = factor.shape[1]
    norms = np.sqrt(np.einsum("ij,ij->j", factor, factor))
    if width == 0 or ((np.abs(factor.diagonal()) > tolerance * norms).all() and norms.all()):
        return np.arange(width), factor
    basis = np.zeros((factor.shape[0], 0))
    kept: list[int] = []
    for j in range(width):
        rest = factor[:, j].copy()
        for _ in range(2):  # twice is enough: the second pass removes what rounding left
            rest -= basis @ (basis.T @ rest)
        size = np.sqrt(rest @ rest)
        if norms[j] > 0 and size > tolerance * norms[j]:
            basis = np.column_stack([basis, rest / size])
            kept.append(j)
    index = np.array(kept, dtype=np.intp)
    return index, np.asarray(np.linalg.qr(factor[:, index], mode="r"))


def invert_upper(factor: FloatArray) -> FloatArray:
    """Return the inverse of an upper triangular matrix."""
    if factor.shape[0] == 0:
        return factor.copy()
    inverse, info = lapack.dtrtri(factor, lower=0)
    if info != 0:
        raise np.linalg.LinAlgError("triangular factor is singular")
    result: FloatArray = inverse
    return result
