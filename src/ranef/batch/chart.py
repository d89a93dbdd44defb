"""Pivoted coordinates for every replicate: `ranef.covariance.chart`, vectorised.

Each replicate's covariance blocks are re-expressed by their pivoted Cholesky factors, largest
remaining variance first. The free entries are T[order[a], b], a >= b: their columns are the same
for all replicates, their rows are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.batch.slopes import Entries, Factors, Slopes
from ranef.batch.small import multiply, transpose
from ranef.typing import BoolArray, FloatArray, IntArray

Blocks = tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Charts:
    """Which entries of T are free: factor and col (h,), row (h, B)."""

    factor: IntArray
    col: IntArray
    row: IntArray

    @property
    def size(self) -> int:
        """Number of parameters, h."""
        return len(self.factor)

    def part(self, chosen: IntArray | BoolArray) -> Charts:
        """Return the charts of some replicates."""
        return Charts(self.factor, self.col, self.row[:, chosen])

    def read(self, T: Factors) -> FloatArray:
        """Return the free entries, (h, B)."""
        at = np.arange(self.row.shape[1])
        return np.array([T[f][row, b, at] for f, b, row in self._each()])

    def write(self, T: Factors, x: FloatArray) -> Factors:
        """Return a copy of T with its free entries replaced."""
        out = tuple(t.copy() for t in T)
        at = np.arange(self.row.shape[1])
        for (f, b, row), values in zip(self._each(), x, strict=True):
            out[f][row, b, at] = values
        return out

    def _each(self) -> list[tuple[int, int, IntArray]]:
        return list(zip(self.factor.tolist(), self.col.tolist(), self.row, strict=True))


def pivoted(T: Factors, blocks: Blocks) -> tuple[Factors, Charts]:
    """Return pivoted Cholesky factors of T T', and their charts.

    That is the pivoted Gram-Schmidt orthogonalisation of the rows of T: squaring T would lose the
    small directions that singular fits are about.
    """
    out, factor, col, row = [], [], [], []
    for f, (t, parts) in enumerate(zip(T, blocks, strict=True)):
        new = np.zeros_like(t)
        for start, stop in parts:
            block, order = _pivoted_block(t[start:stop, start:stop])
            new[start:stop, start:stop] = block
            for b in range(stop - start):
                for a in range(b, stop - start):
                    factor.append(f)
                    col.append(start + b)
                    row.append(start + order[a])
        out.append(new)
    return tuple(out), Charts(np.array(factor), np.array(col), np.array(row))


def _pivoted_block(t: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return L (k, k, B) with L L' = t t', and order (k, B): L[order] is lower triangular."""
    k, B = len(t), t.shape[2]
    if k == 1:
        return np.abs(t), np.zeros((1, B), dtype=np.intp)
    rest, L = t.copy(), np.zeros_like(t)
    order = np.empty((k, B), dtype=np.intp)
    done = np.zeros((k, B), dtype=bool)
    at = np.arange(B)
    for b in range(k):
        size = np.where(done, -1.0, np.einsum("ijb,ijb->ib", rest, rest))
        pivot = np.argmax(size, axis=0)
        order[b] = pivot
        done[pivot, at] = True
        length = np.sqrt(size[pivot, at])
        unit = rest[pivot, :, at].T / np.where(length > 0.0, length, 1.0)
        along = np.einsum("ijb,jb->ib", rest, unit)
        along[done] = 0.0  # rows used before are zero by construction, not by rounding
        along[pivot, at] = length
        L[:, b] = along
        if b + 1 < k:
            rest -= along[:, None] * unit
    return L, order


def transform(
    slopes: Slopes, T: Factors, charts: Charts, entries: Entries, scale: FloatArray, nu: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return gradient (h, B), average information and exact Hessian (h, h, B) in the charts.

    Parameters
    ----------
    slopes : Slopes
        By the entries of Sigma = T T'.
    scale : float64 array (B,)
        nu / r^2.
    """
    h, B = charts.size, charts.row.shape[1]
    at = np.arange(B)
    gradient = np.empty((h, B))
    E = np.zeros((h, h, B))
    J = np.zeros((h, h, B))
    products = [multiply(F, t) for F, t in zip(slopes.F, T, strict=True)]
    for j, (f, b) in enumerate(zip(charts.factor.tolist(), charts.col.tolist(), strict=True)):
        row = charts.row[j]
        gradient[j] = 2.0 * products[f][row, b, at]
        for i in range(j + 1):
            if charts.factor[i] == f and charts.col[i] == b:
                E[i, j] = E[j, i] = 2.0 * slopes.F[f][charts.row[i], row, at]
        column = T[f][:, b]
        for i, (g, x, y) in enumerate(
            zip(entries.factor.tolist(), entries.x.tolist(), entries.y.tolist(), strict=True)
        ):
            if g == f:  # dSigma = e_row t_b' + t_b e_row'
                J[i, j] = (row == x) * column[y] + (row == y) * column[x]
    score = np.einsum("ijb,ib->jb", J, slopes.score)
    information = multiply(transpose(J), multiply(slopes.information, J))
    traces = multiply(transpose(J), multiply(slopes.traces, J))
    curvature = scale * information
    average = curvature - (scale * scale / nu) * score[:, None] * score + E
    return gradient, average, average + curvature - traces
