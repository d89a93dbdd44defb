"""Hypotheses of type III: from the design with a column for every level, whatever coding was used.

Write every term with all its levels: X* has more columns than it has rank, and which functions of
its coefficients are estimable does not depend on how the user coded the factors. With X_t the
independent ones among its columns, those of treatment contrasts, X* = X_t L', and the columns of L
span the estimable functions. The functions of a term are its columns of L, made orthogonal to
those of the terms that contain it, highest order first; their entries for the columns of X_t are
the hypotheses (Goodnight 1980, *Tests of hypotheses in fixed effects linear models*; as lmerTest).

X* = X B holds by the algebra of codings, without a look at the data. For a factor with contrast
matrix C, the indicators are [1 C] [1 C]^-1 = 1 a + C D. A term S with all its levels is thus a sum
over the subsets T of its factors of products coded by contrasts, times D for the factors in T and
a for the others. R's rule of coding puts each such product into exactly one term U of the model,
where a factor is either coded by contrasts (and is in T), or by indicators F, with F C in T and
F 1 outside of T. All of these are Kronecker products, first factor running fastest. Aliased
columns of X are then replaced by what they are combinations of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from ranef.design.spec import ColumnSpec
from ranef.inference.estimability import alias_matrix
from ranef.inference.term_containment import containing_terms
from ranef.linalg.triangular import independent_columns
from ranef.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# What is left of a combination of columns below this, relative to its parts, is rounding.
ZERO = 1e-8


@dataclass(frozen=True, slots=True)
class _Block:
    """A term: its factors in order, those coded by contrasts, and its columns in X and X*."""

    texts: tuple[str, ...]
    contrasts: frozenset[str]
    start: int
    stop: int
    all_start: int
    all_stop: int


@dataclass(frozen=True, slots=True, eq=False)
class FullColumns:
    """X*, with a column for every level, in terms of the kept columns of X.

    Attributes
    ----------
    coordinates : float64 array (p, P*)
        X* = X_kept ``coordinates``.
    chosen : int array (p,)
        Columns of X* that make up X_t.
    terms : tuple of (int, int)
        For every term its columns of X*, as start and stop.
    empty : tuple of int
        Terms of which some combination of levels does not occur.
    """

    coordinates: FloatArray
    chosen: IntArray
    terms: tuple[tuple[int, int], ...]
    empty: tuple[int, ...]

    @property
    def basis(self) -> FloatArray:
        """X_t in terms of the kept columns, (p, p)."""
        return self.coordinates[:, self.chosen]

    @property
    def is_own(self) -> bool:
        """Whether X_t is X_kept."""
        return np.array_equal(self.basis, np.eye(len(self.chosen)))

    def from_kept(self, columns: FloatArray) -> FloatArray:
        """Return X_kept ``columns`` (p, m) in terms of X_t: a copy."""
        if self.is_own:
            return columns.copy()
        return np.asarray(np.linalg.solve(self.basis, columns))

    def to_kept(self, rows: FloatArray) -> FloatArray:
        """Return functions (q, p) of the coefficients of X_t as functions of the kept ones."""
        return rows if self.is_own else np.asarray(np.linalg.solve(self.basis.T, rows.T).T)

    def own(self, term: int) -> IntArray:
        """Return which of the chosen columns belong to a term."""
        start, stop = self.terms[term]
        return np.flatnonzero((self.chosen >= start) & (self.chosen < stop))


def full_columns(model: LinearMixedModel) -> FullColumns:
    """Return the columns of all levels, and which of them treatment contrasts would choose."""
    spec: ColumnSpec = model.design.spec
    basis = model.problem.basis
    aliased, combined = alias_matrix(model)
    blocks = _blocks(spec)
    B = _indicator_columns(spec, blocks)
    reduction = np.zeros((len(basis.kept), B.shape[0]))
    reduction[:, basis.kept] = np.eye(len(basis.kept))
    reduction[:, aliased] = combined
    coordinates = np.asarray(reduction @ B)
    # a combination of levels that does not occur is a column of zeros, but for rounding
    length = np.linalg.norm(basis.R @ coordinates, axis=0)
    parts = np.linalg.norm(basis.R, axis=0) @ (np.abs(reduction) @ abs(B))
    vanishing = np.flatnonzero(length <= ZERO * parts)
    coordinates[:, vanishing] = 0.0
    treatment = _treatment_columns(spec, blocks)
    if _is_treatment(spec, blocks):
        chosen = basis.kept
    else:
        chosen = _independent(coordinates[:, treatment], basis.R)
    terms = tuple((block.all_start, block.all_stop) for block in blocks if block.texts)
    empty = tuple(i for i, (a, b) in enumerate(terms) if ((vanishing >= a) & (vanishing < b)).any())
    return FullColumns(coordinates, treatment[chosen], terms, empty)


def type_three(model: LinearMixedModel, full: FullColumns) -> list[FloatArray]:
    """Return the hypotheses of every term, in terms of the kept coefficients.

    Parameters
    ----------
    model : LinearMixedModel
    full : FullColumns

    Returns
    -------
    list of float64 array (q, p)
        No rows for a term without columns of its own. O(P* p^2).
    """
    spec: ColumnSpec = model.design.spec
    L = full.from_kept(full.coordinates).T
    containing = containing_terms(spec)
    order = [len(block.term.factors) for block in spec.terms]
    own = [full.own(term) for term in range(len(order))]
    for term in sorted(range(len(order)), key=lambda i: -order[i]):
        others = [own[other] for other in containing[term]]
        if others and len(own[term]):
            _make_orthogonal(L, own[term], np.concatenate(others))
    rows = [L[np.ix_(full.chosen, columns)].T for columns in own]
    rows = [H[np.abs(H).sum(axis=1) > ZERO] for H in rows]
    return [full.to_kept(H) for H in rows]


def _make_orthogonal(L: FloatArray, mine: IntArray, others: IntArray) -> None:
    """Subtract from columns of L their projection on others, in place."""
    rows = np.flatnonzero(L[:, others].any(axis=1))
    if len(rows):
        Q = np.linalg.qr(L[np.ix_(rows, others)])[0]
        part = L[np.ix_(rows, mine)]
        L[np.ix_(rows, mine)] = part - Q @ (Q.T @ part)


def _is_treatment(spec: ColumnSpec, blocks: Sequence[_Block]) -> bool:
    """Tell whether the columns of X are those of treatment contrasts already."""
    coded = frozenset[str]().union(*(block.contrasts for block in blocks))
    return all(spec.codings[text].base == 0 for text in coded)


def _independent(columns: FloatArray, R: FloatArray) -> IntArray:
    """Return which of the columns ``X_kept columns`` those to their left do not determine."""
    p, width = columns.shape
    if width == p:
        return np.arange(p)
    factor = np.zeros((width, width))
    factor[:p] = np.linalg.qr(R @ columns, mode="r")
    return independent_columns(factor)[0]


def _blocks(spec: ColumnSpec) -> list[_Block]:
    blocks = []
    position = 0
    if spec.intercept:
        blocks.append(_Block((), frozenset(), 0, 1, 0, 1))
        position = 1
    for block in spec.terms:
        texts = tuple(factor.text for factor in block.term.factors)
        coded = {t for t, full in zip(texts, block.full, strict=True) if not full}
        width = int(np.prod([_levels(spec, text) for text in texts]))
        blocks.append(
            _Block(
                texts,
                frozenset(coded & spec.codings.keys()),
                block.start,
                block.stop,
                position,
                position + width,
            )
        )
        position += width
    return blocks


def _levels(spec: ColumnSpec, text: str) -> int:
    """Return how many columns an expression has, all levels counted."""
    coding = spec.codings.get(text)
    return len(spec.suffixes[text]) if coding is None else len(coding.levels)


def _treatment_columns(spec: ColumnSpec, blocks: Sequence[_Block]) -> IntArray:
    """Return the columns of X* that are those of X under treatment contrasts."""
    found = []
    for block in blocks:
        used = np.ones((), dtype=bool)
        for text in block.texts:
            levels = np.ones(_levels(spec, text), dtype=bool)
            levels[0] = text not in block.contrasts
            used = np.multiply.outer(used, levels)
        found.append(block.all_start + np.flatnonzero(used.ravel(order="F")))
    return np.concatenate(found) if found else np.zeros(0, dtype=np.intp)


def _indicator_columns(spec: ColumnSpec, blocks: Sequence[_Block]) -> sparse.csc_array:
    """Return B (P, P*) with X* = X B."""
    shape = (blocks[-1].stop, blocks[-1].all_stop) if blocks else (0, 0)
    rows, cols, values = [], [], []
    for block in blocks:
        factors = [text for text in block.texts if text in spec.codings]
        numeric = frozenset(block.texts).difference(factors)
        for subset in _subsets(factors):
            home = _home(spec, blocks, numeric, subset)
            if home is None:  # without an intercept R's rule can leave a model without its mean
                continue
            part = _product(spec, block, home, subset).tocoo()
            rows.append(part.row + home.start)
            cols.append(part.col + block.all_start)
            values.append(part.data)
    if not rows:
        return sparse.csc_array(shape)
    index, parts = (np.concatenate(rows), np.concatenate(cols)), np.concatenate(values)
    B = sparse.csc_array(sparse.coo_array((parts, index), shape=shape))
    # what cancels leaves rounding, which would look like a dependence on other columns
    size = sparse.csc_array(sparse.coo_array((np.abs(parts), index), shape=shape))
    B.data[np.abs(B.data) <= ZERO * size.data] = 0.0
    return B


def _subsets(factors: Sequence[str]) -> Iterator[frozenset[str]]:
    for size in range(len(factors) + 1):
        yield from map(frozenset, combinations(factors, size))


def _home(
    spec: ColumnSpec, blocks: Sequence[_Block], numeric: frozenset[str], coded: frozenset[str]
) -> _Block | None:
    """Return the term whose columns span the product of contrasts of ``coded``, if there is one."""
    for block in blocks:
        texts = frozenset(block.texts)
        if texts - spec.codings.keys() == numeric and block.contrasts <= coded <= texts:
            return block
    return None


def _product(
    spec: ColumnSpec, block: _Block, home: _Block, coded: frozenset[str]
) -> sparse.csr_array:
    """Return the part of X* of ``block`` that is a product of contrasts, in columns of ``home``."""
    extra = [text for text in home.texts if text not in block.texts]
    axes = [*block.texts, *extra]
    pieces = [sparse.csr_array(_piece(spec, text, block, home, coded)) for text in axes]
    product = reduce(lambda fast, slow: sparse.kron(slow, fast, format="csr"), pieces, _ONE)
    # the factors of both terms may stand in different orders
    inside = [text for text in axes if text in home.texts]
    widths = [pieces[axes.index(text)].shape[0] for text in inside]
    number = np.arange(int(np.prod(widths, dtype=np.intp))).reshape(widths, order="F")
    order = number.transpose([inside.index(text) for text in home.texts]).ravel(order="F")
    return sparse.csr_array(product[order])


_ONE = sparse.csr_array(np.ones((1, 1)))


def _piece(
    spec: ColumnSpec, text: str, block: _Block, home: _Block, coded: frozenset[str]
) -> FloatArray:
    """Return what one factor contributes: its columns in ``home`` by its columns in ``block``."""
    if text not in spec.codings:
        return np.eye(_levels(spec, text))
    contrast = spec.codings[text].matrix
    count = len(contrast)
    with_mean = np.linalg.inv(np.column_stack([np.ones(count), contrast]))
    right = np.ones((1, 1))
    if text in block.texts:
        right = with_mean[1:] if text in coded else with_mean[:1]
    if text not in home.texts or text in home.contrasts:
        return right
    left = contrast if text in coded else np.ones((count, 1))
    return left @ right
