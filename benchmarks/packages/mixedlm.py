"""mixedlm (Rust and Python): `mixedlm.lmer`."""

from __future__ import annotations

import warnings
from typing import Any

import mixedlm
import pandas as pd

from packages import Estimates, assemble
from packages.parts import Model


def cannot(model: Model, data: pd.DataFrame) -> str | None:
    """Everything in the suite can be said."""
    return None


def prepare(model: Model, data: pd.DataFrame) -> pd.DataFrame:
    """Leave the data frame as it is."""
    return data


def fit(model: Model, prepared: pd.DataFrame) -> Any:
    """Fit the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mixedlm.lmer(model.formula, prepared, REML=model.reml)


def read(model: Model, fitted: Any) -> Estimates:
    """Return the estimates."""
    groups = fitted.VarCorr().groups.values()
    return Estimates(
        sigma2=float(fitted.sigma) ** 2,
        covariance=assemble((group.grouping_factor, group.cov) for group in groups),
        evaluations=int(fitted.function_evals),
        converged=bool(fitted.converged),
    )
