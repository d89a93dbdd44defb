"""The criterion, its gradient and its curvature, against dense algebra and against differences.

Every shape of model goes every way through the core; hypothesis adds models nobody thought of.
"""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models import SHAPES, VARIANTS, Variant, core_point, design_of, formulas, random_theta, through
from oracle import Dense
from ranef.covariance.chart import Chart, Factors, identity, pivoted
from ranef.errors import RanefError
from ranef.estimation import make_problem
from ranef.objective import Objective
from ranef.optimize.control import Control
from ranef.optimize.newton import newton
from ranef.typing import FloatArray

seeds = st.integers(0, 2**31)
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=str)
every_shape = pytest.mark.parametrize("shape", SHAPES)


def differences(objective: Objective, T: Factors, chart: Chart, step: float = 1e-4) -> FloatArray:
    """Return the gradient at T by central differences, extrapolated to an error of step^4."""
    x = chart.read(T)

    def slope(direction: FloatArray, size: float) -> float:
        up, down = (
            objective.value(chart.write(T, x + sign * size * direction)) for sign in (1, -1)
        )
        return (up - down) / (2 * size)

    return np.array([(4 * slope(e, step) - slope(e, 2 * step)) / 3 for e in np.eye(chart.size)])


def hessian_by_differences(
    objective: Objective, T: Factors, chart: Chart, step: float = 1e-4
) -> FloatArray:
    """Return the Hessian at T by central differences of gradients."""
    x = chart.read(T)

    def gradient(at: FloatArray) -> FloatArray:
        there = objective.evaluate(chart.write(T, at), chart)
        assert there is not None
        return there.gradient

    return np.array(
        [(gradient(x + step * e) - gradient(x - step * e)) / (2 * step) for e in np.eye(len(x))]
    )


@every_variant
@every_shape
@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
def test_value(shape: str, variant: Variant, reml: bool, weighted: bool) -> None:
    """The criterion is -2 log-likelihood, REML or ML, also where parameters are exactly zero."""
    design = design_of(SHAPES[shape], 1, weighted)
    dense = Dense.of(design, reml=reml)
    with through(variant):
        problem = make_problem(design, reml=reml)
    for seed, singular in [(2, False), (3, True), (4, True)]:
        theta = random_theta(design, seed, singular=singular)
        value = problem.objective.value(problem.to_core(theta))
        assert value == pytest.approx(dense.criterion(theta), rel=1e-11, abs=1e-8)


@settings(max_examples=60)
@given(
    formula=formulas(),
    seed=seeds,
    reml=st.booleans(),
    weighted=st.booleans(),
    variant=st.sampled_from(VARIANTS),
)
@example("y ~ 0 + (x || c)", 5, True, False, VARIANTS[1])
def test_value_of_any_model(
    formula: str, seed: int, reml: bool, weighted: bool, variant: Variant
) -> None:
    """The same for formulas that hypothesis puts together."""
    try:
        design = design_of(formula, seed, weighted)
    except RanefError:  # a term twice, or more effects than rows
        return
    dense = Dense.of(design, reml=reml)
    with through(variant):
        problem = make_problem(design, reml=reml)
    theta = random_theta(design, seed, singular=bool(seed % 2))
    value = problem.objective.value(problem.to_core(theta))
    assert value == pytest.approx(dense.criterion(theta), rel=1e-10, abs=1e-8)


@every_variant
@every_shape
def test_gradient_against_differences(shape: str, variant: Variant) -> None:
    """The gradient is the derivative of the value, to six digits."""
    for seed, reml in [(11, True), (12, False)]:
        with through(variant):
            problem, T, _ = core_point(SHAPES[shape], seed, reml=reml, weighted=reml)
        T, chart = pivoted(T, problem.objective.blocks)
        here = problem.objective.evaluate(T, chart)
        assert here is not None
        slope = differences(problem.objective, T, chart)
        np.testing.assert_allclose(here.gradient, slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())


@settings(max_examples=40)
@given(formula=formulas(), seed=seeds, reml=st.booleans(), variant=st.sampled_from(VARIANTS))
def test_gradient_of_any_model(formula: str, seed: int, reml: bool, variant: Variant) -> None:
    """The same for formulas that hypothesis puts together."""
    try:
        with through(variant):
            problem, T, _ = core_point(formula, seed, reml=reml, weighted=False)
    except RanefError:
        return
    T, chart = pivoted(T, problem.objective.blocks)
    here = problem.objective.evaluate(T, chart)
    assert here is not None
    slope = differences(problem.objective, T, chart)
    np.testing.assert_allclose(
        here.gradient, slope, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(slope).max())
    )


@every_variant
@every_shape
@pytest.mark.parametrize("reml", [True, False], ids=["REML", "ML"])
def test_derivatives_against_dense(shape: str, variant: Variant, reml: bool) -> None:
    """F, average information and exact Hessian are those of the formulas with n x n matrices."""
    with through(variant):
        problem, T, dense = core_point(SHAPES[shape], 21, reml=reml, weighted=not reml)
    T, chart = pivoted(T, problem.objective.blocks)
    dense = dense.model.at(T)
    here = problem.objective.evaluate(T, chart)
    assert here is not None
    for found, wanted in zip(here.F, dense.F, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9 * np.abs(wanted).max())
    for found, wanted in [
        (here.average, dense.hessian(chart, average=True)),
        (here.exact(), dense.hessian(chart, average=False)),
    ]:
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9 * np.abs(wanted).max())


@every_variant
@every_shape
def test_derivatives_near_zero_variances(shape: str, variant: Variant) -> None:
    """F keeps its digits where some or all variances have nearly vanished."""
    with through(variant):
        problem, T, dense = core_point(SHAPES[shape], 31, reml=True, weighted=False)
    objective = problem.objective
    last = tuple(t * np.where(np.arange(len(t)) == len(t) - 1, 1e-9, 1.0) for t in T)
    for tiny in (last, tuple(1e-9 * t for t in T), tuple(1e-5 * t for t in T)):
        point, chart = pivoted(tiny, objective.blocks)
        here = objective.evaluate(point, chart)
        assert here is not None
        for found, wanted in zip(here.F, dense.model.at(point).F, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8 * np.abs(wanted).max())


@every_variant
@every_shape
def test_exact_hessian_at_the_optimum(shape: str, variant: Variant) -> None:
    """At the point where it decides about convergence, the Hessian is that of the gradient."""
    with through(variant):
        problem, _, _ = core_point(SHAPES[shape], 41, reml=True, weighted=False)
    objective = problem.objective
    optimum = newton(objective, identity(objective.blocks), Control())
    T, chart = pivoted(optimum.T, objective.blocks)
    here = objective.evaluate(T, chart)
    assert here is not None
    numeric = hessian_by_differences(objective, T, chart)
    np.testing.assert_allclose(
        here.exact(), numeric, rtol=1e-5, atol=1e-5 * max(1.0, np.abs(numeric).max())
    )


def test_too_large_for_the_exact_hessian() -> None:
    """Crossed models with many effects do without: `exact` says None instead of taking long."""
    with through(VARIANTS[1]), patch("ranef.objective.LARGEST_WHOLE", 10):
        problem, T, _ = core_point(SHAPES["crossed"], 5, reml=True, weighted=False)
        T, chart = pivoted(T, problem.objective.blocks)
        here = problem.objective.evaluate(T, chart)
        assert here is not None and here.exact() is None


@every_shape
def test_coordinates_round_trip(shape: str) -> None:
    """Public parameters survive the core's coordinates; column signs become positive."""
    design = design_of(SHAPES[shape], 1, True)
    problem = make_problem(design, reml=True)
    dense = Dense.of(design, reml=True)
    for seed, singular in [(1, False), (2, True)]:
        theta = random_theta(design, seed, singular=singular)
        again = problem.to_public(problem.to_core(theta))
        assert len(problem.theta_names()) == len(theta) == len(set(problem.theta_names()))
        for T, back in zip(dense.factors(theta), dense.factors(again), strict=True):
            np.testing.assert_allclose(back @ back.T, T @ T.T, atol=1e-12)
            assert (back.diagonal() >= 0).all()


@every_variant
def test_any_square_factor_will_do(variant: Variant) -> None:
    """The value depends on T only through T T': columns may be rotated and change sign."""
    with through(variant):
        problem, T, _ = core_point(SHAPES["crossed vectors"], 51, reml=True, weighted=True)
    rotation = [np.linalg.qr(np.random.default_rng(1).normal(size=t.shape))[0] for t in T]
    turned = tuple(t @ r for t, r in zip(T, rotation, strict=True))
    value = problem.objective.value(T)
    assert problem.objective.value(turned) == pytest.approx(value, rel=1e-12)


@every_variant
@every_shape
def test_large_variances(shape: str, variant: Variant) -> None:
    """Random effects a hundred times larger than residuals cost few digits."""
    with through(variant):
        problem, T, dense = core_point(SHAPES[shape], 61, reml=True, weighted=False)
    scaled = tuple(100.0 * t for t in T)
    value = problem.objective.value(scaled)
    assert value == pytest.approx(dense.model.at(scaled).value, abs=1e-7)


@every_variant
@every_shape
def test_huge_variances_do_not_break_down(shape: str, variant: Variant) -> None:
    """Where rounding makes the equations indefinite the value is infinite: no NaN, no error."""
    with through(variant):
        problem, T, _ = core_point(SHAPES[shape], 61, reml=True, weighted=False)
    for size in (1e5, 1e6, 1e7, 1e8, 1e9, 1e12):
        scaled = tuple(size * t for t in T)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not math.isnan(problem.objective.value(scaled))
            point, chart = pivoted(scaled, problem.objective.blocks)
            here = problem.objective.evaluate(point, chart)
        assert here is None or math.isfinite(here.value)


@every_variant
def test_state_and_value_agree(variant: Variant) -> None:
    """A State repeats the value; its residual variance and r^2 are the oracle's."""
    with through(variant):
        problem, T, dense = core_point(SHAPES["crossed"], 71, reml=False, weighted=True)
    state = problem.objective.state(T)
    assert state.value == problem.objective.value(T)
    assert state.value == pytest.approx(dense.value, rel=1e-11)
    assert state.sigma2 == pytest.approx(dense.sigma2, rel=1e-10)


def test_the_memo_does_not_mix_up_points() -> None:
    """Values are those of the point asked for, whatever was asked before."""
    problem, T, dense = core_point(SHAPES["crossed"], 81, reml=True, weighted=False)
    other = tuple(0.5 * t for t in T)
    first, second = problem.objective.value(T), problem.objective.value(other)
    assert (problem.objective.value(T), problem.objective.value(other)) == (first, second)
    assert first == pytest.approx(dense.value, rel=1e-11)
    assert second == pytest.approx(dense.model.at(other).value, rel=1e-11)


@every_variant
def test_pickling(variant: Variant) -> None:
    """An objective survives pickling and deep copies, used or not, without its caches."""
    with through(variant):
        problem, T, _ = core_point(SHAPES["nested and crossed"], 91, reml=True, weighted=True)
        objective = problem.objective
        T, chart = pivoted(T, objective.blocks)
        fresh = pickle.loads(pickle.dumps(objective))
        here = objective.evaluate(T, chart)
        copies = (fresh, pickle.loads(pickle.dumps(objective)), copy.deepcopy(objective))
        assert here is not None
        exact = here.exact()
        for again in copies:
            there = again.evaluate(T, chart)
            assert there.value == here.value
            np.testing.assert_array_equal(there.gradient, here.gradient)
            np.testing.assert_array_equal(there.exact(), exact)
        assert len(pickle.dumps(objective)) == len(pickle.dumps(fresh))
