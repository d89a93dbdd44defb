"""Linear functions of all coefficients, aliased ones included: which have a value, and which.

Where column j of X is a combination of kept columns, x_j = X_k a_j, the coefficients are known only
together: l'beta has one value for all solutions if l_j = l_k'a_j for every such column, and that
value is l_k'beta_k. (Searle 1971, Linear Models, section 5.4.)
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ranef.model import LinearMixedModel, prepared
from ranef.streaming import StreamedBasis
from ranef.typing import BoolArray, FloatArray, IntArray

# A row is estimable if it differs by no more than this from a combination of the rows of X,
# relative to the size of its elements.
TOLERANCE = 1e-7


def alias_matrix(model: LinearMixedModel) -> tuple[IntArray, FloatArray]:
    """Return which columns are aliased (d,), and their combinations a_j of kept ones, (p, d)."""
    return prepared(model, "aliases", lambda: _alias_matrix(model))


def _alias_matrix(model: LinearMixedModel) -> tuple[IntArray, FloatArray]:
    basis = model.problem.basis
    aliased = np.setdiff1d(np.arange(len(model.design.x_names)), basis.kept)
    if len(aliased) == 0 or len(basis.kept) == 0:
        return aliased, np.zeros((len(basis.kept), len(aliased)))
    if isinstance(basis, StreamedBasis):
        return aliased, basis.combinations
    X = model.design.X
    columns = sparse.csc_array(X[:, aliased])
    if model.design.weights is not None:
        columns = sparse.csc_array(columns.multiply(model.design.weights[:, None]))
    inner = sparse.csc_array(basis.columns.T @ columns).toarray()
    return aliased, basis.R_inverse @ (basis.R_inverse.T @ inner)


def estimable_rows(model: LinearMixedModel, L: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return rows in terms of the kept coefficients, and which of them are estimable.

    Parameters
    ----------
    model : LinearMixedModel
    L : float64 array (m, P)
        Over all columns of `model.design.x_names`.

    Returns
    -------
    rows : float64 array (m, p)
        Coefficients of the kept columns.
    estimable : bool array (m,)
    """
    aliased, combinations = alias_matrix(model)
    rows = np.ascontiguousarray(L[:, model.problem.basis.kept])
    if len(aliased) == 0:
        return rows, np.ones(len(L), dtype=bool)
    wanted = L[:, aliased]
    given = rows @ combinations
    size = np.abs(rows) @ np.abs(combinations) + np.abs(wanted)
    near = np.abs(wanted - given) <= TOLERANCE * size + 1e-12
    return rows, np.asarray(near.all(axis=1))
