"""Which factors are eliminated level by level, what stays in the dense block, and how.

Levels of one factor never touch each other, so a factor can be eliminated as J small problems at
once. A second factor can follow in the same way if every level of the factors before it belongs
to one of its levels (pupils, schools, districts): these are the *chain*. All other factors form
one dense block, kept on the pattern of level pairs that can be non-zero:

    rows of the dense block: offset[g] + a * J_g + level,   a = 0 .. k_g - 1

Only one triangle is kept. `DensePairs` stores it as small matrices (k_g, k_h, pairs), level pairs
last, with the positions of their entries in the lower triangle of the dense Cholesky factor.

Small models skip the chain altogether: one LAPACK call on the whole matrix is cheaper than many
small numpy calls. That holds for q up to `SMALL_MODEL`, and for crossed factors as long as the
chain would save fewer than `CHAIN_FLOPS` floating-point operations (about a millisecond). Beside a
dense block, the chain goes on as long as that saves more than the elimination is predicted to cost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.errors import FitError
from ranef.linalg.coupling import Coupling
from ranef.linalg.crossproducts import CrossProducts
from ranef.linalg.kernels import FLOP_COST, choose_kernels, make_couplings, predicted_cost
from ranef.linalg.ordering import Ordering, make_ordering
from ranef.linalg.pattern import BlockPairs, oriented
from ranef.linalg.root import DenseScheme, Scheme
from ranef.linalg.sparse_root import make_sparse_scheme
from ranef.typing import FloatArray, IntArray

SMALL_MODEL = 60
CHAIN_FLOPS = 5e7
# Peak bytes for every cell of the dense block (factor, inverse, values, positions, products: two
# evaluations live at once) and of the border, measured on models of 2 000 to 4 000 rows.
BYTES_PER_CELL = 130.0
BYTES_PER_BORDER = 40.0
BYTES_PER_ELEMENT = 60.0
# A block of fewer rows, or with a larger share of elements than this, is dense for LAPACK.
SMALLEST_SPARSE = 400
LARGEST_DENSITY = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class DensePairs:
    """Level pairs of two dense factors g >= h (positions in `Plan.dense`).

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
        Flat position, column-major, in the lower triangle of the dense matrix.
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
    pairs : tuple of DensePairs
    position : int array
        Positions of all pairs' entries, concatenated.
    start_values : float64 array
        Values of the dense block before elimination.
    border : float64 array (p + 1, q_dense)
        Border of the dense block before elimination.
    coupling : dict chain factor -> Coupling
        How it updates the dense block; empty where there is none.
    scheme : Scheme
        How the dense block is factorised.
    """

    products: CrossProducts
    chain: tuple[int, ...]
    dense: tuple[int, ...]
    offset: dict[int, int]
    q_dense: int
    size: int
    parents: dict[tuple[int, int], IntArray]
    couplings: dict[tuple[int, int], FloatArray]
    pairs: tuple[DensePairs, ...]
    position: IntArray
    start_values: FloatArray
    border: FloatArray
    coupling: dict[int, Coupling]
    scheme: Scheme
    whole: bool

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        """Pickle what the plan was made from: it is many times smaller."""
        return (_remake, (self.products, self.whole))


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
    shapes = [A.shape for A in products.A]
    effects = [shape[0] * shape[2] for shape in shapes]
    chain = () if whole else _chain(products, effects)
    dense = tuple(f for f in range(len(shapes)) if f not in chain)
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
    block_pairs = _observed(products, dense)
    if chain and dense:
        kernels = choose_kernels(products, chain, dense)
        if kernels.fills:
            _check_memory(products, dense, q_dense, 0, memory_limit)
        coupling, block_pairs = make_couplings(products, chain, kernels, parents)
    pairs = _dense_pairs(products, block_pairs, offset, size)
    position = np.concatenate([pair.position for pair in pairs] or [np.zeros(0, dtype=np.intp)])
    ordering = None if whole else _ordering(q_dense, size, position)
    if ordering is None:
        _check_memory(products, dense, q_dense, len(position), memory_limit)
        scheme: Scheme = DenseScheme(position)
    else:
        elements = len(position) + ordering.pairs
        _check_memory(products, dense, len(ordering.core), elements, memory_limit)
        scheme = make_sparse_scheme(ordering, products.p + 1)
    values = np.zeros(len(position))
    for pair in pairs:
        _fill(products, pair, values)
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
        pairs,
        position,
        values,
        border,
        coupling,
        scheme,
        whole,
    )


def _remake(products: CrossProducts, whole: bool) -> Plan:
    """Return the plan of unpickled cross-products; it fitted into memory before."""
    return make_plan(products, float("inf"), whole=whole)


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


def _ordering(q: int, size: int, position: IntArray) -> Ordering | None:
    """Return an order of elimination where the block has few elements; None for LAPACK."""
    if q < SMALLEST_SPARSE or len(position) > LARGEST_DENSITY * 0.5 * q * q:
        return None
    column, row = np.divmod(position, size)
    return make_ordering(q, row, column)


def _check_memory(
    products: CrossProducts,
    dense: tuple[int, ...],
    core: int,
    elements: float,
    memory_limit: float,
) -> None:
    """Raise FitError if a dense matrix of ``core`` effects and so many elements need too much."""
    effects = sum(A.shape[0] * A.shape[2] for A in products.A)
    size = core + products.p + 1
    needed = BYTES_PER_CELL * size * size + BYTES_PER_ELEMENT * elements
    needed += BYTES_PER_BORDER * (products.p + 1) * effects
    if needed > memory_limit:
        factors = ", ".join(
            f"{products.names[g]} ({products.A[g].shape[0] * products.A[g].shape[2]} effects)"
            for g in dense
        )
        raise FitError(
            f"the grouping factors are crossed, and {factors or 'none of them'} would fill a dense "
            f"block of {size} x {size} numbers, beside {products.p} fixed effects: about "
            f"{needed / 1e9:.1f} GB; {memory_limit / 1e9:.1f} GB are available. Use fewer levels, "
            "random-effects columns or fixed effects there, or a machine with more memory."
        )


def _observed(products: CrossProducts, dense: tuple[int, ...]) -> BlockPairs:
    """Return level pairs that occur in the data: the pattern before any elimination."""
    out: BlockPairs = {}
    for i, h in enumerate(dense):
        for g in dense[i + 1 :]:
            pair = products.pairs[h, g]
            out[g, h] = (pair.cols, pair.rows)
    return out


def _dense_pairs(
    products: CrossProducts, block_pairs: BlockPairs, offset: dict[int, int], size: int
) -> tuple[DensePairs, ...]:
    """Lay the level pairs out in one vector; every factor gets its diagonal blocks first."""
    out: list[DensePairs] = []
    start = 0

    def add(g: int, h: int, rows: IntArray, cols: IntArray, diagonal: bool) -> None:
        nonlocal start
        (k_g, _, J_g), (k_h, _, J_h) = products.A[g].shape, products.A[h].shape
        row = offset[g] + np.arange(k_g)[:, None, None] * J_g + rows
        col = offset[h] + np.arange(k_h)[None, :, None] * J_h + cols
        lower = np.maximum(row, col) + np.minimum(row, col) * size
        shape = (k_g, k_h, len(rows))
        out.append(DensePairs(g, h, rows, cols, diagonal, start, shape, lower.ravel()))
        start += lower.size

    for g in offset:
        levels = np.arange(products.A[g].shape[2], dtype=np.int32)
        add(g, g, levels, levels, True)
    for (g, h), (rows, cols) in block_pairs.items():
        if len(rows):
            add(g, h, rows, cols, False)
    return tuple(out)


def _fill(products: CrossProducts, pair: DensePairs, values: FloatArray) -> None:
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
