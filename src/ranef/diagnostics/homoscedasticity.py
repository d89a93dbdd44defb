"""Whether the residual variance is the same everywhere.

Against the fitted values: squared studentized residuals, regressed on them. n R^2 of that is
chi-squared with one degree of freedom (Koenker 1981, Journal of Econometrics 17; the test of
Breusch and Pagan without its assumption of normality). Across groups and factors: an F test between
levels, as Levene's, of the square roots of absolute studentized residuals, which are nearly
symmetric and have mean zero before. Studentizing matters: levels with few rows, and rows with large
leverage, have smaller residuals by construction.

Residuals of one group also depend on each other, because the group's effects were estimated from
them: without correction, groups of five with a slope each would be called different in one of ten
good models. From P V0 P = P follows sum_k cor(e_i, e_k)^2 <= h_i / (1 - h_i) nearly, and roots of
absolute values correlate by 0.69 times the square. So F is divided by

    (1 + c) / (1 - c / (m - 1)),     c = 0.69 mean of h / (1 - h),   m rows per level,

which errs on the safe side where the residuals depend on those of other levels.
"""

from __future__ import annotations

import numpy as np

from ranef.diagnostics.finding import LEVEL, Finding, Outcome, shown, skipped
from ranef.diagnostics.influence import groupings
from ranef.diagnostics.leverage import hat_values
from ranef.diagnostics.residuals import studentized
from ranef.model import LinearMixedModel
from ranef.typing import FloatArray, IntArray

# Rows per level, on average, below which a level says nothing about its variance.
FEWEST_PER_LEVEL = 4
# Cor(|x|^1/2, |y|^1/2) over Cor(x, y)^2 for normal x and y, to first order.
ROOT_CORRELATION = 0.69


def equal_variances(model: LinearMixedModel) -> Finding:
    """Return the finding about the residual variance."""
    topic = "Equal residual variance"
    e = studentized(model)
    use = np.isfinite(e)
    fitted = np.asarray(model.fitted, dtype=np.float64)
    found = [(*against_fitted(e[use], fitted[use]), "the fitted values")]
    for name, levels in _classifications(model).items():
        codes = np.unique(levels[use], return_inverse=True)[1]
        if 1 < codes.max() + 1 <= len(codes) / FEWEST_PER_LEVEL:
            found.append((*across_levels(e[use], hat_values(model)[use], codes), name))
    found = [part for part in found if np.isfinite(part[0])]
    if not found:
        return skipped(topic, "studentized residuals", "too few rows that differ in their mean")
    p, size, name = min(found, key=lambda part: part[0])
    p = min(1.0, p * len(found))
    names = ", ".join(part[2] for part in found)
    looked_at = f"studentized residuals against {names}"
    if p >= LEVEL:
        return Finding(topic, Outcome.FINE, looked_at, p, f"no difference seen ({shown(p)})")
    if name == "the fitted values":
        verdict = f"the variance {'grows' if size > 0 else 'falls'} with the fitted values"
        advice = "transform the response (log, square root), or give weights"
    else:
        verdict = (
            f"the standard deviation differs between levels of {name}, by a factor of {size:.1f} "
            "at most"
        )
        advice = (
            f"plot residuals by {name}; if it is real, give weights or compare with a fit of the "
            "levels apart"
        )
    return Finding(topic, Outcome.LOOK, looked_at, p, f"{verdict} ({shown(p)})", advice)


def _classifications(model: LinearMixedModel) -> dict[str, IntArray]:
    """Return the codes of grouping factors, and of variables of the fixed part that are factors."""
    out = {name: grouping.codes for name, grouping in groupings(model).items()}
    variables = model.design.variables.columns
    for name in model.formula.fixed.names:
        column = variables.get(name)
        if column is not None and column.levels is not None and name not in out:
            out[name] = column.values
    return out


def against_fitted(e: FloatArray, fitted: FloatArray) -> tuple[float, float]:
    """Return p-value and slope of squared residuals on fitted values; NaN if these are constant."""
    from scipy import stats

    x, s = fitted - fitted.mean(), e * e
    s = s - s.mean()
    xx, ss = float(x @ x), float(s @ s)
    if len(x) < 3 or xx <= 1e-20 * float(fitted @ fitted) or ss == 0.0:
        return np.nan, np.nan
    slope = float(x @ s) / xx
    return float(stats.chi2.sf(len(x) * slope * slope * xx / ss, 1)), slope


def across_levels(e: FloatArray, h: FloatArray, codes: IntArray) -> tuple[float, float]:
    """Return p-value, and largest over smallest root mean square of the levels.

    Parameters
    ----------
    e, h : float64 arrays (n,)
        Studentized residuals and leverages.
    codes : int array (n,)
        Every level occurs.
    """
    from scipy import stats

    n, count = len(e), int(codes.max()) + 1
    size = np.bincount(codes)
    a = np.sqrt(np.abs(e))
    means = np.bincount(codes, weights=a) / size
    between = float((size * (means - a.mean()) ** 2).sum())
    within = float(((a - means[codes]) ** 2).sum())
    if within <= 0.0 or n <= count:
        return np.nan, np.nan
    f = (between / (count - 1)) / (within / (n - count))
    c = ROOT_CORRELATION * float((h / (1.0 - h)).mean())
    f *= max(0.0, 1.0 - c / (n / count - 1.0)) / (1.0 + c)
    spread = np.sqrt(np.bincount(codes, weights=e * e) / size)
    smallest = float(spread.min())
    ratio = float(spread.max()) / smallest if smallest > 0.0 else np.inf
    return float(stats.f.sf(f, count - 1, n - count)), ratio
