"""One point of a profile: the deviance minimised over everything but one parameter.

Newton's method with a trust region in the coordinates of `ranef.inference.profile_axes`, started at
what the last point of the profile predicts, so that one or two evaluations usually do. From the
last one the minimum follows without another: with g, H of the free coordinates, h and c the mixed
and the second derivative along the axis,

    deviance   d - g'H^-1 g / 2
    slope      d_v - h'H^-1 g             (envelope theorem: the multiplier of the constraint)
    bend       c - h'H^-1 h
    tangent    -H^-1 h                    of the optimal free coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ranef.inference.profile_axes import Axis, Local
from ranef.inference.profile_surface import Deviance, Expansion, Point
from ranef.linalg.plan import Plan
from ranef.optimize.newton import Curvature
from ranef.typing import FloatArray

# Twice the decrease that one more step promises, in deviance units, below which that step is taken
# for granted: its own error is of higher order. Average information promises less exactly.
EXACT_TOLERANCE, AVERAGE_TOLERANCE = 1e-6, 1e-9
NOISE = 1e-12
MAX_EVALUATIONS = 100
# Steps shorter than this are rounding; what a longer one promises at most, to stop all the same.
SMALLEST_RADIUS, HIDDEN = 1e-10, 1e-4
# A Hessian with an eigenvalue below this is that of a saddle.
DOWNWARDS = -1e-6


class UnsettledError(ArithmeticError):
    """The minimum could not be found from this start."""


@dataclass(frozen=True, slots=True, eq=False)
class Settled:
    """The constrained minimum at coordinate v of an axis.

    Attributes
    ----------
    v, deviance : float
    slope, bend : float
        First and second derivative of the deviance by v along the minima.
    stiffness : float
        The second derivative with all else fixed.
    point : Point
    predict : function
        From another v to the point where the minimum is expected.
    """

    v: float
    deviance: float
    slope: float
    bend: float
    stiffness: float
    point: Point
    predict: Callable[[float], Point]


def settle(surface: Deviance, axis: Axis, v: float, start: Point) -> Settled:
    """Minimise over the free coordinates at v.

    Raises
    ------
    UnsettledError
        If rounding makes the equations indefinite, or the search does not end.
    """
    plan = axis.plan(v)
    local = axis.local(start, v)
    here = surface.expand(local.point, local.tangents, plan)
    radius = 1.0
    for _ in range(MAX_EVALUATIONS):
        if here is None:
            break
        curvature = Curvature.of(here.hessian[:-1, :-1])
        gradient = here.gradient[:-1]
        noise = NOISE * max(1.0, abs(here.value))
        tolerance = EXACT_TOLERANCE if here.exact else AVERAGE_TOLERANCE
        decrement = curvature.decrement(gradient)
        if decrement < max(tolerance, noise):
            escape = None
            if curvature.values[0] < DOWNWARDS:
                escape = _escape(surface, plan, v, local, here, curvature)
            if escape is None:
                return _settled(axis, v, local, here, curvature)
            local = axis.local(escape, v)
            here = surface.expand(local.point, local.tangents, plan)
            continue
        while True:
            step, promised = curvature.step(gradient, radius)
            length = float(np.sqrt(step @ step))
            beyond = axis.local(local.move(step, v), v)
            there = surface.expand(beyond.point, beyond.tangents, plan)
            if there is not None and there.value <= here.value + noise:
                break
            radius = length / 4.0
            if radius < SMALLEST_RADIUS:
                break
        if there is None or radius < SMALLEST_RADIUS:  # rounding hides any further decrease
            if decrement > HIDDEN:
                break
            return _settled(axis, v, local, here, curvature)
        ratio = (here.value - there.value) / promised if promised > 0 else 0.0
        if ratio > 0.75:
            radius = max(radius, 3.0 * length)
        elif ratio < 0.25 and promised > noise:
            radius = max(length / 4.0, 1e-8)
        local, here = beyond, there
    why = "the search has no end" if here is not None else "rounding makes the equations indefinite"
    raise UnsettledError(f"at {axis.value(v):.6g} {why}")


def _settled(axis: Axis, v: float, local: Local, here: Expansion, curvature: Curvature) -> Settled:
    """Return the minimum that is one Newton step away."""
    gradient = here.gradient[:-1]
    slope, mixed = axis.along(here, local, v)
    vectors, size = curvature.vectors, curvature.size
    along, across = vectors.T @ gradient, vectors.T @ mixed[:-1]
    step = -(vectors @ (along / size))
    tangent = -(vectors @ (across / size))
    length = float(np.sqrt(step @ step))
    if length > 1.0:  # flat directions: nothing to be gained there
        step /= length
    slope -= float((along * across / size).sum())
    bend = float(mixed[-1] - (across * across / size).sum())

    def predict(to: float) -> Point:
        change = step + (to - v) * tangent
        size = float(np.sqrt(change @ change))
        return local.move(change if size <= 2.0 else 2.0 * change / size, to)

    return Settled(
        v,
        here.value - 0.5 * float((along * along / size).sum()),
        slope,
        bend,
        float(mixed[-1]),
        local.move(step, v),
        predict,
    )


def _escape(
    surface: Deviance,
    plan: Plan | None,
    v: float,
    local: Local,
    here: Expansion,
    curvature: Curvature,
) -> Point | None:
    """Return a lower point along the direction of most negative curvature."""
    direction: FloatArray = curvature.vectors[:, 0]
    for size in (0.3, 0.1, 0.03, 0.01):
        for sign in (1.0, -1.0):
            moved = local.move(sign * size * direction, v)
            if surface.value(moved, plan) < here.value - 1e-9:
                return moved
    return None
