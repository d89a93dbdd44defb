"""Which factors are eliminated level by level, what stays in the dense block, and how.

Levels of one factor never touch each other, so a factor can be eliminated as J small problems at
once. A second factor can follow in the same way if every level of the factors before it belongs
to one of its levels (pupils, schools, districts): these are the *chain*. All other factors form
one block (`ranef.linalg.block`), stored on the pattern of level pairs that can be non-zero or in
full, and factorised by LAPACK or, where it is sparse, in rounds (`ranef.linalg.sparse_root`).

Small models skip the chain altogether: one LAPACK call on the whole matrix is cheaper than many
small numpy calls. That holds for q up to `SMALL_MODEL`, and for crossed factors as long as the
chain would save fewer than `CHAIN_FLOPS` floating-point operations (about a millisecond). Beside a
dense block, the chain goes on as long as that saves more than the elimination is predicted to cost.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass

import numpy as np

from ranef.errors import FitError
from ranef.linalg.block import Block
from ranef.linalg.coupling import Coupling
from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.full_block import FullBlock
from ranef.linalg.kernels import (
    FLOP_COST,
    choose_kernels,
    make_couplings,
    pattern_layout,
    predicted_cost,
)
from ranef.linalg.memory import (
    BYTES_PER_BORDER,
    BYTES_PER_CELL,
    BYTES_PER_ELEMENT,
    BYTES_PER_PAIR,
    BYTES_PER_STORED_CELL,
    Limit,
    numbers,
)
from ranef.linalg.ordering import MOST_PAIRS, make_ordering
from ranef.linalg.pattern import BlockPairs, make_frame, oriented
from ranef.linalg.pattern_block import pattern_block
from ranef.linalg.root import DenseScheme, Scheme
from ranef.linalg.sparse_root import make_sparse_scheme
from ranef.typing import FloatArray, IntArray

SMALL_MODEL = 60
CHAIN_FLOPS = 5e7
# A block of fewer rows, or with a larger share of elements than this, is dense for LAPACK.
SMALLEST_SPARSE = 400
LARGEST_DENSITY = 0.25
# Another chain is tried where an evaluation is predicted to take longer than this, in seconds.
SMALL_COST = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Everything about the elimination that does not depend on theta.

    Attributes
    ----------
    products : CrossProducts
    chain, dense : tuples of int
        Factors eliminated level by level, in this order, and those in the dense block.
    offset : dict factor -> int
        First row of a dense factor.
    q_dense, size : int
        Rows of the dense block without and with the border [Q y0].
    parents : dict (e, e') -> int array (J_e,)
        Level of chain factor e' that a level of the earlier chain factor e belongs to.
    couplings : dict (e, e') -> float64 array (k_e, k_e', J_e)
        Cross-products of chain factor e with that level.
    block : Block
        How the dense block is stored.
    start_values : float64 array
        Its values before elimination.
    border : float64 array (p + 1, q_dense)
        Border of the dense block before elimination.
    coupling : dict chain factor -> Coupling
        How it updates the dense block; empty where there is none.
    scheme : Scheme
        How the dense block is factorised.
    cost : float
        Predicted seconds for one evaluation; only comparisons mean something.
    """

    products: CrossProducts
    chain: tuple[int, ...]
    dense: tuple[int, ...]
    offset: dict[int, int]
    q_dense: int
    size: int
    parents: dict[tuple[int, int], IntArray]
    couplings: dict[tuple[int, int], FloatArray]
    block: Block
    start_values: FloatArray
    border: FloatArray
    coupling: dict[int, Coupling]
    scheme: Scheme
    cost: float
    whole: bool

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Pickle what the plan was made from: it is many times smaller."""
        return (_remake, (self.products, self.chain, self.whole))


def make_plan(products: CrossProducts, memory_limit: float, *, whole: bool = False) -> Plan:
    """Decide how to factorise; factors must be ordered by decreasing number of effects.

    Parameters
    ----------
    products : CrossProducts
    memory_limit : float
        Bytes the dense block may take.
    whole : bool
        Put every factor into the dense block (used where all of Z'PZ is wanted).

    Raises
    ------
    FitError
        If the dense block would not fit; names the factors and the bytes.
    """
    if whole:
        return _plan(products, (), memory_limit, whole=True)
    chain = _chain(products, [A.shape[0] * A.shape[2] for A in products.A])
    best, refusal = None, None
    try:
        best = _plan(products, chain, memory_limit)
    except FitError as error:
        refusal = error
    for length in range(len(chain) - 1, 0, -1):
        # eliminating one factor more can fill a block that is sparse without it
        if best is not None and (not best.dense or best.cost < SMALL_COST):
            break
        most = math.inf if best is None else best.cost
        if _may_be_sparse(products, chain[:length], most):
            with contextlib.suppress(FitError):
                plan = _plan(products, chain[:length], memory_limit)
                best = plan if plan.cost < most else best
    if best is None:
        assert refusal is not None
        raise refusal
    return best


def _may_be_sparse(products: CrossProducts, chain: tuple[int, ...], most: float) -> bool:
    """Tell whether a shorter chain can cost less than ``most``: if few elements remain non-zero."""
    dense = tuple(f for f in range(len(products.A)) if f not in chain)
    kernels = choose_kernels(products, chain, make_frame(products, dense))
    if kernels.fills or kernels.cost >= most:
        return False
    layout = pattern_layout(kernels, chain[-1])
    return layout is not None and layout.length <= LARGEST_DENSITY * 0.5 * kernels.frame.columns**2


def plan_like(plan: Plan, products: CrossProducts) -> Plan:
    """Return the plan of other cross-products of the same factors, eliminated in the same way."""
    return _plan(products, plan.chain, math.inf, whole=plan.whole)


def _plan(
    products: CrossProducts, chain: tuple[int, ...], memory_limit: float, *, whole: bool = False
) -> Plan:
    """Return the plan for a chain."""
    effects = [A.shape[0] * A.shape[2] for A in products.A]
    dense = tuple(f for f in range(len(effects)) if f not in chain)
    offset, q_dense = {}, 0
    for g in dense:
        offset[g] = q_dense
        q_dense += effects[g]
    size = q_dense + products.p + 1
    nesting = {
        (e, g): _nesting(products, e, g) for i, e in enumerate(chain) for g in chain[i + 1 :]
    }
    parents = {link: parent for link, (parent, _) in nesting.items()}
    coupling: dict[int, Coupling] = {}
    frame = make_frame(products, dense)
    limit = Limit(products, dense, memory_limit)
    limit = limit.less(BYTES_PER_BORDER * (products.p + 1) * sum(effects), "the border")
    block: Block
    cost = 0.0
    if chain and dense:
        kernels = choose_kernels(products, chain, frame)
        cost = kernels.cost
        limit = limit.less(kernels.bytes, f"lists of {kernels.pairs} pairs of levels")
        layout = None if kernels.fills else pattern_layout(kernels, chain[-1])
        if layout is None:
            limit.less(BYTES_PER_STORED_CELL * size**2, numbers(size))
            block = FullBlock(frame)
            coupling = make_couplings(products, chain, kernels, block, parents)
        else:
            block = pattern_block(frame, layout.block_pairs, products.p + 1)
            coupling = make_couplings(products, chain, kernels, layout, parents)
    else:
        block = pattern_block(frame, _observed(products, dense), products.p + 1)
    scheme, own_cost = _scheme(block, products.p + 1, limit, whole)
    border = np.concatenate(
        [products.C[g].reshape(products.p + 1, -1) for g in dense]
        or [np.zeros((products.p + 1, 0))],
        axis=1,
    )
    return Plan(
        products,
        chain,
        dense,
        offset,
        q_dense,
        size,
        parents,
        {link: values for link, (_, values) in nesting.items()},
        block,
        block.start(products),
        border,
        coupling,
        scheme,
        cost + own_cost,
        whole,
    )


def _remake(products: CrossProducts, chain: tuple[int, ...], whole: bool) -> Plan:
    """Return the plan of unpickled cross-products; it fitted into memory before."""
    return _plan(products, chain, math.inf, whole=whole)


def _key(f: int, g: int) -> tuple[int, int]:
    return (f, g) if f < g else (g, f)


def _chain(products: CrossProducts, effects: list[int]) -> tuple[int, ...]:
    """Return the factors to eliminate level by level, in order. Empty for small models.

    Factor e is nested in g when there are as many observed pairs as levels of e. If all factors
    are nested in each other, all are in the chain. Otherwise the first is, then the largest in
    which the ones before are nested, and so on while that pays.
    """
    count, q = len(products.A), sum(effects)
    if q <= SMALL_MODEL:
        return ()

    def nested(e: int, g: int) -> bool:
        levels: int = products.A[e].shape[2]
        return len(products.pairs[_key(e, g)].rows) == levels

    order = sorted(range(count), key=lambda f: -products.A[f].shape[2])
    if all(nested(e, g) for i, e in enumerate(order) for g in order[i + 1 :]):
        return tuple(order)
    chain = [0]
    if q**3 - (q - effects[0]) ** 3 <= CHAIN_FLOPS:
        return ()
    while True:
        left = [g for g in range(count) if g not in chain]
        wider = [g for g in left if all(nested(e, g) for e in chain)]
        if not wider or not _pays(products, wider[0], left, effects):
            return tuple(chain)
        chain.append(wider[0])


def _pays(products: CrossProducts, e: int, left: list[int], effects: list[int]) -> bool:
    """Return whether eliminating e too costs less than keeping it in the dense block."""
    before = sum(effects[g] for g in left)
    after = before - effects[e]
    touched = np.zeros(products.A[e].shape[2], dtype=np.int64)
    for g in left:
        if g != e:
            rows, _, values = oriented(products, e, g)
            touched += values.shape[1] * np.bincount(rows, minlength=len(touched))
    cost = min(predicted_cost(products.A[e].shape, touched, after, False))
    return FLOP_COST * (before**3 - after**3 - CHAIN_FLOPS) >= cost


def _nesting(products: CrossProducts, e: int, g: int) -> tuple[IntArray, FloatArray]:
    """Return the level of g that every level of e belongs to, and their cross-products."""
    _, parent, values = oriented(products, e, g)
    return parent, values


def _scheme(block: Block, border: int, limit: Limit, whole: bool) -> tuple[Scheme, float]:
    """Return how the block is factorised, in rounds or by LAPACK, and the seconds it may take."""
    position, q = block.position, block.q
    dense_cost = FLOP_COST * float(q + border) ** 3
    if position is None:
        return DenseScheme(None), dense_cost
    limit = limit.less(BYTES_PER_ELEMENT * len(position), f"{len(position)} elements")
    if not whole and q >= SMALLEST_SPARSE and len(position) <= LARGEST_DENSITY * 0.5 * q * q:
        column, row = np.divmod(position, q + border)
        largest = math.sqrt(limit.left / BYTES_PER_CELL) - border
        most = min(MOST_PAIRS, 0.5 * limit.left / BYTES_PER_PAIR)
        ordering = make_ordering(q, row, column, largest, most)
        if ordering is not None:
            size = len(ordering.core) + border
            needed = BYTES_PER_CELL * size**2 + BYTES_PER_PAIR * ordering.pairs
            limit.less(needed, numbers(size))
            return make_sparse_scheme(ordering, border), ordering.cost
    size = q + border
    limit.less(BYTES_PER_CELL * size**2, numbers(size))
    return DenseScheme(position), dense_cost


def _observed(products: CrossProducts, dense: tuple[int, ...]) -> BlockPairs:
    """Return level pairs that occur in the data: the pattern before any elimination."""
    out: BlockPairs = {}
    for i, h in enumerate(dense):
        for g in dense[i + 1 :]:
            pair = products.pairs[h, g]
            out[g, h] = (pair.cols, pair.rows)
    return out
