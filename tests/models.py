"""Small models of every shape, and what dense algebra says about them.

`Dense` forms V0 = I + sum_f Z_f (I x T_f T_f') Z_f' as an n x n matrix and inverts it: it shares no
idea with the elimination it is an oracle for. Its second derivatives are the textbook's traces.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from unittest.mock import patch

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from ranef.covariance.chart import Chart, Factors, lower
from ranef.design import build_design
from ranef.design.types import Design
from ranef.estimation import Problem, make_problem
from ranef.linalg import coupling, levels, plan
from ranef.typing import FloatArray

ROWS = 80

# One formula for every way in which terms and grouping factors can meet. `a` has 12 levels, `b` 5,
# `c` 3; `low` is nested in `mid`, `mid` in `top`.
SHAPES = {
    "intercepts": "y ~ x + (1 | a)",
    "slopes": "y ~ x + z + (x + z | a)",
    "diagonal": "y ~ x + (x + z || a)",
    "factor": "y ~ f + (f | a)",
    "factor without intercept": "y ~ x * f + (0 + f | a)",
    "several terms on a factor": "y ~ x + (1 | a) + (0 + x | a) + (0 + z + f | a)",
    "nested": "y ~ x + (x | top / low)",
    "nested three deep": "y ~ x + (1 | top) + (x | top:mid) + (z || top:mid:low)",
    "crossed": "y ~ x + z + (x | a) + (z | b)",
    "crossed intercepts": "y ~ 1 + (1 | a) + (1 | b) + (1 | c)",
    "crossed vectors": "y ~ x + (x + z | a) + (0 + f | b) + (1 | c)",
    "crossed, diagonal": "y ~ x + (x || b) + (1 | a) + (x || c)",
    "cells and margins": "y ~ x + (1 | a) + (1 | b) + (1 | a:b)",
    "nested and crossed": "y ~ x + (x | top / mid) + (1 | a) + (z | c)",
    "no fixed effects": "y ~ 0 + (x | a) + (1 | b)",
    "aliased columns": "y ~ x + I(2 * x) + z + I(x - z) + (x | a) + (1 | b)",
}


@dataclass(frozen=True)
class Variant:
    """A way through the core: which plan, which coupling kernel, which loops over levels."""

    name: str
    chain: bool
    full: bool = False
    looped: bool = False

    def __str__(self) -> str:
        return self.name


VARIANTS = (
    Variant("one dense block", chain=False),
    Variant("chain, pair map", chain=True),
    Variant("chain, full product, loops", chain=True, full=True, looped=True),
)


@contextmanager
def through(variant: Variant) -> Iterator[None]:
    """Force the core to take one of its ways; plans made inside keep to it."""
    with ExitStack() as stack:
        change = [
            (plan, "SMALL_MODEL", 0 if variant.chain else 10**9),
            (plan, "CHAIN_FLOPS", -1.0),
            (coupling, "FLOP_COST", 0.0 if variant.full else 1.0),
            (levels, "FEWEST_LOOPED", 0 if variant.looped else levels.FEWEST_LOOPED),
        ]
        for module, name, value in change:
            stack.enter_context(patch.object(module, name, value))
        yield


def frame(seed: int, n: int = ROWS) -> pd.DataFrame:
    """Return random data with every column that the formulas here use."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 16, n)
    data = pd.DataFrame(
        {
            "x": rng.standard_normal(n),
            "z": rng.standard_normal(n) + 0.5,
            "f": pd.Categorical(rng.choice(["u", "v", "w"], n)),
            "a": rng.integers(0, 12, n),
            "b": rng.choice(list("pqrst"), n),
            "c": rng.integers(0, 3, n),
            "low": low,
            "mid": low // 3,
            "top": low // 6,
            "w": rng.uniform(0.4, 2.5, n),
            "o": rng.standard_normal(n),
        }
    )
    effects = rng.standard_normal((12, 2))
    slope = effects[data["a"], 1] * data["x"]
    data["y"] = 3 + data["x"] + effects[data["a"], 0] + slope + rng.standard_normal(n)
    return data


def design_of(formula: str, seed: int, weighted: bool) -> Design:
    """Return the design of a formula for random data, with weights and offset or without."""
    given = {"weights": "w", "offset": "o"} if weighted else {}
    return build_design(formula, frame(seed), **given)


def random_theta(design: Design, seed: int, *, singular: bool = False) -> FloatArray:
    """Return parameters of ordinary size; with ``singular`` some are exactly zero."""
    rng = np.random.default_rng(seed)
    size = sum(
        len(term.names) * (len(term.names) + 1) // 2 if term.correlated else len(term.names)
        for term in design.terms
    )
    theta = rng.normal(0.0, 0.8, size)
    if singular:
        theta *= rng.random(size) > 0.4
    return theta


@st.composite
def formulas(draw: st.DrawFn) -> str:
    """Draw a formula with one to three random terms that are not listed in `SHAPES`."""
    columns = st.sampled_from(["1", "x", "0 + x", "x + z", "0 + z", "f", "0 + f"])
    groups = st.sampled_from(["a", "b", "c", "top", "top:mid", "top:mid:low", "b:c"])
    bars = st.sampled_from(["|", "|", "||"])
    fixed = draw(st.sampled_from(["1", "x", "x + f", "0 + f", "x * z", "0"]))
    terms = draw(st.lists(st.tuples(columns, bars, groups), min_size=1, max_size=3, unique=True))
    random = " + ".join(f"({column} {bar} {group})" for column, bar, group in terms)
    return f"y ~ {fixed} + {random}"


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
        return np.linalg.inv(self.V0)

    @cached_property
    def information(self) -> FloatArray:
        """X'V0^-1 X, (p, p)."""
        return self.model.X.T @ self.V_inverse @ self.model.X

    @cached_property
    def P(self) -> FloatArray:
        """V0^-1 less its projection on the fixed effects, (n, n)."""
        half = self.V_inverse @ self.model.X
        return self.V_inverse - half @ np.linalg.solve(self.information, half.T)

    @cached_property
    def Q_(self) -> FloatArray:
        """P for REML, V0^-1 for ML."""
        return self.P if self.model.reml else self.V_inverse

    @cached_property
    def nu(self) -> int:
        """Residual degrees of freedom of the criterion."""
        n, p = self.model.X.shape
        return n - p if self.model.reml else n

    @cached_property
    def Py(self) -> FloatArray:
        """P y, the conditional residuals."""
        return self.P @ self.model.y

    @cached_property
    def r2(self) -> float:
        """y'P y."""
        return float(self.model.y @ self.Py)

    @property
    def sigma2(self) -> float:
        """Residual variance."""
        return self.r2 / self.nu

    @cached_property
    def beta(self) -> FloatArray:
        """Generalised least-squares coefficients."""
        return np.linalg.solve(self.information, self.model.X.T @ self.V_inverse @ self.model.y)

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


def core_point(
    formula: str, seed: int, *, reml: bool, weighted: bool
) -> tuple[Problem, Factors, Point]:
    """Return a random model, random lower-triangular factors, and the oracle at them."""
    design = design_of(formula, seed, weighted)
    problem = make_problem(design, reml=reml)
    theta = random_theta(design, seed + 1)
    T = lower(problem.to_core(theta), problem.objective.blocks)
    return problem, T, Dense.of_core(problem, design, reml=reml).at(T)


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
        (int(f), int(a), int(b))
        for f, a, b in zip(chart.factor, chart.row, chart.col, strict=True)
    ]
