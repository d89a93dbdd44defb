"""Power by simulation: how often a test would succeed, if the parameters were these.

There is no formula to trust and nothing to tune: responses are drawn from the model with the given
parameters, the model is fitted to each as it would be to real data, and the test is made. What
fails counts as not significant, and is counted. The interval (Clopper and Pearson 1934) tells what
``n`` repetitions leave unknown.

Replicates are made in chunks whose size depends on the design only, each with its own stream of
random numbers: neither the number of workers nor their order changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ranef.batch.refit import make_engine, refit_responses
from ranef.batch.responses import row_responses
from ranef.design import Design, with_response
from ranef.draws import check_count, check_jobs, in_parallel, with_progress
from ranef.errors import FitError, OptionError
from ranef.estimation import Problem, make_problem
from ranef.fit import fit_design
from ranef.inference.contest import contest
from ranef.inference.wald import t_tail
from ranef.planning.planned_design import planned_design, read_coefficients, read_roots
from ranef.simulation import ResponseRows, design_rows
from ranef.tables.document import Document, Fact, Facts
from ranef.tables.format import format_fixed
from ranef.tables.renderable import Renderable
from ranef.typing import BoolArray, DdfMethod, FloatArray, check_choice, check_flag

if TYPE_CHECKING:
    from ranef.model import LinearMixedModel

Test: TypeAlias = "str | Callable[[LinearMixedModel], float]"

# Numbers that a chunk of responses may take, and its largest number of responses: fitted together,
# or as models of their own.
CHUNK = 2_000_000
MOST_AT_ONCE, MOST_MODELS = 500, 25


@dataclass(frozen=True, eq=False, repr=False)
class Power(Renderable):
    """Power of a test, estimated by simulation; made by `ranef.power`.

    Attributes
    ----------
    p_values : float64 array (n,)
        Of every repetition; NaN where the fit or the test failed. Read-only.
    singular : bool array (n,)
        Repetitions in which some combination of random effects had no variance.
    failures : tuple of (int, str)
        Numbers of the repetitions that failed, and why.
    alpha : float
    test, formula : str
    seed : int
        Gives the same result again.
    """

    p_values: FloatArray
    singular: BoolArray
    failures: tuple[tuple[int, str], ...]
    alpha: float
    test: str
    formula: str
    seed: int

    def __post_init__(self) -> None:
        self.p_values.flags.writeable = False
        self.singular.flags.writeable = False

    @property
    def n(self) -> int:
        """Number of repetitions."""
        return len(self.p_values)

    @property
    def n_significant(self) -> int:
        """Repetitions with p < alpha; those that failed are none of them."""
        return int(np.count_nonzero(self.p_values < self.alpha))

    @property
    def n_failed(self) -> int:
        """Repetitions in which the fit or the test failed."""
        return len(self.failures)

    @property
    def n_singular(self) -> int:
        """Repetitions with a singular fit."""
        return int(np.count_nonzero(self.singular))

    @property
    def power(self) -> float:
        """Share of significant repetitions."""
        return self.n_significant / self.n

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the interval of Clopper and Pearson for the power.

        Parameters
        ----------
        level : float
        """
        from scipy.special import betaincinv  # slow to import

        k, n, tail = self.n_significant, self.n, 0.5 * (1.0 - _share("level", level))
        low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
        high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1.0 - tail))
        return low, high

    def document(self) -> Document:
        """Return what ``print`` shows."""
        power, low, high = format_fixed([self.power, *self.interval()], 3)
        return Document(
            "Power by simulation",
            (
                Facts(
                    (
                        Fact("Formula", self.formula, is_code=True),
                        Fact("Test", f"{self.test}, p < {self.alpha:g}"),
                        Fact("Power", f"{power}, 95 % interval {low} to {high}"),
                        Fact(
                            "Repetitions",
                            f"{self.n}, {self.n_singular} singular, {self.n_failed} failed",
                        ),
                    )
                ),
            ),
        )


def power(
    formula: str,
    data: Any,
    *,
    beta: Any,
    theta: Any,
    sigma: float,
    test: Test,
    n: int = 1000,
    seed: int | None = None,
    alpha: float = 0.05,
    ddf: DdfMethod = "satterthwaite",
    reml: bool = True,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> Power:
    """Estimate the power of a test by simulation.

    Use it to plan a study: the data say who is measured when, the parameters what you expect.
    Estimates of a pilot study can be entered as they are (``beta=m.fixef, theta=m.theta,
    sigma=m.sigma``); but an effect that was found because it looked large is probably smaller.

    Parameters
    ----------
    formula : str
        As in `ranef.fit`.
    data : data frame or dict of columns
        The planned rows, without missing values. The response need not be there; if it is, its
        values are not used.
    beta : dict, Series or array (p,)
        Coefficients, by the names that `fixef` has; all of them.
    theta : array (m,), Series or dict
        Relative covariance parameters in the order of ``m.theta``; or a dict of standard deviations
        and correlations named as in `confint`, in units of the response:
        ``{"sd_Intercept|Subject": 25, "sd_Days|Subject": 6, "cor_Days.Intercept|Subject": 0.1}``.
        Correlations that are not named are zero.
    sigma : float
        Residual standard deviation.
    test : str or callable
        A coefficient, the label of a term (all its coefficients), an equation as in `contest`; or
        a function of a fitted model that returns a p-value.
    n : int
        Repetitions.
    seed : int, optional
        The same seed gives the same result, with any ``n_jobs``.
    alpha : float
        Level of the test.
    ddf : {"satterthwaite", "kenward-roger", "normal"}
        Where ``test`` is text. A coefficient with ``"normal"`` is quick, because many responses are
        fitted together.
    reml, weights, offset, contrasts, context
        As in `ranef.fit`.
    n_jobs : int, optional
        Workers, -1 for all processors; more than one needs joblib. By default one, or what
        ``joblib.parallel_config`` says, which also chooses threads, processes or a cluster.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Power
        ``.power``, ``.interval()``, ``.p_values``, ``.n_failed``, ``.n_singular``.

    Raises
    ------
    OptionError, UnknownVariableError
        For arguments that make no sense, or names that the model does not have.
    FormulaError, DataError
        As in `ranef.fit`.
    FitError
        If every repetition fails.
    MissingDependencyError
        For several workers without joblib.

    Examples
    --------
    >>> import ranef
    >>> plan = {"Days": [0, 1, 2, 3] * 12, "Subject": [i // 4 for i in range(48)]}
    >>> found = ranef.power(
    ...     "Reaction ~ Days + (1 | Subject)", plan, beta={"Intercept": 250, "Days": 10},
    ...     theta={"sd_Intercept|Subject": 37}, sigma=30, test="Days", n=200, seed=1)
    >>> bool(0.5 < found.power < 0.95), found.n_failed
    (True, 0)

    References
    ----------
    Green, MacLeod 2016, Methods in Ecology and Evolution 7(4), 493-498.
    """
    n, n_jobs = check_count("n", n), check_jobs(n_jobs)
    alpha = _share("alpha", alpha)
    check_choice("ddf", ddf, DdfMethod)
    check_flag("reml", reml)
    check_flag("progress", progress)
    if not (isinstance(test, str) or callable(test)):
        raise OptionError(
            "test must be a coefficient, an equation or a function from a model to a p-value; "
            f"got {test!r}."
        )
    source = _seed_sequence(seed)
    design = planned_design(
        formula, data, weights=weights, offset=offset, contrasts=contrasts, context=context
    )
    problem = make_problem(design, reml=bool(reml))
    scale = _positive("sigma", sigma)
    rows = design_rows(
        design, problem, read_coefficients(design, problem, beta),
        read_roots(problem, theta, scale), scale,
    )  # fmt: skip
    # a mistake in the test is an error now, and not the failure of every repetition
    _p_value(fit_design(design, reml=bool(reml)), test, ddf)
    work: Callable[..., _Chunk]
    if isinstance(test, str) and test in design.x_names and ddf == "normal":
        column = design.x_names.index(test)
        work = partial(_together, design, problem, rows, column)
        size = max(1, min(MOST_AT_ONCE, CHUNK // len(design.y)))
    else:
        work = partial(_one_by_one, design, rows, test, ddf, bool(reml))
        size = max(1, min(MOST_MODELS, CHUNK // len(design.y)))
    counts = [min(size, n - first) for first in range(0, n, size)]
    jobs = list(zip(counts, source.spawn(len(counts)), strict=True))
    done = in_parallel(work, jobs, n_jobs)
    chunks = list(with_progress(done, counts, "replicate") if progress else done)
    firsts = np.cumsum([0, *counts[:-1]]).tolist()
    failures = tuple(
        (first + b, message)
        for first, chunk in zip(firsts, chunks, strict=True)
        for b, message in sorted(chunk.messages.items())
    )
    if len(failures) == n:
        raise FitError(f"all {n} repetitions failed; the first: {failures[0][1]}")
    return Power(
        np.concatenate([chunk.p_values for chunk in chunks]),
        np.concatenate([chunk.singular for chunk in chunks]),
        failures,
        alpha,
        test if isinstance(test, str) else getattr(test, "__name__", "a function"),
        str(design.formula),
        int(source.entropy),  # type: ignore[arg-type]
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """Repetitions of one chunk: p-values and singular (B,), why some failed."""

    p_values: FloatArray
    singular: BoolArray
    messages: dict[int, str]


def _together(
    design: Design,
    problem: Problem,
    rows: ResponseRows,
    column: int,
    count: int,
    stream: np.random.SeedSequence,
) -> _Chunk:
    """Fit many responses at once, and return normal p-values of one coefficient."""
    draws = rows.draw(np.random.default_rng(stream))
    Y = np.column_stack([next(draws) for _ in range(count)])
    responses = row_responses(problem, Y, design.weights, design.offset)
    found = refit_responses(make_engine(problem), responses)
    z = found.beta[column] / found.std_error[column]
    p_values = 2.0 * t_tail(np.full(count, np.inf), np.abs(z))
    return _Chunk(p_values, found.singular, found.messages)


def _one_by_one(
    design: Design,
    rows: ResponseRows,
    test: Test,
    ddf: DdfMethod,
    reml: bool,
    count: int,
    stream: np.random.SeedSequence,
) -> _Chunk:
    """Fit responses as models, and make the test with each."""
    draws = rows.draw(np.random.default_rng(stream))
    p_values, singular = np.full(count, np.nan), np.zeros(count, dtype=bool)
    messages = {}
    for b in range(count):
        try:
            model = fit_design(with_response(design, next(draws)), reml=reml)
            if not model.convergence.converged:
                messages[b] = model.convergence.message
                continue
            singular[b] = model.is_singular
            p_values[b] = _p_value(model, test, ddf)
        except Exception as error:  # whatever the user's function raises: counted, and kept
            messages[b] = f"{type(error).__name__}: {error}"
    return _Chunk(p_values, singular, messages)


def _p_value(model: LinearMixedModel, test: Test, ddf: DdfMethod) -> float:
    if isinstance(test, str):
        return float(contest(model, test, ddf=ddf)["p_value"].iloc[0])
    value = test(model)
    try:
        p = float(value)
    except (TypeError, ValueError):
        p = np.nan
    if not 0.0 <= p <= 1.0:
        raise OptionError(f"the test must return a p-value between 0 and 1; it returned {value!r}.")
    return p


def _share(name: str, value: Any) -> float:
    number = isinstance(value, int | float | np.floating) and not isinstance(value, bool)
    if not (number and 0.0 < value < 1.0):
        raise OptionError(f"{name} must be a number between 0 and 1; got {value!r}.")
    return float(value)


def _positive(name: str, value: Any) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and 0.0 < value < np.inf):
        raise OptionError(f"{name} must be a positive number; got {value!r}.")
    return float(value)


def _seed_sequence(seed: Any) -> np.random.SeedSequence:
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and not (whole and seed >= 0):
        raise OptionError(f"seed must be a whole number that is not negative; got {seed!r}.")
    return np.random.SeedSequence(None if seed is None else int(seed))
