"""What an analysis of variance tests: for every term, functions of the coefficients that are zero.

Type I: each term is adjusted for those before it. With X'X = R'R, the rows of diag(R)^-1 R (the
Doolittle factor) express the sequential projections; the rows of the term are its hypotheses.
Type II: each term is adjusted for all others that do not contain it. Where none contains it these
are its coefficients; otherwise the term and those that contain it are moved to the end, and the
rows are those of the reordered factor. Type III: see `ranef.inference.type_three`.

As in lmerTest: X'X does not know of weights, and hypotheses keep the basis in which they were
written, because Satterthwaite's denominator (not F) depends on it. Type I and II have the basis of
the coding in use, type III always that of treatment contrasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from scipy import sparse

from ranef.design.spec import ColumnSpec
from ranef.inference.term_containment import containing_terms
from ranef.inference.type_three import full_columns, type_three
from ranef.linalg.triangular import gram_factor, row_blocks, stacked_factor
from ranef.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

AnovaType: TypeAlias = Literal[1, 2, 3]


@dataclass(frozen=True, slots=True, eq=False)
class TermContrasts:
    """The hypotheses of an analysis of variance.

    Attributes
    ----------
    labels : tuple of str
        The terms, in the order of the model.
    rows : tuple of float64 array (q, p)
        Functions of the kept coefficients that are zero under the hypothesis of each term; none
        for terms whose columns others determine.
    empty : tuple of str
        Terms of which some combination of levels does not occur (type III only).
    """

    labels: tuple[str, ...]
    rows: tuple[FloatArray, ...]
    empty: tuple[str, ...] = ()


def term_contrasts(model: LinearMixedModel, type_: AnovaType) -> TermContrasts:
    """Return the hypotheses of type I, II or III for every term of the fixed part.

    Parameters
    ----------
    model : LinearMixedModel
    type_ : {1, 2, 3}
    """
    spec: ColumnSpec = model.design.spec
    labels = tuple(block.label for block in spec.terms)
    kept = model.problem.basis.kept
    own = [np.flatnonzero((kept >= b.start) & (kept < b.stop)) for b in spec.terms]
    if type_ == 3:
        full = full_columns(model)
        empty = tuple(labels[term] for term in full.empty)
        if len(labels) > 1:
            return TermContrasts(labels, tuple(type_three(model, full)), empty)
        rows = _doolittle(_triangular(_factor(model) @ full.basis))
        return TermContrasts(labels, tuple(full.to_kept(rows[full.own(0)]) for _ in labels), empty)
    R = _factor(model)
    if type_ == 1 or len(labels) == 1:
        sequential = _doolittle(R)
        return TermContrasts(labels, tuple(sequential[mine] for mine in own))
    return TermContrasts(labels, tuple(_type_two(spec, R, own)))


def _type_two(spec: ColumnSpec, R: FloatArray, own: list[IntArray]) -> list[FloatArray]:
    p = len(R)
    found = []
    for mine, containing in zip(own, containing_terms(spec), strict=True):
        later = np.concatenate([own[term] for term in containing]) if containing else mine[:0]
        if len(later) == 0:
            found.append(np.eye(p)[mine])
            continue
        last = np.concatenate([mine, later])
        order = np.concatenate([np.setdiff1d(np.arange(p), last), last])
        first = p - len(last)
        rows = np.zeros((len(mine), p))
        sequential = _doolittle(_triangular(R[:, order]))
        rows[:, order] = sequential[first : first + len(mine)]
        found.append(rows)
    return found


def _triangular(matrix: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.qr(matrix, mode="r"))


def _doolittle(R: FloatArray) -> FloatArray:
    """Return the unit upper triangular factor of R'R."""
    rows: FloatArray = R / R.diagonal()[:, None]
    return rows


def _factor(model: LinearMixedModel) -> FloatArray:
    """Return upper R (p, p) with R'R = X'X for the kept columns, not weighted."""
    basis = model.problem.basis
    if model.design.weights is None:
        return basis.R
    columns = basis.columns
    gram = columns.T @ columns
    by_rows = columns if isinstance(columns, np.ndarray) else columns.tocsr()
    factor = gram_factor(gram.toarray() if sparse.issparse(gram) else gram)
    if factor is not None:
        return factor

    def take(rows: slice) -> FloatArray:
        block: FloatArray = (
            by_rows[rows] if isinstance(by_rows, np.ndarray) else by_rows[rows].toarray()
        )
        return block

    return stacked_factor(row_blocks(columns.shape[0], take, columns.shape[1]), columns.shape[1])
