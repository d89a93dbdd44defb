"""The ML deviance in (T, sigma^2), not profiled over sigma, with derivatives in any chart.

With s = log sigma^2 and the fixed effects profiled out,

    d(T, s) = logdet_random + r^2 e^-s + n (s + log 2 pi) - sum(log w),

where logdet_random and r^2 depend on T through the covariance matrices Sigma_f = T_f T_f' only.
A profile holds one function of (T, s) fixed; every such function gets coordinates z of its own
(`ranef.inference.profile_axes`), and what is needed of them is how T and s change with z: the
tangents T_i = dT/dz_i and tilts s_i = ds/dz_i, and the few second derivatives T_ij that are not
zero. With D_i = T_i T' + T T_i', c_i = D_i t, a_i = Z c_i, F = trace part - e^-s sum_j t_j t_j'
and V0^-1, P, t as in `ranef.linalg`,

    d_i  = tr(F D_i) + s_i (n - r^2 e^-s)
    d_ij = 2 e^-s a_i'P a_j - tr(V0^-1 V_i V0^-1 V_j) + 2 tr(F T_i T_j') + 2 tr(F T_ij T')
           + s_i s_j r^2 e^-s + e^-s (s_i t'c_j + s_j t'c_i).

In crossed models with many random effects the trace would cost too much: it is replaced by
e^-s a_i'P a_j (average information), which slows the last Newton steps down and changes no result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ranef.covariance.chart import Factors, pivoted
from ranef.linalg.adjoint import trace_gradient
from ranef.linalg.elimination import Factorization, factorize
from ranef.linalg.information import projected_products, single_moments, whole_moments
from ranef.linalg.plan import Plan, make_plan
from ranef.linalg.solution import Solution, solve
from ranef.objective import LARGEST_WHOLE
from ranef.typing import FloatArray, IntArray

# (i, j, T_ij): a second derivative of T by the coordinates i and j, of the factor of both.
Second = tuple[int, int, FloatArray]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """Relative covariance factors and the logarithm of sigma^2."""

    T: Factors
    s: float


@dataclass(frozen=True, slots=True, eq=False)
class Tangents:
    """How T and s depend on coordinates near a point.

    Attributes
    ----------
    factor : tuple (m,) of int
        Which factor each coordinate moves.
    T : tuple (m,) of float64 arrays (k_f, k_f)
        Its derivative; zero where only s moves.
    s : float64 array (m,)
        Derivatives of s.
    seconds : tuple of Second
    """

    factor: tuple[int, ...]
    T: tuple[FloatArray, ...]
    s: FloatArray
    seconds: tuple[Second, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """Value, gradient (m,) and Hessian (m, m) of the deviance; ``exact`` or average information."""

    value: float
    gradient: FloatArray
    hessian: FloatArray
    exact: bool
    factorization: Factorization
    solution: Solution


@dataclass(frozen=True)
class Deviance:
    """The ML deviance of one model.

    Attributes
    ----------
    plan : Plan
        How to factorise. Plans that differ in the border only may take its place.
    """

    plan: Plan
    _cache: dict[str, Plan] = field(default_factory=dict, repr=False, compare=False)

    @property
    def n(self) -> int:
        """Number of observations."""
        return self.plan.products.n

    @cached_property
    def can_be_exact(self) -> bool:
        """Whether the trace term of the Hessian is affordable."""
        if len(self.plan.chain) == 1 and not self.plan.dense:
            return True
        effects = sum(A.shape[0] * A.shape[2] for A in self.plan.products.A)
        return bool(effects <= LARGEST_WHOLE)

    def value(self, point: Point, plan: Plan | None = None) -> float:
        """Return the deviance; infinite where rounding makes the system indefinite."""
        f = factorize(plan or self.plan, point.T)
        return math.inf if f is None or not f.r2 > 0.0 else self._value(f, point.s)

    def _value(self, f: Factorization, s: float) -> float:
        scale = self.n * (s + math.log(2.0 * math.pi))
        return f.logdet_random + f.r2 * math.exp(-s) + scale - self.plan.products.log_weights

    def expand(
        self, point: Point, tangents: Tangents, plan: Plan | None = None
    ) -> Expansion | None:
        """Return the deviance with its derivatives; None where the system is indefinite.

        Parameters
        ----------
        point : Point
            Singular factors are allowed.
        tangents : Tangents
            At this point.
        plan : Plan, optional
            In place of the model's own.
        """
        # only T T' matters to the core: by its pivoted factor derivatives stay accurate at zeros
        T, _ = pivoted(point.T, self.plan.products.blocks)
        f = factorize(plan or self.plan, T)
        if f is None or not f.r2 > 0.0:
            return None
        solution = solve(f)
        weight = math.exp(-point.s)
        F = [
            trace - weight * (t @ t.T)
            for trace, t in zip(trace_gradient(f, False), solution.t, strict=True)
        ]
        products = _products(f, solution.t, point.T, tangents, F)
        score, information = products.score, products.information
        s = tangents.s
        gradient = products.slopes + s * (self.n - f.r2 * weight)
        traces = self._traces(f, tangents, products)
        hessian = products.bend + weight * information
        if traces is not None:
            hessian += weight * information - traces
        hessian += weight * f.r2 * np.outer(s, s)
        cross = weight * np.outer(s, score)
        hessian += cross + cross.T
        value = self._value(f, point.s)
        return Expansion(value, gradient, hessian, traces is not None, f, solution)

    def _traces(
        self, f: Factorization, tangents: Tangents, products: _Products
    ) -> FloatArray | None:
        """Return tr(V0^-1 V_i V0^-1 V_j), or None where it would cost too much."""
        if not self.can_be_exact:
            return None
        plan = f.plan
        if len(plan.chain) == 1 and not plan.dense:
            moments = single_moments(f, False)
        else:
            whole: Factorization | None = f
            if plan.chain:
                if "whole" not in self._cache:
                    self._cache["whole"] = make_plan(self.plan.products, math.inf, whole=True)
                whole = factorize(self._cache["whole"], f.T)
            if whole is None:
                return None
            moments = whole_moments(whole, False)
        out = np.zeros((len(tangents.s), len(tangents.s)))
        for (g, h), M in moments.items():
            left, right = products.index[g], products.index[h]
            if len(left) == 0 or len(right) == 0:
                continue
            # sum_lm tr(W_ml D_i W_lm D_j), M[x, y, z, w] = sum_lm W_lm[x, y] W_lm[z, w]
            flat = M.transpose(0, 2, 1, 3).reshape(M.shape[0] * M.shape[2], -1)
            D_g, D_h = products.D[g], products.D[h]
            part = D_g.reshape(len(left), -1) @ flat @ D_h.reshape(len(right), -1).T
            out[left[:, None], right] = part
            out[right[:, None], left] = part.T
        return out


@dataclass(frozen=True, slots=True, eq=False)
class _Products:
    """What slopes and curvature are made of.

    Attributes
    ----------
    index : list of int arrays
        The coordinates that belong to each factor.
    D : list of float64 arrays (m_f, k_f, k_f)
        Their D_i.
    slopes, score : float64 arrays (m,)
        tr(F D_i) and t'c_i.
    bend, information : float64 arrays (m, m)
        What F contributes to the Hessian, and a_i'P a_j.
    """

    index: list[IntArray]
    D: list[FloatArray]
    slopes: FloatArray
    score: FloatArray
    bend: FloatArray
    information: FloatArray


def _products(
    f: Factorization, t: Factors, T: Factors, tangents: Tangents, F: Sequence[FloatArray]
) -> _Products:
    m = len(tangents.s)
    factor = np.array(tangents.factor)
    index = [np.flatnonzero(factor == g) for g in range(len(T))]
    D_all: list[FloatArray] = []
    slopes, score, bend = np.zeros(m), np.zeros(m), np.zeros((m, m))
    directions: list[FloatArray] = [np.zeros(0)] * m
    for g, mine in enumerate(index):
        shape = (len(mine), *T[g].shape)
        stack = np.array([tangents.T[i] for i in mine]).reshape(shape)
        half = stack @ T[g].T
        D = half + half.swapaxes(1, 2)
        D_all.append(D)
        c = D @ t[g]
        slopes[mine] = (D * F[g]).sum(axis=(1, 2))
        score[mine] = (c * t[g]).sum(axis=(1, 2))
        width = T[g].size  # reshape cannot infer it for a factor without coordinates
        flat, turned = stack.reshape(len(mine), width), (F[g] @ stack).reshape(len(mine), width)
        bend[mine[:, None], mine] = 2.0 * turned @ flat.T
        for i, direction in zip(mine.tolist(), c, strict=True):
            directions[i] = direction
    for i, j, second in tangents.seconds:
        g = tangents.factor[i]
        extra = 2.0 * float((F[g] * (second @ T[g].T)).sum())
        bend[i, j] += extra
        if i != j:
            bend[j, i] += extra
    information = projected_products(f, list(tangents.factor), directions)
    return _Products(index, D_all, slopes, score, bend, information)
