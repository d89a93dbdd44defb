"""Refitting many responses of one design, each to its certified minimum.

Designs that come apart into small blocks are fitted all replicates at once; whatever the vectorised
certificate does not pass, and all replicates of designs with large blocks, go one by one through
the ordinary optimizer with its full certificate. What fails there is kept as failed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ranef.batch.certificate import Ends, certify
from ranef.batch.criterion import Criterion
from ranef.batch.newton import newton
from ranef.batch.reduce import Reduced, expand, reduce
from ranef.batch.responses import Responses
from ranef.batch.scalar import with_response
from ranef.batch.structure import Structure, make_structure
from ranef.covariance.chart import Factors, identity
from ranef.estimation import Problem
from ranef.objective import State
from ranef.optimize.certificate import Verdict
from ranef.optimize.control import Control
from ranef.optimize.driver import GOOD, minimise
from ranef.typing import BoolArray, FloatArray, IntArray

# Numbers in the largest array of an evaluation: it and a few others should fit the caches.
CACHED = 1 << 19
MOST_AT_ONCE = 8192
# Fewer replicates than this do not pay for the calls, as long as arrays stay below so many numbers.
ENOUGH_AT_ONCE, LARGEST_ARRAY = 32, 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class BatchFit:
    """Estimates of B responses.

    Attributes
    ----------
    T : tuple of float64 arrays (B, k_f, k_f)
        Relative covariance factors, in the core's coordinates.
    value, sigma2 : float64 arrays (B,)
        The minimised criterion, and the residual variance.
    gamma, beta, std_error : float64 arrays (p, B)
        Coefficients of Q for y0; coefficients of the kept columns of X, and their standard errors.
    singular, failed : bool arrays (B,)
        A combination of effects has no variance; no certified minimum (everything else is NaN).
    messages : dict int -> str
        Why a replicate failed.
    fallbacks : int
        Replicates that were fitted one by one.
    """

    T: tuple[FloatArray, ...]
    value: FloatArray
    sigma2: FloatArray
    gamma: FloatArray
    beta: FloatArray
    std_error: FloatArray
    singular: BoolArray
    failed: BoolArray
    messages: dict[int, str]
    fallbacks: int


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """What all responses of one design share.

    Attributes
    ----------
    problem : Problem
        Of any response.
    criterion : Criterion or None
        None where fits one by one are faster.
    """

    problem: Problem
    criterion: Criterion | None

    @property
    def structure(self) -> Structure | None:
        """The design in blocks, or None."""
        return None if self.criterion is None else self.criterion.structure


def make_engine(problem: Problem) -> Engine:
    """Take the design apart and choose how to fit."""
    structure = make_structure(problem.objective.plan.products)
    criterion = None if structure is None else Criterion(structure, problem.objective)
    return Engine(problem, criterion)


def refit_responses(engine: Engine, responses: Responses, start: Factors | None = None) -> BatchFit:
    """Fit every response.

    Parameters
    ----------
    engine : Engine
    responses : Responses
    start : tuple of float64 arrays (k_f, k_f), optional
        Where searches begin that are made one by one, in the core's coordinates: near the expected
        estimates they are shorter. Those made together begin at T = I, as `ranef.fit` does, so that
        where a criterion has two minima both find the same.
    """
    if engine.structure is not None:
        return refit_reduced(engine, reduce(engine.structure, responses))
    result = _Results(engine.problem, responses.size)
    for b in range(responses.size):
        _fit_alone(engine, responses, b, b, result, start)
    return result.finish(responses.estimate)


def refit_reduced(engine: Engine, reduced: Reduced) -> BatchFit:
    """Fit responses that are already in the coordinates of the structure, from T = I."""
    criterion = engine.criterion
    if criterion is None:
        raise ValueError("this design has no structure: use refit_responses")
    structure = criterion.structure
    result = _Results(engine.problem, reduced.size)
    # minima far apart (`ranef.linalg.competition`) are told from each other one by one only
    competing = bool(engine.problem.objective.competing)
    enough = min(ENOUGH_AT_ONCE, LARGEST_ARRAY // structure.footprint)
    at_once = max(1, enough, min(MOST_AT_ONCE, CACHED // structure.footprint))
    for first in range(0, reduced.size, at_once):
        chunk = reduced.part(slice(first, first + at_once))
        start = tuple(
            np.repeat(t[..., None], chunk.size, axis=2) for t in identity(structure.blocks)
        )
        left = np.ones(chunk.size, dtype=bool)
        search = None if competing else newton(criterion, chunk, start)
        if search is not None and len(search.at):
            ends = certify(criterion, chunk.part(search.at), search)
            left[search.at[ends.passed]] = False
            result.store(first + search.at, ends)
        for b in np.flatnonzero(left).tolist():
            _fit_alone(engine, expand(structure, chunk, b), 0, first + b, result, None)
    return result.finish(reduced.estimate)


def _fit_alone(
    engine: Engine,
    responses: Responses,
    b: int,
    at: int,
    result: _Results,
    start: Factors | None,
) -> None:
    """Fit one response by the ordinary optimizer, and store it as number ``at``."""
    objective = with_response(engine.problem.objective, responses, b)
    result.fallbacks += 1
    try:
        with np.errstate(all="ignore"):
            begin = identity(objective.blocks) if start is None else start
            optimum, certificate = minimise(objective, begin, "newton", Control())
            if certificate.verdict not in GOOD:
                result.messages[at] = certificate.verdict.value
                return
            state = objective.state(optimum.T)
    except np.linalg.LinAlgError as error:
        result.messages[at] = f"{Verdict.BREAKDOWN.value} ({error})"
        return
    result.store_one(at, state, bool(certificate.null))


@dataclass(eq=False)
class _Results:
    """Arrays of a `BatchFit` while they are being filled."""

    problem: Problem
    size: int
    messages: dict[int, str] = field(default_factory=dict)
    fallbacks: int = 0

    def __post_init__(self) -> None:
        p = len(self.problem.basis.kept)
        self.T = tuple(np.full((self.size, g.width, g.width), np.nan) for g in self.problem.groups)
        self.value, self.sigma2 = np.full(self.size, np.nan), np.full(self.size, np.nan)
        self.gamma, self.std_error = (
            np.full((p, self.size), np.nan),
            np.full((p, self.size), np.nan),
        )
        self.singular = np.zeros(self.size, dtype=bool)

    def store(self, at: IntArray, ends: Ends) -> None:
        """Store the ends of replicates ``at`` that passed."""
        good, nu = ends.passed, self.problem.objective.nu
        at = at[good]
        for mine, T in zip(self.T, ends.T, strict=True):
            mine[at] = T[..., good].transpose(2, 0, 1)
        point = ends.point
        self.value[at] = point.value[good]
        self.sigma2[at] = point.r2[good] / nu
        self.gamma[:, at] = point.gamma[:, good]
        half = np.tensordot(self.problem.basis.R_inverse, point.root[..., good], axes=1)
        self.std_error[:, at] = np.sqrt(np.einsum("ijb,ijb->ib", half, half) * self.sigma2[at])
        self.singular[at] = ends.singular[good]

    def store_one(self, at: int, state: State, singular: bool) -> None:
        """Store one fit."""
        for mine, T in zip(self.T, state.factorization.T, strict=True):
            mine[at] = T
        self.value[at], self.sigma2[at] = state.value, state.sigma2
        self.gamma[:, at] = state.solution.gamma
        self.std_error[:, at] = np.sqrt(np.diagonal(self.problem.covariance(state)))
        self.singular[at] = singular

    def finish(self, estimate: FloatArray) -> BatchFit:
        """Return the frozen result."""
        return BatchFit(
            self.T,
            self.value,
            self.sigma2,
            self.gamma,
            estimate + self.problem.basis.R_inverse @ self.gamma,
            self.std_error,
            self.singular,
            ~np.isfinite(self.value),
            self.messages,
            self.fallbacks,
        )
