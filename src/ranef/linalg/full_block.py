"""The dense block as all of a symmetric matrix, where most of it is not zero.

Nothing is looked up, and a symmetric matrix needs no copy to be read by rows or by columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.linalg.block import Factors
from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.dense import complete, product
from ranef.linalg.pattern import Entries, Frame
from ranef.typing import FloatArray, IntArray

# Rows of the matrix that are worked on at a time, so that they stay in the processor's cache.
ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class FullBlock:
    """Values of all of the symmetric matrix, row by row; see `Block` for what it does."""

    frame: Frame

    @property
    def q(self) -> int:
        """Rows."""
        return self.frame.columns

    @property
    def diagonal(self) -> IntArray:
        """See `Block`."""
        return np.arange(self.q) * (self.q + 1)

    @property
    def position(self) -> None:
        """All of S is stored."""
        return None

    def start(self, products: CrossProducts) -> FloatArray:
        """See `Block`."""
        H = np.zeros((self.q, self.q))
        for i, g in enumerate(self.frame.dense):
            own = np.arange(self.frame.shape(g)[1])
            for target, values in self._parts(H, g, g, products.A[g]):
                target[own, own] = values
            for h in self.frame.dense[:i]:
                pair = products.pairs[h, g]
                for target, values in self._parts(H, h, g, pair.values):
                    target[pair.rows, pair.cols] = values
                for target, values in self._parts(H, g, h, pair.values.swapaxes(0, 1)):
                    target[pair.cols, pair.rows] = values
        return H.ravel()

    def _parts(
        self, H: FloatArray, g: int, h: int, values: FloatArray
    ) -> list[tuple[FloatArray, FloatArray]]:
        """Return the part of H (J_g, J_h) and values[a, b] for every pair of columns."""
        (k_g, J_g), (k_h, J_h) = self.frame.shape(g), self.frame.shape(h)
        part = H[self.frame.rows(g), self.frame.rows(h)]
        return [
            (part[a * J_g : (a + 1) * J_g, b * J_h : (b + 1) * J_h], values[a, b])
            for a in range(k_g)
            for b in range(k_h)
        ]

    def left(self, values: FloatArray, T: Factors) -> Factors:
        """See `Block`: nothing, it would be as large as H."""
        return ()

    def congruent(self, values: FloatArray, T: Factors, left: Factors = ()) -> FloatArray:
        """See `Block`."""
        H = self.square(values)
        if max(self.frame.widths) > 1:
            half = self.frame.scaled(H, T)
            return self.frame.scaled(np.ascontiguousarray(half.T), T).ravel()
        counts = [self.frame.shape(g)[1] for g in self.frame.dense]
        scale = np.repeat([float(T[g][0, 0]) for g in self.frame.dense], counts)
        out: FloatArray = H * scale
        out *= scale[:, None]
        return out.ravel()

    def traces(
        self, values: FloatArray, T: Factors, left: Factors, inverse: FloatArray
    ) -> dict[int, FloatArray]:
        """See `Block`."""
        H, V = self.square(values), self.square(inverse)
        Y = {}
        for g in self.frame.dense:
            k, count = self.frame.shape(g)
            first = self.frame.rows(g).start
            Y[g] = np.zeros((k, k))
            for start in range(0, count, ROWS_AT_ONCE):
                slab = np.arange(start, min(start + ROWS_AT_ONCE, count)) + first
                parts = [slice(slab[0] + a * count, slab[-1] + 1 + a * count) for a in range(k)]
                for a, rows in enumerate(parts):
                    HT = self.frame.scaled(H[rows], T)
                    for b, others in enumerate(parts):
                        Y[g][a, b] += np.vdot(HT, V[others])
        return Y

    def diagonal_blocks(self, values: FloatArray) -> dict[int, FloatArray]:
        """See `Block`."""
        H = self.square(values)
        out = {}
        for g in self.frame.dense:
            k, count = self.frame.shape(g)
            out[g] = np.empty((k, k, count))
            for target, part in self._parts(H, g, g, out[g]):
                part[:] = target.diagonal()
        return out

    def times(self, vectors: FloatArray, values: FloatArray) -> FloatArray:
        """See `Block`."""
        found: FloatArray = product(np.ascontiguousarray(vectors), self.square(values))
        return found

    def square(self, values: FloatArray) -> FloatArray:
        """See `Block`; a view."""
        return values.reshape(self.q, self.q)

    def complete(self, values: FloatArray) -> None:
        """See `Block`."""
        complete(self.square(values))

    @property
    def length(self) -> int:
        """Of the vector of values."""
        return self.q**2

    def target(self, entries: Entries, upper: IntArray, lower: IntArray) -> IntArray:
        """Return the places of pairs of entries in the lower triangle, (pairs,)."""
        first, second = entries.column[upper], entries.column[lower]
        target = np.maximum(first, second).astype(np.int64)
        target *= self.q
        target += np.minimum(first, second)
        return target.astype(np.int32) if self.length <= np.iinfo(np.int32).max else target
