"""Between the passes: coordinates in which the sums of the second pass keep all digits.

Data in memory are conditioned before they are summed (see `ranef.linalg.conditioning`). Here the
rows come by once, so they are summed in *preliminary* coordinates, which the witnesses and the
sample of the first pass suggest:

    Q0 = X T0,   y0 = y - X beta0,   Z0 = Z W0

T0 is upper triangular and makes the columns of the sample orthonormal, up to a factor; columns
that others determine in the sample are scaled only. beta0 is the least-squares fit in the sample.
The sums over all rows are then those of nearly orthonormal columns and of a response without a
large mean. What is left to do is small and exact, see `ranef.streaming.finish`.

Every product of two *work columns* (Q0, y0, Z0) that some level needs is summed once. Columns of Z
that lead the columns of X, as in ``y ~ x + (x | g)``, are work columns already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from ranef.design.spec import ColumnSpec
from ranef.design.types import Design, RandomTerm
from ranef.design.variables import Variables
from ranef.estimation import TermSlot, arrange
from ranef.formula import Expression
from ranef.linalg.conditioning import whitening
from ranef.linalg.triangular import independent_columns, invert_upper, row_blocks, stacked_factor
from ranef.streaming.cells import CellLayout, cell_layout
from ranef.streaming.facts import Numbers
from ranef.streaming.lookup import GroupLookup, group_lookup
from ranef.streaming.plan import ScanPlan
from ranef.typing import BoolArray, FloatArray

# A sparse X stays sparse: only columns that are mostly filled are centred.
FILLED = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class TermColumns:
    """How a random term gets its columns.

    Attributes
    ----------
    spec : ColumnSpec
    shared : tuple of int or None
        The columns of X that are the columns of the term; None where they are made anew.
    correlated : bool
    """

    spec: ColumnSpec
    shared: tuple[int, ...] | None
    correlated: bool


@dataclass(frozen=True, slots=True, eq=False)
class FactorLayout:
    """One grouping factor. k columns.

    Attributes
    ----------
    lookup : GroupLookup
    size : int
        Number of levels.
    terms : tuple of TermColumns
    whitening : float64 array (k, k)
        W0.
    work : tuple of int (k,)
        Which work columns are Z0.
    products : tuple of (int, int)
        Pairs of work columns whose products are summed by level.
    """

    lookup: GroupLookup
    size: int
    terms: tuple[TermColumns, ...]
    whitening: FloatArray
    work: tuple[int, ...]
    products: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Everything that the second pass needs. p columns of X, aliased ones included.

    Work columns: 0 .. p-1 are Q0, p is y0, the others belong to factors.

    Attributes
    ----------
    plan : ScanPlan
    spec : ColumnSpec
    response : Expression
    T : float64 array (p, p) or csc_array (p, p)
        T0, upper triangular; sparse if X is.
    beta : float64 array (p,)
        beta0.
    used : bool array (p,)
        The columns that T0 and beta0 combine; the others are scaled only.
    factors : tuple of FactorLayout
        In the core's order.
    width : int
        Number of work columns.
    center : float64 array (p,) or None
        A row of X near the mean, about which Q0 is summed without weights; None where
        the sums tell all there is to know about the spread of Q0.
    cells : CellLayout or None
    nothing : Variables
        The variables without any row.
    """

    plan: ScanPlan
    spec: ColumnSpec
    response: Expression
    T: FloatArray | sparse.csc_array
    beta: FloatArray
    used: BoolArray
    factors: tuple[FactorLayout, ...]
    width: int
    center: FloatArray | None
    cells: CellLayout | None
    nothing: Variables

    @property
    def p(self) -> int:
        """Number of columns of X."""
        return len(self.beta)


def make_layout(design: Design, plan: ScanPlan, numbers: Mapping[str, Numbers]) -> Layout:
    """Choose the coordinates from the design of witnesses and sample.

    Parameters
    ----------
    design : Design
    plan : ScanPlan
    numbers : mapping of str to Numbers
        Predictors that are numbers.
    """
    roots = None if design.weights is None else np.sqrt(design.weights)
    response = design.y if design.offset is None else design.y - design.offset
    T, beta, used = _coordinates(design.X, response, roots)
    factors, width = [], len(beta) + 1
    for slots in arrange(design.terms)[0]:
        factor, width = _factor(design, slots, T, roots, width)
        factors.append(factor)
    # with an intercept the sums hold the means; with weights they are those of other rows
    summed = roots is None and design.spec.intercept
    return Layout(
        plan,
        design.spec,
        plan.formula.response,
        T,
        beta,
        used,
        tuple(factors),
        width,
        None if summed else np.asarray(design.X.mean(axis=0), dtype=np.float64).ravel(),
        cell_layout(design, plan.predictors, numbers),
        without_rows(design.variables),
    )


def without_rows(variables: Variables) -> Variables:
    """Return the kinds of the variables, without rows and levels."""
    columns = {
        name: replace(
            column,
            values=column.values[:0].copy(),
            levels=None if column.levels is None else column.levels[:0],
        )
        for name, column in variables.columns.items()
    }
    return Variables(columns, variables.index[:0])


def with_coordinates(
    layout: Layout, T: FloatArray, used: BoolArray, whitenings: tuple[FloatArray, ...]
) -> Layout:
    """Return the layout with better coordinates, for another pass.

    Columns of Z that were work columns of X become their own: their coordinates differ now.
    """
    width, factors = layout.p + 1, []
    for factor, W in zip(layout.factors, whitenings, strict=True):
        work = tuple(range(width, width + len(W)))
        width += len(W)
        factors.append(replace(factor, whitening=W, work=work, products=_products(layout.p, work)))
    beta = np.where(used, layout.beta, 0.0)
    return replace(layout, T=T, beta=beta, used=used, factors=tuple(factors), width=width)


def _coordinates(
    X: FloatArray | sparse.csc_array, response: FloatArray, roots: FloatArray | None
) -> tuple[FloatArray | sparse.csc_array, FloatArray, BoolArray]:
    n, p = X.shape
    if p == 0:
        return np.zeros((0, 0)), np.zeros(0), np.zeros(0, dtype=bool)
    if not isinstance(X, np.ndarray):
        return _sparse_coordinates(X, response, roots)

    def take(rows: slice) -> FloatArray:
        block = np.column_stack([X[rows], response[rows]])
        return block if roots is None else block * roots[rows, None]

    whole = stacked_factor(row_blocks(n, take, p + 1), p + 1)
    kept, R = independent_columns(whole[:p, :p])
    inverse = invert_upper(R)
    # the last column of the factor holds Q'y in the coordinates of all columns
    inner = whole[:p, :p][:, kept].T @ whole[:p, p]
    beta = np.zeros(p)
    beta[kept] = inverse @ (inverse.T @ inner)
    T = np.diag(_inverse_norms(np.sqrt((whole[:, :p] ** 2).sum(axis=0))))
    # a factor with a positive diagonal is that of any other sample of the same data, too
    T[np.ix_(kept, kept)] = inverse * np.where(inverse.diagonal() < 0.0, -1.0, 1.0)
    used = np.zeros(p, dtype=bool)
    used[kept] = True
    # columns of unit mean square instead of unit norm: any factor will do, this one reads well
    return T * np.sqrt(n), beta, used


def _sparse_coordinates(
    X: sparse.csc_array, response: FloatArray, roots: FloatArray | None
) -> tuple[sparse.csc_array, FloatArray, BoolArray]:
    """Scale all columns, and centre those that are mostly filled, if column 0 is constant."""
    n, p = X.shape
    weights = np.ones(n) if roots is None else roots * roots
    means = np.asarray(X.T @ weights) / weights.sum()
    squares = np.asarray(X.multiply(X).T @ weights) / weights.sum()
    filled = np.diff(X.indptr) > FILLED * n
    first = X[:, [0]].toarray().ravel()
    filled[0] = False
    if first[0] == 0 or (first != first[0]).any():
        filled[:] = False
    spread = np.where(filled, np.maximum(squares - means**2, 1e-16 * squares), squares)
    scale = _inverse_norms(np.sqrt(spread))
    T = sparse.lil_array((p, p))
    T.setdiag(scale)
    for column in np.flatnonzero(filled):
        T[0, column] = -means[column] * scale[column] / first[0]
    beta = np.zeros(p)
    if first[0] != 0 and (first == first[0]).all():
        beta[0] = float(weights @ response) / float(weights.sum()) / first[0]
    used = np.zeros(p, dtype=bool)
    used[0] = True
    return sparse.csc_array(T), beta, used


def _inverse_norms(norms: FloatArray) -> FloatArray:
    out: FloatArray = 1.0 / np.where(norms > 0, norms, 1.0)
    return out


def _factor(
    design: Design,
    slots: tuple[TermSlot, ...],
    T: FloatArray | sparse.csc_array,
    roots: FloatArray | None,
    width: int,
) -> tuple[FactorLayout, int]:
    """Lay out one factor; ``width`` work columns are there already."""
    grouping = slots[0].term.grouping
    k = slots[-1].stop
    W = np.zeros((k, k))
    work: list[int] = []
    terms = []
    for slot in slots:
        term = slot.term
        shared = _shared(design, term)
        block = slice(slot.start, slot.stop)
        terms.append(TermColumns(term.spec, shared, term.correlated))
        count = slot.stop - slot.start
        leading = shared == tuple(range(count)) and (term.correlated or count == 1)
        if leading and isinstance(T, np.ndarray) and T.diagonal()[:count].all():
            W[block, block] = T[:count, :count]
            work += range(count)
            continue
        W[block, block] = whitening(term.columns, len(design.y), term.correlated, roots)
        work += range(width, width + count)
        width += count
    lookup = group_lookup(grouping, design.variables)
    products = _products(len(design.x_names), tuple(work))
    return (
        FactorLayout(lookup, grouping.size, tuple(terms), W, tuple(work), products),
        width,
    )


def _shared(design: Design, term: RandomTerm) -> tuple[int, ...] | None:
    if not isinstance(design.X, np.ndarray):
        return None
    position = {name: j for j, name in enumerate(design.x_names)}
    if not all(name in position for name in term.names):
        return None
    return tuple(position[name] for name in term.names)


def _products(p: int, work: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Return the pairs of work columns that a factor needs, each once, smaller one first."""
    pairs = [(min(a, b), max(a, b)) for a in work for b in work]
    pairs += [(min(c, a), max(c, a)) for a in work for c in range(p + 1)]
    return tuple(dict.fromkeys(pairs))
