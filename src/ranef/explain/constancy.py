"""Where predictors are constant, and which groups are nested, told from sums over the rows.

A column x is constant within the groups of a factor if its sum of squares about the means of the
groups is zero. For the columns of Q that matrix is I - sum_j c_j c_j' / n_j, with the sums
c_j = Q'z and n_j = z'z over the rows of group j, z = 1, which are there wherever a factor has a
random intercept. A factor is nested in another if each of its levels occurs with one of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ranef.errors import NoRowsError
from ranef.explain.columns import ModelColumn, Part
from ranef.streaming import column_coordinates
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# What is left within groups, as a share of all, when rounding is all that is left.
ROUNDING = 1e-11


def is_nested_by_sums(model: LinearMixedModel, low: str, high: str) -> bool:
    """Tell whether every level of the first factor occurs with one level of the second."""
    products = model.problem.objective.plan.products
    f, g = products.names.index(low), products.names.index(high)
    pairs = products.pairs[min(f, g), max(f, g)]
    return len(pairs.rows) == model.problem.groups[f].size


class ConstantColumns:
    """Which parts of columns are constant within the levels of grouping factors.

    Parameters
    ----------
    model : LinearMixedModel
        Fitted to streamed data.
    columns : sequence of ModelColumn
        Those of X.
    """

    def __init__(self, model: LinearMixedModel, columns: Sequence[ModelColumn]) -> None:
        self._model = model
        self._single = [(c.parts[0], j) for j, c in enumerate(columns) if len(c.parts) == 1]
        self._coordinates = column_coordinates(model.problem)
        self._within: dict[str, FloatArray] = {}

    def is_constant(self, part: Part, factor: str) -> bool:
        """Tell whether a part has one value in every level.

        Raises
        ------
        NoRowsError
            If the sums do not tell.
        """
        own = [j for single, j in self._single if single == part]
        # without a column of its own: constant if all that X knows of its variables is
        known = own or [j for single, j in self._single if single.variables == part.variables]
        if not known:
            raise NoRowsError(
                f"{part.label} has no column of its own among the fixed effects, so whether it is "
                f"constant within the levels of {factor} cannot be told without rows, which models "
                "of streamed data do not keep."
            )
        within = self._spread_within(factor)
        return all(self._varies(j, within) <= ROUNDING for j in known)

    def _varies(self, column: int, within: FloatArray) -> float:
        """Return the share of the variation of a column that is within groups."""
        t = self._coordinates[:, column].copy()
        if self._model.design.spec.intercept:
            t[0] = 0.0
        return float(t @ within @ t) / (float(t @ t) or 1.0)

    def _spread_within(self, factor: str) -> FloatArray:
        if factor not in self._within:
            self._within[factor] = _spread_within(self._model, factor)
        return self._within[factor]


def _spread_within(model: LinearMixedModel, factor: str) -> FloatArray:
    problem = model.problem
    products = problem.objective.plan.products
    f, p = products.names.index(factor), products.p
    intercepts = [s.start for s in problem.slots if s.factor == f and s.term.spec.intercept]
    if not intercepts:
        raise NoRowsError(
            f"{factor} has no random intercept, so what is constant within its levels cannot be "
            "told without rows, which models of streamed data do not keep."
        )
    # back to the user's column of ones
    ones = np.linalg.inv(problem.groups[f].whitening)[:, intercepts[0]]
    sums = np.einsum("ckj,k->cj", products.C[f][:p], ones)
    counts = np.einsum("a,abj,b->j", ones, products.A[f], ones, optimize=True)
    within: FloatArray = np.eye(p) - (sums / counts) @ sums.T
    return within
