"""Intervals from bootstrap replicates: percentile, basic, normal and BCa.

With t the estimate, t* its replicates, q(a) their quantile and z the normal one:

    percentile   q(a/2), q(1 - a/2)
    basic        2t - q(1 - a/2), 2t - q(a/2)
    normal       t - bias +- z sd(t*),                    bias = mean(t*) - t
    bca          q(Phi(z0 + (z0 + z) / (1 - acc (z0 + z)))),
                 z0 = Phi^-1(share of t* < t, ties by half),
                 acc = sum d^3 / (6 (sum d^2)^1.5),       d = mean(t_(i)) - t_(i), jackknife

Quantiles are those of the (n + 1) a-th order statistic, interpolated, as in R's boot. Replicates
that are not finite are left out. See Davison and Hinkley 1997, chapter 5; Efron 1987, Journal of
the American Statistical Association 82.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from ranef.errors import OptionError
from ranef.typing import FloatArray

IntervalKind: TypeAlias = Literal["percentile", "basic", "normal", "bca"]

# Fewest replicates from which an interval is made: below, quantiles are but the extremes.
FEWEST = 10
# Fewer jackknife values have no skewness.
FEWEST_LEFT_OUT = 3


def check_enough(n: int) -> int:
    """Return a number of replicates that is enough for intervals; raise OptionError otherwise."""
    if n < FEWEST:
        raise OptionError(
            f"intervals need at least {FEWEST} bootstrap replicates, and 1000 to be of use; got "
            f"n={n}."
        )
    return n


def interval(
    kind: IntervalKind,
    estimate: float,
    replicates: FloatArray,
    level: float,
    jackknife: FloatArray | None = None,
) -> tuple[float, float]:
    """Return the ends of one interval; NaN where there are too few finite replicates.

    Parameters
    ----------
    kind : {"percentile", "basic", "normal", "bca"}
    estimate : float
    replicates : float64 array (n,)
    level : float
        Coverage.
    jackknife : float64 array, optional
        Estimates without one group (or block of groups) each; needed for ``bca``.
    """
    from scipy.special import ndtri  # slow to import, and not needed for a fit

    t = replicates[np.isfinite(replicates)]
    if len(t) < FEWEST or not np.isfinite(estimate):
        return np.nan, np.nan
    tails = np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level])
    if kind == "normal":
        middle, half = 2.0 * estimate - t.mean(), ndtri(tails[1]) * t.std(ddof=1)
        return float(middle - half), float(middle + half)
    if kind == "bca":
        tails = _adjusted(tails, estimate, t, jackknife)
    lower, upper = np.quantile(t, tails, method="weibull")
    if kind == "basic":
        lower, upper = 2.0 * estimate - upper, 2.0 * estimate - lower
    return float(lower), float(upper)


def _adjusted(
    tails: FloatArray, estimate: float, t: FloatArray, jackknife: FloatArray | None
) -> FloatArray:
    """Return the probabilities at which a BCa interval reads the quantiles."""
    from scipy.special import ndtr, ndtri

    below = (float((t < estimate).sum()) + 0.5 * float((t == estimate).sum())) / len(t)
    # all replicates on one side: no more can be said than that fewer than one in n is beyond
    below = min(max(below, 0.5 / len(t)), 1.0 - 0.5 / len(t))
    z0, acceleration = float(ndtri(below)), skewness_sixth(jackknife)
    z = z0 + ndtri(tails)
    left = 1.0 - acceleration * z
    # beyond its pole the transformation turns round: the extreme is meant
    shifted: FloatArray = np.where(left > 0.0, z0 + z / np.where(left > 0.0, left, 1.0), np.inf * z)
    return np.asarray(ndtr(shifted), dtype=np.float64)


def skewness_sixth(jackknife: FloatArray | None) -> float:
    """Return the acceleration: a sixth of the skewness of jackknife values, 0 if there is none."""
    if jackknife is None:
        return 0.0
    values = jackknife[np.isfinite(jackknife)]
    if len(values) < FEWEST_LEFT_OUT:
        return 0.0
    d = values.mean() - values
    spread = float((d * d).sum())
    if spread <= (1e-12 * np.abs(values).max()) ** 2:
        return 0.0
    return float((d**3).sum() / (6.0 * spread**1.5))
