"""In which order random effects that meet few others are eliminated, before LAPACK takes the rest.

What the chain leaves can be sparse: teachers of one school meet each other and hardly anybody
else. The graph of S has one node for every random effect, and an edge where an element can be
non-zero. Round by round, nodes of low degree that are not neighbours (an independent set) are
eliminated at once, which makes every pair of neighbours of a node neighbours of each other. This
is minimum degree ordering (Tinney and Walker 1967; multiple elimination: Liu 1985, ACM
Transactions on Mathematical Software 11), with rounds as large as possible, so that each of them is
a few numpy calls. It goes on as long as a round saves more than it costs; what remains is the
*core*, a dense matrix.

Cost: sorting the pairs of neighbours, once for a model. Every fit of a model takes the same order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ranef.linalg.pattern import distinct, pairs_within
from ranef.typing import IntArray

# Seconds per pair of neighbours (forward and selected inverse), per round, and per operation of
# the dense core; only the ratios matter.
PAIR_COST = 4e-8
ROUND_COST = 1e-3
FLOP_COST = 6e-11
# A round takes nodes whose degree is up to this times the lowest one; or, where that does not pay,
# up to the second.
SLACKS = (1.5, 3.0)
# Searches for further independent nodes within a round.
SEARCHES = 3
# More pairs than this (about 20 bytes each) are not listed.
MOST_PAIRS = 100_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """Nodes that are eliminated together, and what each of them meets at that time.

    Values of S stand in one vector, a *slot* for every element that is or becomes non-zero.

    Attributes
    ----------
    nodes : int array (m,)
        The slots of their diagonal elements are the same numbers.
    around : int array (r,)
        All their neighbours.
    level : int array (N,)
        Position in ``nodes``, for every element of their rows; increasing.
    pointer : int array (m + 1,)
        Where the elements of every node begin.
    column, slot : int arrays (N,)
        The neighbour's position in ``around``, and the slot of the element.
    upper, lower : int32 arrays (P,)
        Pairs of elements of the same row, upper >= lower, ordered by the slot that they change.
    target, start : int arrays (U,)
        These slots, all different, and where their pairs begin.
    """

    nodes: IntArray
    around: IntArray
    level: IntArray
    pointer: IntArray
    column: IntArray
    slot: IntArray
    upper: IntArray
    lower: IntArray
    target: IntArray
    start: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Ordering:
    """An order of elimination.

    Attributes
    ----------
    q, slots : int
        Number of nodes and of slots. The first q slots are the diagonal.
    place : int array
        The slot of every element that the caller gave.
    rounds : tuple of Round
    core : int array (c,)
        Nodes that remain, increasing.
    core_row, core_column, core_slot : int arrays
        The elements among them, as rows and columns of the core, lower triangle.
    """

    q: int
    slots: int
    place: IntArray
    rounds: tuple[Round, ...]
    core: IntArray
    core_row: IntArray
    core_column: IntArray
    core_slot: IntArray

    @property
    def pairs(self) -> int:
        """Number of pairs of neighbours in all rounds."""
        return sum(len(found.upper) for found in self.rounds)

    @property
    def cost(self) -> float:
        """Predicted seconds for a root and its selected inverse."""
        dense = FLOP_COST * float(len(self.core)) ** 3
        return PAIR_COST * self.pairs + ROUND_COST * len(self.rounds) + dense


def make_ordering(
    q: int,
    row: IntArray,
    column: IntArray,
    largest: float = math.inf,
    most: float = math.inf,
) -> Ordering | None:
    """Choose an order of elimination, or return None where not even one round pays.

    Parameters
    ----------
    q : int
        Nodes.
    row, column : int arrays
        Elements of the lower triangle that can be non-zero, row >= column; the diagonal must be
        among them. An element may come more than once.
    largest : float
        Nodes that the core may have. None is returned as soon as it is clear that it will have
        more: nodes have at least as many pairs of neighbours as in a clique of the smallest degree.
    most : float
        Pairs of neighbours that may be listed.
    """
    given = row.astype(np.int64) * q + column
    keys = distinct(given[row != column])
    graph = _Graph(q, keys, q + np.arange(len(keys)))
    place = np.where(row == column, row, q + np.searchsorted(keys, given))
    rounds = tuple(_rounds(graph, largest, most))
    if not rounds or int(graph.alive.sum()) > largest:
        return None
    core = np.flatnonzero(graph.alive)
    rank = np.cumsum(graph.alive) - 1
    high, low = np.divmod(graph.keys, q)
    return Ordering(
        q,
        graph.slots,
        place,
        rounds,
        core,
        np.concatenate([rank[core], rank[high]]),
        np.concatenate([rank[core], rank[low]]),
        np.concatenate([core, graph.slot]),
    )


class _Graph:
    """The nodes and edges that are left; edges by key, higher node * q + lower node, increasing."""

    def __init__(self, q: int, keys: IntArray, slot: IntArray) -> None:
        self.q = q
        self.keys = keys
        self.slot = slot
        self.slots = q + len(keys)
        self.alive = np.ones(q, dtype=bool)
        # ties between nodes of equal degree are broken at random, but always in the same way
        self.tie = np.random.default_rng(0).permutation(q)

    def ends(self) -> tuple[IntArray, IntArray]:
        """Return the higher and the lower node of every edge."""
        high, low = np.divmod(self.keys, self.q)
        return high, low

    def independent(
        self, high: IntArray, low: IntArray, degree: IntArray, slack: float
    ) -> IntArray:
        """Return nodes of low degree, no two of which are neighbours, bool (q,)."""
        least = degree[self.alive].min()
        nobody = np.iinfo(np.int64).max
        able = self.alive & (degree <= max(slack * least, least + 2))
        priority = np.where(able, degree.astype(np.int64) * self.q + self.tie, nobody)
        among = able[high] & able[low]
        high, low = high[among], low[among]
        chosen = np.zeros(self.q, dtype=bool)
        for _ in range(SEARCHES):
            best = np.full(self.q, nobody)
            np.minimum.at(best, high, priority[low])
            np.minimum.at(best, low, priority[high])
            new = (priority < best) & (priority < nobody)
            if not new.any():
                break
            chosen |= new
            priority[new] = nobody
            priority[high[new[low]]] = nobody
            priority[low[new[high]]] = nobody
        return chosen

    def eliminate(self, chosen: IntArray, high: IntArray, low: IntArray) -> Round:
        """Take independent nodes out of the graph; their neighbours become neighbours."""
        q = self.q
        at_high, touched = chosen[high], chosen[high] | chosen[low]
        at_high, high, low = at_high[touched], high[touched], low[touched]
        node, column = np.where(at_high, high, low), np.where(at_high, low, high)
        order = np.argsort(node * q + column)
        node, column, slot = node[order], column[order], self.slot[touched][order]
        nodes = np.flatnonzero(chosen)
        sizes = np.bincount(node, minlength=q)[nodes]
        pointer = np.concatenate([[0], np.cumsum(sizes)])
        around, place = np.unique(column, return_inverse=True)
        upper, lower = pairs_within(pointer, 0, len(nodes))
        order = _by_two(place[upper], place[lower], len(around))
        upper, lower = upper[order], lower[order]
        key = column[upper] * q + column[lower]
        start = np.flatnonzero(np.diff(key, prepend=-1))
        self.keys, self.slot = self.keys[~touched], self.slot[~touched]
        self.alive &= ~chosen
        return Round(
            nodes,
            around,
            np.repeat(np.arange(len(nodes)), sizes),
            pointer,
            place,
            slot,
            upper,
            lower,
            self._slots_of(key[start]),
            start,
        )

    def _slots_of(self, wanted: IntArray) -> IntArray:
        """Return the slots of edges and diagonal elements; edges that did not exist are added."""
        high, low = np.divmod(wanted, self.q)
        target = np.where(high == low, high, 0)
        edge = np.flatnonzero(high != low)
        key = wanted[edge]
        at = np.minimum(np.searchsorted(self.keys, key), max(len(self.keys) - 1, 0))
        known = self.keys[at] == key if len(self.keys) else np.zeros(len(key), dtype=bool)
        fresh = key[~known]
        target[edge[known]] = self.slot[at[known]]
        target[edge[~known]] = self.slots + np.arange(len(fresh))
        keys = np.concatenate([self.keys, fresh])
        slot = np.concatenate([self.slot, self.slots + np.arange(len(fresh))])
        order = np.argsort(keys, kind="stable")  # two sorted runs: merged
        self.keys, self.slot = keys[order], slot[order]
        self.slots += len(fresh)
        return target


def _by_two(first: IntArray, second: IntArray, size: int) -> IntArray:
    """Return the stable order by two keys below ``size``: numpy sorts 16-bit keys by counting."""
    if size > np.iinfo(np.uint16).max:
        return np.argsort(first * size + second, kind="stable")
    order = np.argsort(second.astype(np.uint16), kind="stable")
    return order[np.argsort(first.astype(np.uint16)[order], kind="stable")]


def _rounds(graph: _Graph, largest: float, most: float) -> Iterator[Round]:
    listed = 0
    while True:
        high, low = graph.ends()
        degree = np.bincount(high, minlength=graph.q) + np.bincount(low, minlength=graph.q)
        left = int(graph.alive.sum())
        if left == 0:
            return
        least = float(degree[graph.alive].min())
        # a clique of d + 1 nodes takes d (d + 1) (d + 2) / 6 pairs: its degrees fall as it goes
        if left > largest and listed + (left - largest) * least * (least + 2.0) / 6.0 > most:
            return
        for slack in SLACKS:
            chosen = graph.independent(high, low, degree, slack)
            count, own = int(chosen.sum()), degree[chosen].astype(np.int64)
            pairs = int((own * (own + 1) // 2).sum())
            saved = FLOP_COST * (float(left) ** 3 - float(left - count) ** 3)
            if saved >= PAIR_COST * pairs + ROUND_COST:
                break
        else:
            return
        listed += pairs
        if listed > most:
            return
        yield graph.eliminate(chosen, high, low)
