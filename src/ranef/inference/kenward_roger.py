"""Kenward and Roger's adjusted covariance matrix and scaled F test, without n x n matrices.

V depends on covariance parameters gamma_r with G_r = dV/dgamma_r and Phi = (X'V^-1 X)^-1:

    P_r = -X'V^-1 G_r V^-1 X,   Q_rs = X'V^-1 G_r V^-1 G_s V^-1 X,   I_rs = tr(P G_r P G_s),
    W = 2 inv(I),   Phi_A = Phi + 2 Phi [sum_rs W_rs (Q_rs - P_r Phi P_s)] Phi.

Everything is a contraction of W with P_r, Q_rs and I_rs, so any coordinates of the covariance
parameters will do as long as G_r are the tangents of the linear ones. Here they are the elements
of the covariance matrices relative to sigma^2, and log sigma^2: V_i = Z (e_a e_b' + e_b e_a') Z'.
With E = Q'V0^-1 Z and a_ic = V_i V0^-1 q_c = Z c_ic,

    Q_ij - P_i Phi P_j = a_i' P0 a_j / sigma^2,   tangents with log sigma^2: zero, as P x_c = 0,
    I_ij = tr(P0 V_i P0 V_j),   I_i,sigma = tr(P0 V_i),   I_sigma,sigma = n - p,

all of which the criterion's own derivatives are made of (`ranef.linalg.information`). The tangents
exist on the boundary too: a variance that was estimated as zero keeps its uncertainty, and balanced
designs keep the df of their ANOVA. Cost: the derivatives, and m p response columns carried through
one elimination. In large crossed models the I_ij come from differences of gradients by the entries
of the factors T, V_i = Z (e_a T_b' + T_b e_a') Z', which span the same tangents; there, directions
without variance have none, and are left out.

Kenward and Roger 1997, Biometrics 53; as in pbkrtest (Halekoh and Hojsgaard 2014, Journal of
Statistical Software 59(9)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.covariance.chart import Chart, Factors, identity, lower_chart, pivoted, varies
from ranef.errors import FitError
from ranef.estimation import Problem, available_memory
from ranef.inference.satterthwaite import determined_inverse
from ranef.linalg.adjoint import trace_gradient
from ranef.linalg.information import direction, projected_products
from ranef.linalg.solution import fixed_scores
from ranef.objective import State
from ranef.typing import FloatArray

# What is left of quantities that vanish in balanced designs is rounding below this.
ZERO = 1e-10
# Up to this many random effects of a crossed model a dense matrix of them is affordable.
LARGEST_DENSE = 2000
# The directions of this many bytes need no look at the memory.
SMALL_ENOUGH = 1e8


@dataclass(frozen=True, slots=True, eq=False)
class KenwardRogerMoments:
    """What the tests are computed from, in the coordinates of Q.

    Attributes
    ----------
    phi, adjusted : float64 array (p, p)
        Phi and Phi_A.
    P : float64 array (m + 1, p, p)
        P_r; the last is for log sigma^2.
    W : float64 array (m + 1, m + 1)
        Covariance matrix of the covariance parameters, from the expected information.
    """

    phi: FloatArray
    adjusted: FloatArray
    P: FloatArray
    W: FloatArray

    def scaled(self, L: FloatArray) -> tuple[float, float]:
        """Return the scaling factor of F and its denominator df for independent rows L (q, p)."""
        q = len(L)
        middle = L @ self.phi @ L.T
        half = np.linalg.solve(np.linalg.cholesky(middle), L @ self.phi)
        H = half @ self.P @ half.T
        traces = np.trace(H, axis1=1, axis2=2)
        A1 = float(traces @ self.W @ traces)
        flat = H.reshape(len(H), q * q)
        A2 = float(((self.W @ flat) * flat).sum())
        return _scale_and_df(q, A1, A2)


def _scale_and_df(q: int, A1: float, A2: float) -> tuple[float, float]:
    """Return lambda and m of Kenward and Roger's section 3.2: F of matching mean and variance."""
    if q == 1:  # where the general formulas reduce to this, but for rounding
        return 1.0, 2.0 / A2
    B = (A1 + 6.0 * A2) / (2.0 * q)
    g = ((q + 1.0) * A1 - (q + 4.0) * A2) / ((q + 2.0) * A2)
    below = 3.0 * q + 2.0 * (1.0 - g)
    c1, c2, c3 = g / below, (q - g) / below, (q + 2.0 - g) / below
    V0, V1, V2 = (_zap(v) for v in (1.0 + c1 * B, 1.0 - c2 * B, 1.0 - c3 * B))
    mean = 1.0 - A2 / q
    rho = (mean / V1) ** 2 * V0 / V2 / q if V1 and V2 else np.inf
    df = 4.0 + (q + 2.0) / (q * rho - 1.0)
    scale = 1.0 if abs(df - 2.0) < 0.01 else df * mean / (df - 2.0)
    return float(scale), float(df)


def _zap(value: float) -> float:
    return 0.0 if abs(value) < ZERO else value


def kenward_roger_moments(problem: Problem, state: State) -> KenwardRogerMoments:
    """Compute the adjusted covariance matrix and what the tests need.

    Parameters
    ----------
    problem : Problem
        Of a REML fit.
    state : State
        At its optimum.

    Raises
    ------
    FitError
        If the computation does not fit into memory.
    """
    objective = problem.objective
    T, _ = pivoted(state.factorization.T, objective.blocks)
    here = objective.state(T)
    f, sigma2 = here.factorization, here.sigma2
    p = f.plan.products.p
    half = f.fixed_root()
    C = half.T @ half
    tangents = _tangents(problem, T)
    chart, m = tangents.chart, tangents.chart.size
    _check_memory(problem, m, p)
    E = fixed_scores(f)
    P = np.empty((m + 1, p, p))
    directions: list[FloatArray] = []
    for i, (g, a, b) in enumerate(zip(chart.factor, chart.row, chart.col, strict=True)):
        t = tangents.factors[g][:, b]
        along = np.tensordot(t, E[g], axes=(0, 1))
        S = E[g][:, a] @ along.T
        P[i] = -(S + S.T) / sigma2
        directions += [direction(t, a, E[g][c]) for c in range(p)]
    P[m] = -np.linalg.inv(C) / sigma2
    M = np.zeros((m, p, m, p))
    if directions:
        factors = [int(g) for g in np.repeat(chart.factor, p)]
        M = projected_products(f, factors, directions).reshape(m, p, m, p)
    W = _covariance(tangents, here, objective.nu)
    adjustment = np.einsum("ij,icjd->cd", W[:m, :m], M)
    adjusted = sigma2 * (C + C @ (adjustment + adjustment.T) @ C)
    objective.forget()
    return KenwardRogerMoments(sigma2 * C, adjusted, P, W)


@dataclass(frozen=True, slots=True, eq=False)
class Tangents:
    """How V is varied: V_i = Z (e_a t_b' + t_b e_a') Z', t_b a column of ``factors``.

    ``traces`` are tr(P0 V_i P0 V_j), (m, m); ``size`` (m,) is a natural size of the parameters.
    """

    chart: Chart
    factors: Factors
    traces: FloatArray
    size: FloatArray


def _tangents(problem: Problem, T: Factors) -> Tangents:
    objective = problem.objective
    chart = lower_chart(objective.blocks)
    traces = objective.linear_traces(T, chart, LARGEST_DENSE)
    if traces is not None:
        sd = [np.maximum(1.0, np.sqrt((t * t).sum(axis=1))) for t in T]
        index = zip(chart.factor, chart.row, chart.col, strict=True)
        size = np.array([sd[g][a] * sd[g][b] for g, a, b in index])
        return Tangents(chart, identity(objective.blocks), traces, size)
    T, chart = pivoted(T, objective.blocks)
    free = chart.part(varies(T, chart))
    size = np.maximum(1.0, np.abs(free.read(T)))
    return Tangents(free, T, objective.trace_products(T, free), size)


def _covariance(tangents: Tangents, here: State, nu: int) -> FloatArray:
    """Return W = 2 inv(I), log sigma^2 last; flat directions left out."""
    m = tangents.chart.size
    information = np.empty((m + 1, m + 1))
    information[:m, :m] = tangents.traces
    trace = trace_gradient(here.factorization, True)
    slopes = [2.0 * F @ t for F, t in zip(trace, tangents.factors, strict=True)]
    information[:m, m] = information[m, :m] = tangents.chart.read(tuple(slopes))
    information[m, m] = nu
    return 2.0 * determined_inverse(information, np.append(tangents.size, 1.0))


def _check_memory(problem: Problem, m: int, p: int) -> None:
    effects = sum(group.width * group.size for group in problem.groups)
    needed = 8.0 * m * p * (4.0 * effects + m * p)
    if needed > SMALL_ENOUGH and needed > available_memory():
        raise FitError(
            f"Kenward-Roger needs about {needed / 1e9:.1f} GB for {m} covariance parameters, {p} "
            f"fixed effects and {effects} random effects; use ddf='satterthwaite'."
        )
