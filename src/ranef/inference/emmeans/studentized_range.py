"""The studentized range: how large the largest of all pairwise differences is by chance.

For k independent standard normal means and s^2 ~ chi-squared(df) / df,

    P(Q > q) = integral f(s) S(q s) ds,
    S(w)     = k integral phi(z) [Phi(z)^(k-1) - (Phi(z) - Phi(z - w))^(k-1)] dz,

S being the tail of the range itself. Both integrands are analytic and fall off at least like
exponentials, in z and in log s, so the trapezoidal rule converges geometrically (Trefethen and
Weideman 2014, SIAM Review 56). The difference in S is formed with expm1 and log1p: small tail
probabilities keep their relative accuracy, which differences from 1 lose. Agrees with R's
``ptukey`` as far as that is accurate; k need not be an integer.
"""

from __future__ import annotations

import numpy as np

from ranef.typing import FloatArray

# A normal density is below rounding beyond this.
FAR = 8.5
# Points of the inner integral, and of the outer one per standard deviation of log s, for few means;
# with many, the largest of them is nearly fixed, and the integrands have steeper slopes.
INNER, STEPS = 64, 4.0
FEW = 20.0
# What the outer integrand may fall to before it is cut: exp(-40).
CUT = 40.0
LARGEST_OUTER = 1200
# A range this large has no probability that a double can hold.
IMPOSSIBLE = 54.0
# Elements of the arrays that are worked on at once.
CHUNK = 2_000_000
# Degrees of freedom beyond which s is 1 for all purposes: the error is below 1 / df.
INFINITE = 1e12


def range_tail(w: FloatArray, k: float) -> FloatArray:
    """Return P(range of k standard normals > w), w (n,) non-negative."""
    from scipy.special import log_ndtr  # slow to import

    out = np.zeros_like(w)
    used = w < IMPOSSIBLE
    x = w[used, None]
    count = int(INNER * _fineness(k))
    step = (0.5 * x + 2.0 * FAR) / count
    z = step * np.arange(count + 1) - FAR
    below = log_ndtr(z)
    share = np.minimum(np.exp(log_ndtr(z - x) - below), 1.0)
    with np.errstate(divide="ignore"):  # log1p(-1) where the range is zero
        missed = -np.expm1((k - 1.0) * np.log1p(-share))
    total = (np.exp((k - 1.0) * below - 0.5 * z * z) * missed).sum(axis=1)
    out[used] = np.minimum(k / np.sqrt(2.0 * np.pi) * step[:, 0] * total, 1.0)
    return out


def tukey_tail(q: FloatArray, k: float, df: FloatArray) -> FloatArray:
    """Return P(Q > q) for the studentized range of k means.

    Parameters
    ----------
    q, df : float64 array (n,)
        ``df`` may be infinite; NaN in either gives NaN.
    k : float
        Number of means, above 1.

    Returns
    -------
    float64 array (n,)
    """
    q, df = np.broadcast_arrays(np.asarray(q, np.float64), np.asarray(df, np.float64))
    out = np.full(q.shape, np.nan)
    known = np.isfinite(q) & ~np.isnan(df)
    out[known & (q <= 0.0)] = 1.0
    known &= q > 0.0
    normal = known & (df > INFINITE)
    if normal.any():
        out[normal] = range_tail(q[normal], k)
    rest = np.flatnonzero(known & ~normal)
    for rows in np.array_split(rest, max(1, int(len(rest) * 200 * INNER / CHUNK))):
        if len(rows):
            out[rows] = _finite(q[rows], k, df[rows])
    return out


def tukey_quantile(probability: float, k: float, df: FloatArray) -> FloatArray:
    """Return q with P(Q > q) = 1 - probability, for every df (n,).

    Regula falsi on log P between the value for one comparison and Bonferroni's for all.
    """
    from scipy.special import stdtrit

    unique, back = np.unique(df, return_inverse=True)
    tail = 1.0 - probability
    finite = np.minimum(unique, INFINITE)
    one = -np.sqrt(2.0) * stdtrit(finite, 0.5 * tail)
    all_pairs = -np.sqrt(2.0) * stdtrit(finite, tail / (k * (k - 1.0)))
    found = root(lambda q: np.log(tukey_tail(q, k, unique) / tail), one, all_pairs)
    return np.asarray(found[back])


def root(function, low: FloatArray, high: FloatArray) -> FloatArray:  # type: ignore[no-untyped-def]
    """Return where decreasing functions vanish, element by element (Illinois method)."""
    low, high = low.copy(), high * (1.0 + 1e-9)
    f_low, f_high = function(low), function(high)
    x = high
    for _ in range(60):
        with np.errstate(invalid="ignore", divide="ignore"):
            x = (low * f_high - high * f_low) / (f_high - f_low)
        x = np.where(np.isfinite(x), x, 0.5 * (low + high))
        f = function(x)
        if np.nanmax(np.abs(f), initial=0.0) < 1e-13:
            break
        same = f > 0.0
        low, high = np.where(same, x, low), np.where(same, high, x)
        # the end that stays loses half of its weight, so that it moves too
        f_low, f_high = np.where(same, f, 0.5 * f_low), np.where(same, 0.5 * f_high, f)
    return x


def _finite(q: FloatArray, k: float, df: FloatArray) -> FloatArray:
    """Integrate over u = log s: the density of u is c exp(df u - df exp(2u) / 2)."""
    # S behaves like exp(-q^2 s^2 / 4) or like 1: the mode lies between these two
    mode = 0.5 * np.log(df / (df + 0.5 * q * q))
    width = np.sqrt(CUT / df)
    low, high = mode - width - CUT / df, width
    deviation = 1.0 / np.sqrt(2.0 * df)
    needed = STEPS * _fineness(k) * float(((high - low) / np.minimum(deviation, 0.5)).max())
    count = int(np.clip(needed, 40, LARGEST_OUTER))
    step = (high - low) / count
    u = low[:, None] + step[:, None] * np.arange(count + 1)
    log_density = _constant(df)[:, None] - 0.5 * df[:, None] * (np.expm1(2.0 * u) - 2.0 * u)
    tails = range_tail((q[:, None] * np.exp(u)).ravel(), k).reshape(u.shape)
    result: FloatArray = np.minimum(step * (np.exp(log_density) * tails).sum(axis=1), 1.0)
    return result


def _constant(df: FloatArray) -> FloatArray:
    """Return log 2 + h log h - h - log Gamma(h), h = df / 2, without cancellation."""
    from scipy.special import gammaln

    h = 0.5 * df
    with np.errstate(over="ignore", invalid="ignore"):
        exact = h * np.log(h) - h - gammaln(h)
    stirling = 0.5 * np.log(h / (2.0 * np.pi)) - (1.0 / 12.0 - 1.0 / (360.0 * h * h)) / h
    constant: FloatArray = np.log(2.0) + np.where(h > 100.0, stirling, exact)
    return constant


def _fineness(k: float) -> float:
    return min(1.0 + max(0.0, k - FEW) / (8.0 * FEW), 3.0)
