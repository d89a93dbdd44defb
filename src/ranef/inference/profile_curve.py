"""The curve zeta(psi) of one parameter between the points where it was computed.

Between two points the curve is the cubic that has their heights and their exact slopes, in the
coordinate of the parameter's axis (log sigma, arcsin of a correlation), where it is smooth up to
the ends of the range. Where a slope is missing, because the deviance does not change any more, the
curve is the chord.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from ranef.typing import FloatArray

BISECTIONS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The profile of one parameter.

    Attributes
    ----------
    name : str
    kind : {"sd", "cor", "sigma", "fixed"}
    estimate : float
        By maximum likelihood; NaN for a correlation with an effect that has no variance.
    value, zeta, deviance : float64 arrays (m,)
        Points of the curve, by increasing value: the parameter, the signed root of the change in
        deviance, and the deviance itself. Read-only.
    slope : float64 array (m,)
        Derivative of zeta by the coordinate of the axis; 0 where unknown.
    """

    name: str
    kind: str
    estimate: float
    value: FloatArray
    zeta: FloatArray
    deviance: FloatArray
    slope: FloatArray

    def __post_init__(self) -> None:
        for array in (self.value, self.zeta, self.deviance, self.slope):
            array.flags.writeable = False

    def __reduce__(self) -> tuple[type[Curve], tuple[object, ...]]:
        # Pickling, by which other processes answer, drops the read-only flag of arrays.
        return (Curve, tuple(getattr(self, f.name) for f in fields(self)))

    @property
    def range(self) -> tuple[float, float]:
        """The values that the parameter can have."""
        return {"sd": (0.0, math.inf), "sigma": (0.0, math.inf), "cor": (-1.0, 1.0)}.get(
            self.kind, (-math.inf, math.inf)
        )

    def limits(self, z: float) -> tuple[float, float]:
        """Return where zeta is -z and z; the end of the range where it is not reached."""
        return self._limit(-z), self._limit(z)

    def _limit(self, z: float) -> float:
        side = math.copysign(1.0, z)
        end = self.range[1 if side > 0 else 0]
        if len(self.zeta) == 0:
            return end
        v = self.coordinate(self.value)
        center = int(np.argmin(np.abs(self.zeta)))
        inner = center
        while 0 <= inner + int(side) < len(v):
            outer = inner + int(side)
            # the last point was put where zeta is z, but for rounding
            if side * self.zeta[outer] >= abs(z) * (1.0 - 1e-9):
                return float(self.back(self._crossing(v, inner, outer, z)))
            inner = outer
        return end

    def _crossing(self, v: FloatArray, inner: int, outer: int, z: float) -> float:
        a, b = float(v[inner]), float(v[outer])
        low, high = a, b
        side = math.copysign(1.0, z)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            if side * float(self._between(np.array([middle]), v)[0]) < abs(z):
                low = middle
            else:
                high = middle
        return 0.5 * (low + high)

    def at(self, value: FloatArray) -> FloatArray:
        """Return zeta at values between the first and the last point."""
        return self._between(
            self.coordinate(np.asarray(value, dtype=np.float64)), self.coordinate(self.value)
        )

    def _between(self, x: FloatArray, v: FloatArray) -> FloatArray:
        i = np.clip(np.searchsorted(v, x, side="right") - 1, 0, len(v) - 2)
        h = v[i + 1] - v[i]
        t = (x - v[i]) / h
        rise = self.zeta[i + 1] - self.zeta[i]
        known = (self.slope[i] > 0.0) & (self.slope[i + 1] > 0.0)
        left = np.where(known, h * self.slope[i] - rise, 0.0)
        right = np.where(known, rise - h * self.slope[i + 1], 0.0)
        result: FloatArray = (
            self.zeta[i] + t * rise + t * (1.0 - t) * ((1.0 - t) * left + t * right)
        )
        return result

    def coordinate(self, value: FloatArray) -> FloatArray:
        """Return the coordinate in which the curve is smooth."""
        if self.kind == "sigma":
            return np.log(value)
        return np.arcsin(value) if self.kind == "cor" else value

    def back(self, v: FloatArray | float) -> FloatArray:
        """Return the parameter's value at a coordinate."""
        if self.kind == "sigma":
            return np.exp(v)
        return np.sin(v) if self.kind == "cor" else np.asarray(v, dtype=np.float64)

    def dense(self, points: int = 201) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return many values, their zeta, and the density phi(zeta) d zeta / d value.

        The density is what the profile would be the posterior of under a flat prior of zeta: its
        quantiles are the limits of the intervals.
        """
        v = self.coordinate(self.value)
        x = np.linspace(v[0], v[-1], points)
        value, zeta = self.back(x), self._between(x, v)
        slope = np.gradient(zeta, x) / np.maximum(np.gradient(value, x), 1e-300)
        return value, zeta, np.exp(-0.5 * zeta * zeta) / math.sqrt(2.0 * math.pi) * slope
