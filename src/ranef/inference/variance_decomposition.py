"""How the variance of the response divides among fixed effects, random effects and residual.

For one row i the model says Var(y_i | x_i, z_i) = sum_f z_i'Sigma_f z_i + sigma^2 / w_i. R^2 and
intraclass correlations are ratios of the averages of these parts over the rows:

    V_fixed    = var(X beta), with n - 1
    V_f        = sum_i z_i'Sigma_f z_i / n, for every grouping factor (Johnson 2014)
    V_residual = sigma^2 sum_i (1 / w_i) / n

z_i are the columns of the random terms as they are. (insight, behind R's performance, looks for
columns of X with the same names and leaves out those it does not find; it also takes sigma^2 for
the residual variance of weighted rows, which depends on the unit of the weights.) Offsets belong
to no part: they are known. A variance that is estimated as zero contributes zero.

Cost: O(n k^2) for a factor with k columns, one vector of n numbers at a time. Streamed data
have left the sums behind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.estimates import group_sizes
from ranef.linalg.crossproducts import GroupedColumns
from ranef.streaming import RowFacts, StreamedDesign, quadratic_form
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


@dataclass(frozen=True, slots=True, eq=False)
class VarianceDecomposition:
    """The average variance of a row, in parts, in squared units of the response.

    Attributes
    ----------
    fixed : float
        Variance of the fixed effects' part of the mean, X beta.
    groups : mapping grouping factor -> float
        Average variance of its random effects.
    residual : float
        Average residual variance.
    """

    fixed: float
    groups: Mapping[str, float]
    residual: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", MappingProxyType(dict(self.groups)))

    def __reduce__(self) -> tuple[type[VarianceDecomposition], tuple[object, ...]]:
        return (VarianceDecomposition, (self.fixed, dict(self.groups), self.residual))

    @property
    def random(self) -> float:
        """Average variance of all random effects together."""
        return sum(self.groups.values())

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return self.fixed + self.random + self.residual

    def to_series(self) -> pd.Series[float]:
        """Return the parts: fixed effects, every grouping factor, residual."""
        parts = {"Fixed effects": self.fixed, **self.groups, "Residual": self.residual}
        return pd.Series(parts, name="variance", dtype=float)


def variance_decomposition(model: LinearMixedModel) -> VarianceDecomposition:
    """Return the average variance of a row in parts.

    Parameters
    ----------
    model : LinearMixedModel

    Returns
    -------
    VarianceDecomposition
    """
    if isinstance(model.design, StreamedDesign):
        return _of_sums(model, model.design.facts)
    problem, sigma2, n = model.problem, model.state.sigma2, model.nobs
    mean: FloatArray = problem.basis.columns @ problem.coefficients(model.state)
    weights = model.design.weights
    found = {
        group.name: sigma2 * _sum_of_squares(group, group.whitening @ T) / n
        for group, T in zip(problem.groups, model.state.factorization.T, strict=True)
    }
    return VarianceDecomposition(
        fixed=float((mean - mean[0]).var(ddof=1)),  # exactly zero for an intercept alone
        groups={name: found[name] for name in group_sizes(problem)},
        residual=sigma2 * (1.0 if weights is None else float((1.0 / weights).mean())),
    )


def _of_sums(model: LinearMixedModel, facts: RowFacts) -> VarianceDecomposition:
    """Return the parts from what streamed data left behind."""
    problem, sigma2 = model.problem, model.state.sigma2
    found = {
        group.name: sigma2 * float(np.einsum("ab,ac,cb->", T, mean, T))
        for group, mean, T in zip(
            problem.groups, facts.squares, model.state.factorization.T, strict=True
        )
    }
    # X beta = Q R beta
    direction = problem.basis.R @ problem.coefficients(model.state)
    return VarianceDecomposition(
        fixed=quadratic_form(facts.spread, direction),
        groups={name: found[name] for name in group_sizes(problem)},
        residual=sigma2 * facts.inverse_weight,
    )


def _sum_of_squares(group: GroupedColumns, T: FloatArray) -> float:
    """Return sum_i |T'z_i|^2, which is sum_i z_i'Sigma z_i without cancellation."""
    n, total = len(group.codes), 0.0
    for b in range(T.shape[1]):
        row = np.zeros(n)
        for column, factor in zip(group.columns, T[:, b], strict=True):
            if factor != 0.0:
                row += factor if column is None else column * factor
        total += float(row @ row)
    return total
