"""The profiled criterion at given relative covariance factors, its gradient and its curvature.

    ML:    logdet_random                 + n (1 + log(2 pi r^2 / n))                - sum(log w)
    REML:  logdet_random + logdet_fixed  + (n - p)(1 + log(2 pi r^2 / (n - p)))     - sum(log w)

where logdet_fixed includes 2 log|det R| of the conditioning step. Curvature for theta_i = T_f[a,b],
with c_i = dLambda_i u + Lambda dLambda_i' t and a_i = Z c_i (see `ranef.linalg`):

    G_ij = nu [ a_i'P a_j / r^2 - (c_i't)(c_j't) / r^4 ]                  positive semi-definite
    E_ij = 2 F_f[a, a'] for entries of the same column b of the same factor
    average information:  G + E
    exact Hessian:        G + E + nu a_i'P a_j / r^2 - tr(Q_ V_i Q_ V_j)

E keeps the curvature right where a variance is zero: there G vanishes by symmetry, E does not.
The criterion: Bates, Maechler, Bolker, Walker 2015, Journal of Statistical Software 67(1).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from ranef.covariance.chart import Chart, Factors, identity
from ranef.linalg.adjoint import trace_gradient
from ranef.linalg.competition import Block, competing_blocks
from ranef.linalg.elimination import Factorization, factorize
from ranef.linalg.information import (
    direction,
    projected_products,
    single_moments,
    trace_products,
    whole_moments,
)
from ranef.linalg.plan import Plan, make_plan
from ranef.linalg.solution import Solution, solve
from ranef.typing import FloatArray

# Up to this many random effects the exact Hessian of a crossed model is affordable: a dense
# matrix of that size costs less than the gradient evaluations that it saves.
LARGEST_WHOLE = 600
# Up to this many it costs no more than an evaluation.
CHEAP_WHOLE = 60
# Rounding errors of the elimination, in units of those of one subtraction (measured: 3 to 30).
ROUNDING_FACTOR = 100.0
# Step of central differences of gradients: the cube root of rounding, on parameters of size one.
DIFFERENCE = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Value, gradient (m,) and curvature (m, m) of the criterion at one point.

    ``average`` is the average-information approximation; ``exact()`` computes the Hessian, or
    returns None where that is too expensive.
    ``F`` are the derivatives with respect to the relative covariance matrices. The point is T in
    the coordinates of ``chart``. ``rounding`` bounds the rounding error of the criterion.
    ``cheap`` tells that the Hessian costs no more than an evaluation.
    """

    T: Factors
    chart: Chart
    value: float
    gradient: FloatArray
    average: FloatArray
    exact: Callable[[], FloatArray | None]
    F: tuple[FloatArray, ...]
    rounding: float = 0.0
    cheap: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Factorisation and solution at one point: everything that estimates are read from."""

    factorization: Factorization
    solution: Solution
    value: float
    sigma2: float

    def lock(self) -> State:
        """Make what estimates are read from read-only, and return the state."""
        for array in (self.solution.gamma, *self.solution.b, *self.solution.t):
            array.flags.writeable = False
        return self


class Objective:
    """The criterion of one model as a function of its relative covariance factors.

    Parameters
    ----------
    plan : Plan
        How to factorise.
    reml : bool
        REML criterion, or -2 log-likelihood.
    """

    def __init__(self, plan: Plan, *, reml: bool) -> None:
        self.plan = plan
        self.reml = reml
        products = plan.products
        self.nu = products.n - (products.p if reml else 0)
        self.constant = -products.log_weights + (2.0 * products.logdet_fixed if reml else 0.0)
        self._whole: Plan | None = None
        self._last: tuple[Factors, Factorization | None] | None = None

    @property
    def blocks(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Independent covariance blocks of every factor."""
        return self.plan.products.blocks

    @property
    def competing(self) -> tuple[Block, ...]:
        """Covariance blocks of different factors that compete for a common part of the mean."""
        return competing_blocks(self.plan.products)

    def _value(self, f: Factorization) -> float:
        fixed = f.logdet_fixed if self.reml else 0.0
        scale = self.nu * (1.0 + math.log(2.0 * math.pi * f.r2 / self.nu))
        return f.logdet_random + fixed + scale + self.constant

    def _factorize(self, T: Factors) -> Factorization | None:
        """Factorise, or return the last factorisation if it was of this very T."""
        last = self._last  # read once: another thread may use this objective too
        if last is None or last[0] is not T:
            f = factorize(self.plan, T)
            last = (T, None if f is None or not f.r2 > 0.0 else f)
            self._last = last
        return last[1]

    def forget(self) -> None:
        """Drop the last factorisation: a fitted model keeps its own."""
        self._last = None

    def __getstate__(self) -> dict[str, object]:
        """Leave the caches out of a pickle."""
        return {**self.__dict__, "_last": None, "_whole": None}

    def value(self, T: Factors) -> float:
        """Return the criterion; infinite where rounding makes the system indefinite."""
        f = self._factorize(T)
        return math.inf if f is None else self._value(f)

    def state(self, T: Factors) -> State:
        """Return the factorisation and the solution at T."""
        f = self._factorize(T)
        if f is None:
            raise np.linalg.LinAlgError("the mixed-model equations are numerically singular")
        return State(f, solve(f), self._value(f), f.r2 / self.nu)

    def evaluate(self, T: Factors, chart: Chart) -> Evaluation | None:
        """Return value, gradient and curvature at T in the coordinates of ``chart``.

        Parameters
        ----------
        T : tuple of float64 arrays (k_f, k_f)
            Invertible.
        chart : Chart
            Its free entries.

        Returns
        -------
        Evaluation, or None where rounding makes the system indefinite.
        """
        f = self._factorize(T)
        if f is None:
            return None
        solution = solve(f)
        F, gradient = self._slopes(f, solution, T, chart)
        scale = self.nu / f.r2
        score, information = self._scores(f, solution, T, chart)
        curvature = scale * information
        average = curvature - (scale / f.r2) * np.outer(score, score) + _same_column(F, chart)

        @cache
        def exact() -> FloatArray | None:
            traces = self._traces(f, T, chart, LARGEST_WHOLE)
            return None if traces is None else average + curvature - traces

        return Evaluation(
            T, chart, self._value(f), gradient, average, exact, F, self._rounding(f), self._cheap
        )

    @property
    def _cheap(self) -> bool:
        """Whether the exact Hessian costs no more than an evaluation."""
        single = len(self.plan.chain) == 1 and not self.plan.dense
        return single or sum(A.shape[0] * A.shape[2] for A in self.plan.products.A) <= CHEAP_WHOLE

    def _slopes(
        self, f: Factorization, solution: Solution, T: Factors, chart: Chart
    ) -> tuple[tuple[FloatArray, ...], FloatArray]:
        """Return F for every factor, and the gradient in the coordinates of the chart."""
        scale = self.nu / f.r2
        F = tuple(
            trace - scale * (t @ t.T)
            for trace, t in zip(trace_gradient(f, self.reml), solution.t, strict=True)
        )
        return F, chart.read(tuple(2.0 * part @ t for part, t in zip(F, T, strict=True)))

    def gradient(self, T: Factors, chart: Chart) -> FloatArray:
        """Return the gradient alone, without curvature.

        Raises
        ------
        numpy.linalg.LinAlgError
            Where rounding makes the system indefinite.
        """
        state = self.state(T)
        return self._slopes(state.factorization, state.solution, T, chart)[1]

    def _rounding(self, f: Factorization) -> float:
        """Return a bound on the rounding error of the criterion.

        The residual sum of squares, and the fixed part of S, are what is left after subtracting
        the part that random effects explain; where that is nearly all, few digits are left.
        """
        left = f.r2 / float(self.plan.products.D[-1, -1])
        fixed = f.root.corner.diagonal()[:-1]
        lost = self.nu / left + float((1.0 / (fixed * fixed)).sum())
        return ROUNDING_FACTOR * float(np.finfo(float).eps) * lost

    @staticmethod
    def _scores(
        f: Factorization, solution: Solution, T: Factors, chart: Chart
    ) -> tuple[FloatArray, FloatArray]:
        """Return c_i't (m,) and a_i'P a_j (m, m)."""
        directions = []
        score = np.empty(chart.size)
        for i, (g, a, b) in enumerate(zip(chart.factor, chart.row, chart.col, strict=True)):
            t = solution.t[g]
            directions.append(direction(T[g][:, b], a, t))
            score[i] = (directions[-1] * t).sum()
        factors = [int(g) for g in chart.factor]
        return score, projected_products(f, factors, directions)

    def hessian(self, T: Factors, chart: Chart) -> FloatArray:
        """Return the exact Hessian at T, by differences of exact gradients where it is costly.

        Cost: one evaluation, or two for every parameter.
        """
        if chart.size == 0:
            return np.zeros((0, 0))
        here = self.evaluate(T, chart)
        if here is None:
            raise np.linalg.LinAlgError("the mixed-model equations are numerically singular")
        exact = here.exact()
        if exact is not None:
            return exact
        x = chart.read(T)
        rows = []
        for i in range(chart.size):
            step = np.zeros(chart.size)
            step[i] = DIFFERENCE * max(1.0, abs(x[i]))
            ends = [self.gradient(chart.write(T, x + s * step), chart) for s in (1.0, -1.0)]
            rows.append((ends[0] - ends[1]) / (2.0 * step[i]))
        hessian = np.array(rows)
        result: FloatArray = 0.5 * (hessian + hessian.T)
        return result

    def linear_traces(self, T: Factors, chart: Chart, largest: int) -> FloatArray | None:
        """Return tr(Q_ V_i Q_ V_j) for V_i = Z (e_a e_b' + e_b e_a') Z', (m, m).

        These are the tangents of the relative covariance matrices' own elements, which exist at
        singular ones too. None where a dense matrix of more than ``largest`` random effects
        would be needed.
        """
        unit = identity(self.blocks)
        return self._traces(self.state(T).factorization, unit, chart, largest)

    def trace_products(self, T: Factors, chart: Chart) -> FloatArray:
        """Return tr(Q_ V_i Q_ V_j) for the entries of T, (m, m), from what the Hessian lacks.

        Cost: two evaluations of the gradient for every parameter.
        """
        evaluation = self.evaluate(T, chart)
        if evaluation is None:
            raise np.linalg.LinAlgError("the mixed-model equations are numerically singular")
        here = self.state(T)
        _, information = self._scores(here.factorization, here.solution, T, chart)
        scale = self.nu / here.factorization.r2
        return evaluation.average + scale * information - self.hessian(T, chart)

    def score(self, state: State, chart: Chart) -> FloatArray:
        """Return the derivatives of the penalised residual sum of squares r^2, (m,)."""
        T = state.factorization.T
        slopes = [-2.0 * (t @ t.T) @ T_f for t, T_f in zip(state.solution.t, T, strict=True)]
        return chart.read(tuple(slopes))

    def _traces(
        self, f: Factorization, T: Factors, chart: Chart, largest: int
    ) -> FloatArray | None:
        """Return tr(Q_ V_i Q_ V_j), V_i = Z (e_a T_b' + T_b e_a') Z'; None if it costs too much."""
        products = self.plan.products
        if len(self.plan.chain) == 1 and not self.plan.dense:
            moments = single_moments(f, self.reml)
        else:
            if sum(A.shape[0] * A.shape[2] for A in products.A) > largest:
                return None
            whole: Factorization | None = f
            if self.plan.chain:
                if self._whole is None:
                    self._whole = make_plan(products, math.inf, whole=True)
                whole = factorize(self._whole, f.T)
            if whole is None:
                return None
            moments = whole_moments(whole, self.reml)
        return trace_products(T, moments, chart.factor, chart.row, chart.col)


def _same_column(F: tuple[FloatArray, ...], chart: Chart) -> FloatArray:
    """Return E: 2 F[a, a'] for parameters in the same column of the same factor."""
    widths = [len(part) for part in F]
    offset = np.cumsum([0, *widths[:-1]])[chart.factor]
    whole = np.zeros((sum(widths), sum(widths)))
    start = 0
    for part in F:
        stop = start + len(part)
        whole[start:stop, start:stop] = part
        start = stop
    row, col = offset + chart.row, offset + chart.col
    E: FloatArray = 2.0 * whole[row[:, None], row] * (col[:, None] == col)
    return E
