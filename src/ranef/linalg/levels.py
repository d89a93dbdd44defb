"""Small matrices, one for every level, stored with the level axis last.

An array of shape (k, l, J) holds J matrices of size k x l. Loops run over k and l in Python and
over the J levels in numpy: for the usual k of 1 to 5 and thousands of levels this is several
times faster than LAPACK's batched routines, because every operation streams through contiguous
memory. Few levels, or large k, go to LAPACK instead, where the fixed cost of a numpy call or the
k^3 loop would dominate.

Cost of every routine: O(k^3 J) arithmetic, O(k^2) numpy calls.
"""

from __future__ import annotations

import numpy as np

from ranef.linalg.dense import times
from ranef.typing import FloatArray, IntArray

# Above this size the Python loop over rows and columns costs more than LAPACK's batches.
LARGEST_LOOPED = 8
# Below this many levels one batched call is cheaper than k^3 small ones.
FEWEST_LOOPED = 64


def _use_batches(size: int, levels: int) -> bool:
    return size > LARGEST_LOOPED or levels < FEWEST_LOOPED


def multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left_j right_j for every level: (k, l, J), (l, m, J) -> (k, m, J)."""
    if left.shape[1] == 1:
        return left * right
    if _use_batches(max(left.shape[0], right.shape[1]), left.shape[2]):
        batches = np.matmul(left.transpose(2, 0, 1), right.transpose(2, 0, 1))
        return np.ascontiguousarray(batches.transpose(1, 2, 0))
    out = np.empty((left.shape[0], right.shape[1], left.shape[2]))
    work = np.empty(left.shape[2])
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            target = out[i, j]
            np.multiply(left[i, 0], right[0, j], out=target)
            for m in range(1, left.shape[1]):
                np.multiply(left[i, m], right[m, j], out=work)
                target += work
    return out


def multiply_left(matrix: FloatArray, blocks: FloatArray) -> FloatArray:
    """Return matrix @ blocks_j for one matrix and every level: (m, k), (k, l, J) -> (m, l, J)."""
    if matrix.shape == (1, 1):  # also keeps a threaded matrix product from waking its threads
        return blocks * float(matrix[0, 0])
    found = times(matrix, blocks.reshape(blocks.shape[0], -1))
    return found.reshape(matrix.shape[0], *blocks.shape[1:])


def multiply_right(blocks: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return blocks_j @ matrix for one matrix and every level: (k, l, J), (l, m) -> (k, m, J)."""
    if matrix.shape == (1, 1):
        return blocks * float(matrix[0, 0])
    product: FloatArray = np.matmul(matrix.T, blocks)
    return product


def sum_products(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return the sum over levels of left_j right_j': (k, m, J), (l, m, J) -> (k, l)."""
    if left.shape[0] == right.shape[0] == 1:  # without BLAS, as above
        total: FloatArray = np.einsum("alj,blj->ab", left, right)
        return total
    return times(left.reshape(left.shape[0], -1), right.reshape(right.shape[0], -1).T)


def transpose(blocks: FloatArray) -> FloatArray:
    """Return the transpose of every level's matrix, (k, l, J) -> (l, k, J), as a view."""
    return blocks.swapaxes(0, 1)


def inverse_factor(blocks: FloatArray) -> tuple[FloatArray, float]:
    """Return upper triangular R_j with R_j R_j' = inv(block_j), and the sum of log determinants.

    R = inv(L)' for the Cholesky factor L: unlike an inverse, it keeps its digits where columns
    are of very different size. The sum is NaN, and R is useless, if a block is not positive
    definite. (k, k, J) -> (k, k, J), float.
    """
    size, levels = blocks.shape[0], blocks.shape[2]
    if size == 1:
        return 1.0 / np.sqrt(blocks), float(np.log(blocks).sum())
    if _use_batches(size, levels):
        try:
            L = np.linalg.cholesky(blocks.transpose(2, 0, 1))
        except np.linalg.LinAlgError:
            return blocks, np.nan
        logdet = 2.0 * float(np.log(np.einsum("jii->ji", L)).sum())
        return np.ascontiguousarray(np.tril(np.linalg.inv(L)).transpose(2, 1, 0)), logdet
    L, R = np.zeros_like(blocks), np.zeros_like(blocks)
    logdet = 0.0
    for j in range(size):
        pivot = blocks[j, j] - (L[j, :j] ** 2).sum(axis=0) if j else blocks[j, j]
        logdet += float(np.log(pivot).sum())
        root = np.sqrt(pivot)
        np.divide(1.0, root, out=R[j, j])
        for i in range(j + 1, size):
            rest = blocks[i, j] - (L[i, :j] * L[j, :j]).sum(axis=0) if j else blocks[i, j]
            np.multiply(rest, R[j, j], out=L[i, j])
    for j in range(size):  # R[j, i] = inv(L)[i, j], column by column from the diagonal down
        for i in range(j + 1, size):
            total = (L[i, j:i] * R[j, j:i]).sum(axis=0)
            np.multiply(total, -R[i, i], out=R[j, i])
    return R, logdet


def add_by_level(parent: IntArray, blocks: FloatArray, size: int) -> FloatArray:
    """Return the sum of (k, l, J) blocks over the levels that share a parent, (k, l, size)."""
    out = np.empty((*blocks.shape[:2], size))
    for a in range(blocks.shape[0]):
        for b in range(blocks.shape[1]):
            out[a, b] = np.bincount(parent, weights=blocks[a, b], minlength=size)
    return out


def scale_columns(rows: FloatArray, T: FloatArray) -> FloatArray:
    """Return rows (m, k J) times I (x) T: every level's k numbers are multiplied by T."""
    k = T.shape[0]
    if k == 1:
        return rows * float(T[0, 0])
    blocks = rows.reshape(rows.shape[0], k, rows.shape[1] // k)
    product: FloatArray = np.matmul(T.T, blocks)
    return product.reshape(rows.shape)
