"""What is remembered of the rows beyond the cross-products: enough for what is asked after a fit.

* Predictors: the mean and the range of numbers, and how often every combination of levels of the
  factors occurs: what marginal means need.
* Averages of variances: the covariance of the columns of Q, the mean of z z' of every random term.
* Prints of response, weights and offset, see `ranef.streaming.prints`. Models are compared only if
  they agree.

All of them are sums or the like, made chunk by chunk in the same passes as everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranef.design.column import Column
from ranef.design.types import ReadOnly
from ranef.typing import FloatArray

# So many rows tell nearly always that a number has many values.
FIRST = 1 << 15


@dataclass(frozen=True, slots=True)
class Numbers:
    """A numeric predictor on the used rows.

    Attributes
    ----------
    count : int
    mean, low, high : float
        Mean, smallest and largest value.
    few : bool
        Whether there are no values but these two.
    """

    count: int
    mean: float
    low: float
    high: float
    few: bool

    @classmethod
    def of(cls, values: NDArray[Any]) -> Numbers | None:
        """Return what is known of some rows; None if there are none."""
        if not len(values):
            return None
        low, high = values.min(), values.max()
        few = all(bool(((part == low) | (part == high)).all()) for part in (values[:FIRST], values))
        return cls(len(values), float(values.mean(dtype=np.float64)), float(low), float(high), few)

    def merge(self, other: Numbers) -> Numbers:
        """Return what is known of the rows of both."""
        count = self.count + other.count
        low, high = min(self.low, other.low), max(self.high, other.high)
        found = {self.low, self.high, other.low, other.high}
        return Numbers(
            count,
            self.mean + (other.mean - self.mean) * other.count / count,
            low,
            high,
            self.few and other.few and len(found) <= 2,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Cells(ReadOnly):
    """Combinations of the levels of several variables that occur. m combinations.

    Attributes
    ----------
    columns : mapping variable -> Column
        m values each, as the data have them.
    counts : float64 array (m,)
        How many rows each combination has.
    """

    columns: Mapping[str, Column]
    counts: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RowFacts(ReadOnly):
    """What is remembered of the rows. p columns of X were kept; k of a factor.

    Attributes
    ----------
    prints : tuple of int (3,)
        Of response, weights and offset.
    offset_mean : float
    inverse_weight : float
        Mean of 1 / w.
    spread : float64 array (p, p)
        Covariance matrix of the rows of Q = X R^-1, not weighted.
    squares : tuple of float64 arrays (k, k)
        Mean of z z' for every grouping factor, not weighted, in the core's coordinates.
    numbers : mapping variable -> Numbers
        Numeric predictors of the fixed effects.
    cells : Cells or None
        Of the factors among the fixed effects, and numbers with one or two values; None where
        there are too many combinations to count.
    """

    prints: tuple[int, ...]
    offset_mean: float
    inverse_weight: float
    spread: FloatArray
    squares: tuple[FloatArray, ...]
    numbers: Mapping[str, Numbers]
    cells: Cells | None


def quadratic_form(spread: FloatArray, direction: FloatArray) -> float:
    """Return d'S d for a positive semi-definite S, without what is only rounding.

    X beta has a large part along the constant, which has no variance, but where the levels of
    factors have a column each there is no column of its own for it: rounding must not count.
    """
    scale = np.sqrt(np.maximum(spread.diagonal(), 0.0))
    used = scale > 1e-11 * scale.max(initial=0.0)
    if not used.any():
        return 0.0
    inner = spread[np.ix_(used, used)] / np.outer(scale[used], scale[used])
    values, vectors = np.linalg.eigh(inner)
    parts = vectors.T @ (scale[used] * direction[used])
    kept = values > 1e-12
    return float(values[kept] @ (parts[kept] * parts[kept]))
