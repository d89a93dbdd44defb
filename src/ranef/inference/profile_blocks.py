"""The axes of standard deviations and correlations of random effects.

One covariance block is seen as T = O L: the columns of O are fixed, L is lower triangular, and
the rows of L that matter to the parameter come first. w_a is the row of the whitening matrix W
that gives effect a in the user's units, b_a = w_a'b~, so that sd_a = sigma |w_a'T|.

    sd     O = [w_a / |w_a|, N], N orthonormal:
           L_11 = sd_a e^(-s/2) / |w_a|; the rows below are free, and s.
    cor    O = [pseudo-inverse of the rows w_a / |w_a|, w_b / |w_b|, N]:
           L_11 = e^alpha, (L_21, L_22) = e^mu (sin v, cos v), with correlation sin v;
           alpha, mu, the rows below and s are free.

Logarithms keep the two standard deviations from changing sign, which would turn a correlation
into its negative. The free rows of L are pivoted among themselves.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np

from ranef.covariance.chart import SMALLEST_DIAGONAL, Factors, pivoted
from ranef.estimation import Problem
from ranef.inference.parameters import VarianceParameter
from ranef.inference.profile_axes import (
    LARGEST_CHANGE,
    NATURAL_CHANGE,
    Axis,
    Local,
    free_entries,
)
from ranef.inference.profile_surface import Point, Second, Tangents
from ranef.typing import FloatArray


class BlockAxis(Axis):
    """A parameter of one covariance block; see the module's docstring for O and L."""

    def __init__(self, problem: Problem, parameter: VarianceParameter) -> None:
        self.blocks = problem.objective.blocks
        self.factor = f = parameter.factor
        self.start, self.stop = next(
            (start, stop) for start, stop in self.blocks[f] if start <= parameter.row < stop
        )
        W = problem.groups[f].whitening[self.start : self.stop, self.start : self.stop]
        effects = dict.fromkeys((parameter.row, parameter.col))
        rows = W[[effect - self.start for effect in effects]]
        self.leading = len(rows)
        self.norms = np.sqrt((rows * rows).sum(axis=1))
        unit = rows / self.norms[:, None]
        whole, _ = np.linalg.qr(np.column_stack([unit.T, np.eye(len(W))]))
        N = whole[:, self.leading : len(W)]
        self.O = np.column_stack([np.linalg.pinv(unit), N])
        self.inverse = np.vstack([unit, N.T])

    def lower(self, T: Factors) -> tuple[FloatArray, list[tuple[int, int]]]:
        """Return L of the block, and the free entries of its rows below the leading ones."""
        r, k = self.leading, self.stop - self.start
        L = self.inverse @ T[self.factor][self.start : self.stop, self.start : self.stop]
        turn, upper = np.linalg.qr(L[:r].T, mode="complete")
        turn[:, :r] *= np.where(upper.diagonal() < 0, -1.0, 1.0)
        L = L @ turn
        L[:r][np.triu_indices(r, 1, k)] = 0.0
        entries = [(i, j) for i in range(r, k) for j in range(r)]
        if k > r:
            (rest,), chart = pivoted((L[r:, r:],), (((0, k - r),),))
            L[r:, r:] = rest
            entries += [(r + int(i), r + int(j)) for i, j in zip(chart.row, chart.col, strict=True)]
        return L, entries

    def local(self, point: Point, v: float) -> Local:
        """Free: rows below the leading ones, other blocks, s, and what the kind of axis adds."""
        f, inside = self.factor, slice(self.start, self.stop)
        T, chart = pivoted(point.T, self.blocks)
        mine = (chart.factor == f) & (chart.row >= self.start) & (chart.row < self.stop)
        others = chart.part(~mine)
        L, entries = self.lower(point.T)
        lead = self.lead(L, point.s)
        L = self.set_lead(L, lead, point.s, v)
        T[f][inside, inside] = self.O @ L
        factors, directions = free_entries(T, others)
        x, a, b, c = others.read(T), others.size, len(entries), len(lead)
        m = a + b + c + 1
        for i, j in entries:
            direction = np.zeros_like(T[f])
            direction[inside, self.start + j] = self.O[:, i]
            directions.append(direction)
        seconds: list[Second] = []
        firsts, pairs = self.lead_tangents(L, lead, point.s, v)
        for rows in firsts:
            directions.append(self._direction(T[f], rows))
        for i, j, rows in pairs:
            seconds.append((a + b + i, a + b + j, self._direction(T[f], rows)))
        factors += [f] * (b + c + 2)
        tilt = np.zeros(m + 1)
        tilt[m - 1] = 1.0

        def move(step: FloatArray, to: float) -> Point:
            new = others.write(T, x + step[:a])
            s = point.s + float(step[m - 1])
            moved = L.copy()
            for (i, j), change in zip(entries, step[a : a + b], strict=True):
                moved[i, j] += change
            moved = self.set_lead(moved, lead + step[a + b : m - 1], s, to)
            new[f][inside, inside] = self.O @ moved
            return Point(new, s)

        return Local(
            Point(T, point.s),
            Tangents(tuple(factors), tuple(directions), tilt, tuple(seconds)),
            move,
        )

    def _direction(self, like: FloatArray, rows: FloatArray) -> FloatArray:
        """Return the change of T when the leading rows of L change by ``rows`` (r, r)."""
        r = self.leading
        out = np.zeros_like(like)
        out[self.start : self.stop, self.start : self.start + r] = self.O[:, :r] @ rows
        return out

    @abstractmethod
    def lead(self, L: FloatArray, s: float) -> FloatArray:
        """Return the free coordinates of the leading rows."""

    @abstractmethod
    def set_lead(self, L: FloatArray, lead: FloatArray, s: float, v: float) -> FloatArray:
        """Return L with leading rows of these coordinates."""

    @abstractmethod
    def lead_tangents(
        self, L: FloatArray, lead: FloatArray, s: float, v: float
    ) -> tuple[list[FloatArray], list[Second]]:
        """Return derivatives of the leading rows (r, r) by (lead, s, v), and second ones."""


class SdAxis(BlockAxis):
    """A standard deviation of random effects, v = sd."""

    low = 0.0
    end_first = True

    def coordinate(self, value: float) -> float:
        """Return the value itself."""
        return value

    def value(self, v: float) -> float:
        """Return the coordinate itself."""
        return v

    def guess(self, v: float, change: float, z: float, point: Point) -> float:
        """Return the place that a curve linear in log sd would ask for, not too far away."""
        unit = float(self.norms[0]) * math.exp(0.5 * point.s)  # sigma, per unit of the columns
        most = LARGEST_CHANGE * max(unit, v)
        change = min(abs(change), most) if math.isfinite(change) else NATURAL_CHANGE * unit
        if v == 0.0:
            return change
        ratio = math.copysign(change / v, z)
        return v * (1.0 + 2.0 * ratio if ratio > 1.0 else math.exp(ratio))

    def lead(self, L: FloatArray, s: float) -> FloatArray:
        """Nothing is free: L_11 is given."""
        return np.zeros(0)

    def set_lead(self, L: FloatArray, lead: FloatArray, s: float, v: float) -> FloatArray:
        """Set L_11."""
        out = L.copy()
        out[0, 0] = max(v * math.exp(-0.5 * s) / float(self.norms[0]), SMALLEST_DIAGONAL)
        return out

    def lead_tangents(
        self, L: FloatArray, lead: FloatArray, s: float, v: float
    ) -> tuple[list[FloatArray], list[Second]]:
        """Return derivatives of L_11 by (s, v)."""
        size = L[:1, :1]
        unit = np.array([[math.exp(-0.5 * s) / float(self.norms[0])]])
        return [-0.5 * size, unit], [(0, 0, 0.25 * size), (0, 1, -0.5 * unit)]


class CorAxis(BlockAxis):
    """A correlation of random effects, v = arcsin of it."""

    low, high = -0.5 * math.pi, 0.5 * math.pi

    def coordinate(self, value: float) -> float:
        """Return the angle."""
        return math.asin(value)

    def value(self, v: float) -> float:
        """Return the correlation."""
        return math.sin(v)

    def guess(self, v: float, change: float, z: float, point: Point) -> float:
        """Return v + change, or a place on the way to the end of the range."""
        left = (self.high if z > 0 else self.low) - v
        size = abs(change) if math.isfinite(change) else NATURAL_CHANGE
        return v + math.copysign(min(size, 0.9 * abs(left)), z)

    def lead(self, L: FloatArray, s: float) -> FloatArray:
        """Return the logarithms of the two relative standard deviations."""
        sizes = np.array([abs(L[0, 0]), math.hypot(L[1, 0], L[1, 1])])
        logs: FloatArray = np.log(np.maximum(sizes, SMALLEST_DIAGONAL))
        return logs

    def set_lead(self, L: FloatArray, lead: FloatArray, s: float, v: float) -> FloatArray:
        """Set L_11, L_21 and L_22."""
        out = L.copy()
        one, two = np.exp(lead)
        out[0, 0] = one
        out[1, 0], out[1, 1] = two * math.sin(v), two * math.cos(v)
        return out

    def lead_tangents(
        self, L: FloatArray, lead: FloatArray, s: float, v: float
    ) -> tuple[list[FloatArray], list[Second]]:
        """Return derivatives of the leading rows by (alpha, mu, s, v)."""
        one, two = np.zeros((2, 2)), np.zeros((2, 2))
        one[0, 0] = L[0, 0]
        two[1] = L[1, :2]
        turn = np.zeros((2, 2))
        size = math.exp(float(lead[1]))
        turn[1] = size * math.cos(v), -size * math.sin(v)
        firsts = [one, two, np.zeros((2, 2)), turn]
        return firsts, [(0, 0, one), (1, 1, two), (1, 3, turn), (3, 3, -two)]
