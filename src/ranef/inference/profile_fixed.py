"""The axis of a fixed effect: its column leaves the model, its contribution the response.

beta_j = v leaves the model with the columns of X but the j-th, for the response y - v X_j. Let x
be the direction of X_j that the other columns do not explain, as a combination of the columns of
Q: the j-th row of R^-1, normalised. Q is rotated so that x comes first. Then in cross-product
space, without a pass over the rows,

    border [Q y0]  ->  [ nothing, the other columns, y0 - x (v - beta_ols) / |row| ].

The first column is replaced by one that touches nothing, not removed, so that the shape of the
system, and with it the plan of its factorisation, stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ranef.covariance.chart import pivoted
from ranef.estimation import Problem
from ranef.inference.profile_axes import Axis, Local, free_entries, nothing
from ranef.inference.profile_surface import Expansion, Point, Tangents
from ranef.linalg.elimination import factorize
from ranef.linalg.plan import Plan
from ranef.linalg.solution import solve
from ranef.typing import FloatArray


class FixedAxis(Axis):
    """The fixed effect of kept column j, v = beta_j.

    The column of Q along X_j is replaced by one that touches nothing, so that the shape of the
    system, and with it the plan, stays as it is.
    """

    def __init__(self, problem: Problem, j: int) -> None:
        self.blocks = problem.objective.blocks
        self.model_plan = problem.objective.plan
        basis, products = problem.basis, self.model_plan.products
        row = basis.R_inverse[j]
        self.estimate = float(basis.estimate[j])
        self.length = float(np.sqrt(row @ row))
        p = len(row)
        turn, _ = np.linalg.qr(np.column_stack([row, np.eye(p)]))
        self.direction = row / self.length
        self.rest = np.zeros((p + 1, p + 1))
        self.rest[1:p, :p] = turn[:, 1:p].T
        self.rest[p, p] = 1.0
        self.to_response = float(products.D[p, :p] @ self.direction)
        # the column itself as the response: derivatives by v are made of it
        turned = self.rest.copy()
        turned[p] = np.append(self.direction, 0.0)
        self.column_plan = self._changed(turned)

    def coordinate(self, value: float) -> float:
        """Return the value itself."""
        return value

    def value(self, v: float) -> float:
        """Return the coordinate itself."""
        return v

    def guess(self, v: float, change: float, z: float, point: Point) -> float:
        """Return v + change: the deviance of a fixed effect always curves."""
        return v + change

    def plan(self, v: float) -> Plan:
        """Return the plan of the model without column j, for the response y - v X_j."""
        M = self.rest.copy()
        M[-1, :-1] = -(v - self.estimate) / self.length * self.direction
        return self._changed(M)

    def _changed(self, M: FloatArray) -> Plan:
        """Return the plan with the border M [Q y0], whose first column touches nothing."""
        products = self.model_plan.products
        D = M @ products.D @ M.T
        D[0, 0] = 1.0
        C = tuple(np.tensordot(M, C, axes=1) for C in products.C)
        border = M @ self.model_plan.border
        return replace(self.model_plan, products=replace(products, C=C, D=D), border=border)

    def along(self, here: Expansion, local: Local, v: float) -> tuple[float, FloatArray]:
        """Differentiate r^2 = (y - v X_j)'P (y - v X_j), of which t = Z'P (y - v X_j) is linear.

        P projects on the remaining columns; P X_j comes from a factorisation with that response.
        """
        f = factorize(self.column_plan, here.factorization.T)
        if f is None:
            raise np.linalg.LinAlgError("the mixed-model equations are numerically singular")
        column, response = solve(f), here.solution
        weight, scale = math.exp(-local.point.s), -1.0 / self.length
        score = self.to_response + scale * (v - self.estimate)
        for C, b in zip(self.column_plan.products.C, response.b, strict=True):
            score -= float((C[-1] * b).sum())
        slope = 2.0 * weight * scale * score
        tangents = local.tangents
        mixed = -slope * tangents.s
        crossed = [t @ u.T for t, u in zip(column.t, response.t, strict=True)]
        for i, (g, direction) in enumerate(zip(tangents.factor, tangents.T, strict=True)):
            change = ((crossed[g] + crossed[g].T) * (direction @ local.point.T[g].T)).sum()
            mixed[i] -= 2.0 * weight * scale * float(change)
        mixed[-1] = 2.0 * weight * scale * scale * f.r2
        return slope, mixed

    def local(self, point: Point, v: float) -> Local:
        """Free: the entries of T, and s."""
        T, chart = pivoted(point.T, self.blocks)
        factors, directions = free_entries(T, chart)
        x, m, s = chart.read(T), chart.size, point.s
        factors += [0, 0]
        directions += [nothing(T[0])] * 2
        tilt = np.zeros(m + 2)
        tilt[m] = 1.0
        return Local(
            Point(T, s),
            Tangents(tuple(factors), tuple(directions), tilt),
            lambda step, to: Point(chart.write(T, x + step[:m]), s + float(step[m])),
        )
