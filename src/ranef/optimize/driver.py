"""Runs an optimizer until its end point is certified, and rounds vanishing variances to zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ranef.covariance.chart import SINGULAR_BELOW, Factors, pivoted
from ranef.optimize.certificate import Certificate, Verdict, certify
from ranef.optimize.control import Control
from ranef.optimize.derivative_free import bobyqa, nelder_mead
from ranef.optimize.newton import newton
from ranef.optimize.result import Optimum, Surface
from ranef.typing import OptimizerName

OPTIMIZERS: dict[str, Callable[[Surface, Factors, Control], Optimum]] = {
    "newton": newton,
    "bobyqa": bobyqa,
    "nelder-mead": nelder_mead,
}
GOOD = (Verdict.CONVERGED, Verdict.SINGULAR, Verdict.AMBIGUOUS)
RESTARTS = 5
# Setting a variance to exact zero must not cost more than this.
ZERO_TOLERANCE = 1e-8


def minimise(
    surface: Surface, start: Factors, optimizer: OptimizerName, control: Control
) -> tuple[Optimum, Certificate]:
    """Minimise, certify, and go on where the certificate knows a better point."""
    search = OPTIMIZERS[optimizer]
    optimum = search(surface, start, control)
    certificate, better = certify(surface, optimum)
    for _ in range(RESTARTS):
        if better is None or optimum.exhausted:
            break
        used = optimum.n_evaluations
        left = None if control.max_evaluations is None else control.max_evaluations - used
        if left is not None and left < 1:
            break
        again = search(surface, better, replace(control, max_evaluations=left))
        value = surface.value(better)
        if not again.value <= value:  # the search left the better point behind
            again = Optimum(better, value, again.n_evaluations, again.exhausted)
        optimum = replace(again, n_evaluations=used + again.n_evaluations)
        certificate, better = certify(surface, optimum)
    if certificate.null and certificate.verdict in GOOD:
        optimum = _round_to_zero(surface, optimum)
    return optimum, certificate


def _round_to_zero(surface: Surface, optimum: Optimum) -> Optimum:
    """Replace directions of negligible variance by exact zeros, if the criterion does not mind."""
    T, _ = pivoted(optimum.T, surface.blocks)
    for t in T:
        small = (t * t).sum(axis=0) < SINGULAR_BELOW**2
        t[:, small] = 0.0
    value = surface.value(T)
    if value <= optimum.value + ZERO_TOLERANCE:
        return replace(optimum, T=T, value=value)
    return optimum
