"""Estimates as data frames for pipelines: broom.mixed's columns in snake case."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.confint import confint
from ranef.inference.parameters import variance_parameters
from ranef.inference.variance_errors import variance_errors
from ranef.inference.wald import check_level, coefficient_frame, t_quantile
from ranef.typing import DdfMethod, FloatArray, check_choice, check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

Effects: TypeAlias = Literal["fixed", "ran_pars", "ran_vals", "ran_coefs"]
TidyIntervals: TypeAlias = Literal["wald", "profile"]
_COLUMNS = (
    "effect", "group", "level", "term", "estimate", "std_error", "statistic", "df", "p_value",
    "conf_low", "conf_high",
)  # fmt: skip


def tidy(
    model: LinearMixedModel,
    ddf: DdfMethod = "satterthwaite",
    level: float = 0.95,
    effects: str | Iterable[str] = ("fixed", "ran_pars"),
    conf_int: bool = True,
    conf_method: TidyIntervals | None = None,
) -> pd.DataFrame:
    """Return one row per estimate: fixed effects, then SDs, correlations and sigma.

    Use it in a pipeline; columns are those of R's broom.mixed, in snake case.

    Parameters
    ----------
    model : LinearMixedModel
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        As in `coef_table`.
    level : float
        Coverage of the intervals.
    effects : str or iterable of str
        ``fixed`` (coefficients), ``ran_pars`` (standard deviations, correlations and sigma),
        ``ran_vals`` (conditional modes, with conditional standard deviations) and ``ran_coefs``
        (coefficients per level). The last two add the column ``level``.
    conf_int : bool
        Whether there are columns conf_low and conf_high.
    conf_method : {"wald", "profile"}, optional
        Also give ``ran_pars`` standard errors, and intervals by this method as in `confint`
        (``profile`` is of the likelihood, and for ``fixed``, too). By default they have none, as
        in broom.mixed.

    Returns
    -------
    DataFrame
        Columns effect, group, term, estimate, std_error, statistic, df, p_value, conf_low,
        conf_high. Intervals of ``ran_vals`` are normal, and hold the parameters for known.

    Raises
    ------
    OptionError
        For another ddf, level, kind of effects or conf_method.
    FitError
        If a profile is wanted of a fit that has not converged.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> m.tidy()[["effect", "group", "term", "estimate"]].round(3)
         effect     group                 term  estimate
    0     fixed       NaN            Intercept   251.405
    1     fixed       NaN                 Days    10.467
    2  ran_pars   Subject        sd__Intercept    24.740
    3  ran_pars   Subject             sd__Days     5.922
    4  ran_pars   Subject  cor__Intercept.Days     0.066
    5  ran_pars  Residual      sd__Observation    25.592
    >>> m.tidy(effects="ran_vals", conf_int=False).iloc[:2, :6].round(2)
         effect    group level       term  estimate  std_error
    0  ran_vals  Subject   308  Intercept      2.26      12.07
    1  ran_vals  Subject   309  Intercept    -40.40      12.07
    """
    check_level(level)
    check_flag("conf_int", conf_int)
    listed = isinstance(effects, Iterable) and not isinstance(effects, str)
    wanted: tuple[Any, ...] = tuple(effects) if listed else (effects,)
    if not wanted:
        raise OptionError.from_choice("effects", wanted, get_args(Effects))
    for kind in wanted:
        check_choice("effects", kind, Effects)
    if conf_method is not None:
        check_choice("conf_method", conf_method, TidyIntervals)
    make: dict[str, Callable[[], pd.DataFrame]] = {
        "fixed": lambda: _fixed(model, ddf, level, conf_method if conf_int else None),
        "ran_pars": lambda: _ran_pars(model, level, conf_method, conf_int),
        "ran_vals": lambda: _ran_vals(model, level),
        "ran_coefs": lambda: _ran_coefs(model),
    }
    parts = [make[kind]() for kind in dict.fromkeys(wanted)]
    columns = [name for name in _COLUMNS if any(name in part for part in parts)]
    if not conf_int:
        columns = [name for name in columns if not name.startswith("conf_")]
    # the first part has all columns, so that their types do not depend on what follows
    parts[0] = parts[0].reindex(columns=columns)
    for name in ("group", "level"):
        if name in columns:
            parts[0][name] = parts[0][name].astype(object)
    return pd.concat(parts, ignore_index=True)[columns]


def glance(model: LinearMixedModel) -> pd.DataFrame:
    """Return one row of facts about the whole fit.

    Parameters
    ----------
    model : LinearMixedModel

    Returns
    -------
    DataFrame (1, 10)
        nobs, sigma, loglik, aic, bic, reml_criterion or deviance, df, df_resid, converged,
        singular.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("travel ~ 1 + (1 | Rail)", ranef.datasets.load("rail"), reml=False)
    >>> m.glance().round(3)["deviance"].item()
    128.56
    """
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


def _fixed(
    model: LinearMixedModel, ddf: DdfMethod, level: float, conf_method: TidyIntervals | None
) -> pd.DataFrame:
    table = coefficient_frame(model, ddf, level)
    order = ["estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high"]
    if conf_method == "profile":
        limits = confint(model, "profile", level, "beta_")
        table[["conf_low", "conf_high"]] = limits.to_numpy()
    fixed = table[order].rename_axis("term").reset_index()
    fixed.insert(0, "effect", "fixed")
    fixed.insert(1, "group", pd.Series(np.nan, index=fixed.index, dtype=object))
    return fixed


def _ran_pars(
    model: LinearMixedModel, level: float, conf_method: TidyIntervals | None, conf_int: bool
) -> pd.DataFrame:
    table = model.VarCorr.to_frame()
    terms = []
    for first, second in zip(table["var1"], table["var2"], strict=True):
        if pd.isna(first):
            terms.append("sd__Observation")
        elif pd.isna(second):
            terms.append(f"sd__{first}")
        else:
            terms.append(f"cor__{first}.{second}")
    out = pd.DataFrame(
        {
            "effect": "ran_pars",
            "group": table["grp"].to_numpy(),
            "term": terms,
            "estimate": table["sdcor"].to_numpy(),
        }
    )
    if conf_method is None:
        return out
    # both lists go term by term, standard deviations before correlations
    names = [parameter.name for parameter in variance_parameters(model.problem)]
    out["std_error"] = variance_errors(model).std_errors.reindex(names).to_numpy()
    if conf_int:
        limits = confint(model, conf_method, level, "theta_").reindex(names)
        out["conf_low"], out["conf_high"] = limits["lower"].to_numpy(), limits["upper"].to_numpy()
    return out


def _ran_vals(model: LinearMixedModel, level: float) -> pd.DataFrame:
    long = model.ranef.to_frame()
    estimate: FloatArray = long["condval"].to_numpy(dtype=np.float64)
    error: FloatArray = long["condsd"].to_numpy(dtype=np.float64)
    half = float(t_quantile(np.array([np.inf]), 0.5 + 0.5 * level)[0]) * error
    return pd.DataFrame(
        {
            "effect": "ran_vals",
            "group": long["grpvar"].to_numpy(),
            "level": long["grp"].to_numpy(),
            "term": long["term"].to_numpy(),
            "estimate": estimate,
            "std_error": error,
            "conf_low": estimate - half,
            "conf_high": estimate + half,
        }
    )


def _ran_coefs(model: LinearMixedModel) -> pd.DataFrame:
    parts = []
    for group, table in model.coef.items():
        long = table.rename_axis("level").reset_index().melt("level", var_name="term")
        parts.append(
            pd.DataFrame(
                {
                    "effect": "ran_coefs",
                    "group": group,
                    "level": long["level"].to_numpy(),
                    "term": long["term"].to_numpy(),
                    "estimate": long["value"].to_numpy(dtype=np.float64),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
