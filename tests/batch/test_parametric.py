"""Responses drawn without rows have the distribution of responses drawn row by row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import ranef
from models import SHAPES, design_of, frame
from ranef.batch.parametric import make_sampler
from ranef.batch.reduce import reduce
from ranef.batch.refit import make_engine, refit_reduced, refit_responses
from ranef.batch.responses import row_responses
from ranef.covariance.chart import lower_chart
from ranef.estimation import make_problem
from ranef.simulation import draw_responses
from ranef.typing import FloatArray

SIGMA = 1.3


def moments(formula: str, weighted: bool) -> tuple[FloatArray, FloatArray]:
    """Return second moments of (Q'e, c) and the mean of e'e: sampled, and exact."""
    design = design_of(formula, 4, weighted)
    problem = make_problem(design, reml=True)
    engine = make_engine(problem)
    assert engine.structure is not None
    rng = np.random.default_rng(8)
    chart = lower_chart(problem.objective.blocks)
    zeros = tuple(np.zeros((group.width, group.width)) for group in problem.groups)
    T = chart.write(zeros, rng.standard_normal(chart.size))
    sampler = make_sampler(engine.structure, T, SIGMA, problem.basis.estimate)
    drawn = sampler.draw(rng, 20_000)
    found = np.concatenate([drawn.Q, *(c.reshape(-1, drawn.size) for c in drawn.c)])
    # exact: e = (root(w) Z T u, noise) is linear in standard normals; push them all through
    root = np.ones(len(design.y)) if design.weights is None else np.sqrt(design.weights)
    n = len(root)
    parts = [np.eye(n) / root[:, None]]
    for group, t in zip(problem.groups, T, strict=True):
        Z = np.zeros((n, group.size, group.width))
        for a, column in enumerate(group.columns):
            Z[np.arange(n), group.codes, a] = 1.0 if column is None else column
        parts.append((Z @ group.whitening @ t).reshape(n, -1))
    linear = SIGMA * np.concatenate(parts, axis=1)
    exact = row_responses(problem, linear, design.weights)
    # what was subtracted comes back: e itself, not its least-squares residual
    q = problem.basis.R @ exact.estimate + exact.Q
    whole = reduce(engine.structure, exact)
    c = [
        part + np.einsum("pkru,pb->krub", family.X, q)
        for part, family in zip(whole.c, engine.structure.families, strict=True)
    ]
    images = np.concatenate([q, *(part.reshape(-1, part.shape[-1]) for part in c)])
    weighted_rows = linear * root[:, None]
    total = float((weighted_rows * weighted_rows).sum())
    sampled = np.append((found @ found.T / drawn.size).ravel(), drawn.yy.mean())
    return sampled, np.append((images @ images.T).ravel(), total)


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    "shape", ["slopes", "diagonal", "nested", "crossed", "no fixed effects", "aliased columns"]
)
def test_second_moments(shape: str, weighted: bool) -> None:
    """Covariances of Z'e and Q'e, and the mean of e'e, are those of the model."""
    sampled, exact = moments(SHAPES[shape], weighted)
    scale = np.abs(exact).max()
    # 20 000 draws: standard errors of covariances are at most 1 % of the largest; five of them
    assert np.abs(sampled[:-1] - exact[:-1]).max() < 0.05 * scale
    assert sampled[-1] == pytest.approx(exact[-1], rel=0.01)


MODELS = {
    "balanced": ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
    "balanced, nested": ("pastes", "strength ~ 1 + (1 | batch / cask)"),
    "balanced, crossed": ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
    "borders differ": ("orthodont", "distance ~ age * Sex + (age | Subject)"),
    "no fixed effects": ("sleepstudy", "Reaction ~ 0 + (Days | Subject)"),
    "few spare blocks": ("rail", "travel ~ 1 + (1 | Rail)"),
}


@pytest.mark.parametrize("name", MODELS)
def test_estimates_have_the_same_distribution(name: str) -> None:
    """Kolmogorov-Smirnov tests of every estimate, rotated blocks included, fixed seeds."""
    dataset, formula = MODELS[name]
    model = ranef.fit(formula, ranef.datasets.load(dataset))
    problem, T = model.problem, model.state.factorization.T
    engine = make_engine(problem)
    assert engine.structure is not None
    sampler = make_sampler(engine.structure, T, model.sigma, problem.coefficients(model.state))
    short = refit_reduced(engine, sampler.draw(np.random.default_rng(1), 3000))
    rows = draw_responses(model, np.random.default_rng(2))
    Y = np.column_stack([next(rows) for _ in range(3000)])
    long = refit_responses(engine, row_responses(problem, Y))
    pairs = [
        (short.value, long.value),
        (short.sigma2, long.sigma2),
        *zip(short.beta, long.beta, strict=True),
        *(
            ((a @ a.swapaxes(1, 2))[:, i, i], (b @ b.swapaxes(1, 2))[:, i, i])
            for a, b in zip(short.T, long.T, strict=True)
            for i in range(a.shape[1])
        ),
    ]
    # about thirty tests over all models: one below 1e-4 would not be chance
    assert min(stats.ks_2samp(*pair).pvalue for pair in pairs) > 1e-4
    assert not short.failed.any()


def test_degrees_of_freedom_without_residual_rows() -> None:
    """Every direction of the rows is counted once: rank [Z X] and the rest make n."""
    data = frame(1)
    for formula in ("y ~ x + (1 | a)", "y ~ 1 + x * f + (x + z | a)", "y ~ 0 + (x | b)"):
        model = ranef.fit(formula, data)
        engine = make_engine(model.problem)
        assert engine.structure is not None
        T = model.state.factorization.T
        sampler = make_sampler(engine.structure, T, 1.0, model.problem.basis.estimate)
        whole = np.concatenate([model.Z.toarray(), np.asarray(model.X)], axis=1)
        assert sampler.df == model.nobs - np.linalg.matrix_rank(whole)


def test_residual_variance_of_weighted_rows() -> None:
    """Rows are drawn with variance sigma^2 / w."""
    data = frame(3)
    model = ranef.fit("y ~ x + (1 | a)", data, weights="w", offset="o")
    rows = draw_responses(model, np.random.default_rng(1))
    Y = np.column_stack([next(rows) for _ in range(4000)])
    between = float(model.VarCorr.sd["a"].iloc[0]) ** 2
    expected = between + model.sigma**2 / data["w"].to_numpy()
    # a variance from 4000 draws has a standard error of 2.2 %: five of them
    np.testing.assert_allclose(Y.var(axis=1), expected, rtol=0.12)
    mean = model.X @ model.fixef.to_numpy() + data["o"].to_numpy()
    np.testing.assert_allclose(Y.mean(axis=1), mean, atol=5 * np.sqrt(expected.max() / 4000))
