"""How eliminating a chain factor updates the dense block: -sum_j B_j' K_j B_j.

B_j (k, q_dense) are the cross-products of level j with the dense factors when its turn comes, K_j
symmetric (k, k). For the first factor of the chain B does not depend on theta, so the update is
linear in K; for later ones B has changed, on the same pattern (`ranef.linalg.pattern`). Kernels,
chosen once by `ranef.linalg.kernels`:

* `PairMap` (first factor): every pair of dense columns that meet in a level is listed once, with
  its coefficient; the update is one sparse matrix-vector product per entry of K, its adjoint the
  transposed one. Cost and memory: sum_j c_j (c_j + 1) / 2 for c_j dense columns in level j.
* `PairList` (later factors): the same pairs, with coefficients from the B of the moment.
* the full product: B is stored full and multiplied by matrix products, in slabs of levels.
  Cost: 2 k J q_dense^2 floating-point operations at the speed of a matrix product.

Where a few columns are touched by most levels (films that everybody has seen), the first factor
takes both: these columns, the *head*, are multiplied in full, pairs of the others are listed, and
head and others meet in a sparse product. Measured on InstEval (1.8 million pairs): map 2-3 ms,
scipy's sparse product 14 ms, full 90 ms. On a million ratings (6 040 x 3 706 levels, 150 million
pairs): a head of 342 columns takes 0.4 s, one full product 3 s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from ranef.linalg import levels
from ranef.linalg.block import Block
from ranef.linalg.dense import product
from ranef.typing import FloatArray, IntArray

SLAB_BYTES = 1 << 27


@dataclass(frozen=True, slots=True, eq=False)
class PairMap:
    """The update as a sparse linear map of the entries of K.

    ``maps[s]`` is (values, J) for the s-th entry (x, y), x <= y, of K; they share their pattern.
    """

    maps: tuple[sparse.csc_array, ...]
    transposed: tuple[sparse.csr_array, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PairList:
    """Pairs of entries (upper, lower) and their places in the vector of dense values."""

    upper: IntArray
    lower: IntArray
    target: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """B by columns: the head (k J, h), the others (k J, q_dense - h), and which these are."""

    front: sparse.csr_array
    rest: sparse.csr_array
    others: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Coupling:
    """A chain factor's cross-products with the dense block.

    Attributes
    ----------
    B : sparse (k J, q_dense)
        Row a * J + level; as in the data.
    level, column : int arrays (N,)
        Of every entry; B.data are their values, (k, N) flattened.
    lift : dict later chain factor -> int array (N,)
        The entry of the level it belongs to there, in the same column.
    head : int array (h,)
        Columns that are multiplied in full; for later factors all or none.
    kernel : PairMap, PairList, or None
        Pairs of the other columns; None where there are no others.
    split : Split or None
        Where the head is only a part.
    full : float64 array (J, k, h) or None
        The head of B in full, where it does not change and is not large.
    """

    B: sparse.csr_array
    level: IntArray
    column: IntArray
    lift: dict[int, IntArray]
    head: IntArray
    kernel: PairMap | PairList | None = None
    split: Split | None = None
    full: FloatArray | None = None

    def values(self, B: sparse.csr_array) -> FloatArray:
        """Return the values of the entries, (k, N), as a view of B."""
        entries: FloatArray = B.data.reshape(-1, len(self.level))
        return entries

    def with_values(self, values: FloatArray) -> sparse.csr_array:
        """Return B with other values of its entries, (k, N)."""
        return sparse.csr_array((values.ravel(), self.B.indices, self.B.indptr), shape=self.B.shape)

    def update(self, block: Block, K: FloatArray, B: sparse.csr_array, values: FloatArray) -> None:
        """Subtract sum_j B_j' K_j B_j from the vector of dense values, in place."""
        if len(self.head):
            self._update_head(block, K, B, values)
        if self.kernel is None:
            return
        if isinstance(self.kernel, PairMap):
            total = np.zeros(len(values))
            for s, (x, y) in enumerate(symmetric(K.shape[0])):
                total += self.kernel.maps[s] @ K[x, y]
        else:
            pairs, entries = self.kernel, self.values(B)
            KB = levels.multiply(K[:, :, self.level], entries[:, None])[:, 0]
            weights = np.zeros(len(pairs.target))
            for left, right in zip(entries, KB, strict=True):
                weights += left[pairs.upper] * right[pairs.lower]
            total = np.zeros(len(values))
            total += np.bincount(pairs.target, weights=weights, minlength=len(values))
        block.complete(total)
        values -= total

    def adjoint(
        self, block: Block, weights: FloatArray, B: sparse.csr_array, shape: tuple[int, int, int]
    ) -> FloatArray:
        """Return B_j H B_j' per level, (k, k, J), for H given on the pattern of dense values."""
        k = shape[0]
        if isinstance(self.kernel, PairList):
            return self.sum_entries(self.times(block, weights, B), B, shape[2])
        out = np.zeros(shape)
        if self.kernel is not None:
            weighted = 2.0 * weights  # of a pair, one element is listed
            weighted[block.diagonal] = weights[block.diagonal]
            for s, (x, y) in enumerate(symmetric(k)):
                out[x, y] = self.kernel.transposed[s] @ weighted
                if x != y:
                    out[x, y] *= 0.5
                    out[y, x] = out[x, y]
        if len(self.head):
            self._add_head(block, weights, B, out)
        return out

    def _update_head(
        self, block: Block, K: FloatArray, B: sparse.csr_array, values: FloatArray
    ) -> None:
        H = block.square(values)  # a view: where there is a head, the block is full
        for slab, rows, part in self._slabs(K.shape[0], B):
            KB = np.matmul(K[:, :, slab].transpose(2, 0, 1), part)
            h = KB.shape[2]
            own = product(part.reshape(-1, h).T, KB.reshape(-1, h))
            if self.split is None:
                H -= own
                continue
            H[self.head[:, None], self.head] -= own
            by_column = np.ascontiguousarray(KB.swapaxes(0, 1)).reshape(-1, h)
            beside = self.split.rest[rows].T @ by_column
            H[self.split.others[:, None], self.head] -= beside
            H[self.head[:, None], self.split.others] -= beside.T

    def _add_head(
        self, block: Block, weights: FloatArray, B: sparse.csr_array, out: FloatArray
    ) -> None:
        H, h = block.square(weights), len(self.head)
        own = H if self.split is None else H[self.head[:, None], self.head]
        beside = None if self.split is None else H[self.split.others[:, None], self.head]
        for slab, rows, part in self._slabs(len(out), B):
            HB = product(part.reshape(-1, h), own).reshape(part.shape)
            if self.split is not None and beside is not None:
                across: FloatArray = self.split.rest[rows] @ beside
                # twice: the other half is the transpose
                HB += 2.0 * across.reshape(len(out), -1, h).swapaxes(0, 1)
            touched = np.matmul(HB, part.swapaxes(1, 2)).transpose(1, 2, 0)
            out[:, :, slab] += 0.5 * (touched + touched.swapaxes(0, 1))

    def times(self, block: Block, weights: FloatArray, B: sparse.csr_array) -> FloatArray:
        """Return B_j H at the entries, (k, N), for H given on the pattern of dense values."""
        entries = self.values(B)
        out = np.empty_like(entries)
        if isinstance(self.kernel, PairList):
            upper, lower = self.kernel.upper, self.kernel.lower
            H = weights[self.kernel.target]
            apart = np.where(upper == lower, 0.0, H)
            for x, b in enumerate(entries):
                out[x] = np.bincount(lower, weights=b[upper] * H, minlength=len(b))
                out[x] += np.bincount(upper, weights=b[lower] * apart, minlength=len(b))
            return out
        full, k = block.square(weights), len(entries)
        for slab, _, part in self._slabs(k, B):
            HB = product(part.reshape(-1, len(full)), full).reshape(part.shape)
            mine = slice(*np.searchsorted(self.level, [slab.start, slab.stop]))
            out[:, mine] = HB[self.level[mine] - slab.start, :, self.column[mine]].T
        return out

    def sum_entries(self, left: FloatArray, B: sparse.csr_array, levels: int) -> FloatArray:
        """Return the sum over entries of every level of left B', (l, N) -> (l, k, J)."""
        entries = self.values(B)
        out = np.empty((len(left), len(entries), levels))
        for x, row in enumerate(left):
            for y, b in enumerate(entries):
                out[x, y] = np.bincount(self.level, weights=row * b, minlength=levels)
        return out

    def _slabs(
        self, k: int, B: sparse.csr_array
    ) -> Iterator[tuple[slice, slice | IntArray, FloatArray]]:
        """Yield slices of the levels, their rows of B, and its head in full, (levels, k, h)."""
        levels, h = B.shape[0] // k, len(self.head)
        if self.full is not None:
            yield slice(0, levels), slice(None), self.full
            return
        front = B if self.split is None else self.split.front
        step = max(1, SLAB_BYTES // (8 * k * max(1, h)))
        for first in range(0, levels, step):
            slab = slice(first, min(first + step, levels))
            rows = (np.arange(k)[:, None] * levels + np.arange(slab.start, slab.stop)).ravel()
            yield slab, rows, by_level(front[rows], k)


def by_level(B: sparse.csr_array, k: int) -> FloatArray:
    """Return sparse rows a * levels + level in full, (levels, k, q_dense)."""
    full = B.toarray().reshape(k, -1, B.shape[1])
    return np.ascontiguousarray(full.swapaxes(0, 1))


def symmetric(k: int) -> list[tuple[int, int]]:
    """Return the entries (x, y), x <= y, of a symmetric matrix of size k."""
    return [(x, y) for x in range(k) for y in range(x, k)]
