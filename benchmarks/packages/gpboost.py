"""gpboost (C++): `gpboost.GPModel`, by maximum likelihood, effects of a group independent."""

from __future__ import annotations

from typing import Any

import gpboost
import numpy as np
import pandas as pd

from packages import Estimates, assemble
from packages.parts import Model, group_column


def cannot(model: Model, data: pd.DataFrame) -> str | None:
    """Refuse REML and correlated effects."""
    if model.reml:
        return "maximum likelihood only"
    if any(term.correlated and len(term.effects.labels) > 1 for term in model.random):
        return "no correlations between random effects"
    return None if model.plain else "fixed effects are a matrix that the user makes"


def prepare(model: Model, data: pd.DataFrame) -> pd.DataFrame:
    """Add columns for grouping factors."""
    groups = {f"_group{i}": group_column(t, data) for i, t in enumerate(model.random)}
    return data.assign(**groups)


def fit(model: Model, prepared: pd.DataFrame) -> Any:
    """Make the matrix of fixed effects and fit the model."""
    columns = [prepared[[name]] for name in model.predictors]
    coded = [pd.get_dummies(column, drop_first=True, dtype=float) for column in columns]
    X = np.column_stack([np.ones(len(prepared)), *(c.to_numpy() for c in coded)])
    groups = prepared[[f"_group{i}" for i in range(len(model.random))]].to_numpy()
    slopes = [(i + 1, t) for i, term in enumerate(model.random) for t in term.effects.terms]
    options: dict[str, Any] = {}
    if slopes:
        options["group_rand_coef_data"] = prepared[[t.label for _, t in slopes]].to_numpy()
        options["ind_effect_group_rand_coef"] = [i for i, _ in slopes]
    declared = gpboost.GPModel(group_data=groups, **options)
    declared.fit(y=prepared[model.response].to_numpy(dtype=float), X=X)
    return declared


def read(model: Model, fitted: Any) -> Estimates:
    """Return the estimates: the variances are those of intercepts first, then of slopes."""
    values = [float(v) for v in np.asarray(fitted.get_cov_pars()).ravel()]
    names = [term.group_name for term in model.random]
    names += [term.group_name for term in model.random for _ in term.effects.terms]
    return Estimates(
        sigma2=values[0],
        covariance=assemble(zip(names, values[1:], strict=True)),
        evaluations=int(fitted._get_num_optim_iter()),
        converged=None,
    )
