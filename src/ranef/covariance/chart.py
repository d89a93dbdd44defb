"""From parameters to relative covariance factors and back.

The covariance matrix of one factor's effects, relative to sigma^2, is Sigma = T T', block diagonal
with one block for every random term (one 1 x 1 block per column for ``||``). The public theta are
the lower triangles of the blocks' Cholesky factors, column by column, diagonals not negative.

The lower-triangular factor is a bad coordinate system where an early diagonal is nearly zero and a
later one is not: the criterion has a curved valley there. An optimizer without memory can change
coordinates before every step. `pivoted` re-expresses every block by its Cholesky factor with the
largest remaining variance first; the free entries are then T[p[a], b], a >= b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from ranef.typing import BoolArray, FloatArray, IntArray

Blocks = tuple[tuple[int, int], ...]
Factors = tuple[FloatArray, ...]
# A direction of one block: factor, (start, stop), vector (stop - start,).
Direction = tuple[int, tuple[int, int], FloatArray]

# A relative standard deviation below this (whitened coordinates) counts as zero; lme4 uses the
# same number on its own scale.
SINGULAR_BELOW = 1e-4
# Diagonal entries are kept this far from zero while optimising (whitened coordinates, where a
# natural size is 1): the criterion changes by less than rounding, and derivatives stay defined.
SMALLEST_DIAGONAL = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Chart:
    """Which entries of which T are free: parallel arrays (m,)."""

    factor: IntArray
    row: IntArray
    col: IntArray

    @property
    def size(self) -> int:
        """Number of parameters, m."""
        return len(self.factor)

    def part(self, mask: BoolArray) -> Chart:
        """Return the chart of some of the parameters."""
        return Chart(self.factor[mask], self.row[mask], self.col[mask])

    def read(self, T: Factors) -> FloatArray:
        """Return the free entries of T, (m,)."""
        index = zip(self.factor, self.row, self.col, strict=True)
        return np.array([T[f][a, b] for f, a, b in index])

    def write(self, T: Factors, x: FloatArray) -> Factors:
        """Return a copy of T with its free entries replaced by ``x``."""
        out = tuple(t.copy() for t in T)
        for f, a, b, value in zip(self.factor, self.row, self.col, x, strict=True):
            out[f][a, b] = value
        return out


def lower_chart(blocks: tuple[Blocks, ...]) -> Chart:
    """Return the chart of lower triangles, factor by factor, block by block, column by column."""
    entries = [
        (f, a, b)
        for f, parts in enumerate(blocks)
        for start, stop in parts
        for b in range(start, stop)
        for a in range(b, stop)
    ]
    return _chart(entries)


def _chart(entries: list[tuple[int, int, int]]) -> Chart:
    table = np.array(entries, dtype=np.intp).reshape(-1, 3)
    return Chart(table[:, 0], table[:, 1], table[:, 2])


def identity(blocks: tuple[Blocks, ...]) -> Factors:
    """Return T = I for every factor."""
    return tuple(np.eye(parts[-1][1]) for parts in blocks)


def lower_factor(M: FloatArray) -> FloatArray:
    """Return lower triangular L with L L' = M M' and a diagonal that is not negative."""
    L: FloatArray = np.asarray(np.linalg.qr(M.T, mode="r")).T
    if L.shape[1] < L.shape[0]:
        L = np.hstack([L, np.zeros((L.shape[0], L.shape[0] - L.shape[1]))])
    return L * np.where(L.diagonal() < 0, -1.0, 1.0)


def lower(T: Factors, blocks: tuple[Blocks, ...]) -> Factors:
    """Return the lower-triangular factors of the same covariance matrices, block by block."""
    out = []
    for t, parts in zip(T, blocks, strict=True):
        L = np.zeros_like(t)
        for start, stop in parts:
            L[start:stop, start:stop] = lower_factor(t[start:stop, start:stop])
        out.append(L)
    return tuple(out)


def pivoted(T: Factors, blocks: tuple[Blocks, ...]) -> tuple[Factors, Chart]:
    """Return pivoted Cholesky factors of T T', kept away from singularity, and their chart."""
    out, entries = [], []
    for f, (t, parts) in enumerate(zip(T, blocks, strict=True)):
        new = np.zeros_like(t)
        for start, stop in parts:
            block, order = _pivoted_block(t[start:stop, start:stop])
            new[start:stop, start:stop] = block
            entries += [
                (f, start + int(order[a]), start + b)
                for b in range(stop - start)
                for a in range(b, stop - start)
            ]
        out.append(new)
    return tuple(out), _chart(entries)


def _pivoted_block(t: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return L with L L' = t t', L[order] lower triangular with decreasing diagonal.

    That is the pivoted QR decomposition of t': squaring t would lose the small directions that
    singular fits are about.
    """
    k = t.shape[0]
    if k == 1:
        size = max(abs(float(t[0, 0])), SMALLEST_DIAGONAL)
        return np.array([[size]]), np.zeros(1, dtype=np.intp)
    upper, pivots, _, _, _ = lapack.dgeqp3(t.T)
    order = pivots.astype(np.intp) - 1
    L = np.zeros((k, k))
    for b in range(k):
        diagonal = upper[b, b]
        L[order[b:], b] = upper[b, b:] if diagonal >= 0 else -upper[b, b:]
        L[order[b], b] = max(abs(diagonal), SMALLEST_DIAGONAL)
    return L, order


def null_directions(T: Factors, blocks: tuple[Blocks, ...]) -> tuple[Direction, ...]:
    """Return the directions of every block in which the effects have no variance."""
    out = []
    for f, (t, parts) in enumerate(zip(T, blocks, strict=True)):
        for start, stop in parts:
            left, values, _ = np.linalg.svd(t[start:stop, start:stop])
            out += [
                (f, (start, stop), left[:, i].copy())
                for i in range(stop - start)
                if values[i] < SINGULAR_BELOW
            ]
    return tuple(out)


def widen(T: Factors, direction: Direction, size: float) -> Factors:
    """Return factors with the standard deviation ``size`` added in one direction."""
    f, (start, stop), n = direction
    out = tuple(t.copy() for t in T)
    wider = np.hstack([out[f][start:stop, start:stop], size * n[:, None]])
    out[f][start:stop, start:stop] = lower_factor(wider)
    return out


def varies(T: Factors, chart: Chart) -> BoolArray:
    """Tell which parameters stand in columns of T that are not (nearly) zero, (m,)."""
    sizes = [np.sqrt((t * t).sum(axis=0)) for t in T]
    return np.array(
        [sizes[f][b] >= SINGULAR_BELOW for f, b in zip(chart.factor, chart.col, strict=True)],
        dtype=bool,
    )
