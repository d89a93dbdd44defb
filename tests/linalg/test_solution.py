"""Factorisation, estimates, conditional modes and conditional variances, against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from models import SHAPES, VARIANTS, Variant, core_point, through
from oracle import Point
from ranef.covariance.chart import Factors
from ranef.estimation import Problem
from ranef.linalg.adjoint import conditional_blocks, trace_gradient
from ranef.linalg.elimination import factorize
from ranef.linalg.levels import add_by_level
from ranef.linalg.solution import solve

every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def point(
    shape: str, variant: Variant, *, reml: bool = True, singular: bool = False
) -> tuple[Problem, Factors, Point]:
    """Return a random model and point; with ``singular`` the last column of every T is zero."""
    with through(variant):
        problem, T, dense = core_point(SHAPES[shape], 17, reml=reml, weighted=True)
    if singular:
        T = tuple(t * (np.arange(len(t)) < len(t) - 1) for t in T)
    return problem, T, dense.model.at(T)


@every_variant
@every_shape
@pytest.mark.parametrize("singular", [False, True])
def test_factorization(shape: str, variant: Variant, singular: bool) -> None:
    """Log-determinants and r^2 are those of V0, X'V0^-1 X and y'Py."""
    problem, T, dense = point(shape, variant, singular=singular)
    f = factorize(problem.objective.plan, T)
    assert f is not None
    assert f.logdet_random == pytest.approx(np.linalg.slogdet(dense.V0)[1], abs=1e-9)
    fixed = f.logdet_fixed + 2 * problem.basis.logdet
    assert fixed == pytest.approx(np.linalg.slogdet(dense.information)[1], abs=1e-8)
    assert f.r2 == pytest.approx(dense.r2, rel=1e-10)


@every_variant
@every_shape
@pytest.mark.parametrize("singular", [False, True])
def test_estimates(shape: str, variant: Variant, singular: bool) -> None:
    """Coefficients are generalised least squares, modes are Sigma Z'Py; also where singular."""
    problem, T, dense = point(shape, variant, singular=singular)
    state = problem.objective.state(T)
    np.testing.assert_allclose(problem.coefficients(state), dense.beta, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(
        problem.covariance(state),
        dense.sigma2 * np.linalg.inv(dense.information),
        rtol=1e-8,
        atol=1e-11,
    )
    for b, t, factor, wanted in zip(state.solution.b, state.solution.t, T, dense.t, strict=True):
        np.testing.assert_allclose(t, wanted, atol=1e-9)  # t = Z'e, e = y - X beta - Z b = Py
        u = factor.T @ t  # the identity u = T't: modes on the scale where they are standard
        np.testing.assert_allclose(b, factor @ u, atol=1e-9)


@every_variant
@every_shape
def test_the_residual_is_orthogonal(shape: str, variant: Variant) -> None:
    """X'(y - X beta - Z b) = 0, and Z'e is what the solution says."""
    problem, T, dense = point(shape, variant)
    state = problem.objective.state(T)
    e = dense.model.y - dense.model.X @ problem.coefficients(state)
    for Z, b in zip(dense.model.Z, state.solution.b, strict=True):
        e -= np.einsum("njk,kj->n", Z, b)
    np.testing.assert_allclose(e, dense.Py, atol=1e-9)
    np.testing.assert_allclose(dense.model.X.T @ e, 0.0, atol=1e-9)


@every_variant
@every_shape
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("singular", [False, True])
def test_conditional_variances(shape: str, variant: Variant, fixed: bool, singular: bool) -> None:
    """Var(b | y) = Sigma - Sigma Z'V0^-1 Z Sigma; with estimated coefficients P for V0^-1."""
    problem, T, dense = point(shape, variant, singular=singular)
    f = factorize(problem.objective.plan, T)
    assert f is not None
    for found, wanted in zip(
        conditional_blocks(f, fixed=fixed), dense.predictive(fixed=fixed), strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-9)


@every_variant
@every_shape
@pytest.mark.parametrize("reml", [False, True])
def test_trace_gradient(shape: str, variant: Variant, reml: bool) -> None:
    """sum_j [Z'V0^-1 Z]_jj for ML, with P for REML."""
    problem, T, dense = point(shape, variant, reml=reml)
    f = factorize(problem.objective.plan, T)
    assert f is not None
    for found, Z in zip(trace_gradient(f, reml), dense.model.Z, strict=True):
        wanted = np.einsum("mja,mn,njb->ab", Z, dense.Q_, Z, optimize=True)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)


@every_variant
def test_factorizing_changes_nothing(variant: Variant) -> None:
    """Plan and T are left alone: the same call gives the same bits."""
    problem, T, _ = point("nested and crossed", variant)
    plan = problem.objective.plan
    before = [t.copy() for t in T]
    first, second = factorize(plan, T), factorize(plan, T)
    assert first is not None and second is not None
    solve(first)
    conditional_blocks(first, fixed=True)
    trace_gradient(first, True)
    third = factorize(plan, T)
    assert third is not None
    assert first.logdet_random == second.logdet_random == third.logdet_random
    assert first.r2 == second.r2 == third.r2
    np.testing.assert_array_equal(first.root.corner, second.root.corner)
    np.testing.assert_array_equal(first.root.border, second.root.border)
    for t, old in zip(T, before, strict=True):
        np.testing.assert_array_equal(t, old)


def test_add_by_level() -> None:
    """Blocks of the levels of one parent are added; parents without levels get zeros."""
    blocks = np.arange(24.0).reshape(2, 3, 4)
    out = add_by_level(np.array([2, 0, 2, 2]), blocks, 4)
    np.testing.assert_array_equal(out[:, :, 0], blocks[:, :, 1])
    np.testing.assert_array_equal(out[:, :, 2], blocks[:, :, [0, 2, 3]].sum(axis=2))
    assert not out[:, :, [1, 3]].any()
