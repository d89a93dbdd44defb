"""Several tests at once: adjusted p-values and intervals that hold together.

Every function works on one family: the tests that are adjusted for each other. Rows that cannot
be estimated (NaN) count as members, as in emmeans: a family has the size that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

import numpy as np

from ranef.inference.emmeans.max_t import max_t_quantile, max_t_tail
from ranef.inference.emmeans.studentized_range import root, tukey_quantile, tukey_tail
from ranef.inference.fixed_tests import f_tail
from ranef.inference.wald import t_quantile, t_tail
from ranef.typing import FloatArray, check_choice

Adjustment: TypeAlias = Literal[
    "none", "tukey", "sidak", "bonferroni", "holm", "hochberg", "fdr", "scheffe", "mvt", "dunnettx"
]
Side: TypeAlias = Literal["two-sided", "<", ">"]

ALSO_CALLED = {"bh": "fdr", "bonf": "bonferroni", "dunnett": "dunnettx"}
# Only for two-sided questions.
TWO_SIDED = frozenset({"tukey", "scheffe", "dunnettx"})
# Adjusted in steps: there is no one critical value, and intervals fall back on Bonferroni's.
STEPWISE = frozenset({"holm", "hochberg", "fdr"})


def adjustment_name(adjust: str) -> Adjustment:
    """Return the name of an adjustment, in whatever case it was written.

    Examples
    --------
    >>> adjustment_name("Tukey"), adjustment_name("BH")
    ('tukey', 'fdr')
    """
    name = adjust
    if isinstance(adjust, str):
        lower = ALSO_CALLED.get(adjust.lower(), adjust.lower())
        # the error shows what was written
        name = lower if lower in get_args(Adjustment) else adjust
    check_choice("adjust", name, Adjustment)
    return cast("Adjustment", name)


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """The tests that are adjusted for each other.

    Attributes
    ----------
    size : int
        Tests, n.
    means : float
        Estimates of which these are all pairwise differences.
    correlation : float64 array (e, e)
        Of those that can be estimated.
    rank : int
        Independent ones among them.
    """

    size: int
    means: float
    correlation: FloatArray
    rank: int


def adjusted_p(
    t: FloatArray, df: FloatArray, family: Family, adjust: Adjustment, side: Side
) -> FloatArray:
    """Return the p-values of one family.

    Parameters
    ----------
    t, df : float64 array (n,)
        NaN where there is no estimate.
    family : Family
    adjust : str
    side : {"two-sided", "<", ">"}
        ``<``: the alternative is that the estimates are smaller.

    Returns
    -------
    float64 array (n,)
    """
    n = family.size
    toward = -t if side == "<" else t if side == ">" else np.abs(t)
    single = t_tail(df, toward) * (2.0 if side == "two-sided" else 1.0)
    if adjust == "none" or (n == 1 and adjust != "scheffe"):
        p = single
    elif adjust == "sidak":
        p = -np.expm1(n * np.log1p(-single))
    elif adjust == "tukey":
        p = tukey_tail(np.sqrt(2.0) * toward, family.means, df)
    elif adjust == "scheffe":
        squares = zip(t * t / max(family.rank, 1), df, strict=True)
        p = np.array([f_tail(f, family.rank, d) for f, d in squares])
    elif adjust == "dunnettx":
        p = _dunnett_tail(toward, n, df)
    elif adjust == "mvt":
        p, known = np.full(len(t), np.nan), ~np.isnan(single)
        one_sided = side != "two-sided"
        if known.any():
            t, df = toward[known], df[known]
            p[known] = max_t_tail(t, df, family.correlation, one_sided=one_sided)
    else:
        p = _stepwise(single, adjust)
    return p


def critical_values(
    df: FloatArray, family: Family, adjust: Adjustment, level: float, side: Side
) -> FloatArray:
    """Return how many standard errors intervals reach from the estimates of one family, (n,)."""
    n = family.size
    sides = 2.0 if side == "two-sided" else 1.0
    known = ~np.isnan(df)
    used, out = df[known], np.full(len(df), np.nan)
    if not len(used):
        return out
    if adjust == "none" or (n == 1 and adjust != "scheffe"):
        value = t_quantile(used, 1.0 - (1.0 - level) / sides)
    elif adjust == "sidak":
        value = t_quantile(used, 1.0 + np.expm1(np.log(level) / n) / sides)
    elif adjust == "tukey":
        value = tukey_quantile(level, family.means, used) / np.sqrt(2.0)
    elif adjust == "scheffe":
        value = _scheffe_value(level, family.rank, used)
    elif adjust == "dunnettx":
        value = _dunnett_value(level, n, used)
    elif adjust == "mvt":
        one_sided = side != "two-sided"
        value = max_t_quantile(level, used, family.correlation, one_sided=one_sided)
    else:
        value = t_quantile(used, 1.0 - (1.0 - level) / n / sides)
    out[known] = value
    return out


def means_compared(comparisons: int) -> float:
    """Return of how many means this is the number of pairs; not whole for other numbers."""
    return 0.5 * (1.0 + float(np.sqrt(1.0 + 8.0 * comparisons)))


def _stepwise(p: FloatArray, adjust: Adjustment) -> FloatArray:
    out = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    n, rank = len(p), np.arange(1, len(order) + 1)
    if adjust == "bonferroni":
        out[order] = n * p[order]
    elif adjust == "holm":
        out[order] = np.maximum.accumulate((n - rank + 1) * p[order])
    else:
        factor = n / rank if adjust == "fdr" else n - rank + 1
        out[order] = np.minimum.accumulate((factor * p[order])[::-1])[::-1]
    capped: FloatArray = np.minimum(out, 1.0)
    return capped


def _dunnett_tail(t: FloatArray, n: int, df: FloatArray) -> FloatArray:
    """Mix Tukey's and Sidak's tails: emmeans' approximation for comparisons with a control."""
    weight = (n - 1.0) / n
    tukey = tukey_tail(np.sqrt(2.0) * t, means_compared(n), df)
    sidak: FloatArray = -np.expm1(n * np.log1p(-2.0 * t_tail(df, t)))
    tail: FloatArray = weight * tukey + (1.0 - weight) * sidak
    return tail


def _dunnett_value(level: float, n: int, df: FloatArray) -> FloatArray:
    unique, back = np.unique(df, return_inverse=True)
    low = t_quantile(unique, 0.5 + 0.5 * level)
    high = t_quantile(unique, 1.0 - 0.5 * (1.0 - level) / n)
    found = root(lambda t: np.log(_dunnett_tail(t, n, unique) / (1.0 - level)), low, high)
    return np.asarray(found[back])


def _scheffe_value(level: float, rank: int, df: FloatArray) -> FloatArray:
    from scipy.special import chdtri, fdtri  # slow to import

    finite = np.where(np.isinf(df), 1.0, df)
    f = np.where(np.isinf(df), chdtri(rank, 1.0 - level) / rank, fdtri(rank, finite, level))
    value: FloatArray = np.sqrt(rank * f)
    return value
