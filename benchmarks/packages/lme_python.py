"""lme_python (Rust): `lme_python.lmer`, on a polars frame whose factors are strings."""

from __future__ import annotations

from typing import Any

import lme_python
import pandas as pd
import polars as pl

from packages import Estimates, assemble
from packages.parts import Model


def cannot(model: Model, data: pd.DataFrame) -> str | None:
    """Everything in the suite can be said."""
    return None


def prepare(model: Model, data: pd.DataFrame) -> pl.DataFrame:
    """Return a polars frame; it takes a third of the time of a pandas frame."""
    groups = {e.text for term in model.random for e in term.group}
    labels = [c for c in data if c in groups or isinstance(data[c].dtype, pd.CategoricalDtype)]
    return pl.from_pandas(data.assign(**{str(c): data[c].astype(str) for c in labels}))


def fit(model: Model, prepared: pl.DataFrame) -> Any:
    """Fit the model."""
    return lme_python.lmer(model.formula, prepared, reml=model.reml)


def read(model: Model, fitted: Any) -> Estimates:
    """Return the estimates; `var_corr` has rows of group, effect, effect, covariance."""
    names: dict[str, list[str]] = {}
    for group, one, other, _, _ in fitted.var_corr:
        if one == other and group != "Residual":
            names.setdefault(group, []).append(one)
    matrices = {g: pd.DataFrame(0.0, index=own, columns=own) for g, own in names.items()}
    for group, one, other, value, _ in fitted.var_corr:
        if group in matrices:
            matrices[group].loc[one, other] = matrices[group].loc[other, one] = value
    return Estimates(
        sigma2=float(fitted.sigma2),
        covariance=assemble(matrices.items()),
        evaluations=fitted.iterations,
        converged=fitted.converged,
    )
