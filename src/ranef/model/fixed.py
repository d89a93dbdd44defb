"""Methods of a fitted model about its fixed effects; the work is done in `ranef.inference`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ranef.tables.summary import Summary, build_summary
from ranef.typing import DdfMethod

if TYPE_CHECKING:
    from ranef.model.fitted import LinearMixedModel


def coef_table(
    self: LinearMixedModel, ddf: DdfMethod = "satterthwaite", level: float = 0.95
) -> pd.DataFrame:
    """Return estimates, standard errors, tests and intervals of the fixed effects.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Degrees of freedom: Satterthwaite's approximation, as lmerTest; Kenward and Roger's,
        with adjusted standard errors, as pbkrtest; or the normal distribution (z tests).
    level : float
        Coverage of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        Columns estimate, std_error, df, statistic, p_value, conf_low, conf_high; NaN for
        aliased columns.

    Raises
    ------
    OptionError
        For another ddf or level.

    Examples
    --------
    >>> import ranef
    >>> m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))
    >>> m.coef_table().round(3)[["estimate", "std_error", "df", "statistic"]]
               estimate  std_error    df  statistic
    Intercept   251.405      6.825  17.0     36.838
    Days         10.467      1.546  17.0      6.771

    References
    ----------
    Kuznetsova, Brockhoff, Christensen 2017, Journal of Statistical Software 82(13).
    """
    from ranef.inference.wald import coefficient_frame

    return coefficient_frame(self, ddf, level)


def summary(self: LinearMixedModel, ddf: DdfMethod = "satterthwaite") -> Summary:
    """Return the summary: it prints like lme4's, and renders to HTML, Markdown and LaTeX.

    Parameters
    ----------
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        As in `coef_table`.

    Raises
    ------
    OptionError
        For another ddf.
    """
    return build_summary(self, self.coef_table(ddf=ddf), ddf)
