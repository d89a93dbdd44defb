"""Tests of a variance that is zero: how often it is found significant.

Under the null hypothesis the variance lies on the boundary of what is possible, and the likelihood
ratio does not follow a chi-squared distribution. Compared are chi-squared as if there were no
boundary, the mixture of chi-squared distributions that holds for many groups, and, for one
variance, the exact distribution, simulated for the design (approximate where other random effects
stay in the model); for more, the parametric bootstrap, on a tenth of the replicates. All by REML.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import designs
import numpy as np
import pandas as pd
from report import rate, table

from ranef.inference.boundary import ChiBarSquared
from ranef.inference.compare import compare
from ranef.inference.exact_rlrt import exact_rlrt

HEADER = ("method", "p < 10 %", "p < 5 %", "p < 1 %")
REPLICATES = {"quick": 300, "full": 10_000}
SIMULATED = {"quick": 500, "full": 2000}
# A likelihood ratio below this is the rounding of two criteria.
ZERO = 1e-6


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A larger model, the smaller one that is true, and the reference distributions.

    Attributes
    ----------
    study : Study
        With the true standard deviations, some of them zero.
    null : str or None
        Formula of the smaller model; None for the one without random effects.
    df : int
        Parameters that the larger model has in addition.
    exact : bool
        Whether it is one variance, so that the exact distribution is defined.
    """

    study: designs.Study
    null: str | None
    df: int
    exact: bool


def hypotheses() -> tuple[Hypothesis, ...]:
    """Return the three tests."""
    rng = np.random.default_rng(10)
    g = np.repeat(np.arange(10), 2 + np.arange(10) % 5)
    data = pd.DataFrame({"g": g, "x": rng.uniform(-1, 1, len(g))})
    intercept = designs.Study("random intercept", "y ~ x + (1 | g)", data, {"g": (0.0,)})
    g = np.repeat(np.arange(12), 4 + np.arange(12) % 5)
    data = pd.DataFrame({"g": g, "x": rng.uniform(-1, 1, len(g))})
    alone = designs.Study("random slope", "y ~ x + (x || g)", data, {"g": (1.0, 0.0)})
    both = designs.Study("random slope and correlation", "y ~ x + (x | g)", data, {"g": (1.0, 0.0)})
    return (
        Hypothesis(intercept, None, 1, True),
        Hypothesis(alone, "y ~ x + (1 | g)", 1, True),
        Hypothesis(both, "y ~ x + (1 | g)", 2, False),
    )


def run(mode: str, seed: np.random.SeedSequence) -> str:
    """Return the section of the report."""
    found = hypotheses()
    parts = [f"{REPLICATES[mode]} replicates for every hypothesis. In percent."]
    for hypothesis, child in zip(found, seed.spawn(len(found)), strict=True):
        parts.append(_one(hypothesis, mode, child))
    return "\n\n".join(parts)


def _one(hypothesis: Hypothesis, mode: str, seed: np.random.SeedSequence) -> str:
    count, simulated = REPLICATES[mode], SIMULATED[mode]
    study, null = hypothesis.study, hypothesis.null
    design = study.design()
    smaller = None if null is None else study.design(null)
    for_responses, for_tests = seed.spawn(2)
    rng = np.random.default_rng(for_tests)
    references: dict[str, Callable[[float], float]] = {
        "χ²": ChiBarSquared((hypothesis.df,), (1.0,)).tail,
        "mixture": ChiBarSquared((hypothesis.df - 1, hypothesis.df), (0.5, 0.5)).tail,
    }
    p_values = {name: np.full(count, np.nan) for name in references}
    p_values["exact" if hypothesis.exact else "bootstrap"] = np.full(count, np.nan)
    statistics = np.empty(count)
    for r, y in enumerate(study.responses(count, for_responses)):
        model = designs.refit(design, y)
        without = None if smaller is None else designs.refit(smaller, y)
        if hypothesis.exact:
            test = exact_rlrt(model, without, simulated, rng)
            p_values["exact"][r], statistics[r] = test.p_value, test.statistic
        elif without is not None:
            statistics[r] = without.objective - model.objective
            if r < count // 10:
                drawn = compare(
                    without, model, refit=False, method="bootstrap", n=simulated // 5, seed=rng
                )
                p_values["bootstrap"][r] = drawn["p_value"].iloc[1]
        for name, tail in references.items():
            p_values[name][r] = tail(statistics[r])
    rows = [
        (name, *(rate((p < a).sum(), np.isfinite(p).sum()) for a in (0.1, 0.05, 0.01)))
        for name, p in p_values.items()
    ]
    title = f"**{study.name}**, `{study.formula}`, {len(design.y)} rows"
    against = "no random effects" if null is None else f"`{null}`"
    zero = 100 * (statistics < ZERO).mean()
    share = f"the likelihood ratio is zero in {zero:.0f} % of the replicates"
    return f"{title}; against {against}; {share}.\n\n" + table(HEADER, rows)
