"""The dense block on its pattern: only pairs of levels that can be non-zero.

They are small matrices (k_g, k_h, pairs), level pairs last, for factors g >= h, so that one
triangle is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.linalg import levels
from ranef.linalg.block import Factors
from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.dense import complete
from ranef.linalg.pattern import BlockPairs, Frame
from ranef.typing import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class LevelPairs:
    """Level pairs of two factors g >= h of the block.

    Attributes
    ----------
    g, h : int
        Factors (indices into the cross-products).
    rows, cols : int arrays (nnz,)
        Levels of g and h.
    diagonal : bool
        True for the pairs (level, level) of one factor.
    start : int
        Where the values (k_g, k_h, nnz), flattened, begin in the vector of all values.
    position : int array (k_g * k_h * nnz,)
        Flat position, column-major, in the lower triangle of S.
    """

    g: int
    h: int
    rows: IntArray
    cols: IntArray
    diagonal: bool
    start: int
    shape: tuple[int, int, int]
    position: IntArray

    def view(self, values: FloatArray) -> FloatArray:
        """Return this part of the vector of all values as (k_g, k_h, nnz)."""
        size = self.shape[0] * self.shape[1] * self.shape[2]
        return values[self.start : self.start + size].reshape(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class PatternBlock:
    """Values of pairs of levels that can be non-zero; see `Block` for what it does.

    ``frame`` are the factors, ``size`` the rows of S, ``pairs`` the parts of the vector.
    """

    frame: Frame
    size: int
    pairs: tuple[LevelPairs, ...]
    position: IntArray
    diagonal: IntArray

    @property
    def q(self) -> int:
        """Rows."""
        return self.frame.columns

    def start(self, products: CrossProducts) -> FloatArray:
        """See `Block`."""
        values = np.zeros(len(self.position))
        for pair in self.pairs:
            _fill(products, pair, values)
        return values

    def left(self, values: FloatArray, T: Factors) -> Factors:
        """See `Block`: (k_g, k_h, nnz) for every part."""
        return tuple(levels.multiply_left(T[pair.g].T, pair.view(values)) for pair in self.pairs)

    def congruent(self, values: FloatArray, T: Factors, left: Factors = ()) -> FloatArray:
        """See `Block`."""
        out = np.empty_like(values)
        for pair, half in zip(self.pairs, left or self.left(values, T), strict=True):
            pair.view(out)[:] = levels.multiply_right(half, T[pair.h])
        return out

    def traces(
        self, values: FloatArray, T: Factors, left: Factors, inverse: FloatArray
    ) -> dict[int, FloatArray]:
        """See `Block`."""
        Y = {g: np.zeros((k, k)) for g, k in zip(self.frame.dense, self.frame.widths, strict=True)}
        for pair, TH in zip(self.pairs, left, strict=True):
            V = pair.view(inverse)
            HT = levels.multiply_right(pair.view(values), T[pair.h])
            Y[pair.g] += levels.sum_products(HT, V)
            if not pair.diagonal:
                Y[pair.h] += levels.sum_products(levels.transpose(TH), levels.transpose(V))
        return Y

    def diagonal_blocks(self, values: FloatArray) -> dict[int, FloatArray]:
        """See `Block`."""
        return {pair.g: pair.view(values).copy() for pair in self.pairs if pair.diagonal}

    def times(self, vectors: FloatArray, values: FloatArray) -> FloatArray:
        """See `Block`."""
        m = len(vectors)
        out = np.zeros_like(vectors)
        for pair in self.pairs:
            block = pair.view(values)
            left, right = self.frame.rows(pair.g), self.frame.rows(pair.h)
            to_left, to_right = out[:, left], out[:, right]
            x_h = vectors[:, right].reshape(m, *self.frame.shape(pair.h))
            if pair.diagonal:
                to_left += _flat(levels.multiply(x_h, block))
                continue
            x_g = vectors[:, left].reshape(m, *self.frame.shape(pair.g))
            to_g = levels.multiply(x_h[:, :, pair.cols], levels.transpose(block))
            to_h = levels.multiply(x_g[:, :, pair.rows], block)
            to_left += _flat(levels.add_by_level(pair.rows, to_g, x_g.shape[2]))
            to_right += _flat(levels.add_by_level(pair.cols, to_h, x_h.shape[2]))
        return out

    def square(self, values: FloatArray) -> FloatArray:
        """See `Block`; a copy."""
        flat = np.zeros(self.size * self.size)
        flat[self.position] = values
        half = flat.reshape(self.size, self.size, order="F")[: self.q, : self.q]
        out = np.array(half, order="C")
        complete(out)
        return out

    def complete(self, values: FloatArray) -> None:
        """See `Block`: both triangles are kept of the blocks of a level with itself."""
        for pair in self.pairs:
            if pair.diagonal:
                block = pair.view(values)
                for a in range(len(block)):
                    for b in range(a):
                        block[b, a] = block[a, b]


def pattern_block(frame: Frame, block_pairs: BlockPairs, border: int) -> PatternBlock:
    """Lay level pairs out in one vector; every factor gets its diagonal blocks first.

    ``border`` is how many rows S has below the block.
    """
    out: list[LevelPairs] = []
    size = frame.columns + border
    start = 0

    def add(g: int, h: int, rows: IntArray, cols: IntArray, diagonal: bool) -> None:
        nonlocal start
        (k_g, J_g), (k_h, J_h) = frame.shape(g), frame.shape(h)
        row = frame.rows(g).start + np.arange(k_g)[:, None, None] * J_g + rows
        col = frame.rows(h).start + np.arange(k_h)[None, :, None] * J_h + cols
        lower = np.maximum(row, col) + np.minimum(row, col) * size
        shape = (k_g, k_h, len(rows))
        out.append(LevelPairs(g, h, rows, cols, diagonal, start, shape, lower.ravel()))
        start += lower.size

    for g in frame.dense:
        own = np.arange(frame.shape(g)[1], dtype=np.int32)
        add(g, g, own, own, True)
    for (g, h), (rows, cols) in block_pairs.items():
        if len(rows):
            add(g, h, rows, cols, False)
    position = np.concatenate([pair.position for pair in out] or [np.zeros(0, dtype=np.intp)])
    diagonal = [
        pair.start + (np.arange(k)[:, None] * (k + 1) * count + np.arange(count)).ravel()
        for pair in out
        if pair.diagonal
        for k, _, count in [pair.shape]
    ]
    return PatternBlock(
        frame,
        size,
        tuple(out),
        position,
        np.concatenate(diagonal or [np.zeros(0, dtype=np.intp)]),
    )


def _fill(products: CrossProducts, pair: LevelPairs, values: FloatArray) -> None:
    """Write the cross-products of the data into their places."""
    target = pair.view(values)
    if pair.diagonal:
        target[:] = products.A[pair.g]
    elif pair.g != pair.h:
        source = products.pairs[pair.h, pair.g]
        width = products.A[pair.h].shape[2]
        keys = pair.rows.astype(np.int64) * width + pair.cols
        wanted = source.cols.astype(np.int64) * width + source.rows
        if len(keys) == len(wanted) and (keys == wanted).all():
            target[:] = source.values.swapaxes(0, 1)
            return
        order = np.argsort(keys)
        place = order[np.searchsorted(keys, wanted, sorter=order)]
        target[:, :, place] = source.values.swapaxes(0, 1)


def _flat(blocks: FloatArray) -> FloatArray:
    """Return (m, k, J) as (m, k J); m may be zero."""
    return blocks.reshape(blocks.shape[0], blocks.shape[1] * blocks.shape[2])
