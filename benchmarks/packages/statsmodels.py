"""statsmodels: `MixedLM.from_formula`.

It knows one grouping factor with correlated effects. Further factors become variance components of
one group of all rows, which takes n x n matrices.
"""

from __future__ import annotations

import warnings
from typing import Any

import pandas as pd
import statsmodels.formula.api as formulas

from packages import Estimates, assemble
from packages.parts import Model, group_column

# 2 000 x 2 000 numbers take 32 MB; time grows with the third power.
LARGEST_DENSE = 2_000


def cannot(model: Model, data: pd.DataFrame) -> str | None:
    """Refuse several factors beyond what fits into n x n matrices."""
    if model.one_term is not None:
        return None if model.one_term.correlated else "independent slopes: not in its formula"
    if not model.only_intercepts:
        return "crossed factors: only with intercepts"
    if len(data) > LARGEST_DENSE:
        return f"crossed factors: n x n matrices, {8 * len(data) ** 2 / 1e9:.0f} GB each"
    return None


def prepare(model: Model, data: pd.DataFrame) -> pd.DataFrame:
    """Add columns for grouping factors, and one for the group of all rows."""
    groups = {f"_group{i}": group_column(t, data) for i, t in enumerate(model.random)}
    return data.assign(**groups, _all=1)


def fit(model: Model, prepared: pd.DataFrame) -> Any:
    """Fit the model."""
    fixed = f"{model.response} ~ {model.fixed}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if model.one_term is None:
            parts = {term.group_name: f"0 + C(_group{i})" for i, term in enumerate(model.random)}
            declared = formulas.mixedlm(
                fixed, prepared, groups="_all", re_formula="0", vc_formula=parts
            )
        else:
            effects = str(model.one_term.effects)
            declared = formulas.mixedlm(fixed, prepared, groups="_group0", re_formula=f"~{effects}")
        return declared.fit(reml=model.reml, full_output=True)


def read(model: Model, fitted: Any) -> Estimates:
    """Return the estimates; evaluations of the optimisers that ran."""
    names = fitted.model.exog_vc.names
    if model.one_term is None:
        found = assemble((name, v) for name, v in zip(names, fitted.vcomp, strict=True))
    else:
        found = assemble([(model.one_term.group_name, fitted.cov_re)])
    history = [h for h in getattr(fitted, "hist", None) or [] if isinstance(h, dict)]
    calls = sum(int(h.get("fcalls", 0)) for h in history)
    return Estimates(float(fitted.scale), found, calls or None, bool(fitted.converged))
