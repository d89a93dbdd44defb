"""Newton's method on functions whose minimum is known."""

from __future__ import annotations

import numpy as np
import pytest

from ranef.covariance.chart import Factors, identity, pivoted
from ranef.optimize.control import Control
from ranef.optimize.newton import Curvature, newton
from surfaces import LANDSCAPES, KnownSurface, surface

every_landscape = pytest.mark.parametrize("name", LANDSCAPES)


def fresh(name: str) -> KnownSurface:
    """Return a landscape that has not counted anything."""
    return KnownSurface(LANDSCAPES[name].S)


def starts(known: KnownSurface) -> dict[str, Factors]:
    """Return ordinary and awkward places to begin."""
    rng = np.random.default_rng(5)
    plain = identity(known.blocks)
    return {
        "identity": plain,
        "small": tuple(0.01 * t for t in plain),
        "large": tuple(30.0 * t for t in plain),
        "random": tuple(rng.standard_normal(t.shape) for t in plain),
        "flipped": tuple(-t[::-1] for t in plain),
    }


@every_landscape
@pytest.mark.parametrize("start", ["identity", "small", "large", "random", "flipped"])
def test_the_minimum_is_found(name: str, start: str) -> None:
    """From anywhere but a stationary point: value to 1e-8, covariances where they are curved."""
    known = fresh(name)
    optimum = newton(known, starts(known)[start], Control())
    assert optimum.value == pytest.approx(known.minimum, abs=1e-7)
    assert not optimum.exhausted
    # at an eigenvalue of one the surface is flat to fourth order in T
    tolerance = 1e-3 if name == "on the edge" else 1e-5
    for t, best in zip(optimum.T, known.best, strict=True):
        np.testing.assert_allclose(t @ t.T, best, atol=tolerance * max(1.0, np.abs(best).max()))


@every_landscape
def test_few_evaluations(name: str) -> None:
    """A dozen evaluations are plenty, singular or not, but where the minimum is nearly flat."""
    known = fresh(name)
    optimum = newton(known, identity(known.blocks), Control())
    assert optimum.n_evaluations == len(known.evaluations)
    assert optimum.n_evaluations <= (25 if name in {"on the edge", "large and small"} else 12)
    assert len(known.values) <= 1  # the last step is taken without derivatives


@every_landscape
def test_the_value_belongs_to_the_point(name: str) -> None:
    """The value returned is the function at the point returned, and none seen was lower."""
    known = fresh(name)
    optimum = newton(known, identity(known.blocks), Control())
    assert optimum.value == known.value(optimum.T)
    assert optimum.value <= min(known.evaluations) + 1e-9


def test_the_limit_is_kept() -> None:
    """No more evaluations than allowed, the best point so far, and the optimum says so."""
    known = fresh("three of four")
    begin = identity(known.blocks)
    values = []
    for limit in (1, 2, 3):
        known.evaluations.clear()
        optimum = newton(known, begin, Control(max_evaluations=limit))
        assert optimum.exhausted
        assert optimum.n_evaluations == len(known.evaluations) == limit
        assert optimum.value == pytest.approx(known.value(optimum.T), rel=1e-12)
        values.append(optimum.value)
    assert values == sorted(values, reverse=True)


def test_breakdown_on_the_way() -> None:
    """Steps into a region where the function is not defined are taken back."""
    known = KnownSurface(surface([400.0, 300.0]).S, wall=25.0)
    optimum = newton(known, tuple(0.1 * t for t in identity(known.blocks)), Control())
    assert optimum.value == pytest.approx(known.minimum, abs=1e-7)
    inside = KnownSurface(known.S, wall=5.0)  # the minimum lies behind the wall
    optimum = newton(inside, identity(inside.blocks), Control())
    assert np.isfinite(optimum.value) and max(np.abs(t).max() for t in optimum.T) <= 5.0


def test_breakdown_at_the_start() -> None:
    """Where there is no value at the start there is nothing to report but that."""
    known = KnownSurface(surface([3.0]).S, wall=0.5)
    optimum = newton(known, identity(known.blocks), Control())
    assert optimum.value == np.inf and optimum.n_evaluations == 1 and not optimum.exhausted


def test_the_tolerance_is_used() -> None:
    """A loose tolerance ends the search earlier, a tight one never leaves more than it says."""
    counts = {}
    for tol in (1e-1, 1e-4, 1e-8):
        known = fresh("three of four")
        optimum = newton(known, identity(known.blocks), Control(tol=tol))
        counts[tol] = optimum.n_evaluations
        assert optimum.value - known.minimum <= tol
    assert counts[1e-1] < counts[1e-8]


def test_the_start_is_left_alone() -> None:
    """The caller's start values are not changed in place."""
    known = fresh("regular")
    begin = starts(known)["random"]
    before = [t.copy() for t in begin]
    newton(known, begin, Control())
    for t, old in zip(begin, before, strict=True):
        np.testing.assert_array_equal(t, old)


@pytest.mark.parametrize("seed", range(10))
def test_curvature_steps(seed: int) -> None:
    """Steps go down, stay in the trust region, and promise what |H| promises."""
    rng = np.random.default_rng(seed)
    H = rng.standard_normal((4, 4))
    H = H + H.T
    g = rng.standard_normal(4)
    values, vectors = np.linalg.eigh(H)
    size = (vectors * np.abs(values)) @ vectors.T
    curvature = Curvature.of(H)
    np.testing.assert_allclose(curvature.values, values)
    assert curvature.decrement(g) == pytest.approx(g @ np.linalg.solve(size, g))
    for radius in (1e-3, 0.1, 1.0, 1e6):
        step, promised = curvature.step(g, radius)
        assert np.linalg.norm(step) <= radius * (1 + 1e-6)
        assert step @ g < 0 < promised
        assert promised == pytest.approx(-(g @ step) - 0.5 * step @ size @ step)
    step, promised = curvature.step(g, 1e6)
    np.testing.assert_allclose(step, -np.linalg.solve(size, g), rtol=1e-9)
    assert 2 * promised == pytest.approx(curvature.decrement(g))


def test_a_short_radius_gives_the_best_step_of_that_length() -> None:
    """Within the radius no other direction lowers the quadratic model further."""
    rng = np.random.default_rng(3)
    half = rng.standard_normal((3, 3))
    H, g = half @ half.T + 0.1 * np.eye(3), rng.standard_normal(3)
    step, promised = Curvature.of(H).step(g, 0.05)
    assert np.linalg.norm(step) == pytest.approx(0.05, rel=1e-6)
    directions = rng.standard_normal((3, 5000))
    directions *= 0.05 / np.linalg.norm(directions, axis=0)
    model = g @ directions + 0.5 * (directions * (H @ directions)).sum(axis=0)
    assert -promised <= model.min() + 1e-9


def test_flat_directions_do_not_move() -> None:
    """Without curvature and gradient along a direction there is no step along it."""
    curvature = Curvature.of(np.diag([1.0, 0.0]))
    step, _ = curvature.step(np.array([1.0, 0.0]), 10.0)
    np.testing.assert_allclose(step, [-1.0, 0.0])
    assert curvature.decrement(np.array([1.0, 0.0])) == pytest.approx(1.0)


@pytest.mark.parametrize("copies", [1, 2])
def test_the_landscapes_have_the_derivatives_they_claim(copies: int) -> None:
    """The oracle itself: gradient and exact Hessian against differences."""
    known = KnownSurface(LANDSCAPES["many"].S, copies=copies)
    rng = np.random.default_rng(1)
    T, chart = pivoted(
        tuple(rng.standard_normal(t.shape) for t in identity(known.blocks)), known.blocks
    )
    x, h = chart.read(T), 1e-5
    here = known.evaluate(T, chart)
    assert here is not None
    gradient, hessian = [], []
    for e in np.eye(chart.size):
        up, down = (chart.write(T, x + sign * h * e) for sign in (1, -1))
        gradient.append((known.value(up) - known.value(down)) / (2 * h))
        slopes = [known.evaluate(at, chart).gradient for at in (up, down)]  # type: ignore[union-attr]
        hessian.append((slopes[0] - slopes[1]) / (2 * h))
    np.testing.assert_allclose(here.gradient, gradient, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(here.exact(), hessian, rtol=1e-5, atol=1e-5)
