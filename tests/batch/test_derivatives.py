"""The vectorised criterion against dense n x n algebra: value, slopes, curvature, estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models import SHAPES, design_of, random_theta
from oracle import Dense
from ranef.batch.chart import pivoted, transform
from ranef.batch.criterion import Criterion
from ranef.batch.reduce import reduce
from ranef.batch.responses import row_responses
from ranef.batch.structure import make_structure
from ranef.covariance.chart import Chart, lower
from ranef.estimation import make_problem

REPLICATES = 3


def relative(found: object, wanted: object) -> float:
    """Return the largest difference, relative to the largest number (or to 1)."""
    wanted = np.asarray(wanted)
    return float(
        np.abs(np.asarray(found) - wanted).max(initial=0) / (1 + np.abs(wanted).max(initial=0))
    )


@pytest.mark.parametrize("singular", [False, True], ids=["regular", "zeros"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("shape", SHAPES)
def test_against_dense_algebra(shape: str, reml: bool, weighted: bool, singular: bool) -> None:
    """Every replicate has its own response, its own T and its own pivoting; T may have zeros."""
    design = design_of(SHAPES[shape], 11, weighted)
    problem = make_problem(design, reml=reml)
    rng = np.random.default_rng(5)
    Y = design.y[:, None] + rng.standard_normal((len(design.y), REPLICATES))
    structure = make_structure(problem.objective.plan.products)
    assert structure is not None
    responses = reduce(structure, row_responses(problem, Y, design.weights, design.offset))
    criterion = Criterion(structure, problem.objective)
    blocks = problem.objective.blocks
    factors = [
        lower(problem.to_core(random_theta(design, 20 + b, singular=singular)), blocks)
        for b in range(REPLICATES)
    ]
    T, charts = pivoted(tuple(np.stack(t, axis=-1) for t in zip(*factors, strict=True)), blocks)
    point, slopes = criterion.evaluate(responses, T)
    gradient, average, exact = transform(
        slopes, T, charts, criterion.entries, criterion.nu / point.r2, criterion.nu
    )
    for b in range(REPLICATES):
        mine = replace(design, y=Y[:, b].copy())
        dense = Dense.of_core(make_problem(mine, reml=reml), mine, reml=reml)
        at = dense.at(tuple(t[..., b] for t in T))
        chart = Chart(charts.factor, charts.row[:, b], charts.col)
        F = [slope[..., b] for slope in slopes.F]
        beta = responses.estimate[:, b] + problem.basis.R_inverse @ point.gamma[:, b]
        # n = 80: an inverse of an 80 x 80 matrix keeps 12 digits or so, cancellation takes two
        assert point.value[b] == pytest.approx(at.value, abs=1e-9)
        assert point.r2[b] == pytest.approx(at.r2, rel=1e-10)
        assert relative(beta, at.beta) < 1e-9
        for found, wanted in zip(F, at.F, strict=True):
            assert relative(found, wanted) < 1e-9
        slope = [2.0 * (at.F[f] @ T[f][..., b])[a, c] for f, a, c in _entries(chart)]
        assert relative(gradient[:, b], slope) < 1e-9
        assert relative(average[..., b], at.hessian(chart, average=True)) < 1e-9
        assert relative(exact[..., b], at.hessian(chart, average=False)) < 1e-9


def _entries(chart: Chart) -> list[tuple[int, int, int]]:
    return list(zip(chart.factor.tolist(), chart.row.tolist(), chart.col.tolist(), strict=True))
