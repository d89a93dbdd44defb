"""Coverage of prediction intervals: whether they contain new means and new observations.

Every replicate draws groups and responses, fits by REML, and predicts every row twice: for the
groups of the data, and for as many new groups with the same predictors. ``mean`` is the share of
rows whose true mean, x'beta + z'b with the b that was drawn, lies in the confidence interval;
``observation`` the share of new observations that lie in the prediction interval. Replicates
are independent, rows of one are not: the Monte-Carlo error is that of the replicates' shares.

Three methods: what `predict` does by default; without the uncertainty about the covariance
parameters; and in addition with normal quantiles, the usual plus or minus 1.96 standard errors.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import designs
import numpy as np
import pandas as pd
from report import table

from ranef.design import build_design
from ranef.prediction import predict
from ranef.typing import FloatArray

HEADER = ("groups", "method", "mean", "observation", "median half width, observation")
METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "theta as if known": {"theta_uncertainty": False},
    "theta as if known, normal": {"theta_uncertainty": False, "ddf": "normal"},
}
REPLICATES = {"quick": 200, "full": 2000}
LEVEL = 0.95


def one_way() -> designs.Study:
    """Return five groups of 2 to 6 rows: as few as one may dare."""
    g = np.repeat(np.arange(5), [2, 3, 4, 5, 6])
    return designs.Study("5 groups", "y ~ 1 + (1 | g)", pd.DataFrame({"g": g}), {"g": (1.0,)})


def run(mode: str, seed: np.random.SeedSequence) -> str:
    """Return the section of the report."""
    count = REPLICATES[mode]
    studies = (one_way(), designs.slopes(), designs.growth(25), designs.crossed())
    parts = [f"{count} replicates for every design. In percent; nominal is {100 * LEVEL:.0f}."]
    for study, child in zip(studies, seed.spawn(len(studies)), strict=True):
        parts.append(_one(study, count, child))
    return "\n\n".join(parts)


def _one(study: designs.Study, count: int, seed: np.random.SeedSequence) -> str:
    n = len(study.data)
    new = study.data.assign(**{group: study.data[group] + 1000 for group in study.sd})
    both = replace(study, data=pd.concat([study.data, new], ignore_index=True))
    design = build_design(study.formula, study.data.assign(y=np.arange(n, dtype=float) % 7))
    shares: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for mean, noise in _draws(both, count, seed):
        y = mean + noise
        model = designs.refit(design, y[0, :n])
        for name, options in METHODS.items():
            for groups, rows in (("known", slice(0, n)), ("new", slice(n, 2 * n))):
                data = study.data if groups == "known" else new
                found = [
                    _hits(predict(model, data, new_levels="population", interval=kind, **options),
                          truth[rows])
                    for kind, truth in (("confidence", mean[0]), ("prediction", y[1]))
                ]  # fmt: skip
                shares.setdefault((groups, name), []).append(
                    (found[0][0], found[1][0], found[1][1])
                )
    rows = []
    for (groups, name), found in sorted(shares.items()):
        covered_mean, covered, width = np.array(found).T
        rows.append(
            (groups, name, _share(covered_mean), _share(covered), f"{np.median(width):.2f}")
        )
    return f"**{study.name}**, `{study.formula}`, {n} rows\n\n" + table(HEADER, rows)


def _draws(
    study: designs.Study, count: int, seed: np.random.SeedSequence
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield true means (1, n), and two independent sets of noise (2, n)."""
    means, noise = seed.spawn(2)
    without = replace(study, sigma=0.0)
    rng = np.random.default_rng(noise)
    for mean in without.responses(count, means):
        yield mean[None], study.sigma * rng.standard_normal((2, len(mean)))


def _hits(interval: pd.DataFrame, truth: FloatArray) -> tuple[float, float]:
    """Return the share of rows that contain the truth, and the median half width."""
    inside = (interval["lower"] <= truth) & (truth <= interval["upper"])
    return float(inside.mean()), float((interval["upper"] - interval["prediction"]).median())


def _share(shares: FloatArray) -> str:
    error = shares.std(ddof=1) / np.sqrt(len(shares))
    return f"{100 * shares.mean():.1f} ± {100 * error:.1f}"


if __name__ == "__main__":
    chosen = "full" if "--full" in sys.argv[1:] else "quick"
    print(run(chosen, np.random.SeedSequence(20261121)))
