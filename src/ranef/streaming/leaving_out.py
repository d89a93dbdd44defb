"""A model with fewer terms, fitted to the same sums: no row is needed to leave columns out.

With Q and Z as the core has them, the columns that stay are X_s = Q M (columns of R) and
Z_s = Z M_f (columns of W^-1). Their own factors, M = N R_s and M_f = N_f R_f, give the new
coordinates; N and N_f have orthonormal columns, so nothing is lost:

    R_s,   gamma_s = N'Q'y,   y_s = y0 + Q (I - N N') Q'y
    A_s = N_f'A N_f,   C_s = [N'C N_f; (y0'Z + ((I - N N') Q'y)'C) N_f],   B_s = N_f'B N_g

Columns must be among those of the larger model, in the same coding. A term that goes may change
the coding of others, ``0 + f + g`` without f: that is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from ranef.design.spec import ColumnSpec, TermColumns
from ranef.design.types import RandomTerm
from ranef.errors import NoRowsError
from ranef.estimation import Problem, TermSlot, arrange, assemble, check_fixed
from ranef.formula import ModelFormula, Term, TermSum
from ranef.formula.terms import GroupTerm
from ranef.linalg.crossproducts import CrossProducts, PairBlocks
from ranef.linalg.triangular import gram_factor, independent_columns, invert_upper
from ranef.streaming.rowless import (
    StreamedBasis,
    StreamedColumns,
    StreamedDesign,
    StreamedTerm,
    is_given,
    restore,
)
from ranef.typing import FloatArray, IntArray


def submodel(
    design: StreamedDesign, problem: Problem, formula: ModelFormula, *, reml: bool
) -> tuple[StreamedDesign, Problem]:
    """Return design and problem of a formula with fewer terms.

    Parameters
    ----------
    design : StreamedDesign
    problem : Problem
    formula : ModelFormula
        Has a random term.
    reml : bool

    Raises
    ------
    NoRowsError
        If it has columns that the larger model does not have.
    FitError
        If the model is not identified.
    """
    spec, columns = smaller_spec(design.spec, formula.fixed)
    basis, N, gap = _basis(problem, columns)
    products = problem.objective.plan.products
    left = float(products.D[-1, -1] + gap @ gap)
    weighted_total = np.hypot(np.linalg.norm(basis.R @ basis.estimate), left**0.5)
    check_fixed(
        design.response, products.n, len(basis.kept), total=float(weighted_total), left=left**0.5
    )
    chosen = [_find(design, term) for term in formula.random]
    terms = tuple(term for term, _, _ in chosen)
    origin = {id(term): (old, at) for term, old, at in chosen}
    factors, slots = arrange(terms)
    parts = [_Part(problem, mine, origin, products.n) for mine in factors]
    D = np.eye(len(basis.kept) + 1)
    D[-1, -1] = left
    smaller = CrossProducts(
        n=products.n,
        A=tuple(part.squares(products.A[part.old]) for part in parts),
        C=tuple(_border(products.C[part.old], N, gap, part.N) for part in parts),
        D=D,
        pairs={
            (f, g): _pairs(products, parts[f], parts[g])
            for g in range(len(parts))
            for f in range(g)
        },
        names=tuple(part.columns.name for part in parts),
        blocks=tuple(part.columns.blocks for part in parts),
        log_weights=products.log_weights,
        logdet_fixed=basis.logdet,
    )
    facts = replace(
        design.facts,
        spread=N.T @ design.facts.spread @ N,
        squares=tuple(part.N.T @ design.facts.squares[part.old] @ part.N for part in parts),
    )
    values: dict[str, Any] = {
        "formula": formula,
        "response": design.response,
        "n_total": design.n_total,
        "x_names": spec.names,
        "terms": terms,
        "spec": spec,
        "contrasts": dict(design.contrasts),
        "facts": facts,
        "dropped": dict(design.dropped),
    }
    values |= {name: None for name in ("weights", "offset") if not is_given(design, name)}
    groups = tuple(part.columns for part in parts)
    return restore(StreamedDesign, values), assemble(basis, groups, slots, smaller, reml=reml)


def smaller_spec(spec: ColumnSpec, total: TermSum) -> tuple[ColumnSpec, IntArray]:
    """Return how the columns of fewer terms are made, and which ones they are.

    Raises
    ------
    NoRowsError
        If the terms would be coded by other columns.
    """
    known = {block.term: block for block in spec.terms}
    kept = set(total.terms)
    if not kept <= known.keys() or (total.intercept and not spec.intercept):
        raise _other_columns(total)
    gone = [block for block in spec.terms if block.term not in kept]
    stay = [known[term] for term in total.terms]
    without_intercept = spec.intercept and not total.intercept
    recoded = any(_codings(block, spec, full=False) for block in stay) and (
        without_intercept or any(_codings(block, spec, full=True) for block in gone)
    )
    contained = any(_factors(a.term) < _factors(b.term) for a in gone for b in stay)
    if recoded or contained:
        raise _other_columns(total)
    positions = [0] if total.intercept else []
    blocks, start = [], len(positions)
    for block in stay:
        positions += range(block.start, block.stop)
        blocks.append(replace(block, start=start, stop=len(positions)))
        start = len(positions)
    names = tuple(spec.names[j] for j in positions)
    smaller = replace(spec, sum=total, terms=tuple(blocks), names=names)
    return smaller, np.array(positions, dtype=np.intp)


def _factors(term: Term) -> frozenset[object]:
    return frozenset(term.factors)


def _codings(block: TermColumns, spec: ColumnSpec, *, full: bool) -> bool:
    """Tell whether a term has a factor that is coded in full, or one that is not."""
    return any(
        factor.text in spec.codings and flag == full
        for factor, flag in zip(block.term.factors, block.full, strict=True)
    )


def _other_columns(total: TermSum) -> NoRowsError:
    return NoRowsError(
        f"without the other terms, {total} is coded by columns that the model does not have, and a "
        "model of streamed data keeps no rows to make them of: fit the smaller model to the data, "
        "and compare both."
    )


def column_coordinates(problem: Problem) -> FloatArray:
    """Return Q'X for all columns of X, aliased ones included, for a model of streamed data."""
    basis = cast(StreamedBasis, problem.basis)
    p, width = len(basis.kept), len(basis.kept) + basis.combinations.shape[1]
    whole = np.zeros((p, width))
    whole[:, basis.kept] = basis.R
    whole[:, np.setdiff1d(np.arange(width), basis.kept)] = basis.R @ basis.combinations
    return whole


def _basis(problem: Problem, columns: IntArray) -> tuple[StreamedBasis, FloatArray, FloatArray]:
    """Return the basis of some columns of X, N, and (I - N N') Q'y."""
    basis = problem.basis
    M = column_coordinates(problem)[:, columns]
    square = np.zeros((max(M.shape), M.shape[1]))  # rows of zeros change no factor
    square[: len(M)] = M
    kept, _ = independent_columns(np.asarray(np.linalg.qr(square, mode="r")))
    N, R = np.linalg.qr(M[:, kept])
    signs = np.where(R.diagonal() < 0.0, -1.0, 1.0)
    N, R = N * signs, signs[:, None] * R
    inverse = invert_upper(R)
    total = basis.R @ basis.estimate
    gamma = N.T @ total
    others = np.setdiff1d(np.arange(len(columns)), kept)
    made = restore(
        StreamedBasis,
        {
            "kept": kept,
            "R": R,
            "R_inverse": inverse,
            "estimate": inverse @ gamma,
            "combinations": inverse @ (N.T @ M[:, others]),
        },
    )
    return made, N, total - N @ gamma


def _find(design: StreamedDesign, wanted: GroupTerm) -> tuple[StreamedTerm, RandomTerm, IntArray]:
    """Return the smaller term, the term that it is a part of, and its columns there."""
    same = [term for term in design.terms if term.grouping.name == wanted.group_name]
    # a term that stays as it is comes first
    same.sort(key=lambda term: term.spec.sum != wanted.effects)
    refused: NoRowsError | None = None
    for term in same:
        try:
            spec, columns = smaller_spec(term.spec, wanted.effects)
        except NoRowsError as error:
            refused = error
            continue
        values = {
            "label": wanted.label,
            "grouping": term.grouping,
            "names": spec.names,
            "correlated": wanted.correlated,
            "spec": spec,
        }
        return restore(StreamedTerm, values), term, columns
    raise refused or _other_columns(wanted.effects)


class _Part:
    """What stays of a grouping factor."""

    def __init__(
        self,
        problem: Problem,
        slots: Sequence[TermSlot],
        origin: dict[int, tuple[RandomTerm, IntArray]],
        n: int,
    ) -> None:
        before = {id(slot.term): slot for slot in problem.slots}
        at: list[int] = []
        for slot in slots:
            old, columns = origin[id(slot.term)]
            self.old = before[id(old)].factor
            at += (before[id(old)].start + columns).tolist()
        group = problem.groups[self.old]
        M = np.linalg.inv(group.whitening)[:, at]
        # the columns were whitened, so this is nearly the identity
        gram = problem.objective.plan.products.A[self.old].sum(axis=2) / n
        root = gram_factor(gram)
        N, W = np.zeros_like(M), np.zeros((len(at), len(at)))
        for slot in slots:
            block = slice(slot.start, slot.stop)
            part: FloatArray = np.asarray(M[:, block], dtype=np.float64)
            N[:, block], W[block, block] = _whitened(part, gram, root, slot)
        self.N: FloatArray = N
        self.columns = restore(
            StreamedColumns,
            {
                "name": group.name,
                "size": group.size,
                "blocks": tuple(block for slot in slots for block in slot.blocks),
                "whitening": W,
            },
        )

    def squares(self, A: FloatArray) -> FloatArray:
        """Return Z_s'Z_s by level."""
        found: FloatArray = np.einsum("ai,abj,bk->ikj", self.N, A, self.N, optimize=True)
        return found


def _whitened(
    M: FloatArray, gram: FloatArray, root: FloatArray | None, slot: TermSlot
) -> tuple[FloatArray, FloatArray]:
    """Return N = M W and W, for columns Z M: orthonormal in the mean, or only scaled."""
    if slot.term.correlated and root is not None:
        Q, R = np.linalg.qr(root @ M)
        if len(independent_columns(R)[0]) == len(R):
            return np.linalg.solve(root, Q), invert_upper(R)
    scale = 1.0 / np.sqrt(np.einsum("aj,ab,bj->j", M, gram, M))
    return M * scale, np.diag(scale)


def _border(C: FloatArray, N: FloatArray, gap: FloatArray, N_f: FloatArray) -> FloatArray:
    p, r = N.shape
    out = np.empty((r + 1, *C.shape[1:]))
    out[:r] = np.tensordot(N.T, C[:p], axes=1)
    out[r] = C[p] + np.tensordot(gap, C[:p], axes=1)
    found: FloatArray = np.einsum("cbj,bk->ckj", out, N_f, optimize=True)
    return found


def _pairs(products: CrossProducts, one: _Part, other: _Part) -> PairBlocks:
    turned = one.old > other.old
    pairs = products.pairs[min(one.old, other.old), max(one.old, other.old)]
    rows, cols, values = pairs.rows, pairs.cols, pairs.values
    if turned:  # factors are ordered by their number of effects, which has changed
        order = np.lexsort((rows, cols))
        rows, cols = cols[order], rows[order]
        values = values.transpose(1, 0, 2)[:, :, order]
    found = np.einsum("ai,abj,bk->ikj", one.N, values, other.N, optimize=True)
    return PairBlocks(rows, cols, np.ascontiguousarray(found))
