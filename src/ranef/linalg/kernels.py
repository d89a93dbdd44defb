"""Which kernel every chain factor takes to update the dense block, by predicted cost and memory.

Pairs cost arithmetic and 12 bytes or more each, but only where levels meet; a full product costs
for all columns, at the speed of a matrix product. Between them, the first factor may multiply a
*head* of columns in full that most levels touch, and list the pairs of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from ranef.linalg import coupling
from ranef.linalg.coupling import Coupling, PairList, PairMap, Split, by_level, symmetric
from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.pattern import (
    Entries,
    Frame,
    Layout,
    lift,
    make_entries,
    make_layout,
    meeting,
    pair_count,
    pair_slabs,
)
from ranef.typing import IntArray

# Seconds per listed pair (forward, adjoint, and a share of listing them) and per floating-point
# operation; only their ratios matter. Those of pairs are estimates, because of that share.
PAIR_COST = 1e-8
CHANGING_PAIR_COST = 4e-8
FLOP_COST = 6e-11
# Of a multiplication of a sparse and a dense matrix (measured), and of a cell of a dense block that
# fills (an estimate).
SPARSE_COST = 4e-10
CELL_COST = 2e-8
MOST_PAIRS = 60_000_000
PAIRS_PER_CELL = 4
# A head is looked for where an evaluation would take longer than this (seconds), among sizes that
# differ by a factor.
SEARCH_COST = 0.02
HEAD_STEP = 1.4
SMALLEST_HEAD = 32
# Share of level pairs that meet from which all are stored.
FULL_FROM = 0.6


class Places(Protocol):
    """Where pairs of entries stand in the vector of dense values."""

    @property
    def length(self) -> int:
        """Of the vector."""
        ...

    def target(self, entries: Entries, upper: IntArray, lower: IntArray) -> IntArray:
        """Return the places of pairs of entries, (pairs,)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Kernels:
    """What every chain factor touches, and which columns it multiplies in full, by factor.

    ``cost`` is predicted, in seconds for an evaluation.
    """

    frame: Frame
    entries: dict[int, Entries]
    heads: dict[int, IntArray]
    cost: float

    @property
    def fills(self) -> bool:
        """Whether every element of the dense block must be stored."""
        return any(len(head) for head in self.heads.values())

    def listed(self, e: int) -> int:
        """Return how many pairs of columns of a chain factor are listed."""
        own = self.entries[e]
        outside = own.level[~np.isin(own.column, self.heads[e])]
        return pair_count(np.bincount(outside, minlength=len(own.pointer) - 1))

    @property
    def pairs(self) -> int:
        """Pairs of columns that are listed."""
        return sum(self.listed(e) for e in self.heads)

    @property
    def bytes(self) -> float:
        """Bytes of the lists of pairs, about."""
        widths = {e: len(own.values) for e, own in self.entries.items()}
        return sum(self.listed(e) * (12.0 + 4.0 * k * (k + 1)) for e, k in widths.items())


def choose_kernels(products: CrossProducts, chain: tuple[int, ...], frame: Frame) -> Kernels:
    """Return the cheapest kernel of every chain factor; chain and frame are not empty."""
    entries = {e: make_entries(products, e, frame) for e in chain}
    found = {e: _head(products.A[e].shape, entries[e], frame, e == chain[0]) for e in chain}
    heads = {e: head for e, (head, _) in found.items()}
    return Kernels(frame, entries, heads, sum(cost for _, cost in found.values()))


def pattern_layout(kernels: Kernels, last: int) -> Layout | None:
    """Return where elements stand that can be non-zero; None where most can.

    ``last`` is the chain's last factor: its pairs include those of all others.
    """
    keys = meeting(kernels.frame, kernels.entries[last])
    if len(keys) > FULL_FROM * 0.5 * kernels.frame.blocks**2:
        return None
    return make_layout(kernels.frame, keys)


def make_couplings(
    products: CrossProducts,
    chain: tuple[int, ...],
    kernels: Kernels,
    layout: Places,
    parents: dict[tuple[int, int], IntArray],
) -> dict[int, Coupling]:
    """Return the coupling of every chain factor.

    Parameters
    ----------
    products : CrossProducts
    chain : tuple of int
    kernels : Kernels
    layout : Places
        Where pairs of what they touch stand among the values of the dense block.
    parents : dict (e, e') -> int array (J_e,)
    """
    frame, entries, heads = kernels.frame, kernels.entries, kernels.heads
    others = {e: _without(entries[e], heads[e]) for e in chain if len(heads[e]) < frame.columns}
    couplings = {}
    kernel: PairMap | PairList | None
    for i, e in enumerate(chain):
        own, head, (k, _, count) = entries[e], heads[e], products.A[e].shape
        B = _sparse_rows(own, k, frame.columns)
        kernel, split, full = None, None, None
        if e in others:
            kernel = _pair_map(layout, others[e]) if i == 0 else _pair_list(layout, own)
            if len(head):
                rest = np.setdiff1d(np.arange(frame.columns), head)
                split = Split(B[:, head], B[:, rest], rest)
        if i == 0 and len(head) and 8 * k * count * len(head) <= coupling.SLAB_BYTES:
            full = by_level(B if split is None else split.front, k)
        lifts = {g: lift(own, parents[e, g], entries[g], frame) for g in chain[i + 1 :]}
        couplings[e] = Coupling(B, own.level, own.column, lifts, head, kernel, split, full)
    return couplings


def _head(
    shape: tuple[int, ...], entries: Entries, frame: Frame, first: bool
) -> tuple[IntArray, float]:
    """Return the columns to multiply in full, where most levels meet, and the cost."""
    k, _, count = shape
    columns = frame.columns
    whole, none = np.arange(columns), np.zeros(0, dtype=np.intp)
    listed, full = predicted_cost(shape, entries.touched, columns, first)
    best, cost = (none, listed) if listed <= full else (whole, full)
    if not first or cost < SEARCH_COST:
        return best, cost
    uses = np.bincount(entries.column, minlength=columns)
    by_use = np.argsort(-uses, kind="stable")
    rank = np.argsort(by_use)
    size = columns // 2
    while size >= SMALLEST_HEAD:
        outside = rank[entries.column] >= size
        touched = np.bincount(entries.level[outside], minlength=count)
        listed, _ = predicted_cost(shape, touched, columns, first)
        full = FLOP_COST * 4.0 * k * count * size**2
        across = SPARSE_COST * 2.0 * k * size * int(outside.sum())
        total = listed + full + across + CELL_COST * columns**2
        if total < cost:
            best, cost = np.sort(by_use[:size]), total
        size = int(size / HEAD_STEP)
    return best, cost


def _without(entries: Entries, head: IntArray) -> Entries:
    """Return the entries in other columns than ``head``."""
    if not len(head):
        return entries
    kept = ~np.isin(entries.column, head)
    level = entries.level[kept]
    sizes = np.bincount(level, minlength=len(entries.pointer) - 1)
    return Entries(
        np.concatenate([[0], np.cumsum(sizes)]),
        level,
        entries.block[kept],
        entries.inner[kept],
        entries.column[kept],
        entries.values[:, kept],
    )


def predicted_cost(
    shape: tuple[int, ...], touched: IntArray, columns: int, first: bool
) -> tuple[float, float]:
    """Return seconds per evaluation with listed pairs, and with the full product.

    Parameters
    ----------
    shape : (k, k, J)
        Of the factor to be eliminated.
    touched : int array (J,)
        How many columns of the dense block its levels touch.
    columns : int
        Of the dense block.
    first : bool
        Whether it is the first of the chain.
    """
    k, _, count = shape
    number = pair_count(touched)
    each = PAIR_COST * (k * (k + 1) // 2) if first else CHANGING_PAIR_COST * k
    memory = number * (k * (k + 1) // 2 if first else 1)
    # a list may take what a full block would take, but its places must be 32-bit numbers
    most = min(max(MOST_PAIRS, PAIRS_PER_CELL * columns**2), np.iinfo(np.int32).max)
    listed = each * number if memory <= most else np.inf
    return listed, FLOP_COST * 4.0 * k * count * columns**2


def _pair_map(layout: Places, entries: Entries) -> PairMap:
    k, count = len(entries.values), len(entries.pointer) - 1
    number = pair_count(entries.touched)
    indices = np.empty(number, dtype=np.int32)
    data = np.empty((k * (k + 1) // 2, number))
    for place, upper, lower in pair_slabs(entries):
        indices[place] = layout.target(entries, upper, lower)
        left, right = entries.values[:, upper], entries.values[:, lower]
        for s, (x, y) in enumerate(symmetric(k)):
            data[s, place] = left[x] * right[y]
            if x != y:
                data[s, place] += left[y] * right[x]
    touched = entries.touched
    pointer = np.concatenate([[0], np.cumsum(touched * (touched + 1) // 2)]).astype(np.int32)
    shape = (layout.length, count)
    maps = tuple(sparse.csc_array((row, indices, pointer), shape=shape) for row in data)
    # the same arrays, read as rows
    transposed = tuple(sparse.csr_array((row, indices, pointer), shape=shape[::-1]) for row in data)
    return PairMap(maps, transposed)


def _pair_list(layout: Places, entries: Entries) -> PairList:
    number = pair_count(entries.touched)
    upper, lower, target = (np.empty(number, dtype=np.int32) for _ in range(3))
    for place, above, below in pair_slabs(entries):
        upper[place], lower[place] = above, below
        target[place] = layout.target(entries, above, below)
    return PairList(upper, lower, target)


def _sparse_rows(entries: Entries, k: int, columns: int) -> sparse.csr_array:
    """Return B (k J, q_dense) as CSR from the entries of every level."""
    nnz, count = len(entries.column), len(entries.pointer) - 1
    pointer = np.concatenate(
        [entries.pointer[:-1] + a * nnz for a in range(k)] + [np.array([k * nnz])]
    )
    indices = np.tile(entries.column, k).astype(np.int32)
    return sparse.csr_array(
        (entries.values.ravel(), indices, pointer.astype(np.int32)), shape=(k * count, columns)
    )
