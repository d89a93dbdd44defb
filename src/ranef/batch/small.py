"""Small matrices with any trailing axes: (k, l, ...) holds one matrix for every index behind.

The trailing axes are (blocks, replicates) or (replicates,), and broadcast. Loops run over rows and
inner dimensions in Python and stream through contiguous memory; matrices larger than
`LARGEST_LOOPED` go to LAPACK's and BLAS's batches, at the price of two transpositions.
"""

from __future__ import annotations

import numpy as np

from ranef.typing import BoolArray, FloatArray

LARGEST_LOOPED = 8


def multiply(left: FloatArray, right: FloatArray) -> FloatArray:
    """Return left @ right: (k, l, ...), (l, m, ...) -> (k, m, ...)."""
    k, inner = left.shape[:2]
    if max(k, inner) > LARGEST_LOOPED:
        return _last(np.matmul(_first(left), _first(right)))
    trailing = np.broadcast_shapes(left.shape[2:], right.shape[2:])
    out = np.empty((k, right.shape[1], *trailing))
    work = np.empty(out.shape[1:]) if inner > 1 else None
    for i in range(k):
        np.multiply(left[i, 0], right[0], out=out[i])
        for j in range(1, inner):
            np.multiply(left[i, j], right[j], out=work)
            out[i] += work
    return out


def transpose(blocks: FloatArray) -> FloatArray:
    """Return the transposed matrices, (k, l, ...) -> (l, k, ...), as a view."""
    return blocks.swapaxes(0, 1)


def gram(blocks: FloatArray) -> FloatArray:
    """Return blocks @ blocks', symmetric: (k, r, ...) -> (k, k, ...)."""
    k, r = blocks.shape[:2]
    if k > LARGEST_LOOPED:
        first = _first(blocks)
        return _last(np.matmul(first, first.swapaxes(-1, -2)))
    out = np.empty((k, k, *blocks.shape[2:]))
    for i in range(k):
        for j in range(i + 1):
            product = blocks[i] * blocks[j]
            out[i, j] = product[0] if r == 1 else product.sum(axis=0)
            if i != j:
                out[j, i] = out[i, j]
    return out


def inverse_factor(blocks: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return upper triangular R with R R' = inv(block), and log determinants.

    (k, k, ...) -> (k, k, ...), (...). Only lower triangles are read. Where a matrix is not
    positive definite its results are NaN.
    """
    k = blocks.shape[0]
    if k == 0:
        return blocks, np.zeros(blocks.shape[2:])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if k > LARGEST_LOOPED:
            try:
                L = np.linalg.cholesky(_first(blocks))
            except np.linalg.LinAlgError:
                return _looped(blocks)
            logs = np.log(np.einsum("...ii->...i", L)).sum(axis=-1)
            return _last(np.tril(np.linalg.inv(L)).swapaxes(-1, -2)), 2.0 * logs
        return _looped(blocks)


def _looped(blocks: FloatArray) -> tuple[FloatArray, FloatArray]:
    k = blocks.shape[0]
    L, R = np.zeros(blocks.shape), np.zeros(blocks.shape)
    product = np.ones(blocks.shape[2:])
    for j in range(k):
        pivot = blocks[j, j] - (L[j, :j] ** 2).sum(axis=0) if j else blocks[j, j]
        # what is not positive must become NaN, also zero
        root = np.sqrt(np.where(pivot > 0.0, pivot, np.nan))
        product = product + np.log(root) if j else np.log(root)
        np.divide(1.0, root, out=R[j, j])
        for i in range(j + 1, k):
            rest = blocks[i, j] - (L[i, :j] * L[j, :j]).sum(axis=0) if j else blocks[i, j]
            np.multiply(rest, R[j, j], out=L[i, j])
    for j in range(k):  # R[j, i] = inv(L)[i, j], column by column from the diagonal down
        for i in range(j + 1, k):
            total = (L[i, j:i] * R[j, j:i]).sum(axis=0)
            np.multiply(total, -R[i, i], out=R[j, i])
    return R, 2.0 * product


def solve(factor: FloatArray, right: FloatArray) -> FloatArray:
    """Return R R' right for a factor from `inverse_factor`: (k, k, ...), (k, ...) -> (k, ...)."""
    half = times(transpose(factor), right)
    return times(factor, half)


def times(matrices: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return matrix @ vector: (k, l, ...), (l, ...) -> (k, ...)."""
    product: FloatArray = np.einsum("ij...,j...->i...", matrices, vectors)
    return product


def is_positive(blocks: FloatArray) -> BoolArray:
    """Tell which symmetric matrices are positive definite, (k, k, B) -> (B,)."""
    return np.isfinite(inverse_factor(blocks)[1])


def _first(blocks: FloatArray) -> FloatArray:
    """Return (k, l, ...) as contiguous (..., k, l)."""
    return np.ascontiguousarray(np.moveaxis(blocks, (0, 1), (-2, -1)))


def _last(batches: FloatArray) -> FloatArray:
    """Return (..., k, l) as contiguous (k, l, ...)."""
    return np.ascontiguousarray(np.moveaxis(batches, (-2, -1), (0, 1)))
