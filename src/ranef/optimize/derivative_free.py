"""BOBYQA and Nelder-Mead: optimizers that only need values of the criterion.

They work on the lower-triangular chart in the core's whitened coordinates. BOBYQA (Powell 2009) is
nlopt's, with lower bounds of zero on the diagonals, as lme4 uses it; Nelder-Mead is scipy's.
Neither sees a derivative, so both can stop at a false zero or on a plateau: the certificate that
follows uses exact derivatives and says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np

from ranef.covariance.chart import Chart, Factors, identity, lower, lower_chart
from ranef.errors import MissingDependencyError
from ranef.optimize.control import Control
from ranef.optimize.result import Optimum, Surface
from ranef.typing import FloatArray

MAX_EVALUATIONS = 10_000


class _Best:
    """Counts evaluations and remembers the best point: the search may end anywhere."""

    def __init__(self, surface: Surface, chart: Chart, start: FloatArray) -> None:
        self.surface = surface
        self.chart = chart
        self.template = identity(surface.blocks)
        self.x = start
        self.value = np.inf
        self.worst = -np.inf
        self.count = 0

    def __call__(self, x: FloatArray) -> float:
        """Return the criterion at x."""
        self.count += 1
        value = self.surface.value(self.chart.write(self.template, x))
        if value < self.value:
            self.x, self.value = np.array(x, dtype=float), value
        # infinity, or a huge number, would spoil the quadratic model
        self.worst = max(self.worst, value) if np.isfinite(value) else self.worst
        if np.isfinite(value):
            return value
        return self.worst if np.isfinite(self.worst) else 1e300

    def optimum(self, limit: int) -> Optimum:
        """Return the best point seen."""
        T = self.chart.write(self.template, self.x)
        return Optimum(T, self.value, self.count, exhausted=self.count >= limit)


def _search(
    surface: Surface,
    start: Factors,
    control: Control,
    run: Callable[[_Best, FloatArray, FloatArray, int], None],
) -> Optimum:
    chart = lower_chart(surface.blocks)
    x = chart.read(lower(start, surface.blocks))
    diagonal = np.asarray(chart.row == chart.col)
    limit = control.limit(MAX_EVALUATIONS)
    best = _Best(surface, chart, x)
    run(best, x, np.where(diagonal, 0.0, -np.inf), limit)
    return best.optimum(limit)


def bobyqa(surface: Surface, start: Factors, control: Control) -> Optimum:
    """Minimise by BOBYQA: bounded, quadratic interpolation models."""
    try:
        import nlopt
    except ImportError as error:  # no nlopt wheels on emscripten
        raise MissingDependencyError(
            "optimizer='bobyqa' needs nlopt: install it with `pip install nlopt`, or use "
            "optimizer='newton'."
        ) from error

    def run(best: _Best, x: FloatArray, bounds: FloatArray, limit: int) -> None:
        problem = nlopt.opt(nlopt.LN_BOBYQA, len(x))
        problem.set_min_objective(lambda at, _: best(at))
        problem.set_lower_bounds(bounds)
        problem.set_maxeval(limit)
        problem.set_ftol_abs(control.tol * 1e-2)
        problem.set_xtol_abs(control.tol)
        problem.set_initial_step(np.full(len(x), 0.5))
        # where rounding ends the search, the best point seen stands
        with contextlib.suppress(nlopt.RoundoffLimited):
            problem.optimize(np.maximum(x, bounds))

    return _search(surface, start, control, run)


def nelder_mead(surface: Surface, start: Factors, control: Control) -> Optimum:
    """Minimise by the Nelder-Mead simplex, with the adaptive coefficients of Gao and Han 2012."""
    from scipy.optimize import minimize

    def run(best: _Best, x: FloatArray, bounds: FloatArray, limit: int) -> None:
        del bounds  # the criterion is even in every diagonal entry: signs are mended afterwards
        minimize(
            best,
            x,
            method="Nelder-Mead",
            options={
                "maxfev": limit,
                "maxiter": limit,
                "xatol": np.sqrt(control.tol) * 1e-2,
                "fatol": control.tol * 1e-2,
                "adaptive": len(x) > 2,
            },
        )

    return _search(surface, start, control, run)
