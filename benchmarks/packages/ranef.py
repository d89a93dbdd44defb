"""ranef: `ranef.fit`."""

from __future__ import annotations

import pandas as pd

import ranef
from packages import Estimates
from packages.parts import Model


def cannot(model: Model, data: pd.DataFrame) -> str | None:
    """Everything can be said."""
    return None


def prepare(model: Model, data: pd.DataFrame) -> pd.DataFrame:
    """Leave the data frame as it is."""
    return data


def fit(model: Model, prepared: pd.DataFrame) -> ranef.LinearMixedModel:
    """Fit the model."""
    return ranef.fit(model.formula, prepared, reml=model.reml)


def read(model: Model, fitted: ranef.LinearMixedModel) -> Estimates:
    """Return the estimates, in the core's order: that of the formula within a factor."""
    T = fitted.problem.raw_factors(fitted.theta_values)
    return Estimates(
        sigma2=fitted.sigma**2,
        covariance={
            group.name: (fitted.sigma**2 * t @ t.T).tolist()
            for group, t in zip(fitted.problem.groups, T, strict=True)
        },
        evaluations=fitted.convergence.n_evaluations,
        converged=str(fitted.convergence.status).startswith("converged"),
    )
