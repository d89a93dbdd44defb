"""Residuals of every kind: those of the model, and those that a check of its assumptions needs.

Conditional residuals e = y - X beta - Z b are smaller than the errors, by the leverage, and those
of one group depend on each other. `studentized` repairs the first, as Var(e_i) = sigma^2 (1 - h_i)
/ w_i.
`normalized` repairs both: with y = X beta + r and Cov(r) = sigma^2 L L', the elements of
L^-1 r / sigma are independent with variance one (up to the estimation of the parameters).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ranef.diagnostics.deletion import Rowwise, marginal_residuals
from ranef.diagnostics.leverage import FITTED_EXACTLY, hat_values, root_weights
from ranef.diagnostics.whitening import whitened_residuals
from ranef.inference.models import check_fitted
from ranef.model import LinearMixedModel
from ranef.typing import FloatArray, ResidualKind, check_choice


def residuals(model: LinearMixedModel, kind: ResidualKind = "response") -> pd.Series[float]:
    """Return residuals.

    Parameters
    ----------
    model : LinearMixedModel
    kind : {"response", "pearson", "scaled", "studentized", "marginal", "normalized"}
        ``response``: y - fitted, in the units of the response. ``pearson``: multiplied by the
        square root of the weight. ``scaled``: response divided by `sigma`, as lme4's
        ``residuals(m, scaled = TRUE)``; weights play no role in it. ``studentized``: pearson
        divided by ``sigma * sqrt(1 - leverage)``, of variance one; NaN where a row is fitted
        exactly. ``marginal``: y minus its fixed part, random effects left in. ``normalized``:
        marginal, made independent with variance one by the Cholesky factor of their covariance
        matrix, in the order of the rows: each is the error of predicting a row from those before.

    Returns
    -------
    Series (nobs,)
        Named ``resid``, with the caller's index.

    Raises
    ------
    OptionError
        For any other kind, or something that is no model.
    FitError
        For ``normalized`` where crossed factors tie too many rows and random effects together.
    NoRowsError
        If the model was fitted to streamed data.

    Notes
    -----
    nlme's ``resid(m, type = "normalized")`` are other numbers: its random effects are subtracted,
    and only correlation within groups that was modelled beside them is removed.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"))
    >>> residuals(m, "scaled").round(2).head(3).tolist()
    [0.22, -0.28, -0.03]
    >>> residuals(m, "studentized").round(2).head(3).tolist()
    [0.27, -0.34, -0.03]
    """
    check_fitted("residuals", [model])
    check_choice("kind", kind, ResidualKind)
    return pd.Series(_values(model, kind), index=model.design.index, name="resid")


def studentized(model: LinearMixedModel) -> FloatArray:
    """Return e sqrt(w) / (sigma sqrt(1 - h)), (n,); NaN where a row is fitted exactly."""
    left = 1.0 - hat_values(model)
    sd = model.sigma * np.sqrt(np.where(left > FITTED_EXACTLY, left, np.nan))
    values: FloatArray = root_weights(model) * np.asarray(model.resid, dtype=np.float64) / sd
    return values


def _values(model: LinearMixedModel, kind: ResidualKind) -> FloatArray:
    if kind == "studentized":
        return studentized(model)
    if kind == "marginal":
        return marginal_residuals(model)
    if kind == "normalized":
        return whitened_residuals(Rowwise(model)) / model.sigma
    response = np.asarray(model.resid, dtype=np.float64)
    if kind == "pearson":
        return root_weights(model) * response
    return response / model.sigma if kind == "scaled" else response
