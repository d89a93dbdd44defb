"""One row of everything per observation: the columns of R's broom.mixed, in snake case.

    fitted = mu = fixed + Z b,   resid = y - mu,   hat, cooksd,
    fixed  = X beta + offset,    sqrt_xwt = sqrt_rwt = sqrt(weights),   wtres = sqrt_rwt resid

(lme4 distinguishes mu from the linear predictor, and two kinds of weights, for the sake of
generalised models. In a linear one they coincide.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.design import outdated_variables
from ranef.diagnostics.cooks import cooks_distance
from ranef.diagnostics.deletion import marginal_residuals
from ranef.diagnostics.leverage import hat_values, root_weights

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def augment(model: LinearMixedModel) -> pd.DataFrame:
    """Return the variables of the model, with fitted values, residuals and diagnostics per row.

    Use it for plots and further computations: rows are those that the model used, with the
    caller's index.

    Parameters
    ----------
    model : LinearMixedModel

    Returns
    -------
    DataFrame (nobs, variables + 11)
        The variables that the model uses, then fitted, resid, hat, cooksd, fixed, mu, offset,
        sqrt_xwt, sqrt_rwt, weights, wtres. One that is called like a variable of the model has a
        dot before its name, or more. After a `refit` with a transformed response, the values that
        the model was fitted to stand under the label of the response, such as ``log(y)``.

    Raises
    ------
    NoRowsError
        If the model was fitted to streamed data.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> augment(m)[["Reaction", "Subject", "fitted", "resid", "hat", "fixed"]].head(2).round(2)
       Reaction Subject  fitted  resid   hat   fixed
    0    249.56     308  253.66  -4.10  0.23  251.41
    1    258.70     308  273.33 -14.63  0.17  261.87
    """
    variables = _variables(model)
    n, offset = model.nobs, model.design.offset
    mu, roots = model.fitted.to_numpy(), root_weights(model)
    resid = model.resid.to_numpy()
    columns = {
        "fitted": mu,
        "resid": resid,
        "hat": hat_values(model),
        "cooksd": cooks_distance(model).to_numpy(),
        "fixed": model.design.y - marginal_residuals(model),
        "mu": mu,
        "offset": np.zeros(n) if offset is None else offset,
        "sqrt_xwt": roots,
        "sqrt_rwt": roots,
        "weights": roots * roots if model.design.weights is None else model.design.weights,
        "wtres": roots * resid,
    }
    made = {}
    for name, values in columns.items():
        made[_free(name, variables)] = values
    return pd.concat([variables, pd.DataFrame(made, index=variables.index)], axis=1)


def _variables(model: LinearMixedModel) -> pd.DataFrame:
    """Return the variables of the model, without those of an earlier response."""
    design = model.design
    variables = design.variables.to_frame()
    outdated = outdated_variables(design)
    if outdated:
        variables = variables.drop(columns=[name for name in outdated if name in variables])
        variables.insert(0, _free(design.response, variables), design.y.copy())
    return variables


def _free(name: str, taken: pd.DataFrame) -> str:
    """Return a name with as many dots before it as no variable has."""
    while name in taken:
        name = f".{name}"
    return name
