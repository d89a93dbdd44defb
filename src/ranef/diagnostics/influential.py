"""Whether groups move the fixed effects more than groups of a good model do.

How large a Cook's distance is usual depends on the design: with six groups each matters much, with
sixty none should. The model says how large: leaving out group j moves the fixed effects by a
normal vector of known covariance, so that

    p D_j  ~  sum_k lambda_jk chi^2_1,       lambda_jk the eigenvalues of `Removal.expected`.

A group is named if its D_j exceeds the value that any of the J groups of the factor exceeds with
probability `LEVEL`. Tails of the sum are those of the chi-squared distribution with the same mean,
variance and skewness (Imhof 1961, Biometrika 48).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ranef.diagnostics.finding import LEVEL, Finding, Outcome, shown, skipped
from ranef.diagnostics.influence import groupings, is_independent, removal
from ranef.model import LinearMixedModel
from ranef.typing import FloatArray

# With more levels of a factor that shares rows with others, closed-form deletion takes too long
# to be part of a routine check.
MOST_CROSSED = 500
# Fewer groups cannot be told apart.
FEWEST_GROUPS = 5
SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Factor:
    """The groups of one grouping factor: Cook's distances, and how unusual they are."""

    name: str
    levels: pd.Index
    cooks: FloatArray
    p: FloatArray


def influential_groups(model: LinearMixedModel) -> Finding:
    """Return the finding about the groups of all grouping factors."""
    topic = "Influential groups"
    looked_at = "Cook's distance of every group, by deletion"
    if len(model.problem.basis.kept) == 0:
        return skipped(topic, looked_at, "there are no fixed effects")
    factors = [
        _factor(model, name)
        for name, grouping in groupings(model).items()
        if grouping.size >= FEWEST_GROUPS
        and (grouping.size <= MOST_CROSSED or is_independent(model, grouping.codes))
    ]
    if not factors:
        reason = f"only factors with {FEWEST_GROUPS} to {MOST_CROSSED} groups are looked at"
        return skipped(topic, looked_at, reason)
    tests = sum(int(np.isfinite(f.p).sum()) for f in factors)
    named = ", ".join(f.name for f in factors)
    best = min(factors, key=lambda f: np.nanmin(f.p, initial=1.0))
    smallest = min(1.0, float(np.nanmin(best.p, initial=1.0)) * max(tests, 1))
    looked_at = f"{looked_at}: {named}"
    unusual = sorted(
        ((f, int(i)) for f in factors for i in np.flatnonzero(f.p * tests < LEVEL)),
        key=lambda found: found[0].p[found[1]],
    )
    if not unusual:
        f = max(factors, key=lambda f: np.nanmax(f.cooks, initial=0.0))
        if not np.isfinite(f.cooks).any():
            return skipped(topic, looked_at, "no group can be left out")
        i = int(np.nanargmax(f.cooks))
        verdict = f"none is unusual; the largest is {f.cooks[i]:.2g} ({f.name} {f.levels[i]})"
        return Finding(topic, Outcome.FINE, looked_at, smallest, verdict)
    texts = [f"{f.name} {f.levels[i]} ({f.cooks[i]:.2g})" for f, i in unusual[:SHOWN]]
    more = f" and {len(unusual) - SHOWN} more" if len(unusual) > SHOWN else ""
    return Finding(
        topic,
        Outcome.LOOK,
        looked_at,
        smallest,
        f"larger than such groups should have: {', '.join(texts)}{more} ({shown(smallest)})",
        "see influence(by=...) for what changes without them, and look at their data",
    )


def _factor(model: LinearMixedModel, name: str) -> _Factor:
    found = removal(model, name)
    p = len(model.problem.basis.kept)
    total = found.distance / model.state.sigma2
    return _Factor(
        name,
        groupings(model)[name].levels,
        total / p,
        weighted_chi2_tail(total, found.expected),
    )


def weighted_chi2_tail(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return P(sum_k weights_k chi^2_1 > value) for m sums, by three moments.

    Parameters
    ----------
    values : float64 array (m,)
    weights : float64 array (m, p)
        Not negative. Values with missing weights, or without any, have NaN.
    """
    from scipy import stats

    first, second, third = (np.asarray((weights**k).sum(axis=1)) for k in (1, 2, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        df = second**3 / third**2
        tail = stats.chi2.sf((values - first) * np.sqrt(df / second) + df, df)
    result: FloatArray = np.asarray(tail, dtype=np.float64)
    return result
