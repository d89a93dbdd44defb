"""From constrained minima to the signed root of the deviance, its limits and its curve.

    zeta(v) = sign(v - v_hat) sqrt(d(v) - d_hat)

Deviance, slope and bend of a constrained minimum give zeta with two derivatives, so that a limit,
zeta(v) = -+z, is found by Halley's iteration with a bracket around it: two or three minima.
A curve takes equal steps of zeta by the same formula. Where zeta stays within z up to the end of
the range of a parameter, the end is the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ranef.errors import FitError
from ranef.inference.profile_axes import Axis
from ranef.inference.profile_path import Settled, UnsettledError, settle
from ranef.inference.profile_surface import Deviance, Point

# A deviance lower than that of the fit by more than this was not a minimum.
LOWER = 1e-5
# How near zeta must come to z: the last Halley step cubes it.
NEAR = 3e-4
MAX_STEPS = 80
# A bracket this narrow (relative) holds a jump of the curve, from one local minimum to another.
JUMP = 1e-12
# A step goes at most this many times as far from the estimate as the search has been.
FARTHER = 4.0
# Continuation stops where even points this near (relative) cannot be reached.
NEAREST = 1e-6
# Steps of a curve, in zeta.
STEPS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One constrained minimum as a point of the curve: v, zeta, d zeta / dv, d2 zeta / dv2."""

    v: float
    zeta: float
    rise: float
    turn: float
    settled: Settled

    def reach(self, zeta: float) -> float:
        """Return where the curve is expected to have another height; NaN if it is flat here."""
        if not self.rise > 0.0:
            return math.nan
        newton = (zeta - self.zeta) / self.rise
        bent = 0.5 * self.turn * newton / self.rise
        return self.v + newton * (1.0 - min(0.5, max(-0.5, bent)))


class LowerFoundError(ArithmeticError):
    """A constrained minimum lies below the unconstrained one."""

    def __init__(self, excess: float, point: Point) -> None:
        super().__init__(excess)
        self.excess, self.point = excess, point


class Search:
    """The profile of one parameter.

    Parameters
    ----------
    surface : Deviance
    axis : Axis
    start : Point
        The unconstrained minimum.
    v : float
        The coordinate of the parameter there.
    deviance : float
        Of the fit.
    cap : float
        An upper bound on the deviance along the whole profile: what it costs to leave out an
        effect without which a correlation means nothing.
    """

    def __init__(
        self,
        surface: Deviance,
        axis: Axis,
        start: Point,
        v: float,
        deviance: float,
        cap: float = math.inf,
    ) -> None:
        self.surface, self.axis = surface, axis
        self.deviance, self.cap = deviance, cap
        settled = settle(surface, axis, v, start)
        self._check(settled)
        bend = settled.bend if math.isfinite(settled.bend) and settled.bend > 0.0 else 0.0
        inside = axis.low < v < axis.high
        if not inside:  # at an end of the range nuisance directions are flat: without them
            bend = max(settled.stiffness, 0.0)
        self.center = Node(v, 0.0, math.sqrt(0.5 * bend), 0.0, settled)
        self.nodes = [self.center]

    def visit(self, v: float) -> Node:
        """Return the node at v, computed from the nearest one on the way there."""
        center = self.center.v
        on_the_way = [n for n in self.nodes if (n.v - center) * (v - n.v) >= 0.0 or n.v == v]
        known = min(on_the_way, key=lambda node: abs(node.v - v))
        if known.v == v:
            return known
        try:
            settled = settle(self.surface, self.axis, v, known.settled.predict(v))
        except UnsettledError as error:  # too far at once: stop on the way
            middle = 0.5 * (known.v + v)
            if abs(v - known.v) <= NEAREST * max(1.0, abs(v)):
                raise FitError(f"the profile cannot be followed: {error}.") from error
            self.visit(middle)
            return self.visit(v)
        node = self._node(settled)
        self.nodes.append(node)
        return node

    def _check(self, settled: Settled) -> None:
        if settled.deviance < self.deviance - LOWER:
            raise LowerFoundError(self.deviance - settled.deviance, settled.point)

    def _node(self, settled: Settled) -> Node:
        self._check(settled)
        excess = settled.deviance - self.deviance
        sign = 1.0 if settled.v >= self.center.v else -1.0
        if settled.deviance >= self.cap or excess <= 0.0:
            zeta = sign * math.sqrt(max(0.0, min(settled.deviance, self.cap) - self.deviance))
            return Node(settled.v, zeta, 0.0, 0.0, settled)
        zeta = sign * math.sqrt(excess)
        rise = 0.5 * settled.slope / zeta
        turn = (0.5 * settled.bend - rise * rise) / zeta
        return Node(settled.v, zeta, rise, turn if math.isfinite(turn) else 0.0, settled)

    def limit(self, z: float) -> float:
        """Return the coordinate where zeta is z; an end of the range if it is not reached.

        Parameters
        ----------
        z : float
            Negative for the lower limit.
        """
        side = math.copysign(1.0, z)
        end = self.axis.high if side > 0 else self.axis.low
        if self.center.v == end or self.cap - self.deviance < z * z:
            return end
        if self.axis.end_first and math.isfinite(end) and abs(self.visit(end).zeta) < abs(z):
            return end
        inner, outer = self.center.v, end
        v = self._first(z)
        for _ in range(MAX_STEPS):
            if not side * inner < side * v < side * outer:
                untried = math.isfinite(end) and outer == end and not self._known(end)
                v = end if untried else 0.5 * (inner + outer)
            node = self.visit(v)
            if v == end and abs(node.zeta) < abs(z):
                return end
            ahead = node.reach(z)
            if abs(node.zeta - z) < NEAR and math.isfinite(ahead):
                return min(max(ahead, self.axis.low), self.axis.high)
            if abs(node.zeta) < abs(z):
                inner = v
            else:
                outer = v
            if abs(outer - inner) <= JUMP * abs(inner):
                break
            v = ahead
            if math.isinf(outer):
                farthest = inner + (FARTHER - 1.0) * (inner - self.center.v)
                v = side * min(side * v, side * farthest) if math.isfinite(v) else farthest
        return outer

    def _known(self, v: float) -> bool:
        return any(node.v == v for node in self.nodes)

    def _first(self, z: float) -> float:
        """Return the first place to look for zeta = z."""
        center = self.center
        return self.axis.guess(center.v, center.reach(z) - center.v, z, center.settled.point)

    def curve(self, z: float) -> list[Node]:
        """Return nodes from zeta = -z to z, or to the ends of the range, in increasing order."""
        nodes = {self.center.v: self.center}
        for side in (-1.0, 1.0):
            last = self.limit(side * z)
            if not math.isfinite(last) or last == self.center.v:
                continue
            # a limit is near a node and reached from there; an end may not have been visited, and
            # is better approached step by step
            height = math.nan if last in (self.axis.low, self.axis.high) else side * z
            node = self.center
            for i in range(1, STEPS):
                v = node.reach(height * i / STEPS)
                if node is self.center or not side * node.v < side * v < side * last:
                    v = self.center.v + (last - self.center.v) * i / STEPS
                node = nodes[v] = self.visit(v)
            nodes[last] = self.visit(last)
        return [nodes[v] for v in sorted(nodes)]
