"""Cook's distance of rows, as lme4 defines it, and of groups, by deletion.

For a row lme4 puts leverage into the formula of linear models,

    D_i = w_i e_i^2 / (sigma^2 p) h_i / (1 - h_i)^2,

where e and h contain the random effects: it measures how much the fitted values lean on the row. It
is not how far the fixed effects move without it; that is in `ranef.diagnostics.influence`, and is
what is returned for groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.diagnostics.influence import check_group, influence
from ranef.diagnostics.leverage import FITTED_EXACTLY, hat_values, root_weights

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def cooks_distance(model: LinearMixedModel, by: str | None = None) -> pd.Series[float]:
    """Return Cook's distances of rows, or of the levels of a grouping factor.

    Use it to find what the fit leans on. For rows it is lme4's ``cooks.distance``, computed from
    residuals and leverages. For groups it is how far the fixed effects move when the group is left
    out (see `influence`): delta' Cov(beta)^-1 delta / p at the estimated covariance parameters.

    Parameters
    ----------
    model : LinearMixedModel
    by : str, optional
        A grouping factor of the model; single rows by default.

    Returns
    -------
    Series
        Named ``cooks_distance``; one value per row, with the caller's index, or per level. NaN
        where a row is fitted exactly, where the others do not determine all fixed effects, and
        for rows of a model without fixed effects.

    Raises
    ------
    UnknownVariableError
        If the model has no such grouping factor.
    OptionError
        If ``by`` is neither None nor a name.
    FitError
        If ``by`` is a group and the model has no fixed effects.
    NoRowsError
        If the model was fitted to streamed data.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> round(float(cooks_distance(m).iloc[0]), 5)
    0.00496
    >>> cooks_distance(m, by="Subject").nlargest(2).round(3).to_dict()
    {'309': 0.149, '335': 0.129}

    References
    ----------
    Cook 1977, "Detection of influential observation in linear regression", Technometrics 19(1).
    """
    check_group(model, by)
    if by is not None:
        return influence(model, by).cooks_distance
    p = len(model.problem.basis.kept)
    h, e = hat_values(model), root_weights(model) * model.resid.to_numpy()
    left = np.where(1.0 - h > FITTED_EXACTLY, 1.0 - h, np.nan)
    distance = (e / left) ** 2 * h / (model.sigma**2 * (p or np.nan))
    return pd.Series(distance, index=model.design.index, name="cooks_distance")
