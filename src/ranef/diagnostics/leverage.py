"""Leverage: how much a fitted value depends on its own observation.

At given covariance parameters the fitted values are linear in the response, y^ = H y (less the
offset), and h_i = H_ii. With rows multiplied by sqrt(w), I - H = V0^-1 - V0^-1 X Phi X'V0^-1 = P
is symmetric, and

    h_i = w_i rho_i,      rho_i = Var(x'beta_hat + z'b_hat - x'beta - z'b) / sigma^2,

the prediction error variance of the row's own mean (see `ranef.prediction`). Nothing is n x n.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.errors import FitError
from ranef.inference.models import check_fitted
from ranef.model import prepared
from ranef.prediction import Rows, fitted_rows, relative_variances
from ranef.typing import FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# Rows with 1 - h below this are fitted exactly: what is left of their residual is rounding.
FITTED_EXACTLY = 1e-10


def leverage(model: LinearMixedModel) -> pd.Series[float]:
    """Return the hat values: the derivative of every fitted value by its own observation.

    Use it to find rows that the fit follows closely because nothing else in the data speaks for
    them. Values lie between 0 and 1; their sum is the effective number of parameters of the
    fitted values. The covariance parameters count as known, as in lme4's ``hatvalues``.

    Parameters
    ----------
    model : LinearMixedModel

    Returns
    -------
    Series (nobs,)
        Named ``leverage``, with the caller's index.

    Raises
    ------
    OptionError
        For something that is no model.
    NoRowsError
        If the model was fitted to streamed data.
    FitError
        If rounding makes the equations of the model indefinite.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> h = leverage(m)
    >>> round(float(h.iloc[0]), 4), round(float(h.sum()), 4)
    (0.2293, 29.0221)

    References
    ----------
    Demidenko, Stukel 2005, "Influence analysis for linear mixed-effects models", Statistics in
    Medicine 24(6).
    """
    check_fitted("leverage", [model])
    return pd.Series(hat_values(model).copy(), index=model.design.index, name="leverage")


def hat_values(model: LinearMixedModel) -> FloatArray:
    """Return the hat values, (n,); computed once."""
    return prepared(model, "hat values", lambda: _hat_values(model))


def own_rows(model: LinearMixedModel) -> Rows:
    """Return the rows of the fit with the random effects of all grouping factors."""
    return fitted_rows(model, range(len(model.problem.groups)), rest=False)


def root_weights(model: LinearMixedModel) -> FloatArray:
    """Return the square roots of the weights, (n,); ones without weights."""
    weights = model.design.weights
    return np.ones(model.nobs) if weights is None else np.sqrt(weights)


def _hat_values(model: LinearMixedModel) -> FloatArray:
    weights = model.design.weights
    try:
        rho = relative_variances(model.problem, model.state.factorization.T, own_rows(model))
    except np.linalg.LinAlgError as error:
        raise FitError(f"{error}: there is no leverage to be had.") from error
    values: FloatArray = rho if weights is None else rho * weights
    values = np.minimum(values, 1.0)  # rounding, where a row is fitted exactly
    values.flags.writeable = False
    return values
