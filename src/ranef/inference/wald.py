"""Tests and intervals from an estimate and its standard error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ranef.errors import OptionError
from ranef.inference.fixed_tests import fixed_tests
from ranef.typing import DdfMethod, FloatArray

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel


def check_level(level: float) -> float:
    """Return ``level`` if it lies between 0 and 1; raise OptionError otherwise."""
    if (
        isinstance(level, bool)
        or not isinstance(level, int | float | np.floating)
        or not (math.isfinite(level) and 0.0 < level < 1.0)
    ):
        raise OptionError(f"level must be a number between 0 and 1; got {level!r}.")
    return float(level)


def coefficient_frame(model: LinearMixedModel, ddf: DdfMethod, level: float) -> pd.DataFrame:
    """Return estimates, standard errors, tests and intervals of the fixed effects.

    Parameters
    ----------
    model : LinearMixedModel
    ddf : {"satterthwaite", "kenward-roger", "normal"}
    level : float
        Coverage of the intervals.

    Returns
    -------
    DataFrame (p, 7)
        Columns estimate, std_error, df, statistic, p_value, conf_low, conf_high; NaN for
        aliased columns. ``df`` is infinite for ``normal``.

    Raises
    ------
    OptionError
        For another ddf, a level that is not between 0 and 1, or Kenward-Roger with a fit by ML.
    """
    check_level(level)
    tests = fixed_tests(model, ddf)
    kept = model.problem.basis.kept
    fixef, rows = model.fixef, np.eye(len(kept))
    std_error, df = np.full((2, len(fixef)), np.nan)
    std_error[kept], df[kept] = tests.row_errors(rows), tests.row_df(rows)
    return t_frame(np.asarray(fixef, dtype=np.float64), std_error, df, level, fixef.index)


def t_frame(
    estimate: FloatArray,
    std_error: FloatArray,
    df: FloatArray,
    level: float,
    index: pd.Index,
    rhs: FloatArray | float = 0.0,
) -> pd.DataFrame:
    """Return the columns of `coefficient_frame` for any estimates (m,), tested against ``rhs``."""
    statistic = (estimate - rhs) / std_error
    half = t_quantile(df, 0.5 + 0.5 * level) * std_error
    return pd.DataFrame(
        {
            "estimate": estimate,
            "std_error": std_error,
            "df": df,
            "statistic": statistic,
            "p_value": 2.0 * t_tail(df, np.abs(statistic)),
            "conf_low": estimate - half,
            "conf_high": estimate + half,
        },
        index=index,
    )


def t_tail(df: FloatArray, t: FloatArray) -> FloatArray:
    """Return P(T > t) for Student's t, normal where df is infinite."""
    from scipy.special import ndtr, stdtr  # slow to import, and not needed for a fit

    finite = np.where(np.isinf(df), 1.0, df)
    result: FloatArray = np.where(np.isinf(df), ndtr(-t), stdtr(finite, -t))
    return result


def t_quantile(df: FloatArray, probability: float) -> FloatArray:
    """Return quantiles of Student's t, normal where df is infinite."""
    from scipy.special import ndtri, stdtrit

    finite = np.where(np.isinf(df), 1.0, df)
    result: FloatArray = np.where(np.isinf(df), ndtri(probability), stdtrit(finite, probability))
    return result
