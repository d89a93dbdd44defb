"""The same yardstick for everybody: ranef's criterion and its gradient at a package's estimates.

    python judge.py NAME DATA.pkl ESTIMATES.json

Packages define criteria with different constants, code factors differently (which shifts REML),
and stop with gradients in coordinates of their own. Here their covariance matrices, divided by
their residual variance, go into one function: the criterion of the model, profiled over fixed
effects and residual variance.

The gradient is that by the elements of the relative Cholesky factor, columns scaled so that a
natural size is one: deviance units per unit. At a variance of zero it vanishes whatever the data
say; there, the slope by the variance itself counts, if the criterion would fall.

The best known criterion is the lowest that anybody reached; ranef continues from there.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import suite

from ranef.covariance.chart import Factors, lower_factor, null_directions, pivoted
from ranef.design import build_design
from ranef.estimation import Problem, make_problem
from ranef.fit import fit_problem
from ranef.objective import Objective
from ranef.optimize.newton import slope_along
from ranef.typing import FloatArray


def problem_of(formula: str, data: pd.DataFrame, reml: bool) -> Problem:
    """Return the model as a function to be minimised."""
    return make_problem(build_design(formula, data), reml=reml)


def factors_of(
    problem: Problem, sigma2: float, covariance: Mapping[str, Sequence[Sequence[float]]]
) -> Factors:
    """Return the core's relative factors for a package's covariance matrices.

    Names of interactions may be in any order: lme4 writes ``(1 | a/b)`` as ``b:a``.
    """
    by_parts = {frozenset(name.split(":")): value for name, value in covariance.items()}
    found: list[FloatArray] = []
    for group in problem.groups:
        S = np.asarray(by_parts[frozenset(group.name.split(":"))], dtype=float) / sigma2
        T = np.zeros_like(S)
        for start, stop in group.blocks:
            values, vectors = np.linalg.eigh(S[start:stop, start:stop])
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            T[start:stop, start:stop] = lower_factor(root)
        found.append(np.asarray(np.linalg.solve(group.whitening, T), dtype=np.float64))
    return tuple(found)


def steepest(objective: Objective, T: Factors) -> float:
    """Return the largest element of the gradient; where variances vanish, of falling slopes."""
    here = objective.evaluate(*pivoted(T, objective.blocks))
    if here is None:
        return math.inf
    slopes = [-slope_along(here, d) for d in null_directions(T, objective.blocks)]
    return float(max([0.0, *np.abs(here.gradient), *slopes]))


def judge(
    formula: str, data: pd.DataFrame, reml: bool, estimates: Mapping[str, Any]
) -> dict[str, Any]:
    """Return value and gradient of every package, and the best value known."""
    problem = problem_of(formula, data, reml)
    objective = problem.objective
    points, found = {}, {}
    for package, estimate in estimates.items():
        T = factors_of(problem, estimate["sigma2"], estimate["covariance"])
        value = objective.value(T)
        points[package] = (value, T)
        finite = math.isfinite(value)
        found[package] = {
            "value": value if finite else None,
            "gradient": steepest(objective, T) if finite else None,
        }
    best, T = min(points.values(), key=lambda point: point[0])
    refined = fit_problem(
        build_design(formula, data), problem, start=problem.to_public(T)
    ).objective
    return {"best": min(best, refined), "packages": found}


def main(name: str, data: str, estimates: str) -> None:
    """Print one line of JSON."""
    case = suite.find(name)
    given = json.loads(Path(estimates).read_text(encoding="utf-8"))
    print(json.dumps(judge(case.formula, pd.read_pickle(data), case.reml, given)))


if __name__ == "__main__":
    main(*sys.argv[1:])
