"""Whether residuals and random effects are normal.

Both are estimates that the model itself has shrunken, and tests of them have limits. Residuals are
divided by their standard deviations sigma sqrt(1 - h); conditional modes of an effect by theirs,

    Var(b_j) = sigma^2 (Sigma - C_jj),      C_jj the prediction error variance of b_j,

which differ between levels of unequal size. Few levels tell little about their distribution, and
shrunken modes look more normal than effects are: what is not rejected is not proved. With very
many rows everything is rejected, so that a departure too small to matter is called that.
"""

from __future__ import annotations

import numpy as np

from ranef.diagnostics.finding import LEVEL, Finding, Outcome, shown, skipped
from ranef.diagnostics.residuals import studentized
from ranef.linalg.adjoint import conditional_blocks
from ranef.model import LinearMixedModel
from ranef.typing import FloatArray

# Fewer values say nothing about a distribution; beyond MOST the test of Shapiro and Wilk, whose
# p-values were tabulated up to there, gives way to that of D'Agostino and Pearson.
FEWEST, MOST = 8, 5000
# Skewness and excess kurtosis below these are common and change little.
SMALL_SKEWNESS, SMALL_KURTOSIS = 0.5, 1.0
SHOWN = 3
# Effects whose modes have less than this share of their variance are shrunken to nothing.
SMALLEST_SHARE = 1e-6


def normal_residuals(model: LinearMixedModel) -> Finding:
    """Return the finding about the residuals."""
    topic = "Normal residuals"
    every = studentized(model)
    values = every[np.isfinite(every)]
    if len(values) < FEWEST:
        return skipped(topic, "studentized residuals", f"fewer than {FEWEST} residuals say nothing")
    name, p = normality_test(values)
    looked_at = f"{len(values)} studentized residuals, {name}"
    if p >= LEVEL:
        return Finding(topic, Outcome.FINE, looked_at, p, f"no departure seen ({shown(p)})")
    skewness, kurtosis = moments(values)
    verdict, small = _shape(skewness, kurtosis, p)
    if small:
        return Finding(topic, Outcome.FINE, looked_at, p, verdict)
    if abs(skewness) >= abs(kurtosis):
        advice = "transform the response (log, square root), or look for a missing predictor"
    elif kurtosis > 0.0:
        largest = np.argsort(-np.abs(np.nan_to_num(every)))[:SHOWN]
        rows = ", ".join(str(model.design.index[i]) for i in largest)
        advice = (
            f"look at the rows with the largest residuals ({rows}, ...); estimates of fixed "
            "effects bear heavy tails well, intervals for variances do not"
        )
    else:
        advice = (
            "is the response bounded, or a mixture? Tests bear light tails well; predictions of "
            "single observations reach too far"
        )
    return Finding(topic, Outcome.LOOK, looked_at, p, verdict, advice)


def normal_effects(model: LinearMixedModel) -> Finding:
    """Return the finding about the random effects of all grouping factors."""
    topic = "Normal random effects"
    tested: list[tuple[float, str, FloatArray]] = []
    few: list[str] = []
    for name, values in standardised_effects(model).items():
        if len(values) < FEWEST:
            few.append(name)
        else:
            tested.append((normality_test(values)[1], name, values))
    if not tested:
        reason = (
            f"fewer than {FEWEST} levels say nothing about a distribution"
            if few
            else "no effect has a variance that its modes could show"
        )
        return skipped(topic, "conditional modes", reason)
    p, name, values = min(tested, key=lambda found: found[0])
    p = min(1.0, p * len(tested))
    looked_at = f"conditional modes of {len(tested)} effect{'s' * (len(tested) > 1)}, "
    looked_at += f"tests of normality{', Bonferroni' if len(tested) > 1 else ''}"
    if p >= LEVEL:
        return Finding(topic, Outcome.FINE, looked_at, p, f"no departure seen ({shown(p)})")
    verdict, small = _shape(*moments(values), p)
    if small:
        return Finding(topic, Outcome.FINE, looked_at, p, f"{name}: {verdict}")
    return Finding(
        topic,
        Outcome.LOOK,
        looked_at,
        p,
        f"{name}: {verdict}",
        "look at the extreme levels, and for a predictor that separates groups of levels; a skew "
        "often goes when the response is transformed",
    )


def standardised_effects(model: LinearMixedModel) -> dict[str, FloatArray]:
    """Return the modes of every effect that has a variance, by their standard deviations.

    Named ``Days|Subject``; one value for every level whose rows say something about the effect.
    """
    problem, state = model.problem, model.state
    errors = conditional_blocks(state.factorization, fixed=True)
    modes = problem.effects(state)
    T = state.factorization.T
    out = {}
    for slot in problem.slots:
        W = problem.groups[slot.factor].whitening
        for name, a in zip(slot.term.names, range(slot.start, slot.stop), strict=True):
            whole = W[a] @ T[slot.factor]
            total = float(whole @ whole)
            known = total - np.einsum("i,ijl,j->l", W[a], errors[slot.factor], W[a])
            seen = known > SMALLEST_SHARE * total
            if total > 0.0 and seen.any():
                sd = np.sqrt(state.sigma2 * known[seen])
                out[f"{name}|{slot.term.grouping.name}"] = modes[slot.factor][a][seen] / sd
    return out


def normality_test(values: FloatArray) -> tuple[str, float]:
    """Return the name and the p-value of a test of normality."""
    from scipy import stats

    if np.ptp(values) == 0.0:
        return "no test", 1.0
    if len(values) <= MOST:
        return "Shapiro-Wilk test", float(stats.shapiro(values).pvalue)
    return "D'Agostino-Pearson test", float(stats.normaltest(values).pvalue)


def moments(values: FloatArray) -> tuple[float, float]:
    """Return skewness and excess kurtosis."""
    z = values - values.mean()
    variance = float((z * z).mean())
    return float((z**3).mean()) / variance**1.5, float((z**4).mean()) / variance**2 - 3.0


def _shape(skewness: float, kurtosis: float, p: float) -> tuple[str, bool]:
    """Return the departure in words, and whether it is too small to matter."""
    small = abs(skewness) < SMALL_SKEWNESS and abs(kurtosis) < SMALL_KURTOSIS
    if abs(skewness) >= abs(kurtosis):
        side = "right" if skewness > 0 else "left"
        text = f"skewed to the {side} (skewness {skewness:.2f}, {shown(p)})"
    else:
        tails = "heavier" if kurtosis > 0 else "lighter"
        text = f"{tails} tails than normal (excess kurtosis {kurtosis:.2f}, {shown(p)})"
    return f"{text}, too little to matter" if small else text, small
