"""What every level of a chain factor touches in the dense block, and where that is stored.

An *entry* is a column of the dense block in which a level has cross-products that can be non-zero.
They are the observed pairs of levels: when a factor that comes earlier in the chain is eliminated,
its levels hand on what they touch, but a level touches in the data whatever its nested levels do.
So cross-products change during the elimination and their pattern does not.

Two entries of a level are a pair: eliminating the level adds to that element of the dense block.
Pairs of the last chain factor include those of all factors before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.levels import scale_columns
from ranef.typing import FloatArray, IntArray

PAIRS_PER_SLAB = 1 << 18
# Cells of a table of all pairs of blocks; beyond, pairs that occur are looked up in a sorted list.
LARGEST_TABLE = 1 << 26

BlockPairs = dict[tuple[int, int], tuple[IntArray, IntArray]]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """The dense factors, their columns per level, levels, and first (factor, level) block."""

    dense: tuple[int, ...]
    widths: tuple[int, ...]
    counts: tuple[int, ...]
    block_start: IntArray

    @property
    def blocks(self) -> int:
        """Number of (factor, level) blocks."""
        return int(self.block_start[-1])

    @property
    def columns(self) -> int:
        """Number of columns, q_dense."""
        return sum(k * J for k, J in zip(self.widths, self.counts, strict=True))

    def shape(self, g: int) -> tuple[int, int]:
        """Return the columns per level and the levels of a factor, (k_g, J_g)."""
        at = self.dense.index(g)
        return self.widths[at], self.counts[at]

    def rows(self, g: int) -> slice:
        """Return the rows of a factor in the dense block."""
        at = self.dense.index(g)
        start = sum(k * J for k, J in zip(self.widths[:at], self.counts[:at], strict=True))
        return slice(start, start + self.widths[at] * self.counts[at])

    def scaled(self, rows: FloatArray, T: tuple[FloatArray, ...]) -> FloatArray:
        """Return rows (m, q_dense) times T: every level's numbers by the matrix of its factor."""
        out = np.empty_like(rows)
        for g in self.dense:
            mine = self.rows(g)
            out[:, mine] = scale_columns(rows[:, mine], T[g])
        return out


def make_frame(products: CrossProducts, dense: tuple[int, ...]) -> Frame:
    """Return the frame of the dense factors."""
    counts = tuple(products.A[g].shape[2] for g in dense)
    widths = tuple(products.A[g].shape[0] for g in dense)
    return Frame(dense, widths, counts, np.concatenate([[0], np.cumsum(counts)]))


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """Columns that the levels of a factor touch: sorted by level, then block, then within it.

    Attributes
    ----------
    pointer : int array (J + 1,)
        Where the entries of every level begin.
    level, block, inner, column : int arrays (N,)
        Level, number of the (factor, level) block, column within it, column of the dense block.
    values : float64 array (k, N)
        Cross-products of the data.
    """

    pointer: IntArray
    level: IntArray
    block: IntArray
    inner: IntArray
    column: IntArray
    values: FloatArray

    @property
    def touched(self) -> IntArray:
        """Number of entries of every level, (J,)."""
        return np.diff(self.pointer)


def oriented(products: CrossProducts, e: int, g: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Return levels of e, levels of g and cross-products (k_e, k_g, nnz), sorted by level of e."""
    if e < g:
        pair = products.pairs[e, g]
        return pair.rows, pair.cols, pair.values
    pair = products.pairs[g, e]  # stored by the other factor
    order = np.argsort(pair.cols, kind="stable")
    return pair.cols[order], pair.rows[order], pair.values.swapaxes(0, 1)[:, :, order]


def make_entries(products: CrossProducts, e: int, frame: Frame) -> Entries:
    """Return the entries of factor e."""
    level, block, inner, column, values = [], [], [], [], []
    offset = 0
    for number, g in enumerate(frame.dense):
        rows, cols, v = oriented(products, e, g)
        width, count = frame.widths[number], frame.counts[number]
        within = np.tile(np.arange(width, dtype=np.int32), len(rows))
        level.append(np.repeat(rows, width))
        block.append(np.repeat(cols + np.int32(frame.block_start[number]), width))
        inner.append(within)
        column.append(np.repeat(cols + np.int32(offset), width) + within * np.int32(count))
        values.append(v.swapaxes(1, 2).reshape(v.shape[0], -1))
        offset += width * count
    levels = np.concatenate(level)
    order = np.argsort(levels, kind="stable")  # a merge of sorted runs; keeps blocks in order
    sizes = np.bincount(levels, minlength=products.A[e].shape[2])
    return Entries(
        np.concatenate([[0], np.cumsum(sizes)]),
        levels[order],
        np.concatenate(block)[order],
        np.concatenate(inner)[order],
        np.concatenate(column)[order],
        np.concatenate(values, axis=1)[:, order],
    )


def lift(entries: Entries, parent: IntArray, above: Entries, frame: Frame) -> IntArray:
    """Return the entry of the level's parent in the same column, for every entry, (N,)."""
    order = np.zeros(frame.columns, dtype=np.int64)  # columns in the order of entries of a level
    order[_by_block(frame)] = np.arange(frame.columns)
    wanted = parent[entries.level].astype(np.int64) * frame.columns + order[entries.column]
    offered = above.level.astype(np.int64) * frame.columns + order[above.column]
    found: IntArray = np.searchsorted(offered, wanted)
    return found


def _by_block(frame: Frame) -> IntArray:
    """Return the columns of the dense block, those of a level together."""
    parts, offset = [], 0
    for width, count in zip(frame.widths, frame.counts, strict=True):
        own = offset + np.arange(width * count).reshape(width, count)
        parts.append(own.T.ravel())
        offset += width * count
    return np.concatenate(parts)


def pair_count(touched: IntArray) -> int:
    """Return the number of pairs of entries of the same level."""
    touched = touched.astype(np.int64)
    return int((touched * (touched + 1) // 2).sum())


def pairs_within(pointer: IntArray, first: int, last: int) -> tuple[IntArray, IntArray]:
    """Return every pair of entries (i >= j) of the same level, for levels first to last - 1.

    Parameters
    ----------
    pointer : int array (J + 1,)
        Where the entries of every level begin.
    """
    begin, stop = int(pointer[first]), int(pointer[last])
    start = np.repeat(pointer[first:last], np.diff(pointer[first : last + 1]))
    rank = np.arange(begin, stop) - start + 1
    upper = np.repeat(np.arange(begin, stop, dtype=np.int32), rank)
    done = np.cumsum(rank)
    lower = np.arange(done[-1] if len(done) else 0, dtype=np.int32)
    lower -= np.repeat((done - rank - start).astype(np.int32), rank)
    return upper, lower


def pair_slabs(entries: Entries) -> Iterator[tuple[slice, IntArray, IntArray]]:
    """Yield every pair of entries (i >= j) of the same level, in the order of the levels.

    Some levels at a time, so that what is computed from the pairs stays in the processor's cache.

    Yields
    ------
    place : slice
        Where the pairs stand among all of them.
    upper, lower : int32 arrays
        The entries i and j.
    """
    touched = entries.touched.astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(touched * (touched + 1) // 2)])
    first, count = 0, len(touched)
    while first < count:
        last = int(np.searchsorted(ends, ends[first] + PAIRS_PER_SLAB, side="right")) - 1
        last = min(max(last, first + 1), count)
        upper, lower = pairs_within(entries.pointer, first, last)
        yield slice(int(ends[first]), int(ends[last])), upper, lower
        first = last


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where pairs of dense levels stand in the vector of dense values.

    Attributes
    ----------
    frame : Frame
    block_pairs : dict (g, h) -> (levels of g, levels of h)
    keys : int64 array or None
        Pairs of blocks that have a place, increasing; None where ``first`` has all blocks^2.
    first, stride : int arrays
        Place of a pair's first element, and the distance of its others; ``stride`` is empty where
        all have one element.
    length : int
        Of the vector.
    """

    frame: Frame
    block_pairs: BlockPairs
    keys: IntArray | None
    first: IntArray
    stride: IntArray
    length: int

    def target(self, entries: Entries, upper: IntArray, lower: IntArray) -> IntArray:
        """Return the places of pairs of entries, (pairs,) int32."""
        at = _keys(self.frame, entries, upper, lower)
        if self.keys is not None:
            at = np.searchsorted(self.keys, at)
        target = self.first[at]
        if len(self.stride):
            widths = np.repeat(self.frame.widths, self.frame.counts)[entries.block]
            step = entries.inner[upper] * widths[lower] + entries.inner[lower]
            target = target + step * self.stride[at]
        return target.astype(np.int32, copy=False)


def _keys(frame: Frame, entries: Entries, upper: IntArray, lower: IntArray) -> IntArray:
    key = entries.block[upper].astype(np.int64)
    key *= frame.blocks
    key += entries.block[lower]
    return key


def meeting(frame: Frame, entries: Entries) -> IntArray:
    """Return the pairs of blocks that meet in a level, as keys first * blocks + second."""
    slabs = (_keys(frame, entries, upper, lower) for _, upper, lower in pair_slabs(entries))
    if frame.blocks**2 > LARGEST_TABLE:
        return distinct(np.concatenate([distinct(keys) for keys in slabs]))
    seen = np.zeros(frame.blocks**2, dtype=bool)
    for keys in slabs:
        seen[keys] = True
    return np.flatnonzero(seen)


def distinct(keys: IntArray) -> IntArray:
    """Return the different keys, increasing; by sorting, as hashing is slow where most differ."""
    ordered = np.sort(keys)
    found: IntArray = ordered[np.diff(ordered, prepend=-1) != 0]
    return found


def make_layout(frame: Frame, keys: IntArray) -> Layout:
    """Give every level pair with a key (first block >= second) its place.

    Diagonal blocks of all factors come first, as in `ranef.linalg.pattern_block`.
    """
    blocks, start_of = frame.blocks, frame.block_start
    rows, cols = np.divmod(keys, blocks)
    apart = rows != cols
    rows, cols = rows[apart], cols[apart]
    owner = np.repeat(np.arange(len(frame.counts)), frame.counts)
    own = np.arange(blocks)
    found, places, strides = [own * (blocks + 1)], [], []
    start = 0
    for width, count in zip(frame.widths, frame.counts, strict=True):
        places.append(start + np.arange(count))
        strides.append(np.full(count, count))
        start += width**2 * count
    block_pairs: BlockPairs = {}
    for i, g in enumerate(frame.dense):
        for j, h in enumerate(frame.dense[: i + 1]):
            mine = np.flatnonzero((owner[rows] == i) & (owner[cols] == j))
            if len(mine) == 0:
                continue
            found.append(rows[mine] * blocks + cols[mine])
            places.append(start + np.arange(len(mine)))
            strides.append(np.full(len(mine), len(mine)))
            start += frame.widths[i] * frame.widths[j] * len(mine)
            left, right = rows[mine] - start_of[i], cols[mine] - start_of[j]
            block_pairs[g, h] = (left.astype(np.int32), right.astype(np.int32))
    key, first = np.concatenate(found), np.concatenate(places).astype(np.int32)
    several = max(frame.widths) > 1
    stride = np.concatenate(strides).astype(np.int32) if several else np.zeros(0, dtype=np.int32)
    if blocks**2 > LARGEST_TABLE:
        order = np.argsort(key)
        return Layout(
            frame,
            block_pairs,
            key[order],
            first[order],
            stride[order] if several else stride,
            start,
        )
    return Layout(
        frame,
        block_pairs,
        None,
        _table(blocks, key, first),
        _table(blocks, key, stride) if several else stride,
        start,
    )


def _table(blocks: int, key: IntArray, values: IntArray) -> IntArray:
    table = np.zeros(blocks * blocks, dtype=np.int32)
    table[key] = values
    return table
