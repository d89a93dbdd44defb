"""What dense algebra says about a model: the oracle for everything the core computes.

V0 = I + sum_f Z_f (I x T_f T_f') Z_f' is formed as an n x n matrix and inverted: nothing of the
elimination is shared. Second derivatives are the textbook's traces of products of such matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ranef.covariance.chart import Chart, Factors
from ranef.design.types import Design
from ranef.estimation import Problem
from ranef.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Dense:
    """A model whose rows have been multiplied by the square roots of the weights.

    ``Z`` holds, per random term or factor, an array (n, J, k); its effects have covariance
    T T' relative to sigma^2.
    """

    y: FloatArray
    X: FloatArray
    Z: tuple[FloatArray, ...]
    log_weights: float
    reml: bool
    correlated: tuple[bool, ...] = ()

    @classmethod
    def of(cls, design: Design, *, reml: bool) -> Dense:
        """Build the model from its design; terms in the public order, most levels first."""
        root = _root(design)
        terms = sorted(design.terms, key=lambda term: -term.grouping.size)
        return cls(
            y=root * (design.y - (0.0 if design.offset is None else design.offset)),
            X=independent(root[:, None] * np.asarray(design.X)),
            Z=tuple(
                _spread(root[:, None] * _matrix(term.columns, len(root)), term.grouping.codes)
                for term in terms
            ),
            log_weights=2.0 * float(np.log(root).sum()),
            reml=reml and design.X.shape[1] > 0,
            correlated=tuple(term.correlated for term in terms),
        )

    @classmethod
    def of_core(cls, problem: Problem, design: Design, *, reml: bool) -> Dense:
        """Build the same model in the coordinates in which the core works, factor by factor."""
        root = _root(design)
        outer = cls.of(design, reml=reml)
        Z = tuple(
            _spread(
                root[:, None] * _matrix(group.columns, len(root)) @ group.whitening, group.codes
            )
            for group in problem.groups
        )
        return cls(outer.y, outer.X, Z, outer.log_weights, outer.reml)

    def factors(self, theta: Sequence[float] | FloatArray) -> Factors:
        """Return T per term: lower triangles column by column, or diagonals."""
        out, rest = [], list(theta)
        for Z, correlated in zip(self.Z, self.correlated, strict=True):
            k = Z.shape[2]
            T = np.zeros((k, k))
            for b in range(k):
                for a in range(b, k if correlated else b + 1):
                    T[a, b] = rest.pop(0)
            out.append(T)
        assert not rest
        return tuple(out)

    def at(self, T: Factors) -> Point:
        """Return everything about one point."""
        return Point(self, T)

    def criterion(self, theta: FloatArray) -> float:
        """Return the profiled criterion at public parameters."""
        return self.at(self.factors(theta)).value


@dataclass(frozen=True, eq=False)
class Point:
    """What follows from a `Dense` model at relative covariance factors T."""

    model: Dense
    T: Factors

    @cached_property
    def V0(self) -> FloatArray:
        """Var(y) / sigma^2, (n, n)."""
        V = np.eye(len(self.model.y))
        for Z, T in zip(self.model.Z, self.T, strict=True):
            ZT = (Z @ T).reshape(len(V), -1)
            V += ZT @ ZT.T
        return V

    @cached_property
    def V_inverse(self) -> FloatArray:
        """The inverse of V0."""
        return np.asarray(np.linalg.inv(self.V0), dtype=np.float64)

    @cached_property
    def information(self) -> FloatArray:
        """X'V0^-1 X, (p, p)."""
        return self.model.X.T @ self.V_inverse @ self.model.X

    @cached_property
    def P(self) -> FloatArray:
        """V0^-1 less its projection on the fixed effects, (n, n)."""
        half = self.V_inverse @ self.model.X
        P: FloatArray = self.V_inverse - half @ np.linalg.solve(self.information, half.T)
        return P

    @cached_property
    def Q_(self) -> FloatArray:
        """P for REML, V0^-1 for ML."""
        return self.P if self.model.reml else self.V_inverse

    @cached_property
    def nu(self) -> int:
        """Residual degrees of freedom of the criterion."""
        n, p = self.model.X.shape
        return int(n - p if self.model.reml else n)

    @cached_property
    def Py(self) -> FloatArray:
        """P y, the conditional residuals."""
        return self.P @ self.model.y

    @cached_property
    def r2(self) -> float:
        """Return y'P y, the penalised residual sum of squares."""
        return float(self.model.y @ self.Py)

    @property
    def sigma2(self) -> float:
        """Residual variance."""
        return self.r2 / self.nu

    @cached_property
    def beta(self) -> FloatArray:
        """Generalised least-squares coefficients."""
        right = self.model.X.T @ self.V_inverse @ self.model.y
        return np.asarray(np.linalg.solve(self.information, right), dtype=np.float64)

    @cached_property
    def value(self) -> float:
        """The profiled criterion."""
        value = float(np.linalg.slogdet(self.V0)[1]) - self.model.log_weights
        if self.model.reml:
            value += float(np.linalg.slogdet(self.information)[1])
        return value + self.nu * (1.0 + math.log(2.0 * math.pi * self.r2 / self.nu))

    @cached_property
    def t(self) -> tuple[FloatArray, ...]:
        """Z'P y per factor, (k, J)."""
        return tuple(np.einsum("njk,n->kj", Z, self.Py) for Z in self.model.Z)

    @cached_property
    def F(self) -> tuple[FloatArray, ...]:
        """Derivatives by the relative covariance matrices, (k, k)."""
        traces = [np.einsum("mja,mn,njb->ab", Z, self.Q_, Z, optimize=True) for Z in self.model.Z]
        return tuple(
            trace - self.nu / self.r2 * t @ t.T for trace, t in zip(traces, self.t, strict=True)
        )

    def predictive(self, *, fixed: bool) -> tuple[FloatArray, ...]:
        """Return Var(b | y) / sigma^2 per level, (k, k, J): beta known, or estimated (fixed)."""
        middle = self.P if fixed else self.V_inverse
        out = []
        for Z, T in zip(self.model.Z, self.T, strict=True):
            Sigma = T @ T.T
            inner = np.einsum("mja,mn,njb->abj", Z, middle, Z, optimize=True)
            out.append(Sigma[:, :, None] - np.einsum("ab,bcj,cd->adj", Sigma, inner, Sigma))
        return tuple(out)

    def hessian(self, chart: Chart, *, average: bool) -> FloatArray:
        """Return the second derivatives in a chart, exact or by average information.

        With V_i = dV0 / dtheta_i the average information replaces
        -tr(Q_ V_i Q_ V_j) + 2 nu y'P V_i P V_j P y / r^2 by half of its second part.
        """
        slopes = [self._slope(f, a, b) for f, a, b in _entries(chart)]
        along = [slope @ self.Py for slope in slopes]
        score = np.array([self.Py @ vector for vector in along])
        out = np.empty((chart.size, chart.size))
        for i, first in enumerate(_entries(chart)):
            for j, second in enumerate(_entries(chart)):
                bend = self._bend(first, second)
                quadratic = along[i] @ self.P @ along[j]
                out[i, j] = np.vdot(self.Q_, bend) - self.nu / self.r2 * self.Py @ bend @ self.Py
                out[i, j] += self.nu / self.r2 * quadratic
                if not average:
                    out[i, j] += self.nu / self.r2 * quadratic
                    out[i, j] -= np.vdot(slopes[i] @ self.Q_, (slopes[j] @ self.Q_).T)
        return out - self.nu / self.r2**2 * np.outer(score, score)

    def _slope(self, f: int, a: int, b: int) -> FloatArray:
        """Return dV0 / dT_f[a, b], (n, n)."""
        Z, T = self.model.Z[f], self.T[f]
        half = Z[:, :, a] @ (Z @ T[:, b]).T
        return half + half.T

    def _bend(self, first: tuple[int, int, int], second: tuple[int, int, int]) -> FloatArray:
        """Return the second derivative of V0, (n, n)."""
        (f, a, b), (g, c, d) = first, second
        Z = self.model.Z[f]
        if f != g or b != d:
            return np.zeros_like(self.V0)
        half = Z[:, :, a] @ Z[:, :, c].T
        return half + half.T


def independent(X: FloatArray) -> FloatArray:
    """Return the columns of X that those to their left do not determine."""
    kept: list[int] = []
    for j in range(X.shape[1]):
        if np.linalg.matrix_rank(X[:, [*kept, j]], tol=1e-8) > len(kept):
            kept.append(j)
    return X[:, kept]


def _root(design: Design) -> FloatArray:
    return np.ones(len(design.y)) if design.weights is None else np.sqrt(design.weights)


def _matrix(columns: Sequence[FloatArray | None], n: int) -> FloatArray:
    return np.column_stack([np.ones(n) if column is None else column for column in columns])


def _spread(columns: FloatArray, codes: np.ndarray) -> FloatArray:
    Z = np.zeros((len(codes), int(codes.max()) + 1, columns.shape[1]))
    Z[np.arange(len(codes)), codes] = columns
    return Z


def _entries(chart: Chart) -> list[tuple[int, int, int]]:
    return [
        (int(f), int(a), int(b)) for f, a, b in zip(chart.factor, chart.row, chart.col, strict=True)
    ]
