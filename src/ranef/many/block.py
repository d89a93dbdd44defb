"""One block of responses of the same rows, fitted together.

Designs that come apart into small blocks of random effects go through `ranef.batch`; those that do
not, and responses whose criterion hardly curves (their data may not determine the parameters, which
only the full certificate tells), are fitted one by one, as `ranef.fit` does. What cannot be fitted
is kept, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from ranef.batch.reduce import reduce
from ranef.batch.refit import Engine, make_engine, refit_reduced
from ranef.batch.responses import row_responses
from ranef.convergence import Status
from ranef.design import Design, with_response
from ranef.errors import DataError, FitError
from ranef.estimation import Problem, make_problem
from ranef.fit import fit_design
from ranef.inference.fixed_tests import fixed_tests
from ranef.inference.parameters import (
    VarianceParameter,
    covariance_matrices,
    parameter_values,
    variance_parameters,
)
from ranef.many.degrees import precision
from ranef.many.shared import Shared
from ranef.optimize.certificate import HARDLY_CURVED
from ranef.typing import BoolArray, DdfMethod, FloatArray, IntArray

STATUSES = tuple(Status)
CONVERGED, SINGULAR = STATUSES.index(Status.CONVERGED), STATUSES.index(Status.SINGULAR)
FAILED = STATUSES.index(Status.NOT_CONVERGED)
CONSTANT = "the response is constant; there is nothing to explain."
INFINITE = "the response has infinite values."
# What messages call a response: like causes have like messages.
ANY = "the response"
# Fewer responses with the same rows than this are fitted one by one, which is faster (measured).
FEWEST_TOGETHER = 3
# The certificate's own evaluation of the curvature may differ by rounding.
NEARLY = 1.001


@dataclass(frozen=True, slots=True, eq=False)
class Fitter:
    """What all responses with the same rows share.

    Attributes
    ----------
    design : Design
        Of the stand-in response.
    rows : int array (n,)
        Rows of the data that are used.
    problem : Problem
    engine : Engine or None
        None where responses are fitted one by one.
    parameters : tuple of VarianceParameter
    ddf : {"satterthwaite", "normal"}
    """

    design: Design
    rows: IntArray
    problem: Problem
    engine: Engine | None
    parameters: tuple[VarianceParameter, ...]
    ddf: DdfMethod

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the fixed effects."""
        return self.design.x_names


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Responses to fit: Y (n_total, B).

    ``fitter`` is None where it is still to be made, and a reason where there can be none.
    """

    shared: Shared
    missing: BoolArray | None
    fitter: Fitter | str | None
    reml: bool
    ddf: DdfMethod
    Y: FloatArray

    @property
    def size(self) -> int:
        """Number of responses, B."""
        return int(self.Y.shape[1])


@dataclass(eq=False)
class Block:
    """Estimates of B responses while they are being filled in; NaN where there are none.

    Attributes
    ----------
    terms, parameters : tuples of str
        Fixed effects and variance parameters, in the order of this block's design.
    nobs : int
    estimate, std_error, df : float64 arrays (B, p)
    variance : float64 array (B, q)
    objective : float64 array (B,)
    status : int8 array (B,)
        Positions in `STATUSES`.
    messages : dict of int to str
        Why responses failed.
    """

    terms: tuple[str, ...]
    parameters: tuple[str, ...]
    nobs: int
    size: int
    messages: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.size, len(self.terms)
        self.estimate, self.std_error = np.full(shape, np.nan), np.full(shape, np.nan)
        self.df = np.full(shape, np.nan)
        self.variance = np.full((self.size, len(self.parameters)), np.nan)
        self.objective = np.full(self.size, np.nan)
        self.status = np.full(self.size, FAILED, dtype=np.int8)

    def clear(self, b: int) -> None:
        """Forget what is known of a response."""
        for array in (self.estimate, self.std_error, self.df, self.variance, self.objective):
            array[b] = np.nan
        self.status[b] = FAILED


def make_fitter(
    shared: Shared,
    missing: BoolArray | None,
    *,
    reml: bool,
    ddf: DdfMethod,
    count: int,
) -> Fitter | str:
    """Return what ``count`` responses with these rows share, or why they cannot be fitted."""
    try:
        design = shared.design(missing)
        with np.errstate(all="ignore"):
            problem = make_problem(design, reml=reml)
    except (DataError, FitError) as error:
        return str(error)
    rows, parameters = shared.rows_of(design), variance_parameters(problem)
    engine = None
    if count >= FEWEST_TOGETHER:
        engine = make_engine(problem)
        if engine.criterion is None:
            engine = None
    return Fitter(design, rows, problem, engine, parameters, ddf)


def fit_block(task: Task) -> Block:
    """Fit the responses of a task."""
    fitter, size = task.fitter, task.size
    if fitter is None:
        fitter = make_fitter(task.shared, task.missing, reml=task.reml, ddf=task.ddf, count=size)
    if isinstance(fitter, str):
        return Block((), (), 0, size, dict.fromkeys(range(size), fitter))
    names = tuple(parameter.name for parameter in fitter.parameters)
    block = Block(fitter.terms, names, len(fitter.rows), size)
    Y = np.ascontiguousarray(task.Y[fitter.rows])
    good = _usable(Y, block)
    alone = good
    if fitter.engine is not None and len(good):
        alone = _fit_together(
            fitter, fitter.engine, Y if len(good) == size else Y[:, good], good, block
        )
    for b in alone.tolist():
        design = replace(with_response(fitter.design, Y[:, b].copy()), response=ANY)
        _fit_alone(fitter, design, b, task.reml, block)
    return block


def _usable(Y: FloatArray, block: Block) -> IntArray:
    """Return the responses that can be fitted; tell of the others why not."""
    low, high = Y.min(axis=0), Y.max(axis=0)
    infinite = ~(np.isfinite(low) & np.isfinite(high))
    for b in np.flatnonzero(infinite | (low == high)).tolist():
        block.messages[b] = INFINITE if infinite[b] else CONSTANT
    return np.flatnonzero(~infinite & (low != high))


def _fit_together(
    fitter: Fitter, engine: Engine, Y: FloatArray, at: IntArray, block: Block
) -> IntArray:
    """Fit responses ``at``, the columns of Y; return those that are better fitted alone."""
    design, problem, criterion = fitter.design, fitter.problem, engine.criterion
    assert criterion is not None  # or there would be no engine
    with np.errstate(all="ignore"):
        sums = row_responses(problem, Y, design.weights, design.offset)
    left = np.sqrt(sums.yy)
    total = _norms(Y, design)
    wrong = np.zeros(len(at), dtype=bool)
    for b in np.flatnonzero(~((left > 1e-8 * total) & (total > 1e-30) & (total < 1e30))).tolist():
        wrong[b] = True  # rare: the scalar fit knows the limits, and what to say
    alone = at[wrong]
    fine = np.flatnonzero(~wrong)
    if not len(fine):
        return alone
    reduced = reduce(criterion.structure, sums)
    if len(fine) < len(at):
        reduced = reduced.part(fine)
    fit = refit_reduced(engine, reduced)
    done = np.flatnonzero(~fit.failed)
    where = at[fine]
    for b, message in fit.messages.items():
        block.messages[int(where[b])] = message
    T = tuple(np.ascontiguousarray(t[done].transpose(1, 2, 0)) for t in fit.T)
    if len(done) < reduced.size:
        reduced = reduced.part(done)
    tested = fitter.ddf == "satterthwaite"
    rows = problem.basis.R_inverse
    found = precision(criterion, reduced, T, rows if tested else rows[:0])
    covariances = covariance_matrices(problem, tuple(t[done] for t in fit.T))
    variance = parameter_values(fitter.parameters, covariances, np.sqrt(fit.sigma2[done]))
    stored, kept = where[done], problem.basis.kept
    block.estimate[stored[:, None], kept] = fit.beta[:, done].T
    block.std_error[stored[:, None], kept] = fit.std_error[:, done].T
    block.df[stored[:, None], kept] = found.df.T if tested else np.inf
    block.variance[stored] = variance
    block.objective[stored] = fit.value[done]
    block.status[stored] = np.where(fit.singular[done], SINGULAR, CONVERGED)
    doubtful = stored[~(found.curvature > NEARLY * HARDLY_CURVED)]
    return np.sort(np.concatenate([alone, doubtful]))


def _norms(Y: FloatArray, design: Design) -> FloatArray:
    """Return the norms of the responses as they enter the equations, (B,)."""
    if design.offset is not None:
        Y = Y - design.offset[:, None]
    weights = np.ones(len(Y)) if design.weights is None else design.weights
    with np.errstate(over="ignore"):
        norms: FloatArray = np.sqrt(np.einsum("n,nb,nb->b", weights, Y, Y))
    return norms


def _fit_alone(fitter: Fitter, design: Design, b: int, reml: bool, block: Block) -> None:
    """Fit one response as `ranef.fit` does, and store it as number ``b``."""
    block.clear(b)
    try:
        model = fit_design(design, reml=reml)
    except FitError as error:
        block.messages[b] = str(error)
        return
    block.status[b] = STATUSES.index(model.convergence.status)
    if not model.convergence.converged:
        block.messages[b] = model.convergence.message
        return
    kept = fitter.problem.basis.kept
    tests = fixed_tests(model, fitter.ddf)
    rows = np.eye(len(kept))
    block.estimate[b, kept], block.std_error[b, kept] = tests.beta, tests.row_errors(rows)
    block.df[b, kept] = tests.row_df(rows)
    covariances = covariance_matrices(model.problem, model.state.factorization.T)
    block.variance[b] = parameter_values(fitter.parameters, covariances, model.sigma)
    block.objective[b] = model.objective
