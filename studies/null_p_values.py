"""P-values of true hypotheses about fixed effects: whether they are uniform where that is hard.

For every design the fixed effects are zero. Each replicate is fitted by REML and tested with the
normal distribution, Satterthwaite's and Kenward and Roger's degrees of freedom. Reported are the
share of p-values below 5 % and below 1 %, and Kolmogorov and Smirnov's distance from the uniform
distribution, whose 5 % point is 1.36 / sqrt(replicates), and the share below 5 % among the fits
that are singular.
"""

from __future__ import annotations

import math

import designs
import numpy as np
from report import rate, table
from scipy import stats

from ranef.inference.fixed_tests import fixed_tests
from ranef.typing import DdfMethod, FloatArray

METHODS: tuple[DdfMethod, ...] = ("normal", "satterthwaite", "kenward-roger")
HEADER = ("hypothesis", "method", "p < 5 %", "p < 1 %", "distance", "p < 5 % in singular fits")
REPLICATES = {"quick": 400, "full": 10_000}


def run(mode: str, seed: np.random.SeedSequence) -> str:
    """Return the section of the report."""
    count = REPLICATES[mode]
    studies = (designs.slopes(), designs.growth(), designs.treatments(), designs.crossed())
    parts = [
        f"{count} replicates for every design. In percent; the nominal values are 5 and 1. A "
        f"distance above {1.36 / math.sqrt(count):.3f} is significant at 5 %."
    ]
    for study, child in zip(studies, seed.spawn(len(studies)), strict=True):
        parts.append(_one(study, count, child))
    return "\n\n".join(parts)


def _one(study: designs.Study, count: int, seed: np.random.SeedSequence) -> str:
    design = study.design()
    p_values: dict[tuple[str, DdfMethod], FloatArray] = {}
    singular = np.zeros(count, dtype=bool)
    for r, y in enumerate(study.responses(count, seed)):
        model = designs.refit(design, y)
        singular[r] = model.is_singular
        for method in METHODS:
            for hypothesis, p in _tests(model, method).items():
                p_values.setdefault((hypothesis, method), np.full(count, np.nan))[r] = p
    rows = []
    for (hypothesis, method), p in sorted(p_values.items(), key=lambda item: item[0][0]):
        distance = stats.kstest(p, "uniform").statistic
        rows.append(
            (
                f"`{hypothesis}`",
                method,
                rate((p < 0.05).sum(), count),
                rate((p < 0.01).sum(), count),
                f"{distance:.3f}",
                rate((p[singular] < 0.05).sum(), singular.sum()) if singular.any() else "",
            )
        )
    title = f"**{study.name}**, `{study.formula}`, {len(design.y)} rows"
    return f"{title}; {100 * singular.mean():.0f} % of the fits are singular.\n\n" + table(
        HEADER, rows
    )


def _tests(model: designs.ranef.LinearMixedModel, method: DdfMethod) -> dict[str, float]:
    """Return p-values of all coefficients but the intercept, and of all of them jointly."""
    p = model.coef_table(ddf=method)["p_value"].iloc[1:]
    found = {f"{name} = 0": float(value) for name, value in p.items()}
    if len(p) > 1:
        tests = fixed_tests(model, method)
        found["all = 0 (F)"] = tests.joint(np.eye(len(p) + 1)[1:], tests.beta[1:]).p_value
    return found
