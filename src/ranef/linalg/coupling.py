"""How eliminating the first factor updates the dense block: -sum_j B_j' K_j B_j.

B_j (k, q_dense) are the cross-products of level j with the dense factors, K_j symmetric (k, k).
The update is linear in K. Two kernels, chosen once by predicted cost and memory:

* `PairMap`: every pair of dense columns that meet in a level is listed once, with its coefficient;
  the update is one sparse matrix-vector product per entry of K, its adjoint the transposed one.
  Cost and memory: sum_j c_j (c_j + 1) / 2 for c_j dense columns in level j.
* `FullProduct`: B is stored full and multiplied by matrix products, in slabs of levels.
  Cost: 2 k J q_dense^2 floating-point operations at the speed of a matrix product.

Measured on InstEval (1.8 million pairs): map 2-3 ms, scipy's sparse product 14 ms, full 90 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.dense import product
from ranef.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.linalg.plan import Plan

# Seconds per listed pair (forward and adjoint) and per floating-point operation, measured; only
# their ratio matters.
PAIR_COST = 4e-9
FLOP_COST = 6e-11
MOST_PAIRS = 60_000_000
SLAB_BYTES = 1 << 27


@dataclass(frozen=True, slots=True, eq=False)
class PairMap:
    """The update as a sparse linear map of the entries of K.

    ``maps[s]`` is (entries, J) for the s-th entry (x, y), x <= y, of K; they share their pattern.
    ``target`` are the touched entries in the vector of dense values, ``weight`` is 2 off the
    diagonal of the dense matrix and 1 on it.
    """

    maps: tuple[sparse.csc_array, ...]
    transposed: tuple[sparse.csr_array, ...]
    weight: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Coupling:
    """The first chain factor's cross-products with the dense block.

    ``B`` (k J, q_dense) sparse, row a * J + level; ``pair_map`` or None for the full product;
    ``full`` (J, k, q_dense) or None where that would be large.
    """

    B: sparse.csr_array
    pair_map: PairMap | None
    full: FloatArray | None = None

    def update(self, plan: Plan, K: FloatArray, values: FloatArray) -> None:
        """Subtract sum_j B_j' K_j B_j from the vector of dense values, in place."""
        if self.pair_map is not None:
            total = np.zeros(len(values))
            for s, (x, y) in enumerate(_symmetric(K.shape[0])):
                total += self.pair_map.maps[s] @ K[x, y]
            for pair in plan.pairs:
                if pair.diagonal:
                    _mirror(pair.view(total))
            values -= total
            return
        q = self.B.shape[1]
        full = np.zeros((q, q))
        for slab, B in self._slabs(K.shape[0]):
            KB = np.matmul(K[:, :, slab].transpose(2, 0, 1), B)
            full += product(B.reshape(-1, q).T, KB.reshape(-1, q))
        row, col = np.divmod(plan.position, plan.size)  # row and column of a symmetric matrix
        values -= full[row, col]

    def adjoint(self, plan: Plan, weights: FloatArray, shape: tuple[int, int, int]) -> FloatArray:
        """Return B_j H B_j' per level, (k, k, J), for H given on the pattern of dense values."""
        k = shape[0]
        out = np.empty(shape)
        if self.pair_map is not None:
            weighted = weights * self.pair_map.weight
            for s, (x, y) in enumerate(_symmetric(k)):
                out[x, y] = self.pair_map.transposed[s] @ weighted
                if x != y:
                    out[x, y] *= 0.5
                    out[y, x] = out[x, y]
            return out
        q = self.B.shape[1]
        full = np.zeros((q, q))
        row, col = np.divmod(plan.position, plan.size)
        full[row, col] = weights
        full[col, row] = weights
        for slab, B in self._slabs(k):
            HB = product(B.reshape(-1, q), full).reshape(B.shape)
            out[:, :, slab] = np.matmul(HB, B.swapaxes(1, 2)).transpose(1, 2, 0)
        return out

    def _slabs(self, k: int) -> Iterator[tuple[slice, FloatArray]]:
        """Yield B in full, (levels, k, q_dense), for slices of the levels."""
        levels, q = self.B.shape[0] // k, self.B.shape[1]
        if self.full is not None:
            yield slice(0, levels), self.full
            return
        step = max(1, SLAB_BYTES // (8 * k * max(1, q)))
        for first in range(0, levels, step):
            slab = slice(first, min(first + step, levels))
            rows = np.arange(k)[:, None] * levels + np.arange(slab.start, slab.stop)
            yield slab, _by_level(self.B[rows.ravel()], k)


def _by_level(B: sparse.csr_array, k: int) -> FloatArray:
    """Return sparse rows a * levels + level in full, (levels, k, q_dense)."""
    full = B.toarray().reshape(k, -1, B.shape[1])
    return np.ascontiguousarray(full.swapaxes(0, 1))


def _symmetric(k: int) -> list[tuple[int, int]]:
    return [(x, y) for x in range(k) for y in range(x, k)]


def _mirror(blocks: FloatArray) -> None:
    """Copy the lower triangle of every (k, k) block to the upper one."""
    for a in range(blocks.shape[0]):
        for b in range(a):
            blocks[b, a] = blocks[a, b]


@dataclass(frozen=True, slots=True, eq=False)
class _Entries:
    """Non-zero columns of every level: sorted by level, then dense block, then column.

    ``pointer`` (J + 1,), ``block`` (N,) number of the (factor, level) block, ``inner`` (N,) column
    within the block, ``values`` (k, N).
    """

    pointer: IntArray
    block: IntArray
    inner: IntArray
    values: FloatArray


def make_coupling(
    products: CrossProducts, first: int, dense: tuple[int, ...]
) -> tuple[Coupling, dict[tuple[int, int], tuple[IntArray, IntArray]]]:
    """Return the coupling of factor ``first`` and the level pairs it connects.

    Returns
    -------
    coupling : Coupling
    block_pairs : dict (g, h) -> (levels of g, levels of h)
        Off-diagonal level pairs of the dense block, g >= h, in the order of the dense values.
    """
    k, _, levels = products.A[first].shape
    widths = [products.A[g].shape[0] for g in dense]
    counts = [products.A[g].shape[2] for g in dense]
    block_start = np.concatenate([[0], np.cumsum(counts)])
    entries = _entries(products, first, dense, block_start)
    B = _sparse_rows(entries, k, levels, widths, counts, block_start)
    touched = np.diff(entries.pointer).astype(np.int64)
    pair_count = int((touched * (touched + 1) // 2).sum())
    q_dense = B.shape[1]
    symmetric = k * (k + 1) // 2
    map_cost = PAIR_COST * pair_count * symmetric
    full_cost = FLOP_COST * 4.0 * k * levels * q_dense**2
    if map_cost > full_cost or pair_count * symmetric > MOST_PAIRS:
        small = 8 * k * levels * q_dense <= SLAB_BYTES
        return Coupling(B, None, _by_level(B, k) if small else None), _all_pairs(dense, counts)
    upper, lower = _pairs_within(entries.pointer, touched)
    blocks = int(block_start[-1])
    key = entries.block[upper].astype(np.int64)
    key *= blocks
    key += entries.block[lower]
    seen = np.zeros(blocks * blocks, dtype=bool)
    seen[key] = True
    block_pairs, lookup, length, stride = _layout(seen, blocks, dense, widths, counts, block_start)
    target = lookup[key]
    if max(widths) > 1:
        inner_width = np.repeat(widths, counts)[entries.block]
        step = entries.inner[upper] * inner_width[lower] + entries.inner[lower]
        target = target + step * stride[key]
    weight = np.full(length, 2.0)
    weight[target[upper == lower]] = 1.0
    indices = target.astype(np.int32)
    pointer = np.concatenate([[0], np.cumsum(touched * (touched + 1) // 2)]).astype(np.int32)
    maps, transposed = [], []
    for x, y in _symmetric(k):
        data = entries.values[x][upper] * entries.values[y][lower]
        if x != y:
            data += entries.values[y][upper] * entries.values[x][lower]
        maps.append(sparse.csc_array((data, indices, pointer), shape=(length, levels)))
        transposed.append(sparse.csr_array((data, indices, pointer), shape=(levels, length)))
    return Coupling(B, PairMap(tuple(maps), tuple(transposed), weight)), block_pairs


def _entries(
    products: CrossProducts, first: int, dense: tuple[int, ...], block_start: IntArray
) -> _Entries:
    level, block, inner, values = [], [], [], []
    for number, g in enumerate(dense):
        pair = products.pairs[first, g]  # the chain beside a dense block is the first factor
        rows, cols, v = pair.rows, pair.cols, pair.values
        width = v.shape[1]
        level.append(np.repeat(rows, width))
        block.append(np.repeat(cols + np.int32(block_start[number]), width))
        inner.append(np.tile(np.arange(width, dtype=np.int32), len(rows)))
        values.append(v.swapaxes(1, 2).reshape(v.shape[0], -1))
    levels = np.concatenate(level)
    order = np.argsort(levels, kind="stable")  # a merge of sorted runs; keeps blocks in order
    count = products.A[first].shape[2]
    pointer = np.concatenate([[0], np.cumsum(np.bincount(levels, minlength=count))])
    return _Entries(
        pointer,
        np.concatenate(block)[order],
        np.concatenate(inner)[order],
        np.concatenate(values, axis=1)[:, order],
    )


def _sparse_rows(
    entries: _Entries,
    k: int,
    levels: int,
    widths: list[int],
    counts: list[int],
    block_start: IntArray,
) -> sparse.csr_array:
    """Return B (k J, q_dense) as CSR from the entries of every level."""
    sizes = np.array(widths) * np.array(counts)
    offset = np.concatenate([[0], np.cumsum(sizes)])[:-1]
    factor = np.repeat(np.arange(len(counts)), counts)[entries.block]
    level_in = entries.block - block_start[factor]
    column = offset[factor] + entries.inner * np.array(counts)[factor] + level_in
    nnz = len(column)
    pointer = np.concatenate(
        [entries.pointer[:-1] + a * nnz for a in range(k)] + [np.array([k * nnz])]
    )
    return sparse.csr_array(
        (entries.values.ravel(), np.tile(column, k).astype(np.int32), pointer.astype(np.int32)),
        shape=(k * levels, int(sizes.sum())),
    )


def _pairs_within(pointer: IntArray, touched: IntArray) -> tuple[IntArray, IntArray]:
    """Return every pair of entries (i >= j) of the same level, in the order of the levels."""
    start = np.repeat(pointer[:-1], touched)
    rank = np.arange(pointer[-1]) - start + 1
    upper = np.repeat(np.arange(pointer[-1], dtype=np.int32), rank)
    ends = np.cumsum(rank)
    lower = np.arange(ends[-1] if len(ends) else 0, dtype=np.int32)
    lower -= np.repeat((ends - rank - start).astype(np.int32), rank)
    return upper, lower


def _layout(
    seen: np.ndarray,
    blocks: int,
    dense: tuple[int, ...],
    widths: list[int],
    counts: list[int],
    block_start: IntArray,
) -> tuple[dict[tuple[int, int], tuple[IntArray, IntArray]], IntArray, int, IntArray]:
    """Give every touched level pair its place in the vector of dense values.

    Diagonal blocks of all factors come first, as in `ranef.linalg.plan`.
    """
    lookup = np.zeros(blocks * blocks, dtype=np.int32)
    stride = np.zeros(blocks * blocks if max(widths) > 1 else 0, dtype=np.int32)
    start = 0
    for number, count in enumerate(counts):
        diagonal = np.arange(block_start[number], block_start[number + 1]) * (blocks + 1)
        lookup[diagonal] = start + np.arange(count, dtype=np.int32)
        if len(stride):
            stride[diagonal] = count
        start += widths[number] ** 2 * count
        seen[diagonal] = False
    table = seen.reshape(blocks, blocks)
    block_pairs = {}
    for i, g in enumerate(dense):
        for j, h in enumerate(dense[: i + 1]):
            part = table[block_start[i] : block_start[i + 1], block_start[j] : block_start[j + 1]]
            rows, cols = np.nonzero(part)
            if len(rows) == 0:
                continue
            keys = (rows + block_start[i]) * blocks + cols + block_start[j]
            lookup[keys] = start + np.arange(len(rows), dtype=np.int32)
            if len(stride):
                stride[keys] = len(rows)
            start += widths[i] * widths[j] * len(rows)
            block_pairs[g, h] = (rows.astype(np.int32), cols.astype(np.int32))
    return block_pairs, lookup, start, stride


def _all_pairs(
    dense: tuple[int, ...], counts: list[int]
) -> dict[tuple[int, int], tuple[IntArray, IntArray]]:
    """Return the full lower triangle of the dense block as level pairs."""
    out = {}
    for i, g in enumerate(dense):
        for j, h in enumerate(dense[: i + 1]):
            if i == j:
                rows, cols = np.tril_indices(counts[i], -1)
            else:
                rows, cols = np.divmod(np.arange(counts[i] * counts[j]), counts[j])
            if len(rows):
                out[g, h] = (rows.astype(np.int32), cols.astype(np.int32))
    return out
