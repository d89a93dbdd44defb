"""Refitting many responses at once: each ends where a fit of its own would."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import ranef
from models import SHAPES, design_of
from ranef.batch import refit
from ranef.batch.refit import BatchFit, Engine, make_engine, refit_responses
from ranef.batch.responses import row_responses
from ranef.covariance.chart import Factors, identity
from ranef.design import build_design
from ranef.design.types import Design
from ranef.estimation import make_problem
from ranef.optimize.certificate import Certificate, Verdict
from ranef.optimize.control import Control
from ranef.optimize.driver import GOOD, minimise
from ranef.optimize.result import Optimum
from ranef.typing import FloatArray

# Fits of their own cost 2 to 8 ms each: this many replicates of every shape in both criteria.
REPLICATES = 12


def responses_of(design: Design, seed: int, count: int) -> FloatArray:
    """Return responses from no variance of random effects to much, (n, count)."""
    rng = np.random.default_rng(seed)
    n, codes = len(design.y), design.terms[0].grouping.codes
    x = np.asarray(design.X)[:, -1] if design.X.shape[1] else np.ones(n)
    effects = rng.standard_normal((codes.max() + 1, 2, count))
    effects *= rng.choice([0.0, 0.1, 0.3, 1.0, 5.0], count)
    slopes = rng.choice([0.0, 0.3, 1.0], count)
    Y = effects[codes, 0] + effects[codes, 1] * x[:, None] * slopes
    return np.asarray(Y + rng.standard_normal((n, count)) + 100.0)


def check(design: Design, Y: FloatArray, fit: BatchFit, *, reml: bool) -> None:
    """Compare every replicate with the ordinary fit of its response."""
    for b in range(Y.shape[1]):
        problem = make_problem(replace(design, y=Y[:, b].copy()), reml=reml)
        start = identity(problem.objective.blocks)
        optimum, certificate = minimise(problem.objective, start, "newton", Control())
        assert fit.failed[b] == (certificate.verdict not in GOOD)
        state = problem.objective.state(optimum.T)
        # both searches stop where a Newton step promises less than 1e-8, and then take that step
        assert fit.value[b] == pytest.approx(state.value, abs=1e-8)
        assert fit.singular[b] == bool(certificate.null)
        if certificate.verdict is Verdict.AMBIGUOUS:
            continue
        # estimates move with the root of the criterion: 1e-4 standard errors where it is known to
        # 1e-8. The last step is quadratic, so nearly all agree to 1e-12; but where a variance is
        # about to vanish the criterion is flat
        errors = np.sqrt(np.diagonal(problem.covariance(state)))
        difference = np.abs(fit.beta[:, b] - problem.coefficients(state))
        assert (difference <= 1e-4 * errors).all()
        np.testing.assert_allclose(fit.std_error[:, b], errors, rtol=1e-4)
        assert fit.sigma2[b] == pytest.approx(state.sigma2, rel=1e-4)
        for mine, T in zip(fit.T, optimum.T, strict=True):
            np.testing.assert_allclose(mine[b] @ mine[b].T, T @ T.T, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("reml", "weighted"), [(True, False), (False, True)], ids=["REML", "ML, weighted"]
)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape(shape: str, reml: bool, weighted: bool) -> None:
    """Slopes, diagonal and several terms, nested, crossed, aliased, without fixed effects."""
    design = design_of(SHAPES[shape], 21, weighted)
    problem = make_problem(design, reml=reml)
    Y = responses_of(design, 3, REPLICATES)
    responses = row_responses(problem, Y, design.weights, design.offset)
    fit = refit_responses(make_engine(problem), responses)
    check(design, Y, fit, reml=reml)
    # the vectorised certificate must pass what is ordinary; two far minima are not
    assert problem.objective.competing or fit.fallbacks <= REPLICATES // 4


@pytest.mark.parametrize(
    ("dataset", "formula"),
    [
        ("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
        ("dyestuff", "Yield ~ 1 + (1 | Batch)"),
        ("pastes", "strength ~ 1 + (1 | batch / cask)"),
        ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)"),
        ("orthodont", "distance ~ age * Sex + (age | Subject)"),
    ],
)
def test_balanced_designs(dataset: str, formula: str) -> None:
    """Levels that share their work are fitted as if they did not; half of these are singular."""
    design = build_design(formula, ranef.datasets.load(dataset))
    problem = make_problem(design, reml=True)
    Y = responses_of(design, 4, 60)
    fit = refit_responses(make_engine(problem), row_responses(problem, Y))
    check(design, Y, fit, reml=True)
    assert 0 < fit.singular.sum() < 60


def test_a_start_changes_nothing_here() -> None:
    """One by one, searches from a far, a near and a singular start end at the same point."""
    design = design_of(SHAPES["slopes"], 2, False)
    problem = make_problem(design, reml=True)
    responses = row_responses(problem, responses_of(design, 5, 8))
    engine = Engine(problem, None)
    starts: list[Factors] = [(np.eye(3) * 3.0,), (np.zeros((3, 3)),), (np.diag([1.0, 0.5, 0.0]),)]
    cold = refit_responses(engine, responses)
    for start in starts:
        warm = refit_responses(engine, responses, start)
        np.testing.assert_allclose(warm.value, cold.value, rtol=0, atol=1e-8)


def test_a_second_minimum_is_not_missed() -> None:
    """With two large groups and two of a single row, the lower of two minima is found."""
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(4), [200, 1, 1, 200])
    design = build_design("y ~ 1 + (1 | g)", pd.DataFrame({"y": rng.normal(size=402), "g": g}))
    problem = make_problem(design, reml=True)
    Y = rng.standard_normal((402, 60))
    Y[200:202] = rng.normal(0.0, 4.0, (2, 60))
    fit = refit_responses(make_engine(problem), row_responses(problem, Y))
    check(design, Y, fit, reml=True)


def test_one_by_one_is_the_same() -> None:
    """Designs without small blocks take the ordinary optimizer: same results, same order."""
    design = design_of(SHAPES["crossed"], 6, True)
    problem = make_problem(design, reml=True)
    responses = row_responses(problem, responses_of(design, 7, 12), design.weights, design.offset)
    together = refit_responses(make_engine(problem), responses)
    alone = refit_responses(Engine(problem, None), responses)
    assert alone.fallbacks == 12
    np.testing.assert_allclose(alone.value, together.value, rtol=0, atol=1e-8)
    np.testing.assert_allclose(alone.beta, together.beta, rtol=1e-7)
    np.testing.assert_allclose(alone.std_error, together.std_error, rtol=1e-6)


def test_a_chunk_does_not_depend_on_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """However replicates are put together, each gets its own estimates."""
    design = design_of(SHAPES["nested"], 6, False)
    problem = make_problem(design, reml=True)
    responses = row_responses(problem, responses_of(design, 8, 23))
    whole = refit_responses(make_engine(problem), responses)
    monkeypatch.setattr(refit, "MOST_AT_ONCE", 5)
    parts = refit_responses(make_engine(problem), responses)
    np.testing.assert_allclose(parts.value, whole.value, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(parts.singular, whole.singular)


@pytest.mark.parametrize("batched", [True, False], ids=["batch", "alone"])
def test_failures_are_kept(monkeypatch: pytest.MonkeyPatch, batched: bool) -> None:
    """What no search can certify is NaN with a message, and the others are not touched."""
    design = design_of(SHAPES["intercepts"], 6, False)
    problem = make_problem(design, reml=True)
    responses = row_responses(problem, responses_of(design, 8, 6))
    fine = refit_responses(make_engine(problem), responses)

    def stubborn(*arguments: object) -> tuple[Optimum, Certificate]:
        optimum, certificate = minimise(*arguments)  # type: ignore[arg-type]
        return optimum, replace(certificate, verdict=Verdict.EXHAUSTED)

    monkeypatch.setattr(refit, "minimise", stubborn)
    engine = make_engine(problem) if batched else Engine(problem, None)
    if batched:  # the vectorised certificate passes the even ones only
        certify = refit.certify

        def strict(*arguments: object) -> object:
            ends = certify(*arguments)  # type: ignore[arg-type]
            search = arguments[2]
            return replace(ends, passed=ends.passed & (search.at % 2 == 0))  # type: ignore[attr-defined]

        monkeypatch.setattr(refit, "certify", strict)
    fit = refit_responses(engine, responses)
    failed = np.arange(6) % 2 == 1 if batched else np.ones(6, dtype=bool)
    np.testing.assert_array_equal(fit.failed, failed)
    assert sorted(fit.messages) == np.flatnonzero(failed).tolist()
    assert all("limit on evaluations" in message for message in fit.messages.values())
    assert np.isnan(fit.beta[:, failed]).all() and np.isnan(fit.T[0][failed]).all()
    np.testing.assert_array_equal(fit.value[~failed], fine.value[~failed])


def test_rounding_goes_to_the_scalar_fit() -> None:
    """Random effects ten thousand times the residuals: the batch does not trust itself."""
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(10), 4)
    Y = 1e4 * rng.standard_normal((10, 8))[g] + rng.standard_normal((40, 8))
    design = build_design("y ~ 1 + (1 | g)", pd.DataFrame({"y": Y[:, 0], "g": g}))
    problem = make_problem(design, reml=True)
    fit = refit_responses(make_engine(problem), row_responses(problem, Y))
    assert fit.fallbacks == 8
    for b in range(8):
        single = ranef.fit("y ~ 1 + (1 | g)", {"y": Y[:, b], "g": g})
        assert single.convergence.converged
        # the residual sum of squares is 1e-8 of the total: 8 of 16 digits, times 40 rows
        assert fit.value[b] == pytest.approx(single.objective, abs=1e-5)
