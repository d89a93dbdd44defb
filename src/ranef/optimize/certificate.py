"""A verdict on the point where an optimizer stopped, from exact derivatives.

Three facts decide:

* the Newton decrement g'H^-1 g: what one more step would gain, in deviance units;
* the smallest eigenvalue of the exact Hessian (where affordable; else of the average information):
  a saddle point has a negative one;
* for every direction n without variance, the sign of n'F n: at a minimum on the boundary an
  increase of that variance must not lower the criterion (Karush-Kuhn-Tucker).

A point that fails the last two is not an end: `escape` moves off it and the search goes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from ranef.covariance.chart import Factors, pivoted
from ranef.objective import Evaluation
from ranef.optimize.newton import Curvature
from ranef.optimize.result import Optimum, Surface
from ranef.typing import FloatArray

# A verdict "converged" promises that the criterion is this close to its minimum.
LARGEST_DECREMENT = 1e-5
# A relative standard deviation below this (whitened coordinates) counts as zero; lme4 uses the
# same number on its own scale.
SINGULAR_BELOW = 1e-4
# Derivatives by a vanishing variance may be this negative: what they could gain is their square.
KKT_TOLERANCE = 1e-4
# Relative size of a negative eigenvalue that rounding can explain.
CURVATURE_TOLERANCE = 1e-7


class Verdict(Enum):
    """How a fit ended, as a sentence."""

    CONVERGED = "converged"
    SINGULAR = "converged, singular"
    EXHAUSTED = "not converged: the limit on evaluations was reached"
    STOPPED_SHORT = "not converged: the optimizer stopped short of the minimum"
    SADDLE = "not converged: the optimizer stopped where the criterion still curves down"
    FALSE_ZERO = "not converged: the optimizer stopped at a variance of zero that is not optimal"
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
    null : tuple of (factor, (start, stop), float64 array)
        Directions without variance: factor, block, vector of the block's coordinates.
    """

    verdict: Verdict
    gradient_norm: float
    decrement: float
    curvature: float
    exact: bool
    null: tuple[tuple[int, tuple[int, int], FloatArray], ...]


def null_directions(
    T: Factors, blocks: tuple[tuple[tuple[int, int], ...], ...]
) -> tuple[tuple[int, tuple[int, int], FloatArray], ...]:
    """Return the directions of every block in which the effects have no variance."""
    out = []
    for f, (t, parts) in enumerate(zip(T, blocks, strict=True)):
        for start, stop in parts:
            left, values, _ = np.linalg.svd(t[start:stop, start:stop])
            out += [
                (f, (start, stop), left[:, i].copy())
                for i in range(stop - start)
                if values[i] < SINGULAR_BELOW
            ]
    return tuple(out)


def certify(surface: Surface, optimum: Optimum) -> tuple[Certificate, Factors | None]:
    """Return the verdict on a point, and a better point if the verdict can be mended."""
    T, chart = pivoted(optimum.T, surface.blocks)
    here = optimum.evaluation or surface.evaluate(T, chart)
    null = null_directions(optimum.T, surface.blocks)
    if here is None:
        return Certificate(Verdict.BREAKDOWN, np.inf, np.inf, -np.inf, False, null), None
    exact = here.exact()
    curvature = Curvature.of(here.average if exact is None else exact)
    smallest = float(curvature.values.min())
    largest = float(np.abs(curvature.values).max(initial=0.0))
    gradient = here.gradient
    certificate = Certificate(
        Verdict.CONVERGED,
        float(np.sqrt(gradient @ gradient)),
        curvature.decrement(gradient),
        smallest,
        exact is not None,
        null,
    )
    for f, (start, stop), n in null:
        if float(n @ here.F[f][start:stop, start:stop] @ n) < -KKT_TOLERANCE:
            better = _open(surface, optimum, f, (start, stop), n)
            if better is not None:
                return replace(certificate, verdict=Verdict.FALSE_ZERO), better
    if certificate.decrement > LARGEST_DECREMENT:
        verdict = Verdict.EXHAUSTED if optimum.exhausted else Verdict.STOPPED_SHORT
        return replace(certificate, verdict=verdict), None
    if smallest < -CURVATURE_TOLERANCE * max(1.0, largest):
        better = _descend(surface, optimum, T, here, curvature)
        if better is not None:
            return replace(certificate, verdict=Verdict.SADDLE), better
    if null:
        return replace(certificate, verdict=Verdict.SINGULAR), None
    return certificate, None


def _open(
    surface: Surface, optimum: Optimum, f: int, block: tuple[int, int], n: FloatArray
) -> Factors | None:
    """Return a point with some variance in direction n that lowers the criterion."""
    start, stop = block
    for size in (0.3, 0.1, 0.03, 0.01, 0.003):
        T = tuple(t.copy() for t in optimum.T)
        wider = np.hstack([T[f][start:stop, start:stop], size * n[:, None]])
        T[f][start:stop, start:stop] = np.asarray(np.linalg.qr(wider.T, mode="r")).T
        if surface.value(T) < optimum.value - 1e-9:
            return T
    return None


def _descend(
    surface: Surface, optimum: Optimum, T: Factors, here: Evaluation, curvature: Curvature
) -> Factors | None:
    """Return a lower point along the direction of most negative curvature."""
    _, chart = pivoted(T, surface.blocks)
    x = chart.read(T)
    direction = curvature.vectors[:, int(np.argmin(curvature.values))]
    for size in (0.3, 0.1, 0.03, 0.01):
        for sign in (1.0, -1.0):
            moved = chart.write(T, x + sign * size * direction)
            if surface.value(moved) < min(optimum.value, here.value) - 1e-9:
                return moved
    return None
