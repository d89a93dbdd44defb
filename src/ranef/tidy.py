"""Estimates as data frames for pipelines: broom.mixed's columns in snake case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.variance import VarCorr

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def tidy_frame(coefficients: pd.DataFrame, varcorr: VarCorr) -> pd.DataFrame:
    """Return one row per parameter: fixed effects, then standard deviations and correlations."""
    order = ["estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high"]
    fixed = coefficients[order].rename_axis("term").reset_index()
    fixed.insert(0, "effect", "fixed")
    fixed.insert(1, "group", np.nan)
    fixed["group"] = fixed["group"].astype(object)
    table = varcorr.to_frame()
    terms = []
    for first, second in zip(table["var1"], table["var2"], strict=True):
        if pd.isna(first):
            terms.append("sd__Observation")
        elif pd.isna(second):
            terms.append(f"sd__{first}")
        else:
            terms.append(f"cor__{first}.{second}")
    random = pd.DataFrame(
        {
            "effect": "ran_pars",
            "group": table["grp"].to_numpy(),
            "term": terms,
            "estimate": table["sdcor"].to_numpy(),
        }
    )
    return pd.concat([fixed, random], ignore_index=True)


def glance_row(model: LinearMixedModel) -> pd.DataFrame:
    """Return one row of facts about the whole fit."""
    return pd.DataFrame(
        {
            "nobs": [model.nobs],
            "sigma": [model.sigma],
            "loglik": [model.loglik],
            "aic": [model.aic],
            "bic": [model.bic],
            "reml_criterion" if model.reml else "deviance": [model.objective],
            "df": [model.df],
            "df_resid": [model.df_resid],
            "converged": [model.convergence.converged],
            "singular": [model.is_singular],
        }
    )
