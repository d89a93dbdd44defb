"""What every optimizer returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ranef.covariance.chart import Chart, Factors
from ranef.objective import Evaluation


class Surface(Protocol):
    """The function to minimise: a criterion over relative covariance factors."""

    @property
    def blocks(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Independent covariance blocks of every factor."""

    @property
    def competing(self) -> tuple[tuple[int, tuple[int, int]], ...]:
        """Blocks, as (factor, (start, stop)), in one of which a second minimum may be large."""

    def value(self, T: Factors) -> float:
        """Return the criterion."""

    def evaluate(self, T: Factors, chart: Chart) -> Evaluation | None:
        """Return value, gradient and curvature; None where they are not defined."""


@dataclass(frozen=True, slots=True, eq=False)
class Optimum:
    """The point where an optimizer stopped.

    Attributes
    ----------
    T : tuple of float64 arrays (k_f, k_f)
    value : float
    n_evaluations : int
        Evaluations used (values with derivatives for Newton, values for the others).
    exhausted : bool
        The limit on evaluations ended the search.
    evaluation : Evaluation or None
        Derivatives at the last point where they were computed (one converged step before ``T``,
        or ``T`` itself), for the certificate.
    """

    T: Factors
    value: float
    n_evaluations: int
    exhausted: bool
    evaluation: Evaluation | None = None
