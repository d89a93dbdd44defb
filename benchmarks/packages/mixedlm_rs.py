"""mixedlm-rs (Rust and Python): `mixedlm_rs.mixedlm`, which speaks statsmodels' language.

One grouping factor with correlated effects.
"""

from __future__ import annotations

import warnings
from typing import Any

import mixedlm_rs
import pandas as pd

from packages import Estimates, assemble
from packages.parts import Model, group_column


def cannot(model: Model, data: pd.DataFrame) -> str | None:
    """Refuse everything but one correlated term."""
    if model.one_term is None:
        return "one grouping factor only"
    return None if model.one_term.correlated else "no independent slopes"


def prepare(model: Model, data: pd.DataFrame) -> pd.DataFrame:
    """Add a column for the grouping factor."""
    return data.assign(_group=group_column(model.random[0], data))


def fit(model: Model, prepared: pd.DataFrame) -> Any:
    """Fit the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        declared = mixedlm_rs.mixedlm(
            f"{model.response} ~ {model.fixed}",
            prepared,
            groups="_group",
            re_formula=f"~{model.random[0].effects}",
        )
        return declared.fit(reml=model.reml)


def read(model: Model, fitted: Any) -> Estimates:
    """Return the estimates."""
    report = fitted.diagnostics
    return Estimates(
        sigma2=float(fitted.scale),
        covariance=assemble([(model.random[0].group_name, fitted.cov_re)]),
        evaluations=report["n_objective_evaluations"] + report["n_criterion_evaluations"],
        converged=bool(fitted.converged),
    )
