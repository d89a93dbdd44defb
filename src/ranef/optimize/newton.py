"""Newton's method with average information, and exact curvature near the end.

Every step is taken in fresh coordinates: each covariance block is re-expressed by its pivoted
Cholesky factor, so that a variance near zero is always the last coordinate of its block and never
bends the valley. No bounds: signs of columns are free. The Hessian approximation is the average
information (Gilmour, Thompson, Cullis 1995, Biometrics 51) plus the exact curvature term E, which
alone survives where a variance vanishes. Where that converges slowly the exact Hessian takes over,
by absolute eigenvalues, and convergence is quadratic; or, where it would cost too much, steps are
lengthened by what the last ones have shown.

Steps solve (|H| + mu I) s = -g inside a trust region on the step length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.covariance.chart import Direction, Factors, null_directions, pivoted, widen
from ranef.objective import Evaluation
from ranef.optimize.control import Control
from ranef.optimize.result import Optimum, Surface
from ranef.typing import FloatArray

MAX_EVALUATIONS = 200
# Exact curvature is worth its cost where the Newton decrement is below the first number, if it
# costs little or if the decrement has not fallen to the second times that at the last point; and
# further away if it has not fallen to the third so many times. Far from the minimum it may lead
# to another one.
EXACT_BELOW = 0.1
SLOW = 0.05
STALLED = 0.5
PATIENCE = 2
STALLED_BELOW = 5.0
# Steps are lengthened at most so many times.
LONGEST = 20.0
# Standard deviation at which a direction of zero variance is opened at the start.
OPEN_TO = 0.3
# Relative floor on curvature: flat directions of over-parameterised models stay where they are.
SMALLEST_CURVATURE = 1e-13
# Rounding error of the criterion, relative to its size.
NOISE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """Eigen-decomposition of a Hessian (approximation).

    ``values`` (m,) signed, ``size`` (m,) absolute and floored, ``vectors`` (m, m).
    """

    values: FloatArray
    size: FloatArray
    vectors: FloatArray

    @classmethod
    def of(cls, hessian: FloatArray) -> Curvature:
        """Decompose a symmetric matrix."""
        values, vectors = np.linalg.eigh(hessian)
        size = np.abs(values)
        floor = max(SMALLEST_CURVATURE * float(size.max(initial=0.0)), 1e-12)
        return cls(values, np.maximum(size, floor), vectors)

    @property
    def matrix(self) -> FloatArray:
        """The symmetric matrix itself, (m, m)."""
        product: FloatArray = (self.vectors * self.values) @ self.vectors.T
        return product

    def decrement(self, gradient: FloatArray) -> float:
        """Return g'|H|^-1 g: twice the decrease that a Newton step promises."""
        along = self.vectors.T @ gradient
        return float((along * along / self.size).sum())

    def step(self, gradient: FloatArray, radius: float) -> tuple[FloatArray, float]:
        """Return the step within ``radius`` and the decrease it promises."""
        along = self.vectors.T @ gradient
        mu = 0.0
        scaled = along / self.size
        if np.sqrt(scaled @ scaled) > radius:
            low, high = 0.0, float(np.sqrt(along @ along)) / radius
            for _ in range(40):
                mu = 0.5 * (low + high)
                scaled = along / (self.size + mu)
                if scaled @ scaled > radius * radius:
                    low = mu
                else:
                    high = mu
            scaled = along / (self.size + high)
        # by the model that made the step, |H|: where the criterion curves down, H itself would
        # promise so much that the trust region never grew
        promised = float(scaled @ along - 0.5 * (self.size * scaled) @ scaled)
        step: FloatArray = -(self.vectors @ scaled)
        return step, promised


@dataclass(slots=True)
class Pace:
    """How fast average information brings the Newton decrement down, from point to point.

    Where random effects stand in for fixed ones that the model lacks, it expects up to 20 times
    more curvature than there is, and makes the same small step again and again.

    Attributes
    ----------
    before : float
        Decrement at the last point.
    stalled : int
        At so many points in a row it had hardly fallen.
    stretch : float
        What steps are multiplied by.
    """

    before: float = np.inf
    stalled: int = 0
    stretch: float = 1.0

    def asks_for_exact(self, decrement: float, cheap: bool) -> bool:
        """Take note of the decrement at the next point; return whether curvature must be better.

        ``cheap`` tells whether better curvature costs no more than another point.
        """
        slow = decrement > SLOW * self.before
        self.stalled = self.stalled + 1 if decrement > STALLED * self.before else 0
        self.before = decrement
        if self.stalled < PATIENCE:
            self.stretch = 1.0
        near = decrement < EXACT_BELOW and (slow or cheap)
        return near or (self.stalled >= PATIENCE and decrement < STALLED_BELOW)

    def learn(self, ratio: float) -> None:
        """Take note of how much more the criterion fell than was promised.

        Where the curvature along a step is c times what was expected, the criterion falls by 2 - c
        of the promise, and a step 1 / c times as long would have been best.
        """
        if self.stalled >= PATIENCE - 1:
            self.stretch = min(max(self.stretch / max(2.0 - ratio, 0.1), 1.0), LONGEST)


def curvature_at(evaluation: Evaluation, pace: Pace) -> tuple[Curvature, float]:
    """Return the curvature to use at a point, and the Newton decrement there."""
    average = Curvature.of(evaluation.average)
    decrement = average.decrement(evaluation.gradient)
    if pace.asks_for_exact(decrement, evaluation.cheap):
        hessian = evaluation.exact()
        if hessian is not None:
            pace.stretch = 1.0
            exact = Curvature.of(hessian)
            return exact, exact.decrement(evaluation.gradient)
    return average, decrement


def rounding_noise(here: Evaluation) -> float:
    """Return how much of a change in the criterion may be rounding."""
    return max(NOISE * max(1.0, abs(here.value)), 0.01 * here.rounding)


def newton(surface: Surface, start: Factors, control: Control) -> Optimum:
    """Minimise the criterion from ``start``.

    Returns
    -------
    Optimum
        ``n_evaluations`` counts evaluations of value, gradient and curvature together.
    """
    limit = control.limit(MAX_EVALUATIONS)
    here = surface.evaluate(*pivoted(start, surface.blocks))
    evaluations = 1
    if here is None:
        return Optimum(start, np.inf, evaluations, exhausted=False)
    if limit > 1:
        here, more = _leave_zero(surface, here)
        evaluations += more
    x = here.chart.read(here.T)
    radius = max(1.0, float(np.sqrt(x @ x)))
    pace = Pace()
    while True:
        curvature, decrement = curvature_at(here, pace)
        noise = rounding_noise(here)
        enough = max(control.tol, noise)
        if decrement * pace.stretch < enough:
            hessian = here.exact()
            if hessian is not None:  # it has the last word, and makes the last step
                pace.stretch = 1.0
                curvature = Curvature.of(hessian)
                decrement = curvature.decrement(here.gradient)
        if decrement * pace.stretch < enough:
            return _polish(surface, here, curvature, pace.stretch, evaluations)
        x = here.chart.read(here.T)
        while True:
            if evaluations >= limit:
                return Optimum(here.T, here.value, evaluations, True, here)
            step, promised = curvature.step(here.gradient, radius)
            step, promised = pace.stretch * step, pace.stretch * promised
            length = float(np.sqrt(step @ step))
            moved = here.chart.write(here.T, x + step)
            there = surface.evaluate(*pivoted(moved, surface.blocks))
            evaluations += 1
            if there is not None and there.value <= here.value + noise:
                break
            pace.stretch = 1.0
            radius = min(radius, length / 4.0)
            if radius < 1e-10 * max(1.0, float(np.sqrt(x @ x))):
                return Optimum(here.T, here.value, evaluations, False, here)
        ratio = (here.value - there.value) / promised if promised > 0 else 0.0
        pace.learn(ratio)
        if ratio > 0.75:
            radius = max(radius, 3.0 * length)
        elif ratio < 0.25 and promised > noise:
            radius = max(length / 4.0, 1e-8)
        here = there


def slope_along(here: Evaluation, direction: Direction) -> float:
    """Return the derivative of the criterion by the variance in a direction, n'F n."""
    f, (start, stop), n = direction
    return float(n @ here.F[f][start:stop, start:stop] @ n)


def _leave_zero(surface: Surface, here: Evaluation) -> tuple[Evaluation, int]:
    """Open the directions of a start without variance in which the criterion falls.

    From a standard deviation of nearly zero, Newton steps could only double it.
    """
    opened = here.T
    for direction in null_directions(here.T, surface.blocks):
        if slope_along(here, direction) < 0:
            opened = widen(opened, direction, OPEN_TO)
    if opened is here.T:
        return here, 0
    there = surface.evaluate(*pivoted(opened, surface.blocks))
    return (here if there is None or there.value >= here.value else there), 1


def _polish(
    surface: Surface, here: Evaluation, curvature: Curvature, stretch: float, evaluations: int
) -> Optimum:
    """Take the last, converged step without derivatives; keep it unless it is worse."""
    x = here.chart.read(here.T)
    step = stretch * curvature.step(here.gradient, max(1.0, float(np.sqrt(x @ x))))[0]
    moved = here.chart.write(here.T, x + step)
    value = surface.value(moved)
    if value <= here.value + rounding_noise(here):
        return Optimum(moved, value, evaluations, False, here)
    return Optimum(here.T, here.value, evaluations, False, here)
