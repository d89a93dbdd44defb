"""Coordinates in which one parameter of a model is a coordinate, and the others are free.

A profile fixes one parameter psi and minimises over all others. Each kind of parameter has its
axis: how a point with psi given is written, which directions stay free there, and what moving
along them does. Here is what all axes share, and that of sigma, along which s = 2 log sigma is
fixed and T free. `profile_fixed` has the axis of a fixed effect, `profile_blocks` those of
standard deviations and correlations.

An axis runs in a coordinate v of psi (sd itself, log sigma, arcsin of a correlation, beta_j
itself) along which the deviance is smooth up to the ends of the range of psi. Covariance blocks
are re-pivoted at every point, as in `ranef.optimize.newton`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ranef.covariance.chart import Chart, Factors, pivoted
from ranef.estimation import Problem
from ranef.inference.profile_surface import Expansion, Point, Tangents
from ranef.linalg.plan import Plan
from ranef.typing import FloatArray

# First steps from an estimate, in units that are natural for a parameter: where the deviance is
# flat, and at most.
NATURAL_CHANGE, LARGEST_CHANGE = 0.3, 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """Coordinates at one point: the free ones, and that of the axis last.

    Attributes
    ----------
    point : Point
        In the gauge of the coordinates.
    tangents : Tangents
        Of the m free coordinates and the axis.
    move : function
        From a step (m,) and the new coordinate of the axis to the point there.
    """

    point: Point
    tangents: Tangents
    move: Callable[[FloatArray, float], Point]


class Axis(ABC):
    """One parameter to be held fixed.

    Attributes
    ----------
    low, high : float
        Ends of the range of its coordinate, infinite where there is none.
    end_first : bool
        Ask whether the deviance is low at the end of the range, before searching in between: it
        may have a second minimum there.
    """

    low: float = -math.inf
    high: float = math.inf
    end_first: bool = False

    @abstractmethod
    def coordinate(self, value: float) -> float:
        """Return the coordinate v of a value of the parameter."""

    @abstractmethod
    def value(self, v: float) -> float:
        """Return the parameter's value at a coordinate."""

    def guess(self, v: float, change: float, z: float, point: Point) -> float:
        """Return where to look first for the limit with zeta = z.

        Parameters
        ----------
        v : float
            The estimate.
        change : float
            What a linear curve asks for; NaN or too large where the deviance is flat.
        z : float
            Its sign is the side.
        point : Point
        """
        size = min(abs(change), LARGEST_CHANGE) if math.isfinite(change) else NATURAL_CHANGE
        return v + math.copysign(size, z)

    @abstractmethod
    def local(self, point: Point, v: float) -> Local:
        """Return coordinates at the point nearest to ``point`` where the axis is at v."""

    def plan(self, v: float) -> Plan | None:
        """Return the plan to use at v, if it is not the model's own."""
        return None

    def along(self, here: Expansion, local: Local, v: float) -> tuple[float, FloatArray]:
        """Return the derivatives of the deviance that involve v.

        Returns
        -------
        slope : float
        mixed : float64 array (m + 1,)
            Of the slope, by the free coordinates and by v.
        """
        return float(here.gradient[-1]), here.hessian[-1]


class SigmaAxis(Axis):
    """The residual standard deviation, v = log sigma."""

    def __init__(self, problem: Problem) -> None:
        self.blocks = problem.objective.blocks

    def coordinate(self, value: float) -> float:
        """Return log sigma."""
        return math.log(value)

    def value(self, v: float) -> float:
        """Return sigma."""
        return math.exp(v)

    def local(self, point: Point, v: float) -> Local:
        """Free: the entries of T."""
        T, chart = pivoted(point.T, self.blocks)
        factors, directions = free_entries(T, chart)
        x, m = chart.read(T), chart.size
        factors.append(0)
        directions.append(nothing(T[0]))
        tilt = np.zeros(m + 1)
        tilt[m] = 2.0
        return Local(
            Point(T, 2.0 * v),
            Tangents(tuple(factors), tuple(directions), tilt),
            lambda step, to: Point(chart.write(T, x + step), 2.0 * to),
        )


def free_entries(T: Factors, chart: Chart) -> tuple[list[int], list[FloatArray]]:
    """Return the factor and the direction of every free entry."""
    factors: list[int] = chart.factor.tolist()
    index = zip(factors, chart.row.tolist(), chart.col.tolist(), strict=True)
    return factors, [_unit(len(T[f]), a, b) for f, a, b in index]


@lru_cache(maxsize=4096)
def _unit(k: int, a: int, b: int) -> FloatArray:
    """Return the matrix (k, k) that is 1 at [a, b] and 0 elsewhere."""
    out = np.zeros((k, k))
    if a >= 0:
        out[a, b] = 1.0
    out.flags.writeable = False
    return out


def nothing(like: FloatArray) -> FloatArray:
    """Return the direction of a coordinate that does not move T."""
    return _unit(len(like), -1, -1)
