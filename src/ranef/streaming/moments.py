"""Mean and variance of a column, chunk by chunk: what ``scale`` and ``center`` learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ranef.design.evaluate import Evaluator
from ranef.design.values import FactorValue, Matrix
from ranef.errors import DataError
from ranef.formula import Expression
from ranef.streaming.plan import argument


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Count, mean and sum of squares about the mean of a column."""

    count: int
    mean: float
    squares: float

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both parts together (Chan, Golub, LeVeque 1983)."""
        if 0 in (self.count, other.count):
            return self if other.count == 0 else other
        count = self.count + other.count
        step = other.mean - self.mean
        return Moments(
            count,
            self.mean + step * other.count / count,
            self.squares + other.squares + step * step * self.count * other.count / count,
        )


def moments_of(call: Expression, evaluator: Evaluator) -> Moments:
    """Return the moments of the argument of a call, on all rows where there is one.

    Raises
    ------
    DataError
        If it is not a column of numbers.
    """
    inner = Expression.from_node(argument(call.node))
    value = evaluator.evaluate(inner)
    if isinstance(value, Matrix | FactorValue) or not isinstance(value, np.ndarray):
        raise DataError(f"{call.text}: a column of numbers is needed here.")
    values = value.astype(np.float64, copy=False)
    if np.isnan(values).any():
        values = values[~np.isnan(values)]
    if not len(values):
        return Moments(0, 0.0, 0.0)
    mean = float(values.mean())
    rest = values - mean
    return Moments(len(values), mean, float(rest @ rest))
