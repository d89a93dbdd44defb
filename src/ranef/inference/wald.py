"""Wald tests and intervals: the estimate divided by its standard error."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from ranef.errors import OptionError


def check_level(level: float) -> float:
    """Return ``level`` if it lies between 0 and 1; raise OptionError otherwise."""
    if (
        isinstance(level, bool)
        or not isinstance(level, int | float | np.floating)
        or not (math.isfinite(level) and 0.0 < level < 1.0)
    ):
        raise OptionError(f"level must be a number between 0 and 1; got {level!r}.")
    return float(level)


def wald_table(
    estimate: pd.Series[float], std_error: pd.Series[float], level: float
) -> pd.DataFrame:
    """Return z statistics, two-sided p-values and intervals for estimates.

    Parameters
    ----------
    estimate, std_error : Series (p,)
        NaN for coefficients that cannot be estimated.
    level : float
        Coverage of the intervals.

    Returns
    -------
    DataFrame (p, 7)
        Columns estimate, std_error, df (infinite), statistic, p_value, conf_low, conf_high.

    Raises
    ------
    OptionError
        If level is not between 0 and 1.
    """
    from scipy.special import ndtr, ndtri  # slow to import, and not needed for a fit

    half = ndtri(0.5 + 0.5 * check_level(level)) * std_error
    statistic = estimate / std_error
    return pd.DataFrame(
        {
            "estimate": estimate,
            "std_error": std_error,
            "df": np.where(np.isnan(estimate), np.nan, np.inf),
            "statistic": statistic,
            "p_value": 2.0 * ndtr(-np.abs(statistic)),
            "conf_low": estimate - half,
            "conf_high": estimate + half,
        }
    )
