"""The few large dense operations, by the calls that cost least.

All of them go through scipy's BLAS: numpy and scipy bring one thread pool each, and a pool that
has just worked keeps its threads spinning for a while. Using both in turn made the Cholesky
factorisation of 1 145 rows four times slower on two cores (24 ms instead of 6).
Small factors go through level-3 BLAS alone: LAPACK's triangular solve and inverse start threads
for any size, and waiting for them would cost more than the work: on a machine that is busy with
something else, 15 times more for a whole fit. The triangular solve starts them beyond about 3e4
multiplications, so it is called for a few columns at a time.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

from ranef.typing import FloatArray

SMALL = 96
# OpenBLAS solves on one thread below about this many multiplications.
UNTHREADED = 3e4
# Rows that are transposed at a time.
BLOCK = 256


def solve_lower(L: FloatArray, right: FloatArray, *, transposed: bool = False) -> FloatArray:
    """Return inv(L) right, or inv(L') right; ``right`` is (m,) or (m, r)."""
    if right.ndim == 1:
        vector: FloatArray = blas.dtrsv(L, right, lower=1, trans=int(transposed))
        return vector
    size, width = len(L), _unthreaded_width(len(L))
    if size > SMALL or right.shape[1] <= width:
        result: FloatArray = blas.dtrsm(1.0, L, right, lower=1, trans_a=int(transposed))
        return result
    result = np.empty(right.shape, order="F")
    for start in range(0, right.shape[1], width):
        part = slice(start, start + width)
        result[:, part] = blas.dtrsm(1.0, L, right[:, part], lower=1, trans_a=int(transposed))
    return result


def _unthreaded_width(size: int) -> int:
    return max(1, int(UNTHREADED / (size * size))) if size else 1


def inverse_from_factor(L: FloatArray) -> FloatArray:
    """Return the lower triangle of inv(L L'), column-major; ``L`` may be overwritten."""
    if L.shape[0] <= SMALL:
        half = solve_lower(L, np.eye(L.shape[0], order="F"))
        return np.asfortranarray(half.T @ half)
    inverse, info = lapack.dpotri(L, lower=1, overwrite_c=1)
    if info != 0:
        raise np.linalg.LinAlgError("the Cholesky factor is singular")
    result: FloatArray = inverse
    return result


def times(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left @ right: beside large factors by the BLAS that factorises them."""
    if left.shape[0] <= SMALL:
        small: FloatArray = left @ right
        return small
    return product(left, right)


def product(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left @ right, row-major; row-major matrices and their transposes are not copied."""
    a, turn_a = _column_major(right)
    b, turn_b = _column_major(left)
    result: FloatArray = blas.dgemm(1.0, a, b, trans_a=turn_a, trans_b=turn_b).T
    return result


def _column_major(matrix: FloatArray) -> tuple[FloatArray, int]:
    """Return a column-major matrix, and whether it must be transposed to be ``matrix``.T."""
    return (matrix, 1) if matrix.flags.f_contiguous else (matrix.T, 0)


def gram(matrix: FloatArray) -> FloatArray:
    """Return matrix @ matrix.T, symmetric."""
    half = blas.dsyrk(1.0, matrix, lower=1)
    result: FloatArray = half + np.tril(half, -1).T
    return result


def complete(matrix: FloatArray) -> None:
    """Write the lower triangle of a square matrix into its upper one, by blocks."""
    for start in range(0, len(matrix), BLOCK):
        rows = slice(start, start + BLOCK)
        matrix[:start, rows] = matrix[rows, :start].T
        own = matrix[rows, rows]
        own += np.tril(own, -1).T - np.triu(own, 1)
