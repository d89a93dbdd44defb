"""The way of an optimizer over the criterion: a second run of the search, watched.

An optimizer sees a `Surface`. `Recorder` is one that hands everything on to the model's criterion
and writes down where it was asked, so that what is drawn is what happens in a fit: the same code,
the same start. The certificate, and the restarts that it may ask for, are not part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ranef.covariance.chart import Chart, Factors, identity
from ranef.objective import Evaluation
from ranef.optimize.control import Control
from ranef.optimize.driver import OPTIMIZERS
from ranef.optimize.result import Surface
from ranef.typing import FloatArray, OptimizerName

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

# A step counts as taken if the criterion rises by no more than this: rounding.
NOISE = 1e-8


class Recorder:
    """A surface that remembers its points.

    Parameters
    ----------
    surface : Surface

    Attributes
    ----------
    visited : list of (Factors, float)
        Where the criterion was asked for, and what it was.
    """

    def __init__(self, surface: Surface) -> None:
        self.surface = surface
        self.visited: list[tuple[Factors, float]] = []

    @property
    def blocks(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Independent covariance blocks of every factor."""
        return self.surface.blocks

    @property
    def competing(self) -> tuple[tuple[int, tuple[int, int]], ...]:
        """Blocks in one of which a second minimum may be large."""
        return self.surface.competing

    def value(self, T: Factors) -> float:
        """Return the criterion."""
        value = self.surface.value(T)
        self.visited.append((T, value))
        return value

    def evaluate(self, T: Factors, chart: Chart) -> Evaluation | None:
        """Return value, gradient and curvature; None where they are not defined."""
        found = self.surface.evaluate(T, chart)
        self.visited.append((T, np.inf if found is None else found.value))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Where an optimizer went.

    Attributes
    ----------
    theta : float64 array (s, m)
        Points in the order of evaluation, as `LinearMixedModel.theta`.
    value : float64 array (s,)
        The criterion there.
    taken : bool array (s,)
        Points that were no worse than all before; the others were tried and left again.
    """

    theta: FloatArray
    value: FloatArray
    taken: np.ndarray[tuple[int], np.dtype[np.bool_]]


def search_path(model: LinearMixedModel, optimizer: OptimizerName, start: object = None) -> Path:
    """Run an optimizer again from the start of a fit and return where it went.

    Parameters
    ----------
    model : LinearMixedModel
    optimizer : {"newton", "bobyqa", "nelder-mead"}
    start : array (m,), optional
        Where to start, in the order of ``theta``; by default where a fit does.
    """
    problem = model.problem
    recorder = Recorder(problem.objective)
    begin = identity(recorder.blocks) if start is None else problem.read_theta("start", start)
    with np.errstate(all="ignore"):
        OPTIMIZERS[optimizer](recorder, begin, Control())
    problem.objective.forget()
    value = np.array([found for _, found in recorder.visited])
    best = np.minimum.accumulate(value)
    taken = value <= np.concatenate([[np.inf], best[:-1]]) + NOISE
    theta = np.array([problem.to_public(T) for T, _ in recorder.visited])
    return Path(theta, value, taken & np.isfinite(value))
