"""A verdict on the point where an optimizer stopped, from exact derivatives.

Five facts decide:

* the Newton decrement g'H^-1 g: what one more step would gain, in deviance units;
* the smallest eigenvalue of the exact Hessian (where affordable; else of the average information):
  a saddle point has a negative one;
* where the criterion hardly curves at all, whether a search from a point aside comes to an end
  that is equally good but elsewhere: then the data do not determine the parameters;
* where blocks of different factors compete for a part of the mean, whether a search with one of
  them made small ends lower;
* for every direction n without variance, the sign of n'F n: at a minimum on the boundary an
  increase of that variance must not lower the criterion (Karush-Kuhn-Tucker).

A saddle, and a point that fails the last, is no end: a lower point is returned to go on from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from ranef.covariance.chart import (
    Direction,
    Factors,
    null_directions,
    pivoted,
    varies,
    widen,
)
from ranef.objective import Evaluation
from ranef.optimize.control import Control
from ranef.optimize.newton import Curvature, newton, rounding_noise, slope_along
from ranef.optimize.result import Optimum, Surface

# A verdict "converged" promises that the criterion is this close to its minimum.
LARGEST_DECREMENT = 1e-5
# Where the criterion itself is not known better than this, rounding is to blame for a decrement
# that does not vanish.
LARGEST_ROUNDING = 1e-3
# Where it is not even known to this, derivatives are useless too.
HOPELESS_ROUNDING = 1.0
# Derivatives by a vanishing variance may be this negative: what they could gain is their square.
KKT_TOLERANCE = 1e-4
# Curvature per relative change of the parameters (deviance units) below which uniqueness is tried.
HARDLY_CURVED = 1e-3
# How far aside the trial starts, how far apart two ends count as different, and how equal their
# criteria must be.
ASIDE, APART, EQUAL = 0.3, 0.02, 1e-6
# A block is tried at zero unless x'Hx, twice the rise that curvature predicts, exceeds this; a
# minimum there counts if it is lower by this much.
CLEARLY_NEEDED, LOWER = 40.0, 1e-7
# What a competing block is multiplied by before the search goes on.
MADE_SMALL = 0.02
# Relative size of a negative eigenvalue that rounding can explain.
CURVATURE_TOLERANCE = 1e-7


class Verdict(Enum):
    """How a fit ended, as a sentence."""

    CONVERGED = "converged"
    SINGULAR = "converged, singular"
    AMBIGUOUS = "converged, but other values of the parameters fit equally well"
    EXHAUSTED = "not converged: the limit on evaluations was reached"
    STOPPED_SHORT = "not converged: the optimizer stopped short of the minimum"
    SADDLE = "not converged: the optimizer stopped where the criterion still curves down"
    FALSE_ZERO = "not converged: the optimizer stopped at a variance of zero that is not optimal"
    LOCAL = "not converged: the optimizer stopped at a minimum that is not the lowest"
    IMPRECISE = "not converged: rounding errors hide the minimum"
    BREAKDOWN = "not converged: rounding errors made the equations indefinite"


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """What the derivatives say about a point.

    Attributes
    ----------
    verdict : Verdict
    gradient_norm, decrement, curvature : float
        Norm of the gradient, Newton decrement, smallest eigenvalue of the Hessian (all in the
        core's coordinates).
    exact : bool
        The eigenvalue is of the exact Hessian.
    null : tuple of Direction
        Directions without variance.
    """

    verdict: Verdict
    gradient_norm: float
    decrement: float
    curvature: float
    exact: bool
    null: tuple[Direction, ...]


def certify(surface: Surface, optimum: Optimum) -> tuple[Certificate, Factors | None]:
    """Return the verdict on a point, and a better point if the verdict can be mended."""
    here = optimum.evaluation or surface.evaluate(*pivoted(optimum.T, surface.blocks))
    null = null_directions(optimum.T, surface.blocks)
    if here is None:
        return Certificate(Verdict.BREAKDOWN, np.inf, np.inf, -np.inf, False, null), None
    exact = here.exact()
    curvature = Curvature.of(here.average if exact is None else exact)
    smallest = float(curvature.values.min())
    gradient = here.gradient
    certificate = Certificate(
        Verdict.CONVERGED,
        float(np.sqrt(gradient @ gradient)),
        curvature.decrement(gradient),
        smallest,
        exact is not None,
        null,
    )
    verdict, better = _mend(surface, optimum, certificate, here, curvature)
    if verdict is None:
        verdict, better = _judge(surface, optimum, certificate, here, curvature)
    return replace(certificate, verdict=verdict), better


def lower_without(
    surface: Surface, optimum: Optimum, here: Evaluation, curvature: Curvature
) -> Factors | None:
    """Return factors with one covariance block at zero, if the criterion is lower there.

    With very unequal groups the criterion can have a second minimum at a variance of zero. A block
    whose removal must cost much by the curvature at hand is not tried.
    """
    chart = here.chart
    x = chart.read(here.T)
    hessian = curvature.matrix
    best, value = None, optimum.value - LOWER
    for f, parts in enumerate(surface.blocks):
        for start, stop in parts:
            mine = (chart.factor == f) & (chart.row >= start) & (chart.row < stop)
            inside = np.where(mine, x, 0.0)
            if inside @ hessian @ inside > CLEARLY_NEEDED or not optimum.T[f][start:stop].any():
                continue
            T = tuple(t.copy() for t in optimum.T)
            T[f][start:stop, start:stop] = 0.0
            at_zero = surface.value(T)
            if at_zero < value:
                best, value = T, at_zero
    return best


def _lower_competitor(surface: Surface, optimum: Optimum) -> Factors | None:
    """Return a lower minimum at which another of the competing blocks is small, if there is one.

    See `ranef.linalg.competition`: every block in turn is made small, and the search goes on.
    """
    best: Optimum | None = None
    for f, (start, stop) in surface.competing:
        T = tuple(t.copy() for t in optimum.T)
        T[f][start:stop, start:stop] *= MADE_SMALL
        found = newton(surface, T, Control())
        if found.value < (optimum.value - LOWER if best is None else best.value):
            best = found
    return None if best is None else best.T


def _mend(
    surface: Surface,
    optimum: Optimum,
    certificate: Certificate,
    here: Evaluation,
    curvature: Curvature,
) -> tuple[Verdict | None, Factors | None]:
    """Return what is wrong with the point and a lower one, if it is no minimum at all."""
    for direction in certificate.null:
        if slope_along(here, direction) < -KKT_TOLERANCE:
            better = _open(surface, optimum, direction)
            if better is not None:
                return Verdict.FALSE_ZERO, better
    largest = float(np.abs(curvature.values).max())
    downwards = certificate.curvature < -CURVATURE_TOLERANCE * max(1.0, largest)
    if downwards and certificate.decrement <= _attainable(here):
        better = _descend(surface, optimum, here, curvature)
        if better is not None:
            return Verdict.SADDLE, better
    return None, None


def _judge(
    surface: Surface,
    optimum: Optimum,
    certificate: Certificate,
    here: Evaluation,
    curvature: Curvature,
) -> tuple[Verdict, Factors | None]:
    """Return the verdict on a point that looks like a minimum, and a lower one if there is."""
    unfinished = not certificate.decrement <= _attainable(here)  # also where it is NaN
    if here.rounding > HOPELESS_ROUNDING or (unfinished and here.rounding > LARGEST_ROUNDING):
        return Verdict.IMPRECISE, None
    if unfinished:
        return (Verdict.EXHAUSTED if optimum.exhausted else Verdict.STOPPED_SHORT), None
    other = lower_without(surface, optimum, here, curvature)
    if other is None:
        other = _lower_competitor(surface, optimum)
    if other is not None:
        return Verdict.LOCAL, other
    elsewhere = _search_aside(surface, here, curvature)
    if elsewhere is not None and elsewhere.value < optimum.value - EQUAL:
        return Verdict.SADDLE, elsewhere.T
    if elsewhere is not None and _differ(optimum, elsewhere):
        return Verdict.AMBIGUOUS, None
    return (Verdict.SINGULAR if certificate.null else Verdict.CONVERGED), None


def _attainable(here: Evaluation) -> float:
    """Return the largest decrement that a converged point may have."""
    rounding = here.rounding if here.rounding <= LARGEST_ROUNDING else 0.0
    return max(LARGEST_DECREMENT, rounding, 2.0 * rounding_noise(here))


def _open(surface: Surface, optimum: Optimum, direction: Direction) -> Factors | None:
    """Return a point with some variance in the direction that lowers the criterion."""
    for size in (0.3, 0.1, 0.03, 0.01, 0.003):
        T = widen(optimum.T, direction, size)
        if surface.value(T) < optimum.value - 1e-9:
            return T
    return None


def _search_aside(surface: Surface, here: Evaluation, curvature: Curvature) -> Optimum | None:
    """Return where a search from a point aside ends, if curvature is suspiciously small.

    Only directions of parameters that have variance count.
    """
    T, chart = here.T, here.chart
    inside = varies(T, chart)
    if not inside.any():
        return None
    x = chart.read(T)
    scale = np.maximum(1.0, np.abs(x))
    scaled = curvature.matrix * np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled[np.ix_(inside, inside)])
    if values[0] > HARDLY_CURVED:
        return None
    step = np.zeros(chart.size)
    step[inside] = ASIDE * scale[inside] * vectors[:, 0]
    return newton(surface, chart.write(T, x + step), Control())


def _differ(one: Optimum, other: Optimum) -> bool:
    """Tell whether two ends are equally good but elsewhere."""
    moved = max(
        float(np.abs(a @ a.T - b @ b.T).max() / (1.0 + np.abs(a @ a.T).max()))
        for a, b in zip(one.T, other.T, strict=True)
    )
    return moved >= APART and other.value <= one.value + EQUAL


def _descend(
    surface: Surface, optimum: Optimum, here: Evaluation, curvature: Curvature
) -> Factors | None:
    """Return a lower point along the direction of most negative curvature."""
    T, chart = here.T, here.chart
    x = chart.read(T)
    direction = curvature.vectors[:, int(np.argmin(curvature.values))]
    for size in (0.3, 0.1, 0.03, 0.01):
        for sign in (1.0, -1.0):
            moved = chart.write(T, x + sign * size * direction)
            if surface.value(moved) < min(optimum.value, here.value) - 1e-9:
                return moved
    return None
