"""Functions of covariance factors whose minimum is known in closed form.

For J independent vectors with mean squares S and covariance I + Sigma, Sigma = T T',

    f(Sigma) = J [ log det(I + Sigma) + tr(S (I + Sigma)^-1) ]

is minimal where Sigma keeps the eigenvectors of S and Sigma's eigenvalues are max(s - 1, 0): the
optimum is singular as soon as an eigenvalue of S is not above one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ranef.covariance.chart import Blocks, Chart, Factors
from ranef.objective import Evaluation
from ranef.typing import FloatArray


@dataclass
class KnownSurface:
    """The sum of f over independent blocks, one factor each.

    Counts its calls; where a factor grows beyond ``wall`` it breaks down like a criterion whose
    equations have become indefinite. With ``copies`` every S belongs to as many factors, whose
    covariances add up: only their sum is determined.
    """

    S: Sequence[FloatArray]
    J: float = 20.0
    wall: float = np.inf
    copies: int = 1
    values: list[float] = field(default_factory=list)
    evaluations: list[float] = field(default_factory=list)

    @property
    def competing(self) -> tuple[tuple[int, tuple[int, int]], ...]:
        """Return the blocks that may have a second minimum: none, f is known."""
        return ()

    @property
    def blocks(self) -> tuple[Blocks, ...]:
        """One block per factor."""
        return tuple(((0, len(S)),) for S in self.S for _ in range(self.copies))

    def value(self, T: Factors) -> float:
        """Return f."""
        value = self._value(T)
        self.values.append(value)
        return value

    def evaluate(self, T: Factors, chart: Chart) -> Evaluation | None:
        """Return f with its derivatives."""
        value = self._value(T)
        self.evaluations.append(value)
        if not np.isfinite(value):
            return None
        inverses = [np.linalg.inv(V) for V in self._covariances(T)]
        pairs = [pair for pair in zip(inverses, self.S, strict=True) for _ in range(self.copies)]
        F = tuple(np.asarray(self.J * (A - A @ S @ A), dtype=np.float64) for A, S in pairs)
        gradient = chart.read(tuple(2.0 * part @ t for part, t in zip(F, T, strict=True)))
        average, exact = np.zeros((2, chart.size, chart.size))
        entries = list(zip(chart.factor, chart.row, chart.col, strict=True))
        for i, (f, a, b) in enumerate(entries):
            for j, (g, c, d) in enumerate(entries):
                if f // self.copies != g // self.copies:
                    continue
                A, S = pairs[f]
                first, second = _slope(T[f], a, b), _slope(T[g], c, d)
                change = A @ second @ A
                slope = change @ S @ A
                exact[i, j] = self.J * np.vdot(slope + slope.T - change, first)
                average[i, j] = self.J * np.vdot(change, first)
                if f == g and b == d:
                    exact[i, j] += 2.0 * F[f][a, c]
                    average[i, j] += 2.0 * F[f][a, c]
        return Evaluation(T, chart, value, gradient, average, lambda: exact, F)

    def _value(self, T: Factors) -> float:
        if max(float(np.abs(t).max()) for t in T) > self.wall:
            return np.inf
        total = 0.0
        for V, S in zip(self._covariances(T), self.S, strict=True):
            total += self.J * (np.linalg.slogdet(V)[1] + np.trace(np.linalg.solve(V, S)))
        return float(total)

    def _covariances(self, T: Factors) -> list[FloatArray]:
        """Return I + the sum of T T' over the copies, for every S."""
        return [
            np.eye(len(S)) + sum(t @ t.T for t in T[i * self.copies : (i + 1) * self.copies])
            for i, S in enumerate(self.S)
        ]

    @property
    def best(self) -> tuple[FloatArray, ...]:
        """The covariance matrices at the minimum."""
        out = []
        for S in self.S:
            values, vectors = np.linalg.eigh(S)
            out.append((vectors * np.maximum(values - 1.0, 0.0)) @ vectors.T)
        return tuple(out)

    @property
    def minimum(self) -> float:
        """The smallest value."""
        eigenvalues = [np.linalg.eigvalsh(S) for S in self.S]
        return float(
            sum(
                self.J * (np.log(np.maximum(s, 1)) + s / np.maximum(s, 1)).sum()
                for s in eigenvalues
            )
        )


def surface(*eigenvalues: Sequence[float], seed: int = 0) -> KnownSurface:
    """Return a surface whose blocks have S with these eigenvalues and random eigenvectors."""
    rng = np.random.default_rng(seed)
    S = []
    for values in eigenvalues:
        Q = np.linalg.qr(rng.standard_normal((len(values), len(values))))[0]
        S.append((Q * np.asarray(values, dtype=float)) @ Q.T)
    return KnownSurface(S)


def _slope(T: FloatArray, a: int, b: int) -> FloatArray:
    out = np.zeros_like(T)
    out[a] = T[:, b]
    return out + out.T


# one to four dimensions; eigenvalues below, at and above one: singular, on the edge, regular
LANDSCAPES = {
    "one variance": surface([3.0]),
    "no variance": surface([0.4]),
    "on the edge": surface([1.0]),
    "regular": surface([5.0, 2.0], [1.5]),
    "large and small": surface([500.0, 1.001]),
    "one direction": surface([6.0, 0.5]),
    "one of four": surface([9.0, 0.9, 0.5, 0.1], seed=1),
    "three of four": surface([30.0, 4.0, 1.5, 0.2], seed=2),
    "nothing at all": surface([0.9, 0.5], [0.3]),
    "many": surface([3.0, 0.7, 1.2], [8.0, 0.2], [0.5], [2.0], seed=3),
}
