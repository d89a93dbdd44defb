"""Coverage of 95 % intervals: how often they contain the truth, and on which side they miss it.

Replicates of a design with random slopes are fitted by REML, and every method gives its intervals
for the fixed effects, the standard deviations, the correlation and sigma. An interval with an end
that cannot be given (NaN) misses on neither side, and is counted apart.
"""

from __future__ import annotations

from collections.abc import Callable

import designs
import numpy as np
import pandas as pd
from report import rate, table

import ranef
from ranef.errors import FitError
from ranef.inference.bootstrap import bootstrap
from ranef.inference.bootstrap_intervals import IntervalKind
from ranef.inference.confint import confint
from ranef.typing import DdfMethod

Intervals = Callable[[ranef.LinearMixedModel], dict[str, pd.DataFrame]]

HEADER = ("method", "covered", "truth below", "truth above", "no interval", "median width")
REPLICATES = {"quick": 60, "full": 1000}
BOOTSTRAP = {"quick": 200, "full": 999}
KINDS: tuple[IntervalKind, ...] = ("percentile", "basic", "bca")
LEVEL = 0.95


def methods(mode: str, rng: np.random.Generator) -> tuple[Intervals, ...]:
    """Return functions from a model to frames with columns lower and upper, by name."""

    def wald(ddf: DdfMethod) -> Intervals:
        return lambda model: {f"Wald, {ddf}": confint(model, "wald", LEVEL, "beta_", ddf=ddf)}

    def variances(model: ranef.LinearMixedModel) -> dict[str, pd.DataFrame]:
        return {"Wald": confint(model, "wald", LEVEL, "theta_")}

    def profile(model: ranef.LinearMixedModel) -> dict[str, pd.DataFrame]:
        try:
            return {"profile": confint(model, "profile", LEVEL)}
        except FitError:
            return {"profile": pd.DataFrame(columns=["lower", "upper"])}

    def resampled(model: ranef.LinearMixedModel) -> dict[str, pd.DataFrame]:
        result = bootstrap(model, BOOTSTRAP[mode], seed=int(rng.integers(2**31)))
        return {f"bootstrap, {kind}": result.confint(LEVEL, kind) for kind in KINDS}

    fixed = (wald("normal"), wald("satterthwaite"), wald("kenward-roger"))
    return (*fixed, variances, profile, resampled)


def truth(study: designs.Study) -> dict[str, float]:
    """Return the true values by the names of the intervals."""
    (group, (intercept, slope)), *_ = study.sd.items()
    return {
        "Intercept": 0.0,
        "x": 0.0,
        f"sd_Intercept|{group}": intercept,
        f"sd_x|{group}": slope,
        f"cor_x.Intercept|{group}": study.correlation,
        "sigma": study.sigma,
    }


def run(mode: str, seed: np.random.SeedSequence) -> str:
    """Return the section of the report."""
    found = (designs.growth(10), designs.growth(25))
    parts = [
        f"{REPLICATES[mode]} replicates for every design, {BOOTSTRAP[mode]} bootstrap samples for "
        "each. In percent; the nominal values are 95, 2.5 and 2.5."
    ]
    for study, child in zip(found, seed.spawn(len(found)), strict=True):
        parts.append(_one(study, mode, child))
    return "\n\n".join(parts)


def _one(study: designs.Study, mode: str, seed: np.random.SeedSequence) -> str:
    count = REPLICATES[mode]
    for_responses, for_intervals = seed.spawn(2)
    known, design = truth(study), study.design()
    ways = methods(mode, np.random.default_rng(for_intervals))
    ends: dict[str, np.ndarray] = {}
    singular = 0
    for r, y in enumerate(study.responses(count, for_responses)):
        model = designs.refit(design, y)
        singular += model.is_singular
        found = {name: frame for way in ways for name, frame in way(model).items()}
        for name, frame in found.items():
            pairs = ends.setdefault(name, np.full((count, len(known), 2), np.nan))
            pairs[r] = frame.reindex(list(known))[["lower", "upper"]].to_numpy(dtype=float)
    title = f"**{study.name}**, `{study.formula}`, {len(design.y)} rows"
    parts = [f"{title}; {100 * singular / count:.0f} % of the fits are singular."]
    for i, (parameter, value) in enumerate(known.items()):
        rows = [
            (name, *_counts(pairs[:, i], value))
            for name, pairs in ends.items()
            if np.isfinite(pairs[:, i]).any()
        ]
        parts.append(f"`{parameter}`, truth {value:g}\n\n" + table(HEADER, rows))
    return "\n\n".join(parts)


def _counts(pairs: np.ndarray, value: float) -> tuple[str, ...]:
    """Return the cells of one row from (replicates, 2) ends."""
    count, given = len(pairs), np.isfinite(pairs).all(axis=1)
    lower, upper = pairs[given].T
    return (
        rate(((lower <= value) & (value <= upper)).sum(), count),
        rate((value < lower).sum(), count),
        rate((value > upper).sum(), count),
        f"{100 * (1 - given.mean()):.1f}",
        f"{np.median(upper - lower):.2f}",
    )
