"""The covariance matrix that the model implies for the observations of one group.

    V = sum_f (Z_f Sigma_f Z_f') o [same level of f] + sigma^2 W^-1

for the rows of one level, all random terms included: rows that share a level of a second grouping
factor are correlated through it, too. With a random intercept alone this is compound symmetry; with
slopes, variances and covariances change along the predictor.

Rows of other groups may be correlated with these through crossed factors; that part of the whole
matrix is not shown. Cost and memory: m^2 for m rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.explain.groups import find_group, find_level
from ranef.typing import FloatArray, IntArray, check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def implied_covariance(
    model: LinearMixedModel,
    group_level: Any,
    group: str | None = None,
    *,
    correlation: bool = False,
    limit: int | None = 1000,
) -> pd.DataFrame:
    """Return the covariance matrix of the observations of one group, given the fixed effects.

    Use it to see what the random effects say: which observations are alike, and how much.

    Parameters
    ----------
    model : LinearMixedModel
    group_level : object
        A level of the grouping factor, such as ``308`` or ``"308"``.
    group : str, optional
        The grouping factor; needed if the model has several.
    correlation : bool
        Return correlations instead.
    limit : int or None
        Groups with more rows are refused, because the matrix would have rows x rows numbers and
        hardly be read; None for no limit.

    Returns
    -------
    DataFrame (m, m)
        Labelled by the rows of the data, in squared units of the response.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        If there is no such level, the group has too many rows, or an argument has another value.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
    >>> implied_covariance(m, 1).round(1)
           0      1      2
    0  631.5  615.3  615.3
    1  615.3  631.5  615.3
    2  615.3  615.3  631.5
    """
    check_flag("correlation", correlation)
    whole = isinstance(limit, int | np.integer) and not isinstance(limit, bool)
    if limit is not None and not (whole and limit > 0):
        raise OptionError(f"limit must be a positive whole number or None; got {limit!r}.")
    grouping = find_group(model, group)
    level = find_level(grouping, group_level)
    rows = np.flatnonzero(grouping.codes == level)
    if limit is not None and len(rows) > limit:
        raise OptionError(
            f"{group_level!r} of {grouping.name} has {len(rows)} rows; the matrix would have "
            f"{len(rows)} x {len(rows)} numbers. Give limit=None if you want it."
        )
    V = _covariance(model, rows)
    if correlation:
        sd = np.sqrt(V.diagonal())
        V /= sd[:, None] * sd
        np.fill_diagonal(V, 1.0)
    labels = model.design.index[rows]
    # a view: the name of an index can be changed in place
    return pd.DataFrame(V, index=labels, columns=labels.view())


def _covariance(model: LinearMixedModel, rows: IntArray) -> FloatArray:
    """Return the covariance matrix of some rows, (m, m)."""
    weights = model.design.weights
    V = np.diag(np.ones(len(rows)) if weights is None else 1.0 / weights[rows])
    for group, T in zip(model.problem.groups, model.state.factorization.T, strict=True):
        ones = np.ones(len(rows))
        Z = np.column_stack([ones if z is None else z[rows] for z in group.columns])
        half = Z @ (group.whitening @ T)  # its product is symmetric by construction
        codes = group.codes[rows]
        V += (half @ half.T) * (codes[:, None] == codes)
    V *= model.state.sigma2
    return V
