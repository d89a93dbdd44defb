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
        dot before its name.

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
    variables = model.design.variables.to_frame()
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
    made = pd.DataFrame(
        {(f".{name}" if name in variables else name): v for name, v in columns.items()},
        index=variables.index,
    )
    return pd.concat([variables, made], axis=1)
