"""What the package maketables asks of a model, so that its tables show ranef's fits.

maketables looks for attributes with fixed names (``__maketables_coef_table__``, ...); the model has
them, and they call these functions. Fixed effects are its coefficients; standard deviations and
correlations, which have no tests, are statistics of the fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.errors import NoRowsError
from ranef.inference.icc import icc
from ranef.inference.parameters import variance_parameters
from ranef.inference.r2 import r2
from ranef.inference.wald import coefficient_frame

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

_LABELS = {
    "N": "Observations",
    "r2_marginal": "R2 marginal",
    "r2_conditional": "R2 conditional",
    "icc": "ICC",
    "aic": "AIC",
    "bic": "BIC",
    "loglik": "Log-likelihood",
}


def coefficients(model: LinearMixedModel) -> pd.DataFrame:
    """Return the coefficients with Satterthwaite's tests, in the columns of maketables.

    Returns
    -------
    DataFrame (p, 6)
        Columns b, se, t, p, ci95l, ci95u.
    """
    table = coefficient_frame(model, "satterthwaite", 0.95).dropna(subset=["estimate"])
    names = {
        "estimate": "b", "std_error": "se", "statistic": "t", "p_value": "p",
        "conf_low": "ci95l", "conf_high": "ci95u",
    }  # fmt: skip
    return table[list(names)].rename(columns=names).rename_axis("Coefficient")


def statistic(model: LinearMixedModel, key: str) -> float | int | None:
    """Return a statistic by its key, None for one that this model does not have."""
    sizes = dict(
        zip(
            (parameter.name for parameter in variance_parameters(model.problem)),
            model.VarCorr.to_frame()["sdcor"],
            strict=True,
        )
    )
    if key in sizes:
        return float(sizes[key])
    if key.startswith("groups_"):
        return model.ngroups.get(key.removeprefix("groups_"))
    try:
        return _facts(model, key)
    except NoRowsError:  # streamed data
        return None


def _facts(model: LinearMixedModel, key: str) -> float | int | None:
    match key:
        case "N":
            return model.nobs
        case "r2_marginal" | "r2_conditional":
            return float(getattr(r2(model), key.removeprefix("r2_")))
        case "icc":
            return icc(model).adjusted
        case "aic" | "bic" | "loglik":
            value = float(getattr(model, key))
            return value if np.isfinite(value) else None
        case _:
            return None


def default_statistics(model: LinearMixedModel) -> list[str]:
    """Return the keys that are shown unless others are asked for."""
    random = [parameter.name for parameter in variance_parameters(model.problem)]
    groups = [f"groups_{name}" for name in model.ngroups]
    return [*random, "N", *groups, "r2_marginal", "r2_conditional", "icc"]


def labels(model: LinearMixedModel) -> dict[str, str]:
    """Return what the statistics are called in print."""
    out = dict(_LABELS)
    for parameter in variance_parameters(model.problem):
        kind, _, rest = parameter.name.partition("_")
        shown = {"sd": "SD", "cor": "Cor"}.get(kind)
        out[parameter.name] = "SD (Residual)" if shown is None else f"{shown} ({rest})"
    return out | {f"groups_{name}": f"Groups: {name}" for name in model.ngroups}
