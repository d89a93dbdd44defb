"""Methods of a fitted model that describe the whole fit; the work is done in `ranef.inference`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ranef.typing import DdfMethod

if TYPE_CHECKING:
    from ranef.model.fitted import LinearMixedModel


def tidy(
    self: LinearMixedModel, ddf: DdfMethod = "satterthwaite", level: float = 0.95
) -> pd.DataFrame:
    """Return one row per parameter: fixed effects, then SDs, correlations and sigma.

    Use it in a pipeline; columns are those of R's broom.mixed, in snake case.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        As in `coef_table`.
    level : float
        Coverage of the intervals of the fixed effects.

    Returns
    -------
    DataFrame
        Columns effect, group, term, estimate, std_error, statistic, df, p_value, conf_low,
        conf_high.

    Raises
    ------
    OptionError
        For another ddf or level.

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
    """
    from ranef.tidy import tidy_frame

    return tidy_frame(self.coef_table(ddf, level), self.VarCorr)


def glance(self: LinearMixedModel) -> pd.DataFrame:
    """Return one row of facts about the whole fit.

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
    from ranef.tidy import glance_row

    return glance_row(self)
